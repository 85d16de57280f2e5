"""A forecaster that adapts to the data at hand: a network and members fitted on the given series, by a back-test.

N items, B of them in a batch, C channels, K covariates, L past steps, W windows, or past and known future steps,
H horizon, Q quantile levels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from tsfm.ensemble.fit import MEMBERS, FittedMembers, fit_members
from tsfm.ensemble.member import Member
from tsfm.ensemble.panel import Panel, Windows
from tsfm.infer.adaptation import Inputs
from tsfm.infer.predictor import DECILES, POINT, Forecast, Predictor

if TYPE_CHECKING:
    from jaxtyping import Float

    from tsfm.infer.covariate_effects import KnownCovariates
    from tsfm.infer.progress import SeriesProgress


MEMBER_CONTEXT = 8192  # past steps that a member can use


class _Ensemble(Predictor):
    """What both forecasters of this module take over from the network."""

    def __init__(self, network: Predictor):
        if network.time_features:
            raise ValueError(
                f"{network.name} needs the time features {', '.join(network.time_features)}, which the windows of a "
                "back-test do not have; use effort='auto' or 'fast'"
            )
        self.network = network
        self.quantile_levels = network.quantile_levels or DECILES
        if self.quantile_levels == POINT:
            raise ValueError(f"{network.name} predicts points; the members of an ensemble are averaged by quantiles")
        self.uses_covariates = network.uses_covariates
        self.past_covariates, self.known_covariates = network.past_covariates, network.known_covariates
        self.trained_data = network.trained_data
        self.name = network.name

    @override
    def usable_context_length(self, season_length: int, *, horizon: int = 1) -> int | None:
        """Return the past steps that the network or a member uses."""
        of_network = self.network.usable_context_length(season_length, horizon=horizon)
        return None if of_network is None else max(of_network, MEMBER_CONTEXT)

    @property
    def regresses_covariates(self) -> bool:  # type: ignore[override]
        """Whether known covariates are used by a regression: as beside the network."""
        return self.network.regresses_covariates

    @override
    def check_forecasts(self) -> None:
        """Raise a ValueError when the network was made for something else."""
        self.network.check_forecasts()

    @override
    def num_parameters(self) -> int | None:
        """Return the number of parameters of the network."""
        return self.network.num_parameters()

    @override
    def channel_units(self, names: Sequence[str], *, kind: str = "target"):
        """Return the units of the network; see `BatchPredictor.channel_units`."""
        return self.network.channel_units(names, kind=kind)

    @override
    def select_covariates(self, past: Sequence[str], known: Sequence[str]) -> tuple[list[str], list[str]]:
        """Return which covariates the network uses; see `BatchPredictor.select_covariates`."""
        return self.network.select_covariates(past, known)


class FittedForecaster(_Ensemble):
    """An ensemble whose members and weights were fitted; it forecasts any later past of such series.

    Parameters
    ----------
    network
        The trained model among the members.
    fitted
        Members and weights for one horizon.
    horizon, season_length
        Those of the fit, in steps.
    """

    def __init__(self, network: Predictor, fitted: FittedMembers, *, horizon: int, season_length: int):
        super().__init__(network)
        self.fitted_members, self.horizon, self.season_length = fitted, horizon, season_length

    @override
    def quantiles(
        self,
        context: Float[np.ndarray, "B C L"],
        *,
        horizon: int,
        quantile_levels: tuple[float, ...],
        season_length: int = 1,
        known: Float[np.ndarray, "B K W"] | None = None,
    ) -> Float[np.ndarray, "B C H Q"]:
        """Return the weighted mean of the members' quantiles; see `BatchPredictor.quantiles`.

        Raises
        ------
        ValueError
            If the horizon is longer than that of the fit.
        """
        if horizon > self.horizon:
            raise ValueError(
                f"{self.name} was fitted for {self.horizon} steps; found prediction_length {horizon}: fit it again"
            )
        assert self.quantile_levels is not None
        network = self.network.forecast(
            context, horizon=self.horizon, quantile_levels=self.quantile_levels, season_length=season_length,
            known=known,
        )  # fmt: skip
        batch, channels, num_steps = context.shape
        panel = Panel(context.reshape(-1, num_steps))
        windows = Windows(np.arange(len(panel)), np.full(len(panel), num_steps))
        combined = self.fitted_members.combine(
            network.reshape(len(panel), self.horizon, -1).astype(np.float64), panel, windows
        )
        shaped = combined.reshape(batch, channels, self.horizon, -1)[:, :, :horizon]
        return self.interpolate_quantiles(shaped, quantile_levels)


class AdaptiveForecaster(_Ensemble):
    """Forecasts series by a network and members that are fitted on the past of exactly these series.

    A call divides the pasts for a back-test, chooses the settings of the members and the weights of all by it, fits the
    members to the whole past, and forecasts. No value after the past of a call exists here. A second call with the same
    pasts and horizon uses what the first one found.

    Parameters
    ----------
    network
        A forecaster with quantiles, such as a bundled model.
    member_types
        Members beside the network.

    Examples
    --------
    >>> from tsfm.infer.load import load
    >>> weekly = np.tile([1.0, 2, 3, 4, 5, 9, 8], 20)
    >>> forecaster = AdaptiveForecaster(load("tsfm-mini"))
    >>> forecaster.predict(weekly, prediction_length=2, season_length=7).predictions.round(1).tolist()
    [[[1.0, 2.0]]]
    """

    def __init__(self, network: Predictor, *, member_types: Sequence[type[Member]] = MEMBERS):
        super().__init__(network)
        self.name = f"{network.name} (best)"
        self.member_types = tuple(member_types)
        self._last: tuple[bytes, FittedForecaster] | None = None

    @override
    def fitted_to(
        self, series: Sequence[Float[np.ndarray, "C _"]], *, prediction_length: int, season_length: int
    ) -> FittedForecaster:
        """Return the forecaster fitted to the pasts of series, for one horizon."""
        return self._fit(series, prediction_length, season_length, known=None)

    def _fit(
        self,
        arrays: Sequence[Float[np.ndarray, "C _"]],
        horizon: int,
        season_length: int,
        *,
        known: Sequence[np.ndarray] | None,
        batch_size: int = 256,
    ) -> FittedForecaster:
        quantile_levels = self.quantile_levels
        assert quantile_levels is not None
        key = digest((horizon, season_length), [*arrays, *(known or ())])
        if self._last is not None and self._last[0] == key:
            return self._last[1]

        def forecast_windows(windows: Windows) -> Float[np.ndarray, "W C H Q"]:
            positions = list(zip(windows.series.tolist(), windows.origin.tolist(), strict=True))
            return self.network.predict_checked(
                [arrays[item][:, :origin] for item, origin in positions],
                horizon,
                quantile_levels,
                season_length=season_length,
                batch_size=batch_size,
                known=None if known is None else [known[item][:, : origin + horizon] for item, origin in positions],
                starts=None,
                freq=None,
                mean=False,
            ).quantiles

        members = fit_members(
            arrays, forecast_windows, horizon=horizon, season_length=season_length, quantile_levels=quantile_levels,
            member_types=self.member_types,
        )  # fmt: skip
        fitted = FittedForecaster(self.network, members, horizon=horizon, season_length=season_length)
        self._last = key, fitted
        return fitted

    @override
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
        """Fit to the arrays and forecast them; see `Predictor.predict_checked`.

        The effects of known covariates are taken away before, and the extended pasts of short histories are forecast
        by the network alone.
        """
        adaptation = self.network.adapt(
            Inputs(arrays, known), horizon, season_length=season_length, regressors=regressors
        )
        options: dict[str, Any] = {"season_length": season_length, "batch_size": batch_size, "mean": mean}
        options |= {"starts": None, "freq": None, "bar": bar}
        inputs = adaptation.inputs
        fitted = self._fit(inputs.arrays, horizon, season_length, known=inputs.known, batch_size=batch_size)
        forecasts = [
            predictor.predict_checked(each.arrays, horizon, requested_levels, known=each.known, **options)
            for predictor, each in zip((fitted, self.network), adaptation.passes, strict=False)
        ]
        forecast = adaptation.combine(forecasts)
        return replace(forecast, explanation=fitted.fitted_members.describe())

    @override
    def quantiles(
        self,
        context: Float[np.ndarray, "B C L"],
        *,
        horizon: int,
        quantile_levels: tuple[float, ...],
        season_length: int = 1,
        known: Float[np.ndarray, "B K W"] | None = None,
    ) -> Float[np.ndarray, "B C H Q"]:
        """Fit to the pasts of the batch and forecast them; see `BatchPredictor.quantiles`."""
        fitted = self._fit(list(context), horizon, season_length, known=None if known is None else list(known))
        return fitted.quantiles(
            context, horizon=horizon, quantile_levels=quantile_levels, season_length=season_length, known=known
        )


def digest(settings: tuple[int, ...], arrays: Sequence[np.ndarray]) -> bytes:
    """Return a digest of settings and of shapes, types and values of arrays."""
    hasher = hashlib.blake2b(repr(settings).encode(), digest_size=16)
    for array in arrays:
        hasher.update(repr((array.shape, array.dtype)).encode())
        hasher.update(np.ascontiguousarray(array).tobytes())
    return hasher.digest()
