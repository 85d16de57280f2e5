"""Beyond the trained horizon a forecast continues from itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.tiny import CONTEXT, HORIZON, tiny
from tsfm.infer.rollout import level_masses, rollout, weighted_quantiles


def test_a_quantile_forecast_continues_along_a_path_for_each_level() -> None:
    model = tiny("patch_transformer", "quantiles").eval()
    values = torch.randn(1, 1, CONTEXT)
    with torch.no_grad():
        observed = torch.ones_like(values, dtype=torch.bool)
        first, second = rollout(model, values, observed, horizon=2 * HORIZON).split(HORIZON, dim=-2)
        assert (first.diff(dim=-1) < 0).any()  # quantiles of random weights cross; paths are sorted
        forecasts = []
        for level in range(9):
            path = torch.cat([values, first.sort(dim=-1).values[..., level]], dim=-1)[..., -CONTEXT:]
            forecasts.append(rollout(model, path, torch.ones_like(path, dtype=torch.bool), horizon=HORIZON))
    mixture = torch.stack(forecasts, dim=-2).flatten(-2)
    mass = torch.tensor([0.15, *[0.1] * 7, 0.15])
    expected = weighted_quantiles(mixture, torch.outer(mass, mass).flatten(), torch.arange(1, 10) / 10)
    torch.testing.assert_close(second, expected)


QUANTILE_LEVELS = [0.01, *(round(0.05 * i, 2) for i in range(1, 20)), 0.99]


@pytest.mark.parametrize("quantile_levels", [[0.1 * i for i in range(1, 10)], QUANTILE_LEVELS, [0.5], [0.2, 0.5, 0.9]])
def test_masses_of_levels_sum_to_one_and_each_contains_its_level(quantile_levels: list[float]) -> None:
    mass = level_masses(torch.tensor(quantile_levels))
    ends = mass.cumsum(dim=-1)
    torch.testing.assert_close(ends[-1], torch.tensor(1.0))
    assert (ends - mass < torch.tensor(quantile_levels)).all()
    assert (torch.tensor(quantile_levels) < ends).all()


def test_weighted_quantiles_of_equal_weights_are_those_of_hazen_and_no_weight_moves_the_order() -> None:
    values, quantile_levels = torch.randn(2, 3, 4, 50), torch.arange(1, 20) / 20
    quantiles = weighted_quantiles(values, torch.full((50,), 1 / 50), quantile_levels)
    expected = np.quantile(values.numpy(), quantile_levels.numpy(), axis=-1, method="hazen")
    torch.testing.assert_close(quantiles.movedim(-1, 0), torch.from_numpy(expected).float())
    mass = torch.rand(50).softmax(dim=-1)
    order = torch.randperm(50)
    again = weighted_quantiles(values[..., order], mass[order], quantile_levels)
    torch.testing.assert_close(weighted_quantiles(values, mass, quantile_levels), again)
    assert (again.diff(dim=-1) >= 0).all()


def test_a_sum_of_two_normal_steps_has_its_spread_for_uneven_levels() -> None:
    """Equal weights would overstate it by 8 %, since four of the 21 levels are outside 0.1 to 0.9."""
    quantile_levels = torch.tensor(QUANTILE_LEVELS)
    quantiles = torch.distributions.Normal(0.0, 1.0).icdf(quantile_levels)
    mass = level_masses(quantile_levels)
    total = (quantiles[:, None] + quantiles).flatten()[None, None, None]
    low, high = weighted_quantiles(total, torch.outer(mass, mass).flatten(), torch.tensor([0.1, 0.9]))[0, 0, 0]
    assert float(high - low) == pytest.approx(2 * 1.2816 * 2**0.5, rel=0.02)


def test_a_point_forecast_continues_from_itself() -> None:
    model = tiny("patch_transformer").eval()
    values = torch.randn(2, 1, CONTEXT)
    with torch.no_grad():
        observed = torch.ones_like(values, dtype=torch.bool)
        first, second = rollout(model, values, observed, horizon=2 * HORIZON).split(HORIZON, dim=-2)
        longer = torch.cat([values, first[..., 0]], dim=-1)[..., -CONTEXT:]
        again = rollout(model, longer, torch.ones_like(longer, dtype=torch.bool), horizon=HORIZON)
    torch.testing.assert_close(second, again)


def test_with_flip_mirrored_series_have_mirrored_forecasts() -> None:
    model = tiny("patch_transformer", "quantiles").eval()
    values = torch.randn(2, 1, CONTEXT)
    observed = torch.ones_like(values, dtype=torch.bool)
    with torch.no_grad():
        forecast = rollout(model, values, observed, horizon=HORIZON, flip=True)
        mirrored = rollout(model, -values, observed, horizon=HORIZON, flip=True)
    torch.testing.assert_close(forecast, -mirrored.flip(-1))
