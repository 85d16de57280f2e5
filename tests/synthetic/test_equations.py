"""The equations behind the generators: flows and their interpolation, activations of causal graphs."""

from __future__ import annotations

import pytest
import torch

from tests.synthetic.test_generators import seeded
from tsfm.synthetic import dynamics
from tsfm.synthetic.causal import activate
from tsfm.synthetic.rng import Sampler


@pytest.mark.parametrize("name", dynamics.FLOWS)
def test_flows_stay_on_their_attractors(name: str) -> None:
    """Nothing runs away or dies with coefficients 4 % off, and halving the step changes little."""
    rng = Sampler(seeded())
    flow = dynamics.coefficients(dynamics.FLOWS)[list(dynamics.FLOWS).index(name)].repeat(40, 1, 1)
    wild = flow * (1 + 0.04 * rng.normal(*flow.shape).clamp(-2, 2))
    wild[:, 25:] = flow[:, 25:]
    step = torch.full((40, 1), dynamics.FLOWS[name][0])
    states, _ = dynamics.integrate(rng.uniform(40, 4, low=0.1, high=1.0), wild, step, 400)
    assert states.abs().max() < 200
    assert (states[100:, :, :2].std(0).amin(-1) > 0.01).float().mean() > 0.95  # a cell may fall silent
    fine, _ = dynamics.integrate(states[100], wild, step / 2, 11)
    off = (fine[10] - states[105]).norm(dim=-1) / states[100].norm(dim=-1)
    assert off.median() < 5e-3


def test_the_monomials_are_where_the_flows_expect_them() -> None:
    """The table of the Lorenz flow gives Lorenz' equations."""
    x = torch.randn(6, 4, generator=seeded())
    slope = dynamics.features(x) @ dynamics.coefficients(dynamics.FLOWS)[0]
    a, b, c = x[:, 0], x[:, 1], x[:, 2]
    expected = torch.stack([10 * (b - a), a * (28 - c) - b, a * b - 2.667 * c, 0 * a], -1)
    assert torch.allclose(slope, expected, atol=1e-4)
    pol = dynamics.features(x) @ dynamics.coefficients(dynamics.FLOWS)[list(dynamics.FLOWS).index("van_der_pol")]
    assert torch.allclose(pol[:, 1], 1.5 * (1 - a * a) * b - a, atol=1e-4)


def test_hermite_is_exact_for_cubics() -> None:
    t = torch.arange(6.0)[None]
    at = torch.tensor([[0.0, 0.25, 2.5, 4.9]])
    value = dynamics.hermite(t**3 - 2 * t, 3 * t**2 - 2, at)
    assert torch.allclose(value, at**3 - 2 * at, atol=1e-4)


def test_activations_are_what_they_are_called() -> None:
    x = torch.linspace(-3, 3, 50)[None].expand(9, -1)
    y = activate(x, torch.arange(9), torch.full((9, 1), 2.0))
    assert torch.equal(y[0], x[0])
    assert torch.equal(y[1], x[0].clamp_min(0))
    assert y[2].min() > 0
    assert y[2].max() < 1
    assert torch.allclose(y[3], torch.sin(2 * x[0]))
    assert y[4].min() >= 0
    assert y[4].max() < 2
    assert torch.allclose(y[5], torch.where(x[0] > 0, x[0], 0.1 * x[0]))
    assert torch.allclose(y[6], torch.tanh(x[0]))
    assert (y[7].diff() > 0).all()
    assert torch.allclose(y[8], y[8].flip(0))
