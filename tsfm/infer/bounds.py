"""Bounds of forecasts: given ones, and a floor at 0 where no past value is negative.

N items, C targets, L past steps, H horizon.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from tsfm.infer.forecast_result import Forecast
from tsfm.messages import did_you_mean

if TYPE_CHECKING:
    from jaxtyping import Float

AUTO = "auto"
TOLERANCE = 1e-6  # of the largest past value: a negative one that is closer to 0 comes from rounding
Bound = float | Mapping[str, float] | str | None


@dataclass(frozen=True)
class Bounds:
    """The lowest and highest possible value of each target.

    Attributes
    ----------
    lower, upper
        -inf and inf where there is none; NaN in `lower`: 0 for the items without a negative value.
    """

    lower: Float[np.ndarray, " C"]
    upper: Float[np.ndarray, " C"]

    def limits(
        self, pasts: Iterable[Float[np.ndarray, "C _"]]
    ) -> tuple[Float[np.ndarray, "N C"], Float[np.ndarray, "N C"]]:
        """Return the lowest and the highest possible value of each item and target, by their past values."""
        floors = np.stack([np.where(_is_negative(past), -np.inf, np.minimum(self.upper, 0.0)) for past in pasts])
        return np.where(np.isnan(self.lower), floors, self.lower), np.broadcast_to(self.upper, floors.shape)

    def apply(self, forecast: Forecast, pasts: Iterable[Float[np.ndarray, "C _"]], targets: Sequence[str]) -> Forecast:
        """Return the forecast within the bounds; a note says how many steps were raised to 0.

        Parameters
        ----------
        pasts
            Past values of each item; NaN is missing.
        """
        lower, _ = self.limits(pasts)
        below = np.concatenate([forecast.quantiles, forecast.predictions[..., None]], axis=-1).min(axis=-1)
        raised = np.isnan(self.lower)[:, None] & (below < lower[..., None])  # [N, C, H]
        notes = forecast.notes
        if raised.any():
            names = ", ".join(repr(targets[c]) for c in np.flatnonzero(raised.any(axis=(0, 2))))
            notes += (
                f"{int(raised.sum())} of {raised.size} forecast steps of {names} had quantiles below 0, which are 0 "
                "now, because no past value is negative; lower=None leaves them",
            )
        lower, upper = lower[..., None], self.upper[:, None]
        return replace(
            forecast,
            predictions=np.clip(forecast.predictions, lower, upper),
            quantiles=np.clip(forecast.quantiles, lower[..., None], upper[..., None]),
            mean=None if forecast.mean is None else np.clip(forecast.mean, lower, upper),
            notes=notes,
        )


def read_bounds(lower: Bound, upper: Bound, targets: Sequence[str]) -> Bounds:
    """Return the bounds of each target.

    Parameters
    ----------
    lower
        A number for all targets or for each by name; None: none; "auto": 0 for items without a negative value.
    upper
        As `lower`, without "auto".

    Raises
    ------
    ValueError
        If a bound is not a number, names no target, or the lower one is not below the upper one.

    Examples
    --------
    >>> read_bounds("auto", {"load": 100}, ["load", "price"])
    Bounds(lower=array([nan, nan]), upper=array([100.,  inf]))
    """
    bounds = Bounds(
        np.array([_bound("lower", lower, name, targets, default=-np.inf) for name in targets]),
        np.array([_bound("upper", upper, name, targets, default=np.inf) for name in targets]),
    )
    for name, low, high in zip(targets, bounds.lower, bounds.upper, strict=True):
        if low >= high:  # not where `lower` is "auto"
            raise ValueError(f"target {name!r}: upper is {high:g}, which is not above the lower bound {low:g}")
    return bounds


def _bound(argument: str, bound: Bound, name: str, targets: Sequence[str], *, default: float) -> float:
    if isinstance(bound, Mapping):
        known = list(map(str, targets))
        if unknown := [key for key in bound if str(key) not in known]:
            raise ValueError(f"{argument} names {unknown[0]!r}, no target; {did_you_mean(str(unknown[0]), known)}")
        bound = next((value for key, value in bound.items() if str(key) == str(name)), None)
    if bound is None:
        return default
    if bound == AUTO and argument == "lower":
        return np.nan
    if isinstance(bound, bool) or not isinstance(bound, Real) or np.isnan(float(bound)):
        expected = "a number, None" + (', "auto"' if argument == "lower" else "")
        raise ValueError(f"{argument} is {bound!r}; expected {expected} or a dict of numbers by target")
    return float(bound)


def _is_negative(past: Float[np.ndarray, "C L"]) -> np.ndarray:
    """Return for each target whether a past value is negative, beyond rounding."""
    size = np.nanmax(np.abs(past), axis=1, initial=0.0)
    return np.nanmin(past, axis=1, initial=0.0) < -TOLERANCE * size
