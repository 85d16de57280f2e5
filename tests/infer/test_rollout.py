"""Beyond the trained horizon a forecast continues from itself."""

from __future__ import annotations

import torch

from tests.tiny import CONTEXT, HORIZON, tiny
from tsfm.infer.rollout import rollout


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
    mixture = torch.stack(forecasts, dim=-1).flatten(-2)
    torch.testing.assert_close(second, torch.quantile(mixture, torch.arange(1, 10) / 10, dim=-1).movedim(0, -1))


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
