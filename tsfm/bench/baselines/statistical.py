"""Statistical forecasters of statsforecast, fitted to each series: AutoETS, AutoTheta, AutoARIMA and their median.

L past steps, R steps from the first to the last observed one, H horizon, Q quantile levels. Inner gaps are interpolated
linearly; the steps of a gap at the end are forecast first. A series that is too short, or that the library cannot fit,
gets the seasonal naive forecast, which is counted in `fallbacks` by reason, and logged.
"""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from tsfm.bench.baselines.simple import Simple, observed_past, seasonal_quantiles
from tsfm.infer.column_values import FLOAT32_MAX
from tsfm.registry import BASELINES

if TYPE_CHECKING:
    from jaxtyping import Float

logger = logging.getLogger("tsfm")


def statsforecast_models() -> Any:
    """Return `statsforecast.models`, or raise an ImportError that says how to install it."""
    try:
        from statsforecast import models
    except ImportError as error:
        raise ImportError(
            "the statistical forecasters need statsforecast, which is not installed; pip install 'tsfm-platform[bench]'"
        ) from error
    return models


def observed_run(series: Float[np.ndarray, " L"]) -> tuple[Float[np.ndarray, " R"], int]:
    """Return the steps from the first to the last observed one without gaps, and the number missing at the end."""
    observed = np.flatnonzero(~np.isnan(series))
    steps = np.arange(observed[0], observed[-1] + 1)
    return np.interp(steps, observed, series[observed]), len(series) - 1 - int(observed[-1])


@dataclass
class StatisticalConfig:
    """Settings of the statistical forecasters."""

    shortest: int = 12  # values that a fit needs; shorter series get the seasonal naive forecast
    context: int = 0  # last past steps that are used; 0: all (the time of a fit grows with them)

    def __post_init__(self):
        if self.shortest < 4:
            raise ValueError(f"shortest is {self.shortest}; statsforecast fits series of 4 values or more")
        if self.context < 0 or 0 < self.context < self.shortest:
            raise ValueError(f"context is {self.context}; give at least shortest={self.shortest} steps, or 0 for all")


class Statistical(Simple):
    """A model of statsforecast; `fallbacks` counts the series that got the seasonal naive forecast, by reason."""

    model: str
    highest_season: int | None = None  # the model cannot use longer ones: it is fitted without

    def __init__(self, config: Any = None):
        super().__init__(config)
        self.max_context_length = self.config.context or None
        self.fallbacks: Counter[str] = Counter()
        self.fitted = 0
        self._logged_seasons: set[int] = set()  # too long for the model; each is logged once

    def _season(self, season: int, length: int) -> int:
        """Return the season, if the series has two of it and the model can use it; else 1."""
        if 2 * season > length or (self.highest_season is not None and season > self.highest_season):
            return 1
        return season

    def _log_unused_season(self, season: int) -> None:
        """Warn once about a season that is too long for the model."""
        if self.highest_season is not None and season > self.highest_season and season not in self._logged_seasons:
            self._logged_seasons.add(season)
            logger.warning("%s cannot use a season of %d steps and is fitted without", self.name, season)

    def _fit(
        self, models: Any, series: np.ndarray, *, horizon: int, quantile_levels: tuple[float, ...], season_length: int
    ) -> Float[np.ndarray, "H Q"]:
        """Forecast one series; errors of the library are not caught."""
        run, gap = observed_run(series)
        if len(run) < self.config.shortest:
            raise ValueError(f"fewer than {self.config.shortest} values")
        widths = {level: round(100 * abs(1 - 2 * level), 9) for level in quantile_levels}
        intervals = sorted({width for width in widths.values() if width > 0})
        model = getattr(models, self.model)(season_length=self._season(season_length, len(run)))
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # of the fit, such as invalid divisions on constant series
            forecast = model.forecast(y=run, h=gap + horizon, level=intervals or None)
        sides = {
            level: "mean" if widths[level] == 0 else f"{'lo' if level < 0.5 else 'hi'}-{widths[level]}"
            for level in quantile_levels
        }
        quantiles = np.stack([np.asarray(forecast[sides[level]], np.float64)[gap:] for level in quantile_levels], -1)
        if quantiles.shape != (horizon, len(quantile_levels)) or not (np.abs(quantiles) < FLOAT32_MAX).all():
            raise ValueError("the fit gave values that are not finite")
        return np.sort(quantiles, -1)

    @override
    def quantiles(self, context, *, horizon, quantile_levels, season_length=1, known=None):
        models = statsforecast_models()
        context = np.asarray(context, np.float64)[..., -(self.max_context_length or 0) :]
        observed_past(context, name=self.name)
        self._log_unused_season(season_length)
        out = np.empty((*context.shape[:2], horizon, len(quantile_levels)), np.float32)
        failed: Counter[str] = Counter()
        for row in np.ndindex(context.shape[:2]):
            series = context[row]
            try:
                out[row] = self._fit(
                    models, series, horizon=horizon, quantile_levels=quantile_levels, season_length=season_length
                )
                self.fitted += 1
            except Exception as error:  # noqa: BLE001  the library raises many kinds; each is counted and reported
                failed[str(error) or type(error).__name__] += 1
                plain = seasonal_quantiles(
                    series[None, None], horizon=horizon, quantile_levels=quantile_levels, season_length=season_length
                )
                out[row] = plain[0, 0]
        if failed:
            self.fallbacks += failed
            reasons = "; ".join(f"{count} x {reason}" for reason, count in failed.most_common(3))
            logger.warning("%s: %d series got the seasonal naive forecast: %s", self.name, failed.total(), reasons)
        return out


@BASELINES("auto_ets")
class AutoETS(Statistical):
    """Exponential smoothing, form chosen by AICc (Hyndman et al. 2002; R's ets through statsforecast)."""

    name = "auto_ets"
    model = "AutoETS"
    highest_season = 24  # as ets of R

    @dataclass
    class Config(StatisticalConfig):
        """See `StatisticalConfig`."""


@BASELINES("auto_theta")
class AutoTheta(Statistical):
    """The best of four Theta models (Fiorucci et al. 2016; through statsforecast); its intervals are simulated."""

    name = "auto_theta"
    model = "AutoTheta"

    @dataclass
    class Config(StatisticalConfig):
        """See `StatisticalConfig`."""


@BASELINES("auto_arima")
class AutoARIMA(Statistical):
    """ARIMA, orders chosen stepwise by AICc (Hyndman and Khandakar 2008; R's auto.arima through statsforecast).

    Seasons of more than 24 steps are left out: a fit would take minutes for each series.
    """

    name = "auto_arima"
    model = "AutoARIMA"
    highest_season = 24

    @dataclass
    class Config(StatisticalConfig):
        """See `StatisticalConfig`."""


@BASELINES("statistical_median")
class StatisticalMedian(Simple):
    """The median of AutoETS, AutoTheta and AutoARIMA, quantile by quantile (Petropoulos and Svetunkov 2020)."""

    name = "statistical_median"

    @dataclass
    class Config(StatisticalConfig):
        """See `StatisticalConfig`."""

    def __init__(self, config: Any = None):
        super().__init__(config)
        options = {"shortest": self.config.shortest, "context": self.config.context}
        self.members = [kind(kind.Config(**options)) for kind in (AutoETS, AutoTheta, AutoARIMA)]
        self.max_context_length = self.config.context or None

    @override
    def quantiles(self, context, *, horizon, quantile_levels, season_length=1, known=None):
        options: dict[str, Any] = {"horizon": horizon, "quantile_levels": quantile_levels}
        options |= {"season_length": season_length, "known": known}
        return np.median([member.quantiles(context, **options) for member in self.members], axis=0)
