"""Dynamical systems without noise: the trajectory itself is the best forecast. N windows, D states, T steps.

The flows of the generator `chaos` and flows that no generator holds. All states are visible and scored.
"""

from __future__ import annotations

from functools import partial

import torch

from tsfm.synthetic.dynamics import FLOWS, coefficients, integrate
from tsfm.synthetic.known_base import KnownKind, KnownWindows, WindowSize, split_window, uniform
from tsfm.synthetic.rng import Sampler

SETTLED = 100  # steps before a window
LATEST = 50  # further steps, a random number of them
NEAR = 0.2  # farthest start: some flows run away from farther ones
# as FLOWS, but for none of the generators; a step is a value of the series, about 25 in a turn
HELD_OUT = {
    "rucklidge": (0.15, "-2x +6.7y -1yz", "1x", "-1z +1yy"),  # Rucklidge 1992
    "burke_shaw": (0.04, "-10x -10y", "-1y -10xz", "10xy +4.272"),  # Shaw 1981
    "hadley": (0.08, "-1yy -1zz -0.25x +2", "1xy -4xz -1y +1", "4xy +1xz -1z"),  # Lorenz 1984
    "genesio_tesi": (0.25, "1y", "1z", "-1x -1.1y -0.44z +1xx"),  # Genesio & Tesi 1992
    "finance": (0.3, "1z +1xy -0.9x", "1 -0.2y -1xx", "-1x -1.2z"),  # Ma & Chen 2001
    "shimizu_morioka": (0.3, "1y", "1x -0.75y -1xz", "-0.45z +1xx"),  # Shimizu & Morioka 1980
    "brusselator": (0.15, "1 +1xxy -4x", "3x -1xxy"),  # Prigogine & Lefever 1968, a limit cycle
}


def trajectories(
    flow: tuple[float | str, ...], rng: Sampler, num: int, steps: int, *, farthest: float = 1.0
) -> torch.Tensor:
    """Return settled states [N, D, T] of a flow, float64, from starts between 0.1 and `farthest`."""
    table = coefficients({"flow": flow}).double().expand(num, -1, -1)
    start = uniform(rng, num, 4, low=0.1, high=farthest)
    step = torch.full((num, 1), float(flow[0]), dtype=torch.float64)
    states, _ = integrate(start, table, step, SETTLED + LATEST + steps)
    first = SETTLED + rng.integers(num, 1, low=0, high=LATEST)  # else all windows of a cycle begin at one phase
    at = first + torch.arange(steps)
    return states[at, torch.arange(num)[:, None]].transpose(1, 2)[:, : len(flow) - 1]


def draw_flow(flow: tuple[float | str, ...], farthest: float, rng: Sampler, size: WindowSize) -> KnownWindows:
    """Return windows of one flow, each from a start of its own."""
    return split_window(trajectories(flow, rng, size.num, size.steps, farthest=farthest), size)


KINDS = (
    *(KnownKind(name, "dynamics", partial(draw_flow, flow, NEAR), min_context=32) for name, flow in HELD_OUT.items()),
    *(
        KnownKind(name, "dynamics_seen", partial(draw_flow, flow, 1.0), min_context=32, in_generators=True)
        for name, flow in FLOWS.items()
    ),
)
