"""Structural causal models over time: channels that cause each other with lags. N rows, C channels, L steps, E steps
with those before the first, K nodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from tsfm.registry import GENERATORS
from tsfm.synthetic.base import Generator, check_share, check_size, repair
from tsfm.synthetic.gaussian import Coloured, KernelGP
from tsfm.synthetic.processes import Arima
from tsfm.synthetic.rng import Sampler
from tsfm.synthetic.seasonal import Seasonal
from tsfm.synthetic.shapes import Steps
from tsfm.synthetic.signals import autoregressive, prefix_scan, zscore

if TYPE_CHECKING:
    from jaxtyping import Float, Int

SOURCES = ((Seasonal, 0.35), (KernelGP, 0.25), (Arima, 0.2), (Coloured, 0.1), (Steps, 0.1))
ACTIVATIONS = (
    lambda x, _: x,
    lambda x, _: F.relu(x),
    lambda x, _: torch.sigmoid(2 * x),
    lambda x, _: torch.sin(2 * x),
    lambda x, c: torch.remainder(2 * x, c),
    lambda x, _: F.leaky_relu(x, 0.1),
    lambda x, _: torch.tanh(x),
    lambda x, _: F.softplus(2 * x),
    lambda x, _: torch.exp(-0.5 * x * x),
)


def activate(x: Float[Tensor, "N E"], kind: Int[Tensor, " N"], modulus: Float[Tensor, "N 1"]) -> Float[Tensor, "N E"]:
    """Each row by its own kind: identity, ReLU, sigmoid, sine, remainder, leaky ReLU, tanh, softplus or Gaussian."""
    out = torch.empty_like(x)
    for number, activation in enumerate(ACTIVATIONS):
        rows = (kind == number).nonzero()[:, 0]
        if len(rows):
            out[rows] = activation(x[rows], modulus[rows])
    return out


@GENERATORS("scm")
class StructuralCausal(Generator):
    """A random acyclic graph: roots are other generators' series, children an activation of lagged parents.

    CauKer's graph (arXiv:2508.02879, section 3): up to three parents, random linear mix, random activation. Lags,
    memory of a node and noise at each node are added here, for forecasting.
    """

    @dataclass
    class Config:
        """Settings of `StructuralCausal`."""

        roots: int = 3  # nodes without parents
        hidden: int = 2  # nodes that are not read out, beside the roots
        parents: int = 3  # most parents of a node
        lag: int = 48  # longest lag, and at most an eighth of the length; half of the edges have none
        memory: float = 0.4  # share of nodes that keep a part of their own past

        def __post_init__(self) -> None:
            for name in ("roots", "parents"):
                if getattr(self, name) < 1:
                    raise ValueError(f"{name} is {getattr(self, name)}; a causal graph has 1 or more")
            for name in ("hidden", "lag"):
                if getattr(self, name) < 0:
                    raise ValueError(f"{name} is {getattr(self, name)}; expected 0 or more")
            check_share("memory", self.memory)

    def series(self, rng: Sampler, num: int, length: int) -> Float[Tensor, "N L"]:
        """One channel of each group."""
        return self.group(rng, num, 1, length)[:, 0]

    def draw_group(self, num: int, channels: int, length: int, generator: torch.Generator) -> Float[Tensor, "N C L"]:
        """Channels of one graph per row, z-scored, in random order."""
        check_size(num, length)
        if channels < 1:
            raise ValueError(f"{channels} channels are asked for; a group has 1 or more")
        rng = Sampler(generator)
        if not num:
            return torch.zeros(0, channels, length, device=rng.device)
        x = repair(self.group(rng, num, channels, length).flatten(0, 1), rng)
        return zscore(x).unflatten(0, (num, channels))

    def group(self, rng: Sampler, num: int, channels: int, length: int) -> Float[Tensor, "N C L"]:
        """Draw groups of channels that depend on each other with lags."""
        config = self.config
        most = min(config.lag, length // 8)
        extended = length + 2 * most
        roots = config.roots
        kinds = rng.choose(num * roots, [weight for _, weight in SOURCES])
        first = torch.empty(num * roots, extended, device=rng.device)
        for number, (source, _) in enumerate(SOURCES):
            rows = (kinds == number).nonzero()[:, 0]
            if len(rows):
                first[rows] = repair(source(source.Config()).series(rng, len(rows), extended), rng)
        nodes = list(zscore(first).unflatten(0, (num, roots)).unbind(1))
        for _ in range(config.hidden + channels):
            nodes.append(self.child(rng, torch.stack(nodes, 1), most))
        last = torch.stack(nodes[-(config.hidden + channels) :], 1)
        order = torch.argsort(rng.uniform(num, last.shape[1]), -1)[:, :channels, None]
        return last.gather(1, order.expand(-1, -1, extended))[..., extended - length :]

    def child(self, rng: Sampler, nodes: Float[Tensor, "N K E"], most: int) -> Float[Tensor, "N E"]:
        """Draw a node as a function of earlier nodes, lagged by up to `most` steps."""
        num, count, extended = nodes.shape
        rows = torch.arange(num, device=rng.device)
        at = torch.arange(extended, device=rng.device)[None]
        total = rng.normal(num, 1) * 0.3
        for parent in range(min(self.config.parents, count)):
            which = rng.integers(num, low=0, high=count - 1)
            lag = rng.log_uniform(num, 1, low=1.0, high=most + 1.0).long() - 1
            lag = lag * rng.chance(num, 1, rate=0.5)
            seen = nodes[rows, which].gather(1, (at - lag).clamp_min(0))
            joined = parent == 0 or rng.chance(num, 1, rate=0.5)
            total = total + rng.normal(num, 1) * joined * seen
        noise = autoregressive(rng.normal(num, extended), rng.uniform(num, 1, high=0.9))
        x = activate(total, rng.integers(num, low=0, high=len(ACTIVATIONS) - 1), rng.uniform(num, 1, low=1.0, high=5.0))
        x = zscore(x) + noise * rng.uniform(num, 1, high=0.5) ** 2
        keep = rng.uniform(num, 1, low=0.2, high=0.97) * rng.chance(num, 1, rate=self.config.memory)
        return zscore(prefix_scan(x, keep))
