"""Classic statistical forecasters, one fit per series, through statsforecast (AutoETS, AutoTheta).

B batch, C channels, L past steps, H horizon, Q quantile levels. An inner gap of a series is filled linearly to fit it,
a gap at its end is forecast over. A series that is too short, or that the library cannot fit, takes the seasonal naive
forecast: counted in `fallbacks`, by reason, and logged.
"""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from typing_extensions import override

from tsfm.bench.baselines.simple import Simple, observed_past, seasonal_quantiles
from tsfm.infer.column_values import FLOAT32_MAX
from tsfm.registry import BASELINES

logger = logging.getLogger("tsfm")


def library() -> Any:
    try:
        from statsforecast import models
    except ImportError as error:
        raise ImportError(
            "AutoETS and AutoTheta need statsforecast, which is not installed; pip install 'tsfm-platform[bench]'"
        ) from error
    return models


def observed_run(series: np.ndarray) -> tuple[np.ndarray, int]:
    """From the first to the last observed value with inner gaps filled linearly, and the steps missing at the end."""
    places = np.flatnonzero(~np.isnan(series))
    steps = np.arange(places[0], places[-1] + 1)
    return np.interp(steps, places, series[places]), len(series) - 1 - int(places[-1])


@dataclass
class StatisticalConfig:
    shortest: int = 12  # values a fit needs at least; shorter series take the seasonal naive forecast
    context: int = 0  # past steps used, from the newest back; 0 takes all (a fit costs time in proportion)

    def __post_init__(self):
        if self.shortest < 4:
            raise ValueError(f"shortest is {self.shortest}; statsforecast fits series of 4 values or more")
        if self.context < 0 or 0 < self.context < self.shortest:
            raise ValueError(f"context is {self.context}; give at least shortest={self.shortest} steps, or 0 for all")


class Statistical(Simple):
    """A model of statsforecast; `fallbacks` counts the series that took the seasonal naive forecast, by reason."""

    model: str
    highest_season: int | None = None  # longer seasons are beyond the model: it is fitted without

    def __init__(self, config: Any = None):
        super().__init__(config)
        self.max_context_length = self.config.context or None
        self.fallbacks: Counter[str] = Counter()
        self.fitted = 0
        self._told: set[int] = set()  # seasons beyond the model, each logged once

    def _season(self, season: int, length: int) -> int:
        """The season a series of this length can show twice; 1 where it cannot, or where the model cannot use it."""
        if 2 * season > length or (self.highest_season is not None and season > self.highest_season):
            return 1
        return season

    def _fit(self, models: Any, series: np.ndarray, *, horizon: int, levels: tuple[float, ...], season: int):
        """[H, Q] of one series; raises whatever the library raises."""
        run, gap = observed_run(series)
        if len(run) < self.config.shortest:
            raise ValueError(f"fewer than {self.config.shortest} values")
        widths = {level: round(100 * abs(1 - 2 * level), 9) for level in levels}
        asked = sorted({width for width in widths.values() if width > 0})
        model = getattr(models, self.model)(season_length=self._season(season, len(run)))
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # the fit's own doubts (invalid divisions on constant series) are not ours
            told = model.forecast(y=run, h=gap + horizon, level=asked or None)
        sides = {
            level: "mean" if widths[level] == 0 else f"{'lo' if level < 0.5 else 'hi'}-{widths[level]}"
            for level in levels
        }
        reads = np.stack([np.asarray(told[sides[level]], np.float64)[gap:] for level in levels], -1)
        if reads.shape != (horizon, len(levels)) or not (np.abs(reads) < FLOAT32_MAX).all():
            raise ValueError("the fit gave values that are not finite")
        return np.sort(reads, -1)

    @override
    def quantiles(self, context, *, horizon, quantile_levels, season_length=1, known=None):
        models = library()
        context = np.asarray(context, np.float64)[..., -(self.max_context_length or 0) :]
        observed_past(context, name=self.name)
        if self.highest_season is not None and season_length > self.highest_season and season_length not in self._told:
            self._told.add(season_length)
            logger.warning("%s cannot use a season of %d steps and is fitted without", self.name, season_length)
        out = np.empty((*context.shape[:2], horizon, len(quantile_levels)), np.float32)
        failed: Counter[str] = Counter()
        for row in np.ndindex(context.shape[:2]):
            series = context[row]
            try:
                out[row] = self._fit(models, series, horizon=horizon, levels=quantile_levels, season=season_length)
                self.fitted += 1
            except Exception as error:  # noqa: BLE001  the library raises many kinds; each is counted and reported
                failed[str(error) or type(error).__name__] += 1
                plain = seasonal_quantiles(
                    series[None, None], horizon=horizon, levels=quantile_levels, season=season_length
                )
                out[row] = plain[0, 0]
        if failed:
            self.fallbacks += failed
            reasons = "; ".join(f"{count} x {reason}" for reason, count in failed.most_common(3))
            logger.warning("%s: %d series took the seasonal naive forecast: %s", self.name, failed.total(), reasons)
        return out


@BASELINES("auto_ets")
class AutoETS(Statistical):
    """Exponential smoothing, form chosen by AICc (Hyndman et al. 2002; R's ets through statsforecast)."""

    name = "auto_ets"
    model = "AutoETS"
    highest_season = 24  # as in R: ets has no seasonal form beyond

    @dataclass
    class Config(StatisticalConfig):
        """See StatisticalConfig."""


@BASELINES("auto_theta")
class AutoTheta(Statistical):
    """The best of four Theta models (Fiorucci et al. 2016, through statsforecast); its intervals are simulated."""

    name = "auto_theta"
    model = "AutoTheta"

    @dataclass
    class Config(StatisticalConfig):
        """See StatisticalConfig."""
