"""Rules between channels, and autoregressions. N windows, P order, L past steps, T steps, H horizon."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tsfm.synthetic.known_base import KnownKind, KnownWindows, WindowSize, normal, split_window, uniform
from tsfm.synthetic.known_noise import PERIODS as SINE_PERIODS
from tsfm.synthetic.known_noise import SEASON, noise_variance
from tsfm.synthetic.known_patterns import repeat_cycle, sine_cycle
from tsfm.synthetic.rng import Sampler

if TYPE_CHECKING:
    from jaxtyping import Float

LAGS = (5, 10, 24, 48)
ORDERS = (1, 2, 4, 8)
WARM_UP = 500  # steps of an autoregression before the window


def draw_lagged(lag: int, rng: Sampler, size: WindowSize) -> KnownWindows:
    """Return white noise and, as the second channel, the same noise `lag` steps later; the copy is scored."""
    noise = normal(rng, size.num, size.steps + lag)
    values = torch.stack([noise[:, lag:], noise[:, : size.steps]], 1)
    forecast, variance = values[..., size.context :].clone(), torch.zeros(size.num, 2, size.horizon).double()
    forecast[:, 0], variance[:, 0] = 0.0, 1.0
    forecast[:, 1, lag:], variance[:, 1, lag:] = 0.0, 1.0
    return split_window(values, size, forecast=forecast, variance=variance, scored=(1,))


def draw_sum(rng: Sampler, size: WindowSize) -> KnownWindows:
    """Return sines, white noise of the same power, and their sum, which is scored."""
    clean = repeat_cycle(sine_cycle(rng, size.num, SINE_PERIODS), size)
    noise = noise_variance(0) ** 0.5 * normal(rng, *clean.shape)
    future = clean[..., size.context :]
    forecast = torch.cat([future, torch.zeros_like(future), future], 1)
    variance = torch.tensor([0.0, 1.0, 1.0]).double()[:, None].expand(forecast.shape)
    return split_window(
        torch.cat([clean, noise, clean + noise], 1), size, forecast=forecast, variance=variance, scored=(2,)
    )


def random_weights(rng: Sampler, num: int, order: int, *, most: float = 0.9) -> Float[Tensor, "N P"]:
    """Draw weights of stable autoregressions from partial autocorrelations that are uniform within `most`.

    References
    ----------
    Barndorff-Nielsen & Schou, "On the parametrization of autoregressive models by partial autocorrelations", 1973: the
    recursion of Levinson and Durbin maps (-1, 1)^P onto the stable weights.
    """
    partials = uniform(rng, num, order, low=-most, high=most)
    weights = partials[:, :1]
    for k in range(1, order):
        newest = partials[:, k : k + 1]
        weights = torch.cat([weights - newest * weights.flip(-1), newest], -1)
    return weights


def simulate(rng: Sampler, weights: Float[Tensor, "N P"], steps: int) -> Float[Tensor, "N T"]:
    """Return T steps with standard normal innovations, after a warm-up."""
    num, order = weights.shape
    values = torch.zeros(num, WARM_UP + steps + order, dtype=torch.float64)
    innovations = normal(rng, *values.shape)
    reverse = weights.flip(-1)
    for t in range(order, values.shape[1]):
        values[:, t] = (values[:, t - order : t] * reverse).sum(-1) + innovations[:, t]
    return values[:, -steps:]


def conditional_mean(weights: Float[Tensor, "N P"], past: Float[Tensor, "N L"], horizon: int) -> Float[Tensor, "N H"]:
    """Return the exact forecast of an autoregression of mean 0 from its last P values."""
    order = weights.shape[1]
    values = [*past[:, -order:].unbind(-1)]
    for _ in range(horizon):
        values.append((torch.stack(values[-order:], -1) * weights.flip(-1)).sum(-1))
    return torch.stack(values[order:], -1)


def error_variance(weights: Float[Tensor, "N P"], horizon: int) -> Float[Tensor, "N H"]:
    """Return the variance of the error of `conditional_mean`: cumulative sums of squared responses to an impulse."""
    num, order = weights.shape
    impulse = torch.zeros(num, order, dtype=torch.float64)
    impulse[:, -1] = 1.0
    later = conditional_mean(weights, impulse, horizon)
    return torch.cat([impulse[:, -1:], later[:, : horizon - 1]], -1).square().cumsum(-1)


def draw_autoregression(order: int, rng: Sampler, size: WindowSize) -> KnownWindows:
    """Return autoregressions, each window with weights of its own."""
    weights = random_weights(rng, size.num, order)
    values = simulate(rng, weights, size.steps)
    forecast = conditional_mean(weights, values[:, : size.context], size.horizon)
    variance = error_variance(weights, size.horizon)
    return split_window(values[:, None], size, forecast=forecast[:, None], variance=variance[:, None])


KINDS = (
    *(
        KnownKind(f"lag_{lag}", "multivariate", partial(draw_lagged, lag), max_horizon=lag, min_context=lag)
        for lag in LAGS
    ),
    KnownKind("sum_of_parts", "multivariate", draw_sum, season=SEASON, min_context=SEASON),
    *(
        KnownKind(f"ar_{order}", "autoregression", partial(draw_autoregression, order), min_context=order + 1)
        for order in ORDERS
    ),
)
