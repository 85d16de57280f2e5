"""Load a trained model: from a checkpoint directory, a run directory, or by the name of a bundled model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from tsfm.infer.inference_config import InferenceConfig
from tsfm.infer.model_predictor import ModelPredictor
from tsfm.model.checkpoint import bundled, find
from tsfm.model.checkpoint import load as load_checkpoint

__all__ = ["bundled", "find", "load"]
Kind = TypeVar("Kind", bound=ModelPredictor)


def load(
    name_or_path: str | Path,
    *,
    device: str = "cpu",
    config: InferenceConfig | None = None,
    precision: str | None = None,
    stride: int | None = None,
    flip: bool | None = None,
    extend_short_pasts: bool | None = None,
    context_lengths: Sequence[int] | None = None,
    kind: type[Kind] = ModelPredictor,
) -> Kind:
    """Return a trained model, ready for every verb. Needs no network, and runs no code from the checkpoint.

    Parameters
    ----------
    name_or_path
        The name of a bundled model, a checkpoint directory, or a run directory that holds one.
    device
        Where it computes, such as "cpu" or "cuda".
    config
        Settings of how it forecasts; None: the defaults of `InferenceConfig`.
    precision, stride, flip, extend_short_pasts, context_lengths
        Single settings, which replace those of `config`; see `InferenceConfig`.
    kind
        The class of the result.

    Raises
    ------
    FileNotFoundError
        When there is no such folder or bundled model.
    ValueError
        When the checkpoint or a setting cannot be used.

    Examples
    --------
    >>> load("tsfm-mini", flip=True).inference_config.flip
    True
    """
    settings = {"precision": precision, "stride": stride, "flip": flip, "context_lengths": context_lengths}
    settings["extend_short_pasts"] = extend_short_pasts
    config = (config or InferenceConfig()).updated(**settings)
    path = find(name_or_path)
    model, about = load_checkpoint(path)
    name = path.parent.name if path.name == "model" and path.parent.name else path.name
    return kind(model, name=name or path.resolve().name, about=about, device=device, config=config)
