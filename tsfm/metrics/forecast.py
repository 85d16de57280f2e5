"""Forecast errors as pure numpy functions, and one accumulator over batches of windows.

B windows, C channels, L past steps, H horizon, Q quantile levels. A NaN target is a step nobody observed: it is not
scored. A forecast that is not finite where the target was observed is an error, never a number. Sums run in float64.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

logger = logging.getLogger("tsfm")
SUMS = ("windows", "scored", "masked", "undefined", "se", "ae", "ape", "ase", "scaled", "size", "inside", "wide")
CENTRAL = (0.1, 0.9)  # the interval reported when a model gives several


def _scored(target: Any, forecast: Any, *, levels: int | None = None):
    """Target and forecast in float64, both 0 where the target is NaN, and the mask of what is scored."""
    target, forecast = np.asarray(target, np.float64), np.asarray(forecast, np.float64)
    shape = target.shape if levels is None else (*target.shape, levels)
    if forecast.shape != shape:
        raise ValueError(f"forecast has shape {forecast.shape}; expected {shape} to stand beside the target")
    if np.isinf(target).any():
        raise ValueError(f"target holds {int(np.isinf(target).sum())} infinite values; mark unknown steps with NaN")
    mask = ~np.isnan(target)
    wide = mask if levels is None else mask[..., None]
    bad = wide & ~np.isfinite(forecast)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"{int(bad.sum())} forecast values are not finite where the target was observed, the first at {where}; "
            "mend the forecaster, a window is not scored in part"
        )
    return np.where(mask, target, 0.0), np.where(wide, forecast, 0.0), mask


def _mean(total: float, count: float, *, what: str) -> float:
    if count == 0:
        raise ValueError(f"{what} is undefined here: there is nothing to divide by (no observed target, or only zeros)")
    return float(total / count)


def _squared(target: np.ndarray, forecast: np.ndarray, mask: np.ndarray):
    """Per-cell squared error, absolute error and sMAPE term; 0 where masked."""
    error = np.abs(forecast - target)
    size = np.abs(target) + np.abs(forecast)
    return error**2, error, 200.0 * error / np.where(size > 0, size, 1.0)


def mse(target: Float[np.ndarray, "... H"], forecast: Float[np.ndarray, "... H"]) -> float:
    """Mean squared error over observed steps."""
    cells = _scored(target, forecast)
    return _mean(_squared(*cells)[0].sum(), cells[2].sum(), what="MSE")


def mae(target: Float[np.ndarray, "... H"], forecast: Float[np.ndarray, "... H"]) -> float:
    """Mean absolute error over observed steps."""
    cells = _scored(target, forecast)
    return _mean(_squared(*cells)[1].sum(), cells[2].sum(), what="MAE")


def smape(target: Float[np.ndarray, "... H"], forecast: Float[np.ndarray, "... H"]) -> float:
    """Symmetric MAPE of M4, 0 to 200 %: mean of 200 |y - f| / (|y| + |f|), 0 where both are 0 (Makridakis 2020)."""
    cells = _scored(target, forecast)
    return _mean(_squared(*cells)[2].sum(), cells[2].sum(), what="sMAPE")


def seasonal_error(context: Float[np.ndarray, "... L"], season: int) -> Float[np.ndarray, ...]:
    """In-sample MAE of the seasonal naive forecast, the MASE scale (Hyndman & Koehler 2006): mean |y_t - y_(t-m)|.

    Steps before a row's first observation do not exist. m is 1 where the season is not shorter than the past (as in
    GIFT-Eval); pairs with a NaN are skipped; NaN where no pair is left.
    """
    return seasonal_moments(context, season)[0]


def seasonal_moments(context: Float[np.ndarray, "... L"], season: int):
    """Mean absolute and root mean square seasonal difference of each row, and the season each row could use."""
    if season < 1:
        raise ValueError(f"season is {season}; it is a number of steps, at least 1")
    context = np.asarray(context)
    if np.isinf(context).any():
        raise ValueError("the past holds infinite values; mark unknown steps with NaN")
    observed = ~np.isnan(context)
    steps = context.shape[-1]
    past = np.where(observed.any(-1), steps - np.argmax(observed, -1), 0) if steps else np.zeros(context.shape[:-1])
    used = np.where(past > season, season, 1)
    mean = np.full(context.shape[:-1], np.nan)
    root = mean.copy()
    for lag in np.unique(used):
        rows = context[used == lag].astype(np.float64)
        step = np.abs(rows[:, lag:] - rows[:, :-lag])
        count = (~np.isnan(step)).sum(-1)
        step = np.nan_to_num(step)
        safe = np.maximum(count, 1)
        mean[used == lag] = np.where(count > 0, step.sum(-1) / safe, np.nan)
        root[used == lag] = np.where(count > 0, np.sqrt((step**2).sum(-1) / safe), np.nan)
    return mean, root, used


def _scaled(error: np.ndarray, mask: np.ndarray, scale: Any):
    """Sum of error / scale, the number of steps in it, and the number of rows whose scale is zero or undefined."""
    scale = np.asarray(scale, np.float64)
    if scale.shape != error.shape[:-1]:
        raise ValueError(f"scale has shape {scale.shape}; expected one per row of the target, {error.shape[:-1]}")
    usable = np.isfinite(scale) & (scale > 0)
    ratio = (error.sum(-1)[usable] / scale[usable]).sum()
    return ratio, int(mask[usable].sum()), int((~usable).sum())


def mase(target: Float[np.ndarray, "... H"], forecast: Float[np.ndarray, "... H"], *, scale: Any) -> float:
    """Mean absolute scaled error (Hyndman & Koehler 2006, eq. 3); `scale` [...] comes from `seasonal_error`.

    The mean runs over all steps of all rows; rows whose scale is zero or NaN are left out (ForecastScore counts them).
    """
    target, forecast, mask = _scored(target, forecast)
    total, count, _ = _scaled(np.abs(forecast - target), mask, scale)
    return _mean(total, count, what="MASE")


def check_levels(levels: Sequence[float]) -> tuple[float, ...]:
    """Quantile levels as a tuple: each in (0, 1), rising, none twice."""
    found = tuple(float(level) for level in levels)
    if not found or any(not 0 < level < 1 for level in found) or list(found) != sorted(set(found)):
        raise ValueError(
            f"quantile levels are {list(found)}; expected at least one, each in (0, 1), rising, none twice"
        )
    return found


def _pinball(target: np.ndarray, quantiles: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """Twice the quantile loss summed over all cells, per level [Q]; masked cells are 0 in both and add 0."""
    error = target[..., None] - quantiles
    loss = 2.0 * np.abs(error * ((quantiles >= target[..., None]) - np.asarray(levels)))
    return loss.reshape(-1, len(levels)).sum(0)


def wql(target: Float[np.ndarray, "... H"], quantiles: Float[np.ndarray, "... H Q"], levels: Sequence[float]) -> float:
    """Mean weighted quantile loss, which approximates CRPS over sum |y| (GIFT-Eval, arXiv:2410.10393).

    For each level the sum over all cells of 2 |(y - f)(1[f >= y] - q)|, over the sum of |y|; then the mean over levels.
    """
    levels = check_levels(levels)
    target, quantiles, _ = _scored(target, quantiles, levels=len(levels))
    return _mean(_pinball(target, quantiles, levels).mean(), np.abs(target).sum(), what="WQL")


def coverage(target: Any, lower: Any, upper: Any) -> float:
    """Share of observed steps inside [lower, upper]; an honest 80 % interval comes to 0.8."""
    truth, low, mask = _scored(target, lower)
    high = _scored(target, upper)[1]
    return _mean(((low <= truth) & (truth <= high) & mask).sum(), mask.sum(), what="coverage")


def width(target: Any, lower: Any, upper: Any) -> float:
    """Mean width of the interval over observed steps, in data units."""
    _, low, mask = _scored(target, lower)
    return _mean((_scored(target, upper)[1] - low).sum(), mask.sum(), what="interval width")


def central_pair(levels: Sequence[float]) -> tuple[int, int] | None:
    """Places of the levels that bound a central interval: 0.1 and 0.9 where given, else the widest symmetric pair."""
    pairs = [
        (low, high)
        for low, a in enumerate(levels)
        for high, b in enumerate(levels)
        if a < 0.5 and abs(a + b - 1) < 1e-9
    ]
    named = [pair for pair in pairs if abs(levels[pair[0]] - CENTRAL[0]) < 1e-9]
    return (named or sorted(pairs, key=lambda pair: levels[pair[0]]) or [None])[0]


class ForecastScore:
    """Scores of many windows, summed batch by batch: the result does not depend on how they were batched.

    The point forecast is the level 0.5; a point model with the single level (0.5,) is scored by what it reads.
    """

    def __init__(self, levels: Sequence[float], season: int = 1):
        self.levels = check_levels(levels)
        self.season = season
        middle = [place for place, level in enumerate(self.levels) if abs(level - 0.5) < 1e-9]
        if not middle:
            raise ValueError(f"levels {list(self.levels)} lack 0.5, the point forecast; ask the predictor for it too")
        self.middle = middle[0]
        self.pair = central_pair(self.levels)
        self.with_context: bool | None = None
        self.sums: dict[str, float] = dict.fromkeys(SUMS, 0.0)
        self.pinball = np.zeros(len(self.levels))

    def _add(self, **parts: Any) -> None:
        for name, part in parts.items():
            self.sums[name] += float(part)

    def update(
        self,
        target: Float[np.ndarray, "B C H"],
        quantiles: Float[np.ndarray, "B C H Q"],
        context: Float[np.ndarray, "B C L"] | None = None,
        *,
        scale: Float[np.ndarray, "B C"] | None = None,
    ) -> None:
        """Add a batch; MASE is scaled by `scale`, else by the seasonal error of `context` (left-padded with NaN), and
        left out without either."""
        if scale is None and context is not None:
            scale = seasonal_error(context, self.season)
        if self.with_context not in (None, scale is not None):
            raise ValueError("some batches came with a context and some without; give it for all windows or for none")
        if np.ndim(target) != 3:
            raise ValueError(f"target has shape {np.shape(target)}; expected [windows, channels, horizon]")
        truth, reads, mask = _scored(target, quantiles, levels=len(self.levels))
        squared, absolute, percent = _squared(truth, reads[..., self.middle], mask)
        if scale is not None:
            total, count, undefined = _scaled(absolute, mask, scale)
            self._add(ase=total, scaled=count, undefined=undefined)
        if self.pair is not None:
            low, high = reads[..., self.pair[0]], reads[..., self.pair[1]]
            self._add(inside=((low <= truth) & (truth <= high) & mask).sum(), wide=(high - low).sum())
        self._add(windows=len(truth), scored=mask.sum(), masked=(~mask).sum(), size=np.abs(truth).sum())
        self._add(se=squared.sum(), ae=absolute.sum(), ape=percent.sum())
        self.pinball += _pinball(truth, reads, self.levels)
        self.with_context = scale is not None

    def result(self) -> dict[str, float]:
        """Every metric that is defined, and the counts; one that is not defined here is absent and named in the log.

        `interval` is the nominal share of `coverage`; `scales_undefined` counts the (window, channel) rows whose MASE
        scale is zero or unknown, left out of MASE only.
        """
        s = self.sums
        tops = {"mse": s["se"], "mae": s["ae"], "smape": s["ape"], "mase": s["ase"], "wql": self.pinball.mean()}
        counts = dict.fromkeys(("mse", "mae", "smape", "coverage", "width"), s["scored"])
        counts |= {"mase": s["scaled"], "wql": s["size"]}
        if self.pair is not None:
            tops |= {"coverage": s["inside"], "width": s["wide"]}
        if not s["scored"]:
            raise ValueError(f"nothing was scored: {int(s['windows'])} windows hold no observed target step")
        found = {name: float(top / counts[name]) for name, top in tops.items() if counts[name]}
        missing = [name for name in tops if name not in found and (name != "mase" or self.with_context)]
        if missing:
            logger.warning("undefined on these windows, so left out: %s", ", ".join(missing))
        if self.pair is not None:
            found["interval"] = round(self.levels[self.pair[1]] - self.levels[self.pair[0]], 9)
        names = {"windows": "windows", "scored": "steps_scored", "masked": "steps_masked"}
        if self.with_context:
            names["undefined"] = "scales_undefined"
        return found | {shown: int(s[name]) for name, shown in names.items()}
