"""Forecasts of a trained model.

B batch, C target channels, K covariates, L past steps, W past and known future steps, H horizon, Q quantile levels.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from typing_extensions import override

from tsfm.infer.adaptation import Adaptation, Inputs, extend_short_pasts
from tsfm.infer.covariate_effects import KnownCovariates, estimate_effects
from tsfm.infer.loaded_model import LoadedModel
from tsfm.infer.long_horizon import Segment, direct_blocks, divide_horizon, join_segments, strided_seasons
from tsfm.infer.past import Past
from tsfm.infer.predictor import Predictor
from tsfm.infer.rollout import rollout
from tsfm.infer.short_history import extended_length
from tsfm.infer.strided import MIN_SEASON_LENGTH, all_phases_observed, interleave, is_worthwhile
from tsfm.timestamps.offsets import nested_seasons

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from typing_extensions import Self


class Forecasting(LoadedModel, Predictor):
    """Forecasts of a trained model; see `Predictor`.

    Horizons beyond the trained one are predicted from every k-th step of the past by a model for any horizon, otherwise
    from its own forecasts. Covariates are used by models that mix channels.
    `tsfm.infer.inference_config.InferenceConfig` sets how it forecasts.

    Attributes
    ----------
    any_horizon
        Whether the model was trained for horizons of any length, so that one pass has no more steps than needed.
    """

    max_context_length: int
    max_horizon: int

    def __init__(self, *args: Any, **settings: Any):
        super().__init__(*args, **settings)
        self.max_context_length, self.max_horizon = self.model.config.context, self.model.config.horizon
        self.any_horizon = self.about.task.get("name") == "pretrain"
        self.uses_covariates = self.model.mixes_channels
        self.uses_timestamps = self.model.time_features is not None
        if self._forecasts_phases:
            self.beyond_horizon = "from every second step of the past, the fourth, and so on"

    @override
    def single_pass(self) -> Self:
        """Return the model without strided forecasts and without what is added for short histories."""
        config = self.inference_config.updated(stride=1, extend_short_pasts=False)
        if config == self.inference_config:
            return self
        model = copy.copy(self)
        model.inference_config = config
        return model

    @property
    @override
    def regresses_covariates(self) -> bool:
        """Whether known covariates are used by a regression: unless the model was trained with covariates by name."""
        return not (self.past_covariates or self.known_covariates)

    @override
    def adapt(
        self, inputs: Inputs, horizon: int, *, season_length: int, regressors: KnownCovariates | None
    ) -> Adaptation:
        """Return series without the effects of known covariates, and the extended pasts of short histories."""
        limit, effects = self.usable_context_length(season_length, horizon=horizon), None
        if regressors is not None:
            effects = estimate_effects(
                inputs.arrays,
                regressors.values,
                horizon=horizon,
                season_length=season_length,
                max_context_length=limit,
            )
            inputs = inputs._replace(arrays=effects.remainders)
        extension = None
        extends = self.inference_config.extend_short_pasts and not self.time_features
        if extends and extended_length(season_length) <= limit:
            extension = extend_short_pasts(inputs, horizon=horizon, season_length=season_length)
        return Adaptation(inputs, extension, effects, () if regressors is None else regressors.names)

    @torch.inference_mode()
    def quantiles(
        self,
        context: Float[np.ndarray, "B C L"],
        *,
        horizon: int,
        quantile_levels: tuple[float, ...],
        season_length: int = 1,
        known: Float[np.ndarray, "B K W"] | None = None,
        timestamps: Int[np.ndarray, "B T"] | None = None,
    ) -> Float[np.ndarray, "B C H Q"]:
        """Return quantiles in the units of `context`: those of the training where `channel_units` has any.

        `timestamps` are those of the past and the future, in seconds since 1970.
        """
        known = known if self.uses_covariates else None
        self._check_channels(context.shape[1], 0 if known is None else known.shape[1])
        config, device = self.inference_config, self.device
        plain = Past(
            _to_tensor(context, device),
            None if known is None else _to_tensor(known, device),
            horizon,
            None if timestamps is None else torch.as_tensor(timestamps, device=device),
        )
        strided = self._strided(plain, season_length=season_length)
        forecasts = []
        with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16"):
            for past, stride in ((plain, 1),) if strided is None else ((plain, 1), (strided, config.stride)):
                per_context = []
                for length in config.context_lengths or (self.max_context_length,):
                    segments = self._divide(past, context_length=length)
                    quantiles = []
                    for segment in segments:
                        seasons = self._seasons(season_length, stride=stride * segment.stride)
                        quantiles.append(
                            rollout(
                                self.model,
                                *segment.past.recent(length),
                                horizon=segment.past.horizon,
                                any_horizon=self.any_horizon,
                                num_time_features=len(self.time_features),
                                flip=config.flip,
                                seasons=seasons,
                            )
                        )
                    per_context.append(join_segments(segments, quantiles))
                forecasts.append(torch.stack(per_context).mean(dim=0))
        forecast = forecasts[0]
        if strided is not None:
            recent = strided.observed[..., -self.max_context_length :]
            usable = is_worthwhile(plain.observed, season_length=season_length)[:, None]
            usable = usable & all_phases_observed(recent, config.stride)
            mean = (forecast + interleave(forecasts[1], config.stride, horizon=horizon)) / 2
            forecast = torch.where(usable[..., None, None], mean, forecast)
        return self.interpolate_quantiles(forecast.cpu().numpy(), quantile_levels)

    def _divide(self, past: Past, *, context_length: int) -> list[Segment]:
        """Return the segments in which a horizon is forecast; see `tsfm.infer.long_horizon`."""
        if not self._forecasts_phases:
            return [Segment(past, 0, past.horizon, 1)]
        return divide_horizon(past, context_length=context_length, max_horizon=self.max_horizon)

    def _seasons(self, season_length: int, *, stride: int) -> tuple[int, ...]:
        """Return the season lengths in strides, for a model that reads them."""
        return strided_seasons(nested_seasons(season_length), stride) if self.model.config.known_season else ()

    @property
    def _forecasts_phases(self) -> bool:
        """Whether it can forecast every k-th step as a series of its own: a model for any horizon and any length."""
        return self.any_horizon and not self.model.fixed_length

    def _strided(self, past: Past, *, season_length: int) -> Past | None:
        """Return the phases of the past as series of their own, where that is worthwhile for any series."""
        if past.known is not None or not self.uses_stride(season_length):
            return None
        if not bool(is_worthwhile(past.observed, season_length=season_length).any()):
            return None
        return past.phases(self.inference_config.stride)

    def uses_stride(self, season_length: int) -> bool:
        """Return whether series of that season length are also forecast with a stride."""
        return self._forecasts_phases and self.inference_config.stride > 1 and season_length >= MIN_SEASON_LENGTH

    def usable_context_length(self, season_length: int, *, horizon: int = 1) -> int:
        """Return the past steps that are used at this season length and horizon; strides multiply them."""
        strides = [1, self.inference_config.stride] if self.uses_stride(season_length) else [1]
        if self._forecasts_phases:
            strides = [k * direct_blocks(-(-horizon // k), self.max_horizon)[-1].stride for k in strides]
        return self.max_context_length * max(strides)

    def _check_channels(self, num_targets: int, num_covariates: int) -> None:
        """Check that a model of a fixed number of channels gets that many; without covariates the network checks it."""
        count, num_time_features = self.model.config.channels, len(self.time_features)
        trained = self.past_covariates + self.known_covariates
        if count in (None, num_targets + num_covariates) or not (num_covariates or trained):
            return
        raise ValueError(
            f"{self.name} was built for {count} channels; found {num_targets} targets, "
            f"{num_covariates - num_time_features} covariates and {num_time_features} time features: give the targets "
            f"of its training and the covariates {', '.join(trained) or 'none'}"
        )

    def select_covariates(self, past: Sequence[str], known: Sequence[str]) -> tuple[list[str], list[str]]:
        """Return which covariates are used and what to announce; where their number is fixed, those of the training.

        Raises
        ------
        ValueError
            When a covariate is missing that the model was built for.
        """
        if not self.uses_covariates:
            return super().select_covariates(past, known)
        notes = []
        if not self.model.scaler.equivariant and (units := self.about.standardize):
            if without_units := [name for name in (*past, *known) if name not in units]:
                notes.append(f"{self.name} does not use {', '.join(without_units)}: it does not know their units")
            past, known = ([name for name in names if name in units] for names in (past, known))
        available, trained = [*past, *known], self.past_covariates + self.known_covariates
        names = available
        missing = [name for name in trained if name not in available]
        if self.model.config.channels is not None or self.model.backbone.ordered_channels:
            if missing:
                raise ValueError(
                    f"{self.name} was built for the covariates {', '.join(trained)}; {', '.join(missing)} is missing "
                    f"(found {', '.join(available) or 'none'}): give df such numeric columns"
                )
            names = trained
            if unused := [name for name in available if name not in trained]:
                notes.append(f"{self.name} does not use the covariates {', '.join(unused)}: it was not built for them")
        elif missing:
            notes.append(f"{self.name} was trained with the covariates {', '.join(missing)}, which are not in df")
        if not_in_future := [name for name in self.known_covariates if name in past]:
            notes.append(
                f"{', '.join(not_in_future)} is not in future_df; {self.name} was trained with its future values"
            )
        used_in_future = set(known) if self.model.head.reads_window else set()
        if names:
            kinds = (f"{name} ({'past and future' if name in used_in_future else 'past only'})" for name in names)
            notes.append(f"{self.name} uses the covariates {', '.join(kinds)}")
        if known and not used_in_future:
            notes.append(f"the head of {self.name} reads the context only, so no future value of a covariate is used")
        return names, notes


def _to_tensor(array: np.ndarray, device: torch.device) -> torch.Tensor:
    return torch.as_tensor(np.ascontiguousarray(array, dtype=np.float32), device=device)
