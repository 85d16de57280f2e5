"""Fit an ensemble to the past of a panel: plan a back-test, fit the members, weigh them beside the network.

N items, C channels, W windows, H horizon, Q quantile levels, M members, F features of a window.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tsfm.ensemble.analogues import Analogues
from tsfm.ensemble.fitted import NETWORK, FittedMembers, Routing, routed_members
from tsfm.ensemble.member import History, Member
from tsfm.ensemble.panel import Panel, Windows, observed_windows, spread_windows
from tsfm.ensemble.ridge import PooledRidge
from tsfm.ensemble.router import Router, bundled_router, describe_windows
from tsfm.ensemble.statistical import Smoothing, Theta
from tsfm.ensemble.weights import WeightSettings, fit_weights, pinball
from tsfm.timestamps.offsets import nested_seasons

if TYPE_CHECKING:
    from jaxtyping import Float, Int

MEMBERS: tuple[type[Member], ...] = (PooledRidge, Analogues, Smoothing, Theta)
MAX_BACKTEST_WINDOWS = 192  # items times origins, forecast by the network
BACKTEST_SHARE = 0.25  # of a series, at its end
MAX_BACKTEST_HORIZONS = 20
MIN_WINDOWS = 3
RECENT = 64  # steps before a window, of which one must be observed
MIN_EXTRA_STEPS = 4  # of a series beyond two horizons

NetworkForecast = Callable[[Windows], "Float[np.ndarray, 'W C H Q']"]


@dataclass(frozen=True)
class Backtest:
    """What a back-test found: the quantiles of the network and of all members that could be fitted.

    Attributes
    ----------
    history
        The panel and the windows of the back-test.
    members
        Fitted to the whole history.
    quantiles
        In the windows of the back-test, of the network first, then of the members.
    """

    history: History
    members: tuple[Member, ...]
    quantiles: Float[np.ndarray, "M W H Q"]

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the network and of the members."""
        return (NETWORK, *(member.name for member in self.members))

    def features(self, index: Int[np.ndarray, " R"]) -> Float[np.ndarray, "W F"]:
        """Return the features of the windows of the back-test, by some members; see `tsfm.ensemble.router`."""
        history = self.history
        return describe_windows(
            self.quantiles[index],
            quantile_levels=history.quantile_levels,
            spread=history.panel.scale_of(history.windows),
            num_past=history.windows.origin,
            season_length=history.season_length,
        )

    def weigh(self, settings: WeightSettings | None = None, *, router: Router | None = None) -> FittedMembers:
        """Return the members with the weights that suit the back-test.

        Parameters
        ----------
        router
            Moves the weights of the network and the members it knows from window to window, if all of them could be
            fitted; None: the bundled one.
        """
        history, router = self.history, router or bundled_router()
        weights = fit_weights(
            self.quantiles,
            history.actual,
            scale=history.panel.scale_of(history.windows),
            quantile_levels=history.quantile_levels,
            names=self.names,
            num_independent=num_independent(history.windows, horizon=history.horizon),
            settings=settings or WeightSettings(),
        )
        of_network = _loss(self.quantiles[0], history)
        gain = 1 - _loss(np.tensordot(weights, self.quantiles, 1), history) / max(of_network, 1e-300)
        routing = None
        if set(router.names) <= set(self.names):
            index = routed_members(self.names, router)
            usual = router.relative_loss(self.features(index)).mean(axis=0)
            routing = Routing(router, usual, history.quantile_levels, history.season_length, index)
        return FittedMembers(self.members, weights, history.panel.spread, len(history.windows), gain, routing)


def fit_members(
    arrays: Sequence[Float[np.ndarray, "C _"]],
    network: NetworkForecast,
    *,
    horizon: int,
    season_length: int,
    quantile_levels: tuple[float, ...],
    member_types: Sequence[type[Member]] = MEMBERS,
) -> FittedMembers:
    """Return members fitted to items, and weights from a back-test on the last part of each.

    Parameters
    ----------
    arrays
        The past of each item; NaN is missing.
    network
        Forecasts windows of the items from the steps before their origin.
    """
    settings = {"horizon": horizon, "season_length": season_length, "quantile_levels": quantile_levels}
    backtest = run_backtest(arrays, network, **settings, member_types=member_types)
    return fit_unweighed(arrays, **settings, member_types=member_types) if backtest is None else backtest.weigh()


def fit_unweighed(
    arrays: Sequence[Float[np.ndarray, "C _"]],
    *,
    horizon: int,
    season_length: int,
    quantile_levels: tuple[float, ...],
    member_types: Sequence[type[Member]] = MEMBERS,
) -> FittedMembers:
    """Return the members that need no back-test, with the weights of the prior."""
    panel = Panel(channel for array in arrays for channel in array)
    none = Windows(np.zeros(0, int), np.zeros(0, int))
    history = History(
        panel, horizon, season_length, nested_seasons(season_length)[1], quantile_levels, none, panel.lengths
    )
    members: tuple[Member, ...] = ()
    if 2 * season_length <= panel.lengths.min():
        kinds = (kind() for kind in member_types if not kind.needs_backtest)
        members = tuple(member for member in kinds if member.fit(history) is not None)
    weights = WeightSettings().prior_weights([NETWORK, *(member.name for member in members)])
    return FittedMembers(members, weights, panel.spread, 0, 0.0)


def run_backtest(
    arrays: Sequence[Float[np.ndarray, "C _"]],
    network: NetworkForecast,
    *,
    horizon: int,
    season_length: int,
    quantile_levels: tuple[float, ...],
    member_types: Sequence[type[Member]] = MEMBERS,
) -> Backtest | None:
    """Return the back-test of `fit_members`, before anything is weighed; None if the past is too short for one."""
    panel = Panel(channel for array in arrays for channel in array)
    num_channels = arrays[0].shape[0]
    lengths = panel.lengths[::num_channels]
    items, begin = plan_backtest(lengths, horizon=horizon)
    items = items.select(_usable(panel, items, num_channels, horizon=horizon))
    if len(items) < MIN_WINDOWS:
        return None
    windows = of_channels(items, num_channels)
    history = History(
        panel=panel,
        horizon=horizon,
        season_length=season_length,
        long_season=nested_seasons(season_length)[1],
        quantile_levels=quantile_levels,
        windows=windows,
        begin=np.repeat(begin, num_channels),
    )
    fitted: list[Member] = []
    quantiles = [np.asarray(network(items), np.float64).reshape(len(windows), horizon, -1)]
    for member in (kind() for kind in member_types):
        in_backtest = member.fit(history)
        if in_backtest is not None:
            fitted.append(member)
            quantiles.append(in_backtest)
    return Backtest(history, tuple(fitted), np.stack(quantiles))


def plan_backtest(lengths: Int[np.ndarray, " N"], *, horizon: int) -> tuple[Windows, Int[np.ndarray, " N"]]:
    """Return the windows of the back-test, and the first step of each item that is kept for it.

    A quarter of an item is kept, at least one horizon and at most twenty; items with less than two horizons and four
    steps have no window, and are fitted on as a whole.
    """
    kept = np.clip((lengths * BACKTEST_SHARE).astype(int), horizon, MAX_BACKTEST_HORIZONS * horizon)
    kept = np.where(lengths >= 2 * horizon + MIN_EXTRA_STEPS, kept, 0)
    begin = lengths - kept
    last = np.where(kept > 0, lengths - horizon, -1)
    first = np.where(kept > 0, begin, 0)
    return spread_windows(first, last, max_windows=MAX_BACKTEST_WINDOWS), begin


def of_channels(items: Windows, num_channels: int) -> Windows:
    """Return the windows of all channels of windows of items, those of one item next to each other."""
    series = items.series[:, None] * num_channels + np.arange(num_channels)
    return Windows(series.ravel(), np.repeat(items.origin, num_channels))


def num_independent(windows: Windows, *, horizon: int) -> float:
    """Return how many windows of that span fit without overlap, at most as many as there are.

    Examples
    --------
    >>> num_independent(Windows(np.array([0, 0, 1]), np.array([10, 12, 5])), horizon=4)
    2.5
    """
    total = 0.0
    for series in np.unique(windows.series):
        origins = windows.origin[windows.series == series]
        total += (origins.max() - origins.min()) / horizon + 1
    return float(min(total, len(windows)))


def _usable(panel: Panel, items: Windows, num_channels: int, *, horizon: int) -> np.ndarray:
    """Return which windows of items have observed steps before and after the origin in every channel."""
    usable = observed_windows(panel, of_channels(items, num_channels), horizon=horizon, recent=RECENT)
    return np.all(usable.reshape(-1, num_channels), axis=1)


def _loss(quantiles: Float[np.ndarray, "W H Q"], history: History) -> float:
    """Return the mean pinball loss in the back-test, relative to the spread of each series."""
    loss = pinball(history.actual, quantiles, np.asarray(history.quantile_levels)).mean(axis=-1)
    return float(np.nanmean(loss / history.panel.scale_of(history.windows)[:, None]))
