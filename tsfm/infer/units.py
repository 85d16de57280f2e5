"""Convert values to the units in which a model was trained, and back. C channels, L steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float


def to_model_units(
    values: Float[np.ndarray, "C L"], units: Float[np.ndarray, "2 C"] | None, *, name: str
) -> Float[np.ndarray, "C L"]:
    """Return values minus location, divided by scale, as float32; the same values where `units` is None.

    Raises
    ------
    ValueError
        When a result is beyond float32; the message names the series.
    """
    if units is None:
        return values
    loc, scale = units[:, :, None]
    with np.errstate(over="ignore"):
        scaled = ((values - loc) / scale).astype(np.float32)
    if np.isinf(scaled).any():
        raise ValueError(
            f"{name} is beyond float32 in the units of the model's training; check the units of its values"
        )
    return scaled


def from_model_units(values: np.ndarray, units: Float[np.ndarray, "2 C"] | None, *, channel_axis: int) -> np.ndarray:
    """Return values times scale, plus location, as float64; the same values where `units` is None."""
    if units is None:
        return values
    shape = [1] * values.ndim
    shape[channel_axis] = -1
    loc, scale = (unit.reshape(shape) for unit in units)
    return values * scale + loc
