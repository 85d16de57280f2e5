"""Check requested quantile levels, and interpolate quantiles to them. Q levels, M requested levels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tsfm.metrics.forecast import check_quantile_levels

if TYPE_CHECKING:
    from jaxtyping import Float

DECILES = tuple(k / 10 for k in range(1, 10))  # the default of a predictor that can predict any level
POINT = (0.5,)
TOLERANCE = 1e-9  # levels that are closer are equal


def check_requested_levels(
    quantile_levels: Sequence[float], available: Sequence[float] | None, *, name: str
) -> tuple[float, ...]:
    """Return the requested quantile levels as floats.

    Parameters
    ----------
    available
        Levels that the predictor was trained for, ascending; others are possible between the lowest and the highest.
        None: any level between 0 and 1.
    name
        The predictor, for the message.

    Raises
    ------
    ValueError
        When they are not a list of ascending numbers between 0 and 1, or outside the range of the predictor.
    """
    if isinstance(quantile_levels, (str, bytes)) or np.ndim(quantile_levels) != 1:
        raise ValueError(
            f"quantile levels are {quantile_levels!r}; expected a list of numbers, such as [0.1, 0.5, 0.9]"
        )
    try:
        requested = tuple(float(level) for level in quantile_levels)
    except (TypeError, ValueError) as error:
        raise ValueError(f"quantile levels are {list(quantile_levels)}; expected numbers, each in (0, 1)") from error
    requested = check_quantile_levels(requested)
    if available is not None and (requested[0] < available[0] - TOLERANCE or requested[-1] > available[-1] + TOLERANCE):
        possible = "only 0.5, as a point model" if available == POINT else f"{available[0]:g} to {available[-1]:g}"
        raise ValueError(f"quantile levels {list(requested)} were requested of {name}; it can predict {possible}")
    return requested


def sort_quantiles(quantiles: Float[np.ndarray, "... Q"]) -> Float[np.ndarray, "... Q"]:
    """Return the quantiles ascending in the level; the same array where they are, which a check finds faster."""
    ascending = (quantiles[..., 1:] >= quantiles[..., :-1]).all()
    return quantiles if ascending else np.sort(quantiles, axis=-1)


def interpolate_quantiles(
    quantiles: Float[np.ndarray, "... Q"], available: Sequence[float], requested: Sequence[float]
) -> Float[np.ndarray, "... M"]:
    """Return quantiles at the requested levels, linear between the two nearest available levels.

    Equal levels are copied bit for bit.

    Parameters
    ----------
    quantiles
        Ascending, one for each available level.
    available, requested
        Ascending levels; the requested ones are within the range of the available ones.

    Examples
    --------
    >>> interpolate_quantiles(np.array([1.0, 2.0, 4.0]), (0.1, 0.5, 0.9), (0.3, 0.5))
    array([1.5, 2. ])
    """
    knots, targets = np.asarray(available), np.asarray(requested)
    right = np.clip(np.searchsorted(knots, targets - TOLERANCE), 0, len(knots) - 1)
    left = np.where(np.abs(knots[right] - targets) <= TOLERANCE, right, np.maximum(right - 1, 0))
    gap = np.where(right > left, knots[right] - knots[left], 1.0)
    weight = ((targets - knots[left]) / gap * (right > left)).astype(quantiles.dtype)
    return quantiles[..., left] * (1 - weight) + quantiles[..., right] * weight
