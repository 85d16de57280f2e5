"""The members of an `Online`: checked forecasters, and a copy of the first one that adapts.

B batch, C channels, H horizon, L steps, M members, N of them that do not adapt, Q quantile levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tsfm.ensemble.head_adaptation import HeadAdaptation
from tsfm.infer.arguments import check_choice, check_count
from tsfm.infer.load import load
from tsfm.infer.predictor import DECILES, POINT, Predictor

if TYPE_CHECKING:
    from jaxtyping import Float

MAX_CONTEXT = 2048  # past steps of members that use any number
ADAPTATIONS = ("head",)


class OnlineMembers:
    """Forecasters of one horizon and season, and what they have in common.

    Parameters
    ----------
    members
        Forecasters, or names of bundled models.
    horizon, season_length
        In steps.
    adapt, adapt_rate, context_length, quantile_levels
        As in `tsfm.ensemble.online.Online`.
    """

    def __init__(
        self,
        members: Sequence[Predictor | str],
        *,
        horizon: int,
        season_length: int,
        adapt: str | None,
        adapt_rate: float,
        context_length: int | None,
        quantile_levels: Sequence[float] | None,
    ):
        self.horizon, self.season_length = horizon, season_length
        self.frozen = [self._checked(member) for member in members]
        self.adaptation = None
        if adapt is not None:
            check_choice("adapt", adapt, ADAPTATIONS)
            first: Any = self.frozen[0]
            self.adaptation = HeadAdaptation(first, horizon=horizon, season_length=season_length, rate=adapt_rate)
        self.quantile_levels = self._common_levels(quantile_levels)
        self.context_length = self._context_length(context_length)

    @staticmethod
    def _checked(member: Any) -> Predictor:
        member = load(member) if isinstance(member, str) else member
        if not isinstance(member, Predictor):
            raise ValueError(
                f"a member is of type {type(member).__name__}; expected what tsfm.load returns, a baseline, or the "
                "name of a bundled model"
            )
        member.check_forecasts()
        return member

    @property
    def all(self) -> list[Predictor]:
        """Return all members, in the order of their weights; the one that adapts is the last."""
        return self.frozen if self.adaptation is None else [*self.frozen, self.adaptation.predictor]

    @property
    def names(self) -> list[str]:
        """Return their names."""
        return [member.name for member in self.all]

    def quantiles(self, contexts: list[np.ndarray]) -> Float[np.ndarray, "M B C H Q"]:
        """Return the quantiles of all members after each context [C, L]."""
        return self._quantiles(self.all, contexts)

    def frozen_quantiles(self, contexts: list[np.ndarray]) -> Float[np.ndarray, "M B C H Q"]:
        """Return the quantiles of the members that do not adapt."""
        return self._quantiles(self.frozen, contexts)

    def with_adapted(self, frozen: Float[np.ndarray, "N C H Q"], context: np.ndarray) -> Float[np.ndarray, "M C H Q"]:
        """Return the quantiles of all members, from those of the members that do not adapt."""
        if self.adaptation is None:
            return frozen
        return np.concatenate([frozen, self._quantiles([self.adaptation.predictor], [context])[:, 0]])

    def adapt(self, known: Float[np.ndarray, "C L"]) -> None:
        """Let the member that adapts learn from the newest complete window of what is known."""
        if self.adaptation is not None and known.shape[1] > self.horizon:
            self.adaptation.learn(known[:, -(self.context_length + self.horizon) :])

    def _quantiles(self, members: Sequence[Predictor], contexts: list[np.ndarray]) -> Float[np.ndarray, "M B C H Q"]:
        options: dict[str, Any] = {"prediction_length": self.horizon, "season_length": self.season_length}
        options["quantile_levels"] = self.quantile_levels
        return np.stack([member.predict(contexts, **options).quantiles.astype(np.float64) for member in members])

    def _common_levels(self, requested: Sequence[float] | None) -> tuple[float, ...]:
        """Return the levels of all members, with the median, in ascending order."""
        own = next((member.quantile_levels for member in self.frozen if member.quantile_levels is not None), DECILES)
        quantile_levels = sorted({*(own if requested is None else requested), *POINT})
        for member in self.frozen:
            member.check_quantile_levels(quantile_levels)
        return tuple(float(level) for level in quantile_levels)

    def _context_length(self, requested: int | None) -> int:
        if requested is not None:
            return check_count("context_length", requested)
        used = [each.usable_context_length(self.season_length, horizon=self.horizon) for each in self.frozen]
        return max(MAX_CONTEXT if length is None else length for length in used)


def read_rows(values: Any, *, num_channels: int | None, is_series: bool = False) -> Float[np.ndarray, "C L"]:
    """Return rows of a series, given as a number, one row [C], or rows [C, L]; for one channel also as rows [L].

    With `is_series` an array of one axis is [L] always.

    Raises
    ------
    ValueError
        If they cannot be rows of a series of `num_channels` channels (None: any), or are infinite.
    """
    array = np.asarray(values, np.float64)
    if array.ndim == 1 and (is_series or num_channels == 1):
        array = array[None]
    if array.ndim == 1 and num_channels is None and len(array) != 1:
        raise ValueError(
            f"the first rows have shape {array.shape}, which can be one row of {len(array)} channels or {len(array)} "
            "rows of one; give [channels, steps]"
        )
    if array.ndim < 2:
        array = array.reshape(-1, 1)
    if array.ndim != 2 or not array.size or num_channels not in (None, len(array)):
        expected = "channels" if num_channels is None else str(num_channels)
        raise ValueError(f"the rows have shape {array.shape}; expected [{expected}, steps], at least one step")
    if np.isinf(array).any():
        raise ValueError("the rows hold an infinite value; NaN is missing")
    return array
