"""Weights of forecasters that are learned step by step, by exponentiated gradient, with a short-term correction.

C channels, M members, T answers that were learned from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float


class WeightsInUse(NamedTuple):
    """The weights with which one answer was given: those of all answers, those of the recent ones, and their blend."""

    long: Float[np.ndarray, "C M"]
    short: Float[np.ndarray, "C M"]
    used: Float[np.ndarray, "C M"]


class OnlineWeights:
    """Convex weights of M members for each of C channels, by exponentiated gradient (Hedge).

    After T losses the weight of member i is proportional to exp(-eta L_i), L_i the sum of its losses, and
    eta = sqrt(8 log M / V), where V is the sum of squared ranges of the losses so far, or `num_rounds` times the square
    of `loss_range` where both are given. With these, the regret against the best member in hindsight is at most
    sqrt(T log(M) / 2) times the range for any sequence of losses in [0, range]. Where the losses are the gradients of
    a convex loss of the combination with respect to the weights, the bound holds against the best fixed weights.

    Parameters
    ----------
    num_channels, num_members
        C and M.
    memory
        Answers over which the short-term weights look back, as the time constant of a decay; None: no short-term
        weights. They are exponentiated-gradient weights of recent losses, and are blended with the long-term ones by
        the sigmoid of the recent advantage of one over the other, so that a switch of the better member is followed
        in about `memory` answers instead of as many as there were before it.
    num_rounds, loss_range
        The number of losses to come and their largest range, where they are known.

    Notes
    -----
    Regret: Cesa-Bianchi and Lugosi 2006, "Prediction, Learning, and Games", theorem 2.2. The short-term weights stand
    for the bias of OneNet (arXiv:2309.12659, section 3.2), which a small network learns there; here nothing is trained
    for them.

    Examples
    --------
    >>> weights = OnlineWeights(num_channels=1, num_members=2)
    >>> for _ in range(20):
    ...     weights.learn(np.array([[0.2, 1.0]]))
    >>> weights.current().used.round(2).tolist()
    [[1.0, 0.0]]
    """

    def __init__(
        self,
        *,
        num_channels: int,
        num_members: int,
        memory: float | None = None,
        num_rounds: int | None = None,
        loss_range: float = 1.0,
    ):
        if memory is not None and not memory >= 1:
            raise ValueError(f"memory is {memory}; expected a number of answers, at least 1, or None")
        self.memory, self.num_rounds, self.loss_range = memory, num_rounds, loss_range
        shape = (num_channels, num_members)
        self.total, self.recent = np.zeros(shape), np.zeros(shape)  # sums of losses
        self.squares, self.recent_squares = np.zeros(num_channels), np.zeros(num_channels)  # of their ranges
        self.advantage = np.zeros(num_channels)  # recent loss of the long-term weights minus that of the short-term
        self.count = np.zeros(num_channels, np.int64)

    def current(self) -> WeightsInUse:
        """Return the weights for the next answer."""
        num_members = self.total.shape[1]
        fixed = None if self.num_rounds is None else self.num_rounds * self.loss_range**2
        squares = self.squares if fixed is None else np.full_like(self.squares, fixed)
        long = exponential_weights(self.total, squares)
        if self.memory is None or num_members == 1:
            return WeightsInUse(long, long, long)
        short = exponential_weights(self.recent, self.recent_squares)
        blend = 1 / (1 + np.exp(-np.clip(learning_rate(self.recent_squares, num_members) * self.advantage, -50, 50)))
        return WeightsInUse(long, short, long + blend[:, None] * (short - long))

    def learn(self, losses: Float[np.ndarray, "C M"], in_use: WeightsInUse | None = None) -> None:
        """Learn from the losses of one answer.

        Parameters
        ----------
        losses
            Of each member; a channel with NaN is left as it is.
        in_use
            The weights with which the answer was given; None: the current ones.
        """
        in_use = self.current() if in_use is None else in_use
        observed = np.asarray(np.isfinite(losses).all(axis=1))
        losses = np.where(observed[:, None], losses, 0.0)
        losses = losses - losses.min(axis=1, keepdims=True)
        squares = losses.max(axis=1) ** 2
        self.total += losses
        self.total -= self.total.min(axis=1, keepdims=True)  # only differences matter
        self.squares += squares
        self.count += observed
        if self.memory is None:
            return
        keep = np.where(observed, np.exp(-1 / self.memory), 1.0)
        self.recent = keep[:, None] * self.recent + losses
        self.recent_squares = keep * self.recent_squares + squares
        self.advantage = keep * self.advantage + ((in_use.long - in_use.short) * losses).sum(axis=1)

    def state(self) -> dict[str, np.ndarray]:
        """Return everything that was learned, as arrays."""
        return {name: getattr(self, name).copy() for name in STATE}

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """Take over what `state` returned."""
        for name in STATE:
            expected = getattr(self, name).shape
            if name not in state or state[name].shape != expected:
                saved_shape = state[name].shape if name in state else "nothing"
                raise ValueError(
                    f"the state holds {name} of shape {saved_shape}; expected {expected}: load it into the same "
                    "members and number of channels as it was saved from"
                )
        for name in STATE:
            setattr(self, name, state[name].copy())


STATE = ("total", "recent", "squares", "recent_squares", "advantage", "count")


def exponential_weights(losses: Float[np.ndarray, "C M"], squares: Float[np.ndarray, " C"]) -> Float[np.ndarray, "C M"]:
    """Return the weights for sums of losses, and the sum of squared ranges that decides the rate."""
    above = losses - losses.min(axis=1, keepdims=True)
    weights = np.exp(np.maximum(-learning_rate(squares, losses.shape[1])[:, None] * above, -700.0))
    return weights / weights.sum(axis=1, keepdims=True)


def learning_rate(squares: Float[np.ndarray, " C"], num_members: int) -> Float[np.ndarray, " C"]:
    """Return the rate for sums of squared ranges; 0 where nothing was learned."""
    return np.sqrt(8 * np.log(num_members) / np.where(squares > 0, squares, np.inf))
