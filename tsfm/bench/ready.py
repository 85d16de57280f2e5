"""A predictor by name, put where it computes and set as it is to be asked, for the scripts that score many."""

from __future__ import annotations

from collections.abc import Sequence

from tsfm.bench.find import find_predictor
from tsfm.bench.trained import pick_device
from tsfm.infer.load import ModelPredictor
from tsfm.infer.predictor import Predictor


def ready(name: str, *, device: str = "auto", bf16: bool = False, flip: bool = False) -> Predictor:
    """A forecasting baseline, a bundled model or a model directory. A trained model is moved to the device; where asked
    it computes in bfloat16, and takes the mean with its forecast of the mirrored series. A baseline stays as it is."""
    predictor = find_predictor(name)
    predictor.check_forecasts()
    if isinstance(predictor, ModelPredictor):
        predictor.model.to(pick_device(device))
        predictor.precision = "bf16" if bf16 else predictor.precision
        predictor.flip = flip or predictor.flip
    return predictor


def labels(predictors: Sequence[Predictor], asked: Sequence[str]) -> list[str]:
    """A name for each in a table: its own, or as it was asked for where two have the same."""
    own = [predictor.name for predictor in predictors]
    found = [name if own.count(name) == 1 else text for name, text in zip(own, asked, strict=True)]
    if len(set(found)) < len(found):
        raise ValueError(f"a predictor was named twice among {', '.join(asked)}; name each once")
    return found


def num_parameters(predictor: Predictor) -> int | None:
    """Of a trained model; None for a baseline."""
    return predictor.model.num_parameters() if isinstance(predictor, ModelPredictor) else None
