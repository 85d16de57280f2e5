"""What a forecaster implements for one batch, and the checks around it.

B batch, C channels, K covariates, L past steps, H horizon, R >= H future steps, W = L + R, Q quantile levels,
M requested levels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from tsfm.infer.adaptation import Inputs
from tsfm.infer.covariates import CovariateBlock, make_step_times, make_time_features
from tsfm.infer.quantiles import DECILES, check_requested_levels, interpolate_quantiles, sort_quantiles
from tsfm.infer.series_input import length_batches, stack_padded
from tsfm.types import NO_TIMESTAMP

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from typing_extensions import Self


class BatchPredictor(ABC):
    """A forecaster of batches of equally long contexts.

    Attributes
    ----------
    name
        Used in messages and tables.
    quantile_levels
        The levels that it predicts, ascending; others are interpolated between them. None: any level.
    max_context_length
        Past steps that it uses. None: all.
    max_horizon
        Steps that it was trained to forecast. None: any horizon.
    beyond_horizon
        From what further steps are predicted, for announcements.
    uses_covariates
        Whether covariates are an input of the forecaster itself.
    regresses_covariates
        Whether known covariates are used by a regression next to it.
    any_level
        Whether a constant added to a series is just added to its forecast: a high level may be subtracted first.
    uses_timestamps
        Whether timestamps change its forecasts; it works without them, too.
    time_features
        Time features that it needs as covariates.
    past_covariates, known_covariates
        Names of the covariates in training: those known only in the past, and those known in the future too.
    trained_context_length
        Past steps of its training windows; None for a predictor that is not trained.
    trained_data
        The data settings of its training.
    """

    name: str
    quantile_levels: tuple[float, ...] | None = None
    max_context_length: int | None = None
    max_horizon: int | None = None
    beyond_horizon: str = "from its own forecast"
    uses_covariates: bool = False
    regresses_covariates: bool = False
    any_level: bool = True
    uses_timestamps: bool = False
    time_features: tuple[str, ...] = ()
    past_covariates: Sequence[str] = ()
    known_covariates: Sequence[str] = ()
    trained_context_length: int | None = None
    trained_data: Mapping[str, Any] = MappingProxyType({})

    @abstractmethod
    def quantiles(
        self,
        context: Float[np.ndarray, "B C L"],
        *,
        horizon: int,
        quantile_levels: tuple[float, ...],
        season_length: int = 1,
        known: Float[np.ndarray, "B K W"] | None = None,
    ) -> Float[np.ndarray, "B C H Q"]:
        """Return quantiles of the next `horizon` steps, in the units of `context`. Arguments are checked by callers.

        Parameters
        ----------
        context
            NaN is missing; a shorter series has NaN on its left.
        quantile_levels
            Ascending. A predictor with levels of its own ends with `interpolate_quantiles`.
        season_length
            Steps of a season, at least 1.
        known
            Covariates, NaN where unknown: in the future, those known only in the past. Time features come last.
        """

    def check_forecasts(self) -> None:
        """Raise a ValueError when this predictor was made for something else."""
        return

    def to(self, device: Any) -> Self:
        """Move a trained model to a device, and return it; other predictors compute on the CPU."""
        del device
        return self

    def num_parameters(self) -> int | None:
        """Return the number of trained parameters; None for a predictor that is not trained."""
        return None

    def select_covariates(self, past: Sequence[str], known: Sequence[str]) -> tuple[list[str], list[str]]:
        """Return which of the available covariates are used, in the order of its input, and what to announce."""
        available = [*past, *known]
        if self.uses_covariates or not available:
            return available, []
        return [], [f"{self.name} does not use the covariates {', '.join(available)}"]

    def channel_units(self, names: Sequence[str], *, kind: str = "target") -> Float[np.ndarray, "2 C"] | None:
        """Return location and scale that convert columns to the units in which `predict` works; None: any units."""
        del names, kind
        return None

    def usable_context_length(self, season_length: int, *, horizon: int = 1) -> int | None:
        """Return the past steps that are used at this season length and horizon; None: all."""
        del season_length, horizon
        return self.max_context_length

    def check_quantile_levels(self, quantile_levels: Sequence[float] | None) -> tuple[float, ...]:
        """Return the requested levels as floats, in their order; by default its own levels, else the nine deciles.

        Raises
        ------
        ValueError
            When they are not different numbers between 0 and 1, or outside the range that it predicts.
        """
        requested = self.quantile_levels or DECILES if quantile_levels is None else quantile_levels
        return check_requested_levels(requested, self.quantile_levels, name=self.name)

    def interpolate_quantiles(
        self, quantiles: Float[np.ndarray, "... Q"], quantile_levels: tuple[float, ...]
    ) -> Float[np.ndarray, "... M"]:
        """Return quantiles at its own levels as ascending quantiles at the requested levels."""
        quantiles = sort_quantiles(quantiles)
        if self.quantile_levels is None or quantile_levels == self.quantile_levels:
            return quantiles
        return interpolate_quantiles(quantiles, self.quantile_levels, quantile_levels)

    def forecast(
        self,
        context: Float[np.ndarray, "B C L"],
        *,
        horizon: int,
        quantile_levels: Sequence[float],
        season_length: int = 1,
        known: Float[np.ndarray, "B K W"] | None = None,
    ) -> Float[np.ndarray, "B C H Q"]:
        """Return finite quantiles for one batch, at levels in any order; see `quantiles` for the parameters.

        Raises
        ------
        ValueError
            When the quantile levels are not possible, time features are missing, or a prediction is not finite.
        """
        self.check_forecasts()
        requested_levels = self.check_quantile_levels(quantile_levels)
        if len(self.time_features) > (0 if known is None else known.shape[1]):
            raise ValueError(
                f"{self.name} needs the time features {', '.join(self.time_features)} as the last rows of known"
            )
        limit = self.usable_context_length(season_length, horizon=horizon)
        if limit is not None and (num_unused := context.shape[-1] - limit) > 0:
            context, known = context[..., num_unused:], None if known is None else known[..., num_unused:]
        ascending = tuple(sorted(requested_levels))
        predicted = self.quantiles(
            context, horizon=horizon, quantile_levels=ascending, season_length=season_length, known=known
        )
        predicted = self.check_predicted(predicted, shape=(*context.shape[:2], horizon, len(ascending)))
        if ascending == requested_levels:
            return predicted
        return predicted[..., [ascending.index(level) for level in requested_levels]]

    def batches(
        self, inputs: Inputs, horizon: int, *, season_length: int, batch_size: int, starts: Any, freq: Any
    ) -> Iterator[tuple[Int[np.ndarray, " B"], Float[np.ndarray, "B C L"], dict[str, Any]]]:
        """Yield the indices of series of similar length, their contexts and their other inputs, each series once.

        The other inputs are arguments of `quantiles`: `known`, the covariates, and `timestamps` for a predictor that
        `uses_timestamps`, where there are any.
        """
        limit = self.usable_context_length(season_length, horizon=horizon)
        full_lengths = np.array([array.shape[1] for array in inputs.arrays])
        lengths = full_lengths if limit is None else np.minimum(full_lengths, limit)
        future_length = horizon if self.max_horizon is None else -(-horizon // self.max_horizon) * self.max_horizon
        time_features = make_time_features(
            self.time_features, full_lengths, starts=starts, freq=freq, future_length=future_length, name=self.name
        )
        covariates = CovariateBlock(
            inputs.known, time_features, lengths=full_lengths, horizon=horizon, future_length=future_length
        )
        step_times = None
        if self.uses_timestamps and inputs.has_timestamps:
            step_times = make_step_times(full_lengths, starts=starts, freq=freq, future_length=future_length)
        num_channels = inputs.arrays[0].shape[0] + len(covariates)
        for indices in length_batches(lengths, batch_size=batch_size, num_channels=num_channels):
            length = int(lengths[indices].max())
            context = stack_padded([inputs.arrays[i][:, -length:] for i in indices], length)
            step_inputs: dict[str, Any] = {"known": covariates.batch(indices, length=length)}
            if step_times is not None:
                first, steps = full_lengths[indices] - length, length + future_length
                step_inputs["timestamps"] = step_times.timestamps(indices, first, steps=steps, missing=NO_TIMESTAMP)
            yield indices, context, step_inputs

    def check_predicted(self, predicted: Any, *, shape: tuple[int, ...]) -> Float[np.ndarray, "B C H Q"]:
        """Return what `quantiles` returned as ascending float32.

        Raises
        ------
        ValueError
            When its shape is not `shape`, or a value is not finite.
        """
        quantiles = np.asarray(predicted, np.float32)
        if quantiles.shape != shape:
            raise ValueError(f"{self.name} predicted shape {quantiles.shape}; expected {shape}, [B, C, H, Q]")
        if not np.isfinite(quantiles).all():
            num_invalid = int((~np.isfinite(quantiles)).any((1, 2, 3)).sum())
            raise ValueError(
                f"{self.name} predicted values that are not finite for {num_invalid} of {len(quantiles)} series, so "
                "there is no result; rescale the series if their values are extreme"
            )
        return sort_quantiles(quantiles)
