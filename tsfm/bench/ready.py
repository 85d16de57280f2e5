"""A predictor by name, put where it computes and set as it is to be asked, for the scripts that score many."""

from __future__ import annotations

import argparse
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


def add_options(parser: argparse.ArgumentParser, *, batch: int, unit: str) -> None:
    """What the scripts are told of the predictors."""
    parser.add_argument("predictors", nargs="+", help="bundled models, model directories, baselines")
    parser.add_argument("--batch-size", type=int, default=batch, help=f"{unit} at a time (default {batch})")
    parser.add_argument("--device", default="auto", help="of trained models: cpu, cuda, ... (default: a GPU if there)")
    parser.add_argument("--bf16", action="store_true", help="trained models compute in bfloat16")
    parser.add_argument("--flip", action="store_true", help="trained models forecast the mirrored series too")


def asked_for(asked: argparse.Namespace) -> dict[str, Predictor]:
    """The predictors of `add_options` by their names in a table: their own, or as asked for where two have the same."""
    found = [ready(name, device=asked.device, bf16=asked.bf16, flip=asked.flip) for name in asked.predictors]
    return dict(zip(labels(found, asked.predictors), found, strict=True))


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
