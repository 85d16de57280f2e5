"""Series of a Detector: the window that fits them, the steps held out, and the scale of the scores.

C channels, L steps of a series.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tsfm.infer.model_predictor import ModelPredictor
from tsfm.types import MIN_RELATIVE_SCALE, MIN_SCALE

if TYPE_CHECKING:
    from jaxtyping import Float


def fitting_window(window: int, *, rows: int, patch: int, least: int) -> int | None:
    """Return a window length in steps that fits into `rows` steps, or None.

    The window itself where it fits twice (or once, if it cannot be shortened); else half of the rows in whole patches,
    if that is at least `least` steps.
    """
    if rows >= (window if least >= window else 2 * window):
        return window
    shorter = rows // 2 // patch * patch
    return shorter if shorter >= least else None


def is_number(value: Any) -> bool:
    """Return whether the value is a Python or numpy number, and not a boolean."""
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def last_share(steps: np.ndarray, share: float) -> np.ndarray:
    """Return the last share of the steps, at least one step."""
    return steps[-max(1, int(share * len(steps))) :]


def standardize_series(predictor: ModelPredictor, series: list[np.ndarray]) -> list[np.ndarray]:
    """Return series standardized as in the model's training, unless its scaler does that for each window.

    Channels of arrays have no names: they are matched by position.
    """
    moments = list(predictor.about.standardize.values())
    if predictor.model.scaler.equivariant or not moments:
        return series
    if len(moments) != len(series[0]):
        raise ValueError(
            f"{predictor.name} was trained on {len(moments)} channels and knows the scale of those only; found "
            f"{len(series[0])} channels: give the same channels in the order of training"
        )
    loc, scale = np.array(moments, np.float64).T[:, :, None]
    return [((values - loc) / scale).astype(np.float32) for values in series]


def channel_scale(series: list[Float[np.ndarray, "C _"]]) -> Float[np.ndarray, "C 1"]:
    """Return the standard deviation of each channel within series, pooled over all series, with a lower bound."""
    wide = [values.astype(np.float64) for values in series]
    loc = [np.nanmean(values, axis=1, keepdims=True) for values in wide]
    count = sum((~np.isnan(values)).sum(axis=1, keepdims=True) for values in wide)
    squares = sum(
        np.nansum((values - mean) ** 2, axis=1, keepdims=True) for values, mean in zip(wide, loc, strict=True)
    )
    size = np.abs(np.stack(loc)).max(axis=0)
    return np.maximum(np.sqrt(squares / count), np.maximum(MIN_RELATIVE_SCALE * size, MIN_SCALE)).astype(np.float32)
