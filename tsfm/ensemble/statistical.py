"""Statistical members: exponential smoothing and Theta, fitted to each window by itself.

They are means over parameter sets, see `tsfm.ensemble.model_average`. The quantiles are those of the normal errors of
the models; the back-test makes all of them wider or narrower. In a large panel only the parameter sets are used that
a sample of its series gives the most weight, so that 10,000 series take seconds.

W windows, H horizon, Q quantile levels.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from tsfm.ensemble.member import History, Member
from tsfm.ensemble.model_average import Form, average_forms
from tsfm.ensemble.panel import Panel, Windows
from tsfm.ensemble.seasonal_index import seasonal_index
from tsfm.ensemble.smoothing import make_grid
from tsfm.ensemble.weights import pinball

if TYPE_CHECKING:
    from jaxtyping import Float

MAX_SEASON = 12  # a state holds a season: longer ones take too long
MAX_PAST = 160  # last steps that are used
MIN_SETS = 24
MAX_WORK = 50_000_000  # steps of a panel times parameter sets
MAX_VALUES = 4_000_000  # of all parameter sets that are in memory at once
SAMPLE = 192  # series by which the parameter sets of a large panel are chosen
STRETCHES = np.geomspace(0.5, 2.0, 29)  # of intervals
STRETCH_PENALTY = 1.0  # of its squared logarithm, relative to the loss; it is divided by the number of windows
THETAS = (1.25, 2.0, 4.0, 10.0)  # 2: the method as published


class StatisticalMember(Member):
    """A mean over parameter sets; see the module."""

    needs_backtest = False

    @abstractmethod
    def forms(self, season_length: int) -> tuple[Form, ...]:
        """Return the forms of models that are averaged."""

    @abstractmethod
    def forecast(
        self, pasts: Sequence[Float[np.ndarray, " _"]], forms: Sequence[Form]
    ) -> tuple[Float[np.ndarray, "W H Q"], Float[np.ndarray, " C"]]:
        """Return quantiles after pasts, and the sum of the weights of each parameter set."""

    @override
    def fit(self, history: History) -> Float[np.ndarray, "W H Q"] | None:
        """Choose the parameter sets and the width of the intervals; see `Member.fit`."""
        if history.season_length > MAX_SEASON:
            return None
        self._history, self._stretch = history, 1.0
        self._forms = self._affordable(self.forms(history.season_length))
        if not len(history.windows):
            return np.empty((0, history.horizon, len(history.quantile_levels)))
        quantiles = self.quantiles(history.panel, history.windows)
        self._stretch = choose_stretch(quantiles, history)
        return stretch(quantiles, history.quantile_levels, self._stretch)

    @override
    def quantiles(self, panel: Panel, windows: Windows) -> Float[np.ndarray, "W H Q"]:
        """Return quantiles of windows; see `Member.quantiles`."""
        size = max(1, MAX_VALUES // (self._num_sets * max(self._history.horizon, 32)))
        parts = [
            self.forecast(_pasts(panel, windows.select(np.arange(start, min(start + size, len(windows))))), self._forms)
            for start in range(0, len(windows), size)
        ]
        quantiles = np.concatenate([quantiles for quantiles, _ in parts])
        return stretch(quantiles, self._history.quantile_levels, self._stretch)

    @property
    @override
    def settings(self) -> str:
        return f"mean of {self._num_sets} parameter sets, intervals times {self._stretch:.2f}"

    @property
    def _num_sets(self) -> int:
        return sum(len(form.grid) for form in self._forms)

    def _affordable(self, forms: tuple[Form, ...], *, max_work: int = MAX_WORK) -> tuple[Form, ...]:
        """Return all parameter sets, or those that a sample of a large panel gives the most weight."""
        panel = self._history.panel
        number = max(max_work // max(int(np.minimum(panel.lengths, MAX_PAST).sum()), 1), MIN_SETS)
        if number >= sum(len(form.grid) for form in forms):
            return forms
        sample = np.unique(np.linspace(0, len(panel) - 1, SAMPLE).astype(int))
        _, weight = self.forecast(_pasts(panel, Windows(sample, panel.lengths[sample])), forms)
        kept = np.zeros(len(weight), bool)
        kept[np.argsort(-weight, kind="stable")[:number]] = True
        stops = np.cumsum([len(form.grid) for form in forms])
        chosen = zip(forms, np.split(kept, stops[:-1]), strict=True)
        return tuple(form._replace(grid=form.grid.select(mask)) for form, mask in chosen if mask.any())


class Smoothing(StatisticalMember):
    """Exponential smoothing with and without trend and season, of values and of logarithms."""

    name = "smoothing"

    @override
    def forms(self, season_length: int) -> tuple[Form, ...]:
        return smoothing_forms(season_length)

    @override
    def forecast(self, pasts, forms):
        history = self._history
        return average_forms(pasts, forms, horizon=history.horizon, quantile_levels=history.quantile_levels)


class Theta(StatisticalMember):
    """The Theta method with several thetas: smoothing with a part of the slope of a straight line.

    Assimakopoulos and Nikolopoulos (2000); with theta optimized: Fiorucci et al. (2016), here averaged. A season is
    taken out before, where it is significant.
    """

    name = "theta"

    @override
    def forms(self, season_length: int) -> tuple[Form, ...]:
        alpha = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97)
        grid = make_grid(alpha=alpha, beta=(0.0,))
        return tuple(Form(grid, drift=1 - 1 / theta) for theta in THETAS)

    @override
    def forecast(self, pasts, forms):
        history = self._history
        indices = [seasonal_index(past, history.season_length) for past in pasts]
        adjusted = [past if index is None else index.remove(past) for past, index in zip(pasts, indices, strict=True)]
        quantiles, weights = average_forms(
            adjusted, forms, horizon=history.horizon, quantile_levels=history.quantile_levels
        )
        for row, (index, past) in enumerate(zip(indices, pasts, strict=True)):
            if index is not None:
                quantiles[row] = index.restore(quantiles[row], first=len(past))
        return quantiles, weights


@cache
def smoothing_forms(season_length: int) -> tuple[Form, ...]:
    """Return the forms of exponential smoothing for a season; logarithms have no trend that is not damped."""
    alpha = (0.02, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.99)
    beta = (0.01, 0.08, 0.2, 0.5)
    level, damped = make_grid(alpha=alpha), make_grid(alpha=alpha, beta=beta, phi=(0.8, 0.9, 0.95, 0.98))
    grids, trends = [level, damped], [make_grid(alpha=alpha, beta=beta, phi=(1.0,))]
    if season_length > 1:
        options: dict[str, Any] = {"alpha": (0.05, 0.2, 0.45, 0.7, 0.95), "gamma": (0.01, 0.1, 0.3)}
        options["season_length"] = season_length
        grids += [make_grid(**options), make_grid(**options, beta=(0.01, 0.15), phi=(0.85, 0.97))]
        trends.append(make_grid(**options, beta=(0.01, 0.15), phi=(1.0,)))
    return (*(Form(grid) for grid in (*grids, *trends)), *(Form(grid, logarithm=True) for grid in grids))


def stretch(
    quantiles: Float[np.ndarray, "W H Q"], quantile_levels: Sequence[float], factor: float
) -> Float[np.ndarray, "W H Q"]:
    """Return quantiles whose distances from the middle are multiplied by a factor."""
    middle = int(np.abs(np.asarray(quantile_levels) - 0.5).argmin())
    center = quantiles[..., middle, None]
    return center + factor * (quantiles - center)


def choose_stretch(quantiles: Float[np.ndarray, "W H Q"], history: History) -> float:
    """Return the factor by which the intervals fit the back-test best, near 1 where it has few windows."""
    of_level, scale = np.asarray(history.quantile_levels), history.panel.scale_of(history.windows)[:, None]
    losses = [
        np.nanmean(
            pinball(history.actual, stretch(quantiles, history.quantile_levels, factor), of_level) / scale[..., None]
        )
        for factor in STRETCHES
    ]
    penalty = STRETCH_PENALTY / len(quantiles) * np.log(STRETCHES) ** 2
    return float(STRETCHES[np.argmin(np.array(losses) / max(losses[len(losses) // 2], 1e-300) + penalty)])


def _pasts(panel: Panel, windows: Windows) -> list[Float[np.ndarray, " _"]]:
    positions = zip(windows.series, windows.origin, strict=True)
    return [panel.filled[series][max(origin - MAX_PAST, 0) : origin] for series, origin in positions]
