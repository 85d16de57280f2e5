"""Series of a Detector: the window that fits them, the part that is held out, and the units that scores are in.

C channels, L steps of a series.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tsfm.infer.load import ModelPredictor
from tsfm.types import MIN_RELATIVE_SCALE, MIN_SCALE

if TYPE_CHECKING:
    from jaxtyping import Float


def shorter(window: int, *, rows: int, patch: int, least: int) -> int | None:
    """The window itself where `rows` hold it twice over, or it can't be shortened and fits; else a shorter one in whole
    patches, or None."""
    if rows >= (window if least >= window else 2 * window):
        return window
    found = rows // 2 // patch * patch
    return found if found >= least else None


def is_number(value: Any) -> bool:
    """A plain or numpy number; True and False are none."""
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def last(steps: np.ndarray, share: float) -> np.ndarray:
    """The last share of the steps, at least one."""
    return steps[-max(1, int(share * len(steps))) :]


def standardised(predictor: ModelPredictor, series: list[np.ndarray]) -> list[np.ndarray]:
    """In the units of the training, where those were standardised and the scaler of the model does not do it anyway.
    Channels of arrays have no names: they are known by their place."""
    known = list(predictor.about.standardize.values())
    if predictor.model.scaler.equivariant or not known:
        return series
    if len(known) != len(series[0]):
        raise ValueError(
            f"{predictor.name} was trained on {len(known)} channels and knows the units of those alone; found "
            f"{len(series[0])} channels: give as many, in the order of the training"
        )
    loc, scale = np.array(known, np.float64).T[:, :, None]
    return [((one - loc) / scale).astype(np.float32) for one in series]


def unit_of(series: list[Float[np.ndarray, "C L"]]) -> Float[np.ndarray, "C 1"]:
    """The standard deviation of each channel within the series, over all of them, and its floor."""
    wide = [one.astype(np.float64) for one in series]
    loc = [np.nanmean(one, axis=1, keepdims=True) for one in wide]
    count = sum((~np.isnan(one)).sum(axis=1, keepdims=True) for one in wide)
    squares = sum(np.nansum((one - at) ** 2, axis=1, keepdims=True) for one, at in zip(wide, loc, strict=True))
    size = np.abs(np.stack(loc)).max(axis=0)
    return np.maximum(np.sqrt(squares / count), np.maximum(MIN_RELATIVE_SCALE * size, MIN_SCALE)).astype(np.float32)
