"""Forecasts of several members as one, whose weights learn from what then happened; and the order in which they may.

C channels, H horizon, L steps of a series, M members, Q quantile levels.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tsfm.ensemble.online_weights import OnlineWeights, WeightsInUse
from tsfm.ensemble.weights import pinball
from tsfm.messages import check_choice

if TYPE_CHECKING:
    from jaxtyping import Float

LOSSES = ("pinball", "squared")
RULES = ("gradient", "loss")
FEEDBACKS = ("delayed", "immediate")


class GivenAnswer(NamedTuple):
    """A forecast that was made after `origin` steps, and the weights that it was made with."""

    origin: int
    members: Float[np.ndarray, "M C H Q"]
    weights: WeightsInUse

    @property
    def quantiles(self) -> Float[np.ndarray, "C H Q"]:
        """Return the weighted mean of the members."""
        return np.einsum("cm,mchq->chq", self.weights.used, self.members)


class Combination:
    """The weighted mean of members' quantiles, and the answers from which the weights have still to learn.

    Parameters
    ----------
    weights
        For as many channels and members as the forecasts have.
    quantile_levels
        Ascending, with 0.5 for loss="squared".
    loss
        "pinball", the mean over steps and levels, or "squared", that of the median.
    rule
        "gradient": the loss of a member is the derivative of the combination's loss with respect to its weight, so
        that the weights approach the best fixed ones. "loss": it is the member's own loss, so that they approach the
        best member, as in OneNet.
    """

    def __init__(self, weights: OnlineWeights, quantile_levels: tuple[float, ...], *, loss: str, rule: str):
        check_choice("loss", loss, LOSSES)
        check_choice("rule", rule, RULES)
        if loss == "squared" and 0.5 not in quantile_levels:
            raise ValueError(
                f"loss is 'squared', of the median, and the quantile levels are {quantile_levels}; add 0.5"
            )
        self.weights, self.quantile_levels, self.loss, self.rule = weights, quantile_levels, loss, rule
        self.pending: deque[GivenAnswer] = deque()

    def answer(self, members: Float[np.ndarray, "M C H Q"], origin: int) -> GivenAnswer:
        """Return the forecast at an origin with the current weights, and remember it."""
        answer = GivenAnswer(origin, members, self.weights.current())
        self.pending.append(answer)
        return answer

    def learn_until(self, known: int, actual: Callable[[int, int], Float[np.ndarray, "C H"]]) -> None:
        """Learn from the answers whose last step is known, the oldest first.

        Parameters
        ----------
        known
            Number of steps of the series that are known.
        actual
            Returns the values from one step to another.
        """
        while self.pending and (end := self.pending[0].origin + self.pending[0].members.shape[2]) <= known:
            answer = self.pending.popleft()
            self.weights.learn(self.losses(answer, actual(answer.origin, end)), answer.weights)

    def losses(self, answer: GivenAnswer, actual: Float[np.ndarray, "C H"]) -> Float[np.ndarray, "C M"]:
        """Return the loss of each member; NaN in channels without an observed step."""
        observed = np.isfinite(actual)
        y, count = np.where(observed, actual, 0.0), observed.sum(axis=1)
        of_level, members = np.asarray(self.quantile_levels), answer.members
        if self.loss == "squared":
            members = members[..., [self.quantile_levels.index(0.5)]]
        if self.rule == "loss":
            targets = np.broadcast_to(y, members.shape[:-1])
            of_step = pinball(targets, members, of_level) if self.loss == "pinball" else (members - y[..., None]) ** 2
        else:
            mixture = np.einsum("cm,mchq->chq", answer.weights.used, members)
            slope = np.where(y[..., None] > mixture, -of_level, 1 - of_level)
            of_step = members * (slope if self.loss == "pinball" else 2 * (mixture - y[..., None]))
        total = (of_step.mean(axis=-1) * observed).sum(axis=-1).T  # [C, M]
        return np.where(count[:, None] > 0, total / np.maximum(count, 1)[:, None], np.nan)


def replay_answers(
    combination: Combination,
    forecasts: Iterable[tuple[int, Float[np.ndarray, "M C H Q"]]],
    actual: Callable[[int, int], Float[np.ndarray, "C H"]],
    *,
    feedback: str = "delayed",
) -> Iterator[GivenAnswer]:
    """Yield the answers at successive origins, learning between them from what is known by then.

    Parameters
    ----------
    combination
        Learns.
    forecasts
        Origins in ascending order, and what the members forecast there.
    actual
        Returns the values from one step to another; steps at or after an origin are asked for when they are known.
    feedback
        "delayed": an answer is learned from when its last step is known, H steps later. "immediate": right after it
        was given, although its steps are still to come. This is the protocol of OneNet (arXiv:2309.12659) and FSNet,
        whose published numbers cannot be compared with those of delayed feedback; no forecaster in use can do it.
    """
    check_choice("feedback", feedback, FEEDBACKS)
    for origin, members in forecasts:
        combination.learn_until(origin, actual)
        yield combination.answer(members, origin)
        if feedback == "immediate":
            combination.learn_until(origin + members.shape[2], actual)
