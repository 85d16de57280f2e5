"""Forecasts averaged over the parameter sets of several forms of exponential smoothing.

No set is chosen: each counts by how well it fits the past (weights of Akaike's criterion with the correction for short
series; Burnham and Anderson 2002), so that a short past does not choose a bad one. A form of many sets counts no more
than one of few. Models of values and of logarithms are compared by the likelihood of the values.

W windows, L past steps, C parameter sets, H horizon, Q quantile levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tsfm.ensemble.smoothing import Grid, Pasts, fit_grid

if TYPE_CHECKING:
    from jaxtyping import Float

MIN_ERROR = 1e-3  # standard deviation of the errors, relative to that of the past
MIN_DEVIATION = 1e-9  # of the past, relative to its size: what is less is constant
UNFIT = 1e9  # added to the criterion of a form that has too many parameters for a past
LARGEST_LOG = 80.0


class Form(NamedTuple):
    """Parameter sets of one form of model.

    Attributes
    ----------
    logarithm
        Whether it is a model of the logarithm, which only series above 0 have.
    drift
        The trend relative to the slope of a straight line through the past; None: it is estimated.
    """

    grid: Grid
    logarithm: bool = False
    drift: float | None = None


class Scaled(NamedTuple):
    """Pasts with mean 0 and standard deviation 1, and both of them."""

    pasts: Pasts
    mean: Float[np.ndarray, " W"]
    deviation: Float[np.ndarray, " W"]

    @property
    def slope(self) -> Float[np.ndarray, " W"]:
        """Return the slope of a straight line through each."""
        values, lengths = self.pasts
        steps = np.arange(values.shape[1])
        steps = np.where(steps < lengths[:, None], steps - (lengths[:, None] - 1) / 2, 0.0)
        return np.einsum("wl,wl->w", steps, values) / np.maximum(np.einsum("wl,wl->w", steps, steps), 1.0)


class _FormFit(NamedTuple):
    criterion: Float[np.ndarray, "C W"]
    mean: Float[np.ndarray, "C W H"]
    variance: Float[np.ndarray, "C W H"]


def average_forms(
    pasts: Sequence[Float[np.ndarray, " _"]],
    forms: Sequence[Form],
    *,
    horizon: int,
    quantile_levels: Sequence[float],
) -> tuple[Float[np.ndarray, "W H Q"], Float[np.ndarray, " C"]]:
    """Return quantiles of the average, and the sum of the weights of each parameter set over all windows.

    Forms of logarithms come last in `forms`.
    """
    positive = np.array([past.min() > 0 for past in pasts])
    fits: list[_FormFit] = []
    for logarithm in (False, True):
        chosen = [form for form in forms if form.logarithm == logarithm]
        if chosen:
            scaled, jacobian = _prepare(pasts, positive, logarithm=logarithm)
            fits += [_fit_form(scaled, form, horizon=horizon) for form in chosen]
            shift = np.where(positive, 2 * jacobian, UNFIT) if logarithm else 0.0
            fits[-len(chosen) :] = [fit._replace(criterion=fit.criterion + shift) for fit in fits[-len(chosen) :]]
    criterion = np.concatenate([fit.criterion for fit in fits])
    weights = np.exp(-0.5 * (criterion - criterion.min(axis=0)))
    weights /= weights.sum(axis=0)
    of_logarithm = np.concatenate([np.full(len(form.grid), form.logarithm) for form in forms])
    z = np.array([NormalDist().inv_cdf(level) for level in quantile_levels])
    quantiles = np.zeros((len(pasts), horizon, len(z)))
    for logarithm in np.unique(of_logarithm):
        same = [fit for fit, form in zip(fits, forms, strict=True) if form.logarithm == logarithm]
        mean, deviation, share = _mixture(same, weights[of_logarithm == logarithm])
        normal = mean[..., None] + deviation[..., None] * z
        normal = np.exp(np.clip(normal, -LARGEST_LOG, LARGEST_LOG)) if logarithm else normal
        quantiles += share[:, None, None] * normal
    return quantiles, weights.sum(axis=1)


def _prepare(
    pasts: Sequence[Float[np.ndarray, " _"]], positive: np.ndarray, *, logarithm: bool
) -> tuple[Scaled, Float[np.ndarray, " W"]]:
    """Return the pasts or their logarithms, scaled, and the sum of the logarithms."""
    lengths = np.array([len(past) for past in pasts])
    values = np.zeros((len(pasts), lengths.max()))
    for row, past, above in zip(values, pasts, positive, strict=True):
        row[: len(past)] = past if not logarithm else np.log(past) if above else 0.0
    inside = np.arange(values.shape[1]) < lengths[:, None]
    mean = values.sum(axis=1) / lengths
    centred = np.where(inside, values - mean[:, None], 0.0)
    deviation = np.sqrt((centred**2).sum(axis=1) / lengths)
    smallest = MIN_DEVIATION * np.maximum(np.abs(values).max(axis=1), np.finfo(np.float32).tiny / MIN_DEVIATION)
    deviation = np.maximum(deviation, smallest)
    return Scaled(Pasts(centred / deviation[:, None], lengths), mean, deviation), values.sum(axis=1)


def _fit_form(scaled: Scaled, form: Form, *, horizon: int) -> _FormFit:
    """Fit one form; forecasts in the units of what was scaled."""
    grid, lengths = form.grid, scaled.pasts.lengths
    drift = None if form.drift is None else form.drift * scaled.slope
    fit = fit_grid(scaled.pasts, grid, horizon=horizon, drift=drift)
    number = grid.num_parameters
    likelihood = lengths * np.log(np.maximum(fit.loss / lengths, MIN_ERROR**2)) + 2 * lengths * np.log(scaled.deviation)
    correction = 2 * number * (number + 1) / np.maximum(lengths - number - 1, 0.5)
    unfit = np.where(lengths > number + 1, 0.0, UNFIT * number)
    criterion = likelihood + 2 * number + correction + unfit + 2 * np.log(len(grid))
    variance = np.maximum(fit.loss / np.maximum(lengths - number, 0.4 * lengths), MIN_ERROR**2)
    variance = variance[..., None] * grid.growth(horizon)[:, None] * scaled.deviation[:, None] ** 2
    mean = fit.forecast * scaled.deviation[:, None] + scaled.mean[:, None]
    return _FormFit(criterion, mean, variance)


def _mixture(
    fits: Sequence[_FormFit], weights: Float[np.ndarray, "C W"]
) -> tuple[Float[np.ndarray, "W H"], Float[np.ndarray, "W H"], Float[np.ndarray, " W"]]:
    """Return mean and standard deviation of a weighted mixture, and the sum of its weights."""
    share = weights.sum(axis=0)
    relative = weights / np.maximum(share, np.finfo(np.float64).tiny)
    mean = sum(np.einsum("cw,cwh->wh", weight, fit.mean) for weight, fit in _split(relative, fits))
    variance = sum(
        np.einsum("cw,cwh->wh", weight, fit.variance + (fit.mean - mean) ** 2) for weight, fit in _split(relative, fits)
    )
    return np.asarray(mean), np.sqrt(np.asarray(variance)), share


def _split(weights: Float[np.ndarray, "C W"], fits: Sequence[_FormFit]):
    """Return each fit together with its rows of the weights."""
    stops = np.cumsum([len(fit.criterion) for fit in fits])
    return zip(np.split(weights, stops[:-1]), fits, strict=True)
