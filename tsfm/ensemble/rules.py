"""Simple rules as members: a level, and the mean of the last seasons. Each chooses its setting in the back-test.

W windows, H horizon, m season length, K seasons.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

import numpy as np
from typing_extensions import override

from tsfm.ensemble.member import ErrorQuantiles, History, Member, standardize
from tsfm.ensemble.panel import Panel, Windows

if TYPE_CHECKING:
    from jaxtyping import Float

LEVEL_WEIGHTS = (1.0, 0.5, 0.2, 0.1, 0.05)  # of the newest value, in exponential smoothing
MAX_SMOOTHED = 400  # steps
SEASON_COUNTS = (1, 2, 4, 8)
SEASON_LEVEL_WEIGHTS = (0.02, 0.1, 0.3)
Setting = TypeVar("Setting")


class RuleMember(Member, Generic[Setting]):
    """A rule with one of a few settings; its quantiles come from its errors in the back-test."""

    @abstractmethod
    def candidates(self, history: History) -> list[Setting]:
        """Return the settings to try; none where the history is too short."""

    @abstractmethod
    def forecast(self, panel: Panel, windows: Windows, setting: Setting, *, horizon: int) -> Float[np.ndarray, "W H"]:
        """Return the point forecasts of windows with a setting."""

    @override
    def fit(self, history: History) -> Float[np.ndarray, "W H Q"] | None:
        """Choose the setting; see `Member.fit`."""
        self._history = history
        trials = [
            (setting, self.forecast(history.panel, history.windows, setting, horizon=history.horizon))
            for setting in self.candidates(history)
        ]
        if not trials:
            return None
        self._setting, forecast = min(trials, key=lambda trial: history.mean_error(trial[1]))
        scale = self._scale(history.panel, history.windows)
        self._errors = ErrorQuantiles((history.actual - forecast) / scale, history.quantile_levels)
        return self._errors.around(forecast, scale)

    @override
    def quantiles(self, panel: Panel, windows: Windows) -> Float[np.ndarray, "W H Q"]:
        """Return quantiles of windows; see `Member.quantiles`."""
        forecast = self.forecast(panel, windows, self._setting, horizon=self._history.horizon)
        return self._errors.around(forecast, self._scale(panel, windows))

    def _scale(self, panel: Panel, windows: Windows) -> Float[np.ndarray, "W 1"]:
        steps = self._history.scale_steps
        return standardize(panel.past(windows, steps), panel.scale_of(windows), scale_steps=steps)[2]

    @property
    @override
    def settings(self) -> str:
        return ", ".join(f"{name} {value:g}" for name, value in self._setting._asdict().items())  # type: ignore[attr-defined]


class LevelSetting(NamedTuple):
    """Weight of the newest value, or 0 and the steps over which a drift is measured."""

    weight: float
    drift_steps: int


class Level(RuleMember[LevelSetting]):
    """A constant level from exponential smoothing, or the last value with the drift of the last steps."""

    name = "level"

    @override
    def candidates(self, history: History) -> list[LevelSetting]:
        """Return weights of the newest value, and lengths of a drift."""
        longest = int(np.median(history.panel.lengths)) - 1
        steps = sorted({history.season_length, 2 * history.season_length, 8, 24})
        drifts = [LevelSetting(0.0, count) for count in steps if 1 < count <= longest]
        return [LevelSetting(weight, 0) for weight in LEVEL_WEIGHTS] + drifts

    @override
    def forecast(self, panel: Panel, windows: Windows, setting: LevelSetting, *, horizon: int):
        """Return the level, or the level plus the drift; see `RuleMember.forecast`."""
        if setting.drift_steps:
            past = panel.past(windows, setting.drift_steps + 1)
            slope = (past[:, -1:] - past[:, :1]) / setting.drift_steps
            return past[:, -1:] + slope * np.arange(1, horizon + 1)
        past = panel.past(windows, min(int(8 / setting.weight) + 1, MAX_SMOOTHED))
        return np.repeat(smoothed(past, setting.weight), horizon, axis=1)


class SeasonSetting(NamedTuple):
    """Season length in steps, number of seasons, and the weight of the newest value in the level (0: no level)."""

    season: int
    count: int
    weight: float


class Season(RuleMember[SeasonSetting]):
    """The mean of the last seasons; also with the level of the newest values."""

    name = "season"

    @override
    def candidates(self, history: History) -> list[SeasonSetting]:
        """Return combinations of season, count and weight that fit into the series."""
        length = int(np.median(history.panel.lengths))
        seasons = [season for season in (history.season_length, history.long_season) if 1 < season < length]
        pairs = [(season, count) for season in seasons for count in SEASON_COUNTS if season * count <= length]
        settings = [SeasonSetting(season, count, 0.0) for season, count in pairs]
        adjusted = [(season, count) for season, count in pairs if count > 1]
        return settings + [
            SeasonSetting(season, count, weight) for season, count in adjusted for weight in SEASON_LEVEL_WEIGHTS
        ]

    @override
    def forecast(self, panel: Panel, windows: Windows, setting: SeasonSetting, *, horizon: int):
        """Return the mean of the seasons, with the level added; see `RuleMember.forecast`."""
        past = panel.past(windows, setting.season * setting.count)
        cycles = past.reshape(len(past), setting.count, setting.season)
        profile = cycles.mean(axis=1)
        forecast = profile[:, np.arange(horizon) % setting.season]
        if setting.weight:
            deviations = (cycles - profile[:, None]).reshape(len(past), -1)
            forecast = forecast + smoothed(deviations, setting.weight)
        return forecast


def smoothed(past: Float[np.ndarray, "W P"], weight: float) -> Float[np.ndarray, "W 1"]:
    """Return the exponentially weighted mean of past steps.

    Examples
    --------
    >>> smoothed(np.array([[1.0, 3.0]]), 1.0).tolist()
    [[3.0]]
    """
    weights = (1 - weight) ** np.arange(past.shape[1])[::-1]
    return (past * weights).sum(axis=1, keepdims=True) / weights.sum()
