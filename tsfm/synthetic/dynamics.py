"""Deterministic chaos and limit cycles, integrated for all rows at once. N rows, L steps, D states, F monomials.

Every flow is a polynomial of degree three or less in four states, so one matrix product per row evaluates any of them.
Runge-Kutta steps are long and few; the solution between them is the cubic Hermite polynomial through values and slopes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tsfm.messages import did_you_mean
from tsfm.registry import GENERATORS
from tsfm.synthetic.base import Generator, check_range, check_share
from tsfm.synthetic.rng import Sampler
from tsfm.synthetic.signals import step_index, white, zscore

if TYPE_CHECKING:
    from jaxtyping import Float

# monomials are products of two of (1, x, y, z, w) with two more of (1, x): "xyx" is x*y*x
STATES = "xyzw"
# name: step of integration, then each state's terms (coefficient, monomial)
FLOWS: dict[str, tuple[float | str, ...]] = {
    "lorenz": (0.04, "-10x +10y", "28x -1y -1xz", "1xy -2.667z"),  # Lorenz 1963
    "rossler": (0.18, "-1y -1z", "1x +0.2y", "0.2 +1xz -5.7z"),  # Roessler 1976
    "chen": (0.018, "-35x +35y", "-7x -1xz +28y", "1xy -3z"),  # Chen & Ueta 1999
    "halvorsen": (0.04, "-1.89x -4y -4z -1yy", "-1.89y -4z -4x -1zz", "-1.89z -4x -4y -1xx"),
    "sprott_b": (0.25, "1yz", "1x -1y", "1 -1xy"),  # Sprott 1994, case B
    "van_der_pol": (0.18, "1y", "1.5y -1.5xxy -1x"),  # van der Pol 1926, mu 1.5
    "duffing": (0.25, "1y", "1x -1xxx -0.2y +0.35z", "-1.2w", "1.2z"),  # z, w are the force, frequency 1.2
    "fitzhugh_nagumo": (0.9, "1x -0.3333xxx -1y +0.5", "0.08x +0.056 -0.064y"),  # FitzHugh 1961
    "hindmarsh_rose": (0.12, "1y -1xxx +3xx -1z +3.2", "1 -5xx -1y", "0.024x -0.006z +0.0384"),  # 1984, r .006
    "lotka_volterra": (0.18, "1x -1xy", "-1y +1xy"),
}


def features(x: Float[Tensor, "N D"]) -> Float[Tensor, "N F"]:
    """1, the states, all products of two, and the products of three with x twice."""
    affine = torch.cat([torch.ones_like(x[:, :1]), x], -1)
    squares = (affine[:, :, None] * affine[:, None, :]).flatten(1)
    return torch.cat([squares, x[:, :1] * x[:, :1] * x], -1)


def _feature_index(monomial: str) -> int:
    """Return the index of the feature that is this product of states."""
    if len(monomial) == 3:
        return 25 + STATES.index(monomial.replace("x", "", 2) or "x")
    at = [STATES.index(letter) + 1 for letter in monomial]
    low, high = sorted([0] * (2 - len(at)) + at)
    return low * 5 + high


def coefficients(flows: Mapping[str, tuple[float | str, ...]]) -> Float[Tensor, "flows F D"]:
    """Return the coefficient of each feature in the slope of each state, of flows written as in `FLOWS`."""
    out = torch.zeros(len(flows), 29, 4)
    for row, flow in enumerate(flows.values()):
        for state, terms in enumerate(flow[1:]):
            for term in str(terms).split():
                number = term.rstrip(STATES)
                out[row, _feature_index(term[len(number) :]), state] += float(number)
    return out


def integrate(
    start: Float[Tensor, "N D"], flow: Float[Tensor, "N F D"], step: Float[Tensor, "N 1"], count: int
) -> tuple[Tensor, Tensor]:
    """Classical Runge-Kutta: states and slopes, both [count, N, D]; a row that runs away is held at 1e4."""

    def slope(x: Tensor) -> Tensor:
        return torch.bmm(features(x)[:, None], flow)[:, 0]

    x, states, slopes = start, [], []
    for _ in range(count):
        k1 = slope(x)
        states.append(x)
        slopes.append(k1)
        k2 = slope(x + step / 2 * k1)
        k3 = slope(x + step / 2 * k2)
        k4 = slope(x + step * k3)
        x = (x + step / 6 * (k1 + 2 * (k2 + k3) + k4)).nan_to_num(1e4).clamp(-1e4, 1e4)
    return torch.stack(states), torch.stack(slopes)


def hermite(values: Float[Tensor, "N K"], slopes: Float[Tensor, "N K"], at: Float[Tensor, "N L"]) -> Tensor:
    """Evaluate the curve between evenly spaced values, slopes per spacing, at positions in spacings."""
    i = at.long().clamp(0, values.shape[-1] - 2)
    u = at - i
    a, b = values.gather(1, i), values.gather(1, i + 1)
    p, q = slopes.gather(1, i), slopes.gather(1, i + 1)
    return a + u * (p + u * (3 * (b - a) - 2 * p - q + u * (2 * (a - b) + p + q)))


@GENERATORS("chaos")
class Chaos(Generator):
    """Chaotic and cyclic flows and maps, one state read out, parameters and pace random, some with noise.

    Lorenz, Roessler, Chen, Halvorsen, Sprott B, van der Pol, forced Duffing, FitzHugh-Nagumo, Hindmarsh-Rose,
    Lotka-Volterra; logistic, tent, Henon and Ricker maps. Standard parameters, each coefficient off by a few percent.
    """

    @dataclass
    class Config:
        """Settings of `Chaos`."""

        maps: float = 0.2  # share of rows that iterate a map
        steps: int = 512  # most Runge-Kutta steps; a fast row takes one per point up to that many points
        spread: float = 0.04  # of the coefficients, relative standard deviation
        noise: float = 0.15  # most noise, in standard deviations
        exclude: list[str] = field(default_factory=list)  # flows that are not drawn, so that they can be held out

        def __post_init__(self) -> None:
            check_share("maps", self.maps)
            if not 0 <= self.spread <= 0.05:
                raise ValueError(f"spread is {self.spread}; expected 0 to 0.05, beyond it flows run away")
            if self.steps < 32:
                raise ValueError(f"steps is {self.steps}; a flow needs 32 Runge-Kutta steps or more")
            check_range("noise", 0.0, self.noise, least=0.0)
            if unknown := [name for name in self.exclude if name not in FLOWS]:
                raise ValueError(f"exclude has {unknown[0]!r}; {did_you_mean(unknown[0], list(FLOWS))}")
            if set(self.exclude) == set(FLOWS):
                raise ValueError("exclude names every flow; leave at least one, or set maps=1 to draw maps only")

    @property
    def kept_flows(self) -> dict[str, tuple[float | str, ...]]:
        """Return the flows that are drawn."""
        return {name: flow for name, flow in FLOWS.items() if name not in self.config.exclude}

    def series(self, rng: Sampler, num: int, length: int) -> Float[Tensor, "N L"]:
        """See `Generator.series`."""
        chosen = rng.chance(num, rate=self.config.maps)
        x = torch.empty(num, length, device=rng.device)
        count = int(chosen.sum())
        if count:
            x[chosen] = zscore(self.maps(rng, count, length))
        if num - count:
            x[~chosen] = zscore(self.flows(rng, num - count, length))
        noisy = rng.uniform(num, 1, high=self.config.noise) * rng.chance(num, 1, rate=0.5)
        return x + white(rng, num, length) * noisy

    def flows(self, rng: Sampler, num: int, length: int) -> Float[Tensor, "N L"]:
        """Integrate chaotic differential equations."""
        settled = 64
        count = settled + min(length, self.config.steps) + 2
        kind = rng.integers(num, low=0, high=len(self.kept_flows) - 1)
        table = coefficients(self.kept_flows).to(rng.device)[kind]
        flow = table * (1 + self.config.spread * rng.normal(*table.shape).clamp(-2, 2))
        flow[:, 25:] = table[:, 25:]  # a cubic term that grows is a run-away
        step = torch.tensor([entry[0] for entry in self.kept_flows.values()], device=rng.device)[kind][:, None]
        start = rng.uniform(num, 4, low=0.1, high=1.0)
        states, slopes = integrate(start, flow, step, count)
        which = rng.integers(num, low=0, high=1)  # x or y, which every system has
        rows = torch.arange(num, device=rng.device)
        values, slopes = (
            trajectory.permute(1, 2, 0)[rows, which][:, settled:] for trajectory in (states, slopes * step)
        )
        pace = rng.log_uniform(num, 1, low=0.25, high=1.0) * (count - settled - 2) / length
        fast = (count - settled - 2) / length
        at = step_index(length, rng.device) * pace + rng.uniform(num, 1) * (fast - pace).clamp_min(0) * (length - 1)
        return hermite(values, slopes, at)

    def maps(self, rng: Sampler, num: int, length: int) -> Float[Tensor, "N L"]:
        """Iterate chaotic maps."""
        kind = rng.choose(num, (0.4, 0.2, 0.2, 0.2))
        a = torch.where(kind == 0, rng.uniform(num, low=3.5, high=4.0), rng.uniform(num, low=1.6, high=1.98))
        a = torch.where(kind == 2, rng.uniform(num, low=1.2, high=1.4), a)
        a = torch.where(kind == 3, rng.uniform(num, low=2.2, high=3.2), a)
        x, before, out = rng.uniform(num, low=0.1, high=0.4), rng.uniform(num, low=0.1, high=0.3), []
        for _ in range(length + 32):
            out.append(x)
            following = torch.where(kind == 0, a * x * (1 - x), a * torch.minimum(x, 1 - x))
            following = torch.where(kind == 2, 1 - a * x * x + 0.3 * before, following)
            following = torch.where(kind == 3, x * torch.exp(a * (1 - x)), following)
            before, x = x, following
        every = rng.chance(num, 1, rate=0.5)
        slow_map = torch.stack(out, -1)[:, 32:]
        kept = rng.integers(num, 1, low=2, high=8)  # half of the rows hold each value for some steps
        at = torch.where(every, step_index(length, rng.device).long(), step_index(length, rng.device).long() // kept)
        return slow_map.gather(1, at)
