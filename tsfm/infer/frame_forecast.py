"""Forecast the items of a DataFrame: which covariates are used and how, items of one season length together.

N items, C target channels, H horizon.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from tsfm.infer.arguments import check_choice
from tsfm.infer.batch_predictor import BatchPredictor
from tsfm.infer.bounds import Bounds
from tsfm.infer.covariate_effects import KnownCovariates
from tsfm.infer.covariates import covariate_rows
from tsfm.infer.forecast_result import Forecast
from tsfm.infer.frames import Frame
from tsfm.infer.progress import SeriesProgress
from tsfm.infer.series_input import check_recent_values
from tsfm.infer.units import from_model_units, to_model_units
from tsfm.metrics.target_copies import describe_copies
from tsfm.timestamps.frequency import season_length as season_length_of

COVARIATE_CHOICES = ("auto", "network", "ignore")


class FramePredictor(BatchPredictor):
    """A forecaster of the items of a DataFrame that was read."""

    @abstractmethod
    def predict_checked(
        self,
        arrays: Sequence[np.ndarray],
        horizon: int,
        requested_levels: tuple[float, ...],
        *,
        season_length: int,
        batch_size: int,
        known: Sequence[np.ndarray] | None,
        starts: Any,
        freq: Any,
        mean: bool,
        regressors: KnownCovariates | None = None,
        bar: SeriesProgress | None = None,
    ) -> Forecast:
        """Return forecasts of checked arrays; see `tsfm.infer.predictor.Predictor.predict`.

        `regressors` are known covariates that may be used without the network; `bar` counts the series.
        """

    def used_covariates(self, past: list[str], known: list[str], *, choice: str) -> tuple[list[str], list[str]]:
        """Return the covariates for the network and those of the regression, and what to announce."""
        names, regress, notes = self.choose_covariates(past, known, choice)
        return [*names, *(known if regress else [])], notes

    def choose_covariates(
        self, past: Sequence[str], known: Sequence[str], covariates: str
    ) -> tuple[list[str], bool, list[str]]:
        """Return the covariates for the network, whether a regression uses the known ones, and what to announce."""
        choice = check_choice("covariates", covariates, COVARIATE_CHOICES)
        available = [*past, *known]
        if choice == "ignore":
            return [], False, [f"not used, as covariates='ignore': {', '.join(available)}"] if available else []
        regress = choice == "auto" and self.regresses_covariates and bool(known)
        if regress and not self.uses_covariates:
            return [], True, self.select_covariates(past, [])[1]
        names, notes = self.select_covariates(past, known)
        return names, regress, notes

    def forecast_items(
        self,
        frame: Frame,
        requested_levels: tuple[float, ...],
        *,
        names: list[str],
        regress: bool,
        batch_size: int,
        mean: bool,
        bounds: Bounds,
        bar: SeriesProgress | None = None,
    ) -> Forecast:
        """Return forecasts of the items in the units of their DataFrame, once for each season length.

        Parameters
        ----------
        names
            Covariates for the network.
        regress
            Whether a regression uses the known covariates.
        bounds
            Of the targets.
        bar
            Counts the items.
        """
        units, item_names = self.channel_units(frame.targets), frame.item_names()
        channels = [repr(name) for name in frame.targets]
        with frame.naming_items():
            check_recent_values(
                [item.values for item in frame], self.max_context_length, names=item_names, channels=channels
            )
        covariate_units = self.channel_units(names, kind="covariate") if names else None
        season_lengths = np.array([season_length_of(frame.season_freq(item)) for item in frame])
        shape = (len(frame), len(frame.targets), frame.horizon)
        predictions, quantiles = np.empty(shape, np.float32), np.empty((*shape, len(requested_levels)), np.float32)
        means = np.empty(shape, np.float32) if mean else None
        used = frame.known_names if regress or set(names) & set(frame.known_names) else []
        notes = describe_copies(((item.values, item.known) for item in frame), targets=frame.targets, known=used)
        explanation: list[str] = []
        for season_length in np.unique(season_lengths):
            indices = np.flatnonzero(season_lengths == season_length)
            items = [frame.series[i] for i in indices]
            known = None
            if names:
                known = [
                    to_model_units(covariate_rows(frame, item, names), covariate_units, name=item_names[i])
                    for i, item in zip(indices, items, strict=True)
                ]
            result = self.predict_checked(
                [
                    to_model_units(item.values, units, name=item_names[i])
                    for i, item in zip(indices, items, strict=True)
                ],
                frame.horizon,
                requested_levels,
                season_length=int(season_length),
                batch_size=batch_size,
                known=known,
                starts=[item.start for item in items],
                freq=[item.freq for item in items],
                mean=mean,
                regressors=KnownCovariates(frame.known_names, [item.known for item in items]) if regress else None,
                bar=bar,
            )
            predictions[indices], quantiles[indices] = result.predictions, result.quantiles
            if means is not None:
                means[indices] = result.mean
            notes.extend(result.notes)
            explanation.extend(result.explanation)
        offsets = np.stack([item.offset for item in frame])[:, :, None]  # [N, C, 1]
        predictions = from_model_units(predictions, units, channel_axis=1).astype(np.float32) + offsets
        quantiles = from_model_units(quantiles, units, channel_axis=1).astype(np.float32) + offsets[..., None]
        if means is not None:
            means = from_model_units(means, units, channel_axis=1).astype(np.float32) + offsets
        forecast = Forecast(predictions, quantiles, requested_levels, means, tuple(notes), tuple(explanation))
        return bounds.apply(forecast, (item.original for item in frame), frame.targets)
