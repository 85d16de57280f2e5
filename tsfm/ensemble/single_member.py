"""The members of an ensemble one by one, to look at: each forecasts alone what the ensemble weighs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from typing_extensions import override

from tsfm.ensemble.adaptive import AdaptiveForecaster, FittedForecaster
from tsfm.ensemble.fit import NETWORK
from tsfm.infer.predictor import Predictor


class SingleMember(AdaptiveForecaster):
    """One member of an ensemble, fitted as there; where the past is too short to fit it, the network.

    Parameters
    ----------
    ensemble
        The forecaster whose fits are used.
    member
        The name of the member.
    """

    def __init__(self, ensemble: AdaptiveForecaster, member: str):
        super().__init__(ensemble.network, member_types=ensemble.member_types)
        self.ensemble, self.member, self.name = ensemble, member, member

    @override
    def _fit(self, arrays: Sequence[np.ndarray], horizon: int, season_length: int, **options: Any) -> FittedForecaster:
        fitted = self.ensemble._fit(arrays, horizon, season_length, **options)  # noqa: SLF001  of this class
        members = fitted.fitted_members
        chosen = self.member if self.member in members.names else NETWORK
        weights = np.array([float(name == chosen) for name in members.names])
        only = replace(members, weights=weights, routing=None)
        return FittedForecaster(self.network, only, horizon=fitted.horizon, season_length=fitted.season_length)


def members_of(ensemble: AdaptiveForecaster) -> dict[str, Predictor]:
    """Return the members of a forecaster with effort="best" by name, the network first.

    Examples
    --------
    >>> import tsfm
    >>> list(members_of(tsfm.load("tsfm-mini").with_effort("best")))
    ['network', 'ridge', 'analogues', 'smoothing', 'theta']
    """
    others = {kind.name: SingleMember(ensemble, kind.name) for kind in ensemble.member_types}
    return {NETWORK: ensemble.network, **others}
