"""Laws of the seasonal skip: where it starts, in which unit it adds the prediction, and what a model needs for it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.model.seasonal_series import lag_features, noise, windows
from tsfm.model.fill import interpolate
from tsfm.model.model import Model
from tsfm.model.model_config import ModelConfig
from tsfm.model.seasonal_skip import SeasonalSkip
from tsfm.registry import BACKBONES, HEADS, SCALERS


@pytest.mark.parametrize("num", [1, 2])
def test_the_skip_starts_at_a_mean_of_interpolated_values_and_lag_features(num: int) -> None:
    """Initially no token changes the gates: where both agree, the start is that value for every token."""
    skip = SeasonalSkip(width=8, patch=16, num_lags=num)
    values, visible = windows(steps=64)
    features = lag_features(values, visible, num_lags=num)
    line = interpolate(torch.where(visible, values, 0.0), visible)
    equal = features._replace(values=line[..., None].expand_as(features.values))
    zero = torch.zeros(4, 2, 64, 3)
    out = skip(zero, noise(4, 2, 4, 8), interpolated=line, lag_features=equal)
    torch.testing.assert_close(out, line[..., None].expand(4, 2, 64, 3), atol=1e-5, rtol=1e-5)


def test_the_unit_of_the_prediction_is_between_that_of_the_channel_and_1() -> None:
    skip = SeasonalSkip(width=8, patch=16, num_lags=2)
    values, visible = windows(steps=64)
    features = lag_features(values, visible)
    line = interpolate(torch.where(visible, values, 0.0), visible)
    tokens = noise(4, 2, 4, 8)
    zero = skip(torch.zeros(4, 2, 64, 1), tokens, interpolated=line, lag_features=features)
    ones = skip(torch.ones(4, 2, 64, 1), tokens, interpolated=line, lag_features=features)
    added = (ones - zero)[..., 0]
    assert (added >= features.unit - 1e-5).all()
    assert (added <= 1 + 1e-5).all()


def test_a_window_of_a_fraction_of_patches_uses_the_last_gates() -> None:
    skip = SeasonalSkip(width=8, patch=16, num_lags=1)
    torch.nn.init.normal_(skip.gates.weight, generator=torch.Generator().manual_seed(0))
    values, visible = windows(steps=64)
    tokens, line = noise(4, 2, 4, 8), interpolate(torch.where(visible, values, 0.0), visible)
    features = lag_features(values, visible, num_lags=1)
    whole = skip(torch.zeros(4, 2, 64, 1), tokens, interpolated=line, lag_features=features)
    late = features._replace(values=features.values[..., 5:, :])
    shorter = skip(torch.zeros(4, 2, 59, 1), tokens, interpolated=line[..., 5:], lag_features=late)
    assert torch.equal(shorter, whole[..., 5:, :])


@pytest.mark.parametrize(
    ("shape", "head", "message"),
    [
        (
            {"seasonal_lags": 3},
            "patch_quantiles",
            r"model\.seasonal_lags is 3; expected 0, 1 or 2",
        ),
        ({"embed": "linear"}, "patch_quantiles", r"needs model\.embed=residual and model\.fill=linear; found linear"),
        ({"fill": "zero"}, "patch_quantiles", r"needs model\.embed=residual and model\.fill=linear; found residual"),
        (
            {},
            "flatten",
            r"model\.seasonal_lags needs a head that reads the whole window; use head=patch_quantiles, not flatten",
        ),
    ],
)
def test_a_model_without_lag_features_is_refused(shape: dict[str, Any], head: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Model(
            ModelConfig(**{"embed": "residual", "fill": "linear", "seasonal_lags": 2} | shape),
            scaler=SCALERS.config({"name": "standard"}),
            backbone=BACKBONES.config({"name": "patch_transformer"}),
            head=HEADS.config({"name": head}),
        )
