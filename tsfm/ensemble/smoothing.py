"""Exponential smoothing of many series at once, with every parameter set of a grid.

The models have an additive error (Hyndman et al., Forecasting with Exponential Smoothing, 2008): a level, a trend that
may be damped, a season. For given parameters the errors are linear in the series and in the initial state: a filter
gives the errors from a state of zeros, least squares the initial state. So a fit is a few products of matrices.

W series, L steps, C parameter sets, K numbers of a state (level, trend, the seasons from the next step on), H horizon.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float, Int

WEAK = 1e-6  # penalty on the initial level, so that the equations have one solution
TREND_PENALTY = 1e-3
SEASON_PENALTY = 0.03  # as that many steps with a season of 0


class Pasts(NamedTuple):
    """Series that begin at the first column; zeros follow their ends."""

    values: Float[np.ndarray, "W L"]
    lengths: Int[np.ndarray, " W"]


@dataclass(frozen=True)
class Grid:
    """Parameter sets of one form of model.

    Attributes
    ----------
    alpha, beta, gamma, phi
        How much of an error level, trend and season take up, and how much of the trend stays in a step.
    trend
        Whether there is one.
    season_length
        1: no season.
    """

    alpha: Float[np.ndarray, " C"]
    beta: Float[np.ndarray, " C"]
    gamma: Float[np.ndarray, " C"]
    phi: Float[np.ndarray, " C"]
    trend: bool
    season_length: int

    def __len__(self) -> int:
        """Return the number of parameter sets."""
        return len(self.alpha)

    @property
    def num_states(self) -> int:
        """Return how many numbers a state has."""
        return 1 + self.trend + (self.season_length if self.season_length > 1 else 0)

    @property
    def num_parameters(self) -> int:
        """Return how many numbers a fit estimates, with the initial state and the variance of the errors."""
        seasonal, damped = self.season_length > 1, self.trend and bool((self.phi < 1).any())
        return 2 + 2 * self.trend + damped + seasonal * self.season_length + 1

    def select(self, index: np.ndarray) -> Grid:
        """Return some of the parameter sets."""
        columns = {name: getattr(self, name)[index] for name in ("alpha", "beta", "gamma", "phi")}
        return replace(self, **columns)

    def step(
        self, state: Float[np.ndarray, "C J K"], value: Float[np.ndarray, " J"]
    ) -> tuple[Float[np.ndarray, "C J K"], Float[np.ndarray, "C J"]]:
        """Return the states of J series after one more value, and the errors of their forecasts of it."""
        first = 1 + self.trend
        slope = self.phi[:, None] * state[..., 1] if self.trend else 0.0
        season = state[..., first] if self.season_length > 1 else 0.0
        level = state[..., 0] + slope
        error = value - (level + season)
        after = np.empty_like(state)
        after[..., 0] = level + self.alpha[:, None] * error
        if self.trend:
            after[..., 1] = slope + self.beta[:, None] * error
        if self.season_length > 1:
            after[..., first:-1] = state[..., first + 1 :]
            after[..., -1] = season + self.gamma[:, None] * error
        return after, error

    def readout(self, horizon: int) -> Float[np.ndarray, "C H K"]:
        """Return what the numbers of a state count in the forecast of each step."""
        steps, out = np.arange(horizon), np.zeros((len(self), horizon, self.num_states))
        out[..., 0] = 1.0
        if self.trend:
            out[..., 1] = np.cumsum(self.phi[:, None] ** (steps + 1), axis=1)
        if self.season_length > 1:
            out[:, steps, 1 + self.trend + steps % self.season_length] = 1.0
        return out

    def growth(self, horizon: int) -> Float[np.ndarray, "C H"]:
        """Return the variance of the error of each step, relative to that of one step (the same book, table 6.2)."""
        steps = np.arange(1, horizon)
        effect = np.repeat(self.alpha[:, None], horizon - 1, axis=1)
        if self.trend:
            effect = effect + self.beta[:, None] * np.cumsum(self.phi[:, None] ** steps, axis=1)
        if self.season_length > 1:
            effect = effect + self.gamma[:, None] * (steps % self.season_length == 0)
        return 1 + np.pad(np.cumsum(effect**2, axis=1), ((0, 0), (1, 0)))


class Fit(NamedTuple):
    """What the parameter sets of a grid give for each series."""

    loss: Float[np.ndarray, "C W"]  # sum of squared errors in the past
    forecast: Float[np.ndarray, "C W H"]


def make_grid(
    *,
    alpha: Sequence[float],
    beta: Sequence[float] = (),
    phi: Sequence[float] = (),
    gamma: Sequence[float] = (),
    season_length: int = 1,
) -> Grid:
    """Return the grid of all combinations; `beta` is relative to alpha, `gamma` to 1 - alpha.

    Examples
    --------
    >>> grid = make_grid(alpha=[0.2, 0.5], beta=[0.5], phi=[0.9, 1.0])
    >>> grid.alpha.tolist(), grid.beta.tolist(), grid.num_states
    ([0.2, 0.2, 0.5, 0.5], [0.1, 0.1, 0.25, 0.25], 2)
    """
    sets = np.array(list(product(alpha, beta or (0.0,), phi or (1.0,), gamma or (0.0,)))).T
    trend, season = bool(beta), season_length if gamma else 1
    return Grid(sets[0], sets[0] * sets[1], (1 - sets[0]) * sets[3], sets[2], trend, season)


def fit_grid(pasts: Pasts, grid: Grid, *, horizon: int, drift: Float[np.ndarray, " W"] | None = None) -> Fit:
    """Fit every parameter set to every series.

    Parameters
    ----------
    pasts
        Standardized, so that the numbers of a state are not far from 1.
    drift
        The trend of each series, which is then not estimated; the grid has a trend.
    """
    values, lengths = pasts.values.astype(np.float32), pasts.lengths  # single precision takes half the time
    num_steps, num_states = values.shape[1], grid.num_states
    errors, states = _responses(grid, num_steps)
    kinds, kind = np.unique(lengths, return_inverse=True)
    inside = (np.arange(num_steps) < lengths[:, None]).astype(np.float32)
    reverse = np.maximum(lengths[:, None] - 1 - np.arange(num_steps), 0)
    backwards = np.take_along_axis(values, reverse, axis=1) * inside  # the last step first
    lag = np.arange(num_steps) - np.arange(num_steps)[:, None]
    impulse = np.concatenate([errors[..., 0], np.zeros((len(grid), 1))], axis=1).astype(np.float32)
    lag = np.where(lag >= 0, lag, num_steps)  # a step does not count in the errors before it
    penalty = np.array([WEAK, *[TREND_PENALTY] * grid.trend, *[SEASON_PENALTY] * grid.season_length][:num_states])
    free = np.arange(num_states) if drift is None else np.delete(np.arange(num_states), 1)
    of_state = -errors[..., 1:].astype(np.float32)  # [C, L, K]
    effects, penalty = of_state[..., free], np.diag(penalty[free])
    readout = grid.readout(horizon)
    loss, forecast = np.empty((len(grid), len(values))), np.empty((len(grid), len(values), horizon))
    for c, effect in enumerate(effects):
        of_zero = values @ impulse[c, lag]  # [W, L]
        start = np.zeros((len(values), num_states))
        if drift is not None:
            start[:, 1] = drift
            of_zero -= drift[:, None].astype(np.float32) * of_state[c, :, 1]
        of_zero *= inside
        products = effect[:, :, None] * effect[:, None]
        moments = np.cumsum(products, axis=0, dtype=np.float64)[kinds - 1] + penalty
        start[:, free] = np.einsum("wjk,wk->wj", np.linalg.inv(moments)[kind], of_zero @ effect)
        error = of_zero - start[:, free].astype(np.float32) @ effect.T * inside
        loss[c] = np.einsum("wl,wl->w", error, error)
        last = backwards @ states[c, 1:, 0].astype(np.float32) + np.einsum("wj,wjk->wk", start, states[c, lengths, 1:])
        forecast[c] = last @ readout[c].T
    return Fit(loss, forecast)


def _responses(grid: Grid, num_steps: int) -> tuple[Float[np.ndarray, "C L J"], Float[np.ndarray, "C L1 J K"]]:
    """Return errors, and states after 0 to L steps: of a first value of 1, then of each initial state of a 1."""
    state = np.zeros((len(grid), 1 + grid.num_states, grid.num_states))
    state[:, 1:] = np.eye(grid.num_states)
    errors, states = (
        np.empty((len(grid), num_steps, state.shape[1])),
        np.empty((len(grid), num_steps + 1, *state.shape[1:])),
    )
    states[:, 0] = state
    for step in range(num_steps):
        value = np.zeros(state.shape[1])
        value[0] = step == 0
        state, errors[:, step] = grid.step(state, value)
        states[:, step + 1] = state
    return errors, states
