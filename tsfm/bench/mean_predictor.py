"""The mean of several forecasters, level by level.

B batch, C channels, K covariates, L past steps, H horizon, W = L + H, Q quantile levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from tsfm.infer.predictor import Predictor

if TYPE_CHECKING:
    from jaxtyping import Float


class MeanPredictor(Predictor):
    """Forecasts the mean of the quantiles of its members, with equal weights.

    The mean of quantile functions keeps the shape and the width of the members' distributions (Vincent averaging;
    Lichtendahl, Grushka-Cockayne & Winkler 2013), while the mean of distribution functions would be wider.

    Parameters
    ----------
    members
        At least two forecasters that need no time features.

    Raises
    ------
    ValueError
        If there is one member only, or one needs time features.
    """

    def __init__(self, members: Sequence[Predictor]):
        if len(members) < 2:
            raise ValueError(f"a mean needs at least two forecasters, found {len(members)}")
        for member in members:
            if member.time_features:
                raise ValueError(
                    f"{member.name} needs the time features {', '.join(member.time_features)}, which a mean of "
                    "forecasters does not give; leave it out"
                )
        self.members = list(members)
        self.name = "+".join(member.name for member in members)
        self.uses_covariates = any(member.uses_covariates for member in members)
        self.quantile_levels = shared_levels(members)

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
        """Return the mean of the members' quantiles; see `BatchPredictor.quantiles`."""
        total = np.zeros((*context.shape[:2], horizon, len(quantile_levels)))
        for member in self.members:
            total += member.forecast(
                context,
                horizon=horizon,
                quantile_levels=quantile_levels,
                season_length=season_length,
                known=known if member.uses_covariates else None,
            )
        return total / len(self.members)

    @override
    def check_forecasts(self) -> None:
        """Raise a ValueError when a member was made for something else."""
        for member in self.members:
            member.check_forecasts()

    @override
    def to(self, device: Any) -> MeanPredictor:
        """Move the trained members to a device."""
        for member in self.members:
            member.to(device)
        return self

    @override
    def num_parameters(self) -> int | None:
        """Return the number of trained parameters of all members; None if none is trained."""
        counts = [count for member in self.members if (count := member.num_parameters()) is not None]
        return sum(counts) if counts else None


def shared_levels(members: Sequence[Predictor]) -> tuple[float, ...] | None:
    """Return the levels of a member that lie within the range of each; None if all predict any level.

    Raises
    ------
    ValueError
        If the ranges have no level in common.
    """
    own = [member.quantile_levels for member in members if member.quantile_levels is not None]
    if not own:
        return None
    lowest, highest = max(each[0] for each in own), min(each[-1] for each in own)
    shared = tuple(level for level in max(own, key=len) if lowest <= level <= highest)
    if not shared:
        raise ValueError(
            f"the quantile levels of {', '.join(member.name for member in members)} have none in common; "
            "leave one of them out"
        )
    return shared
