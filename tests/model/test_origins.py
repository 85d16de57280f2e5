"""Laws of several forecasts that share one context: no forecast depends on a value at or after its origin."""

from __future__ import annotations

import pytest
import torch

from tests.model.seasonal_series import noise, random_mask, wave
from tsfm.model.model import Model
from tsfm.model.model_config import ModelConfig
from tsfm.model.origins import attention_layout, check_origins
from tsfm.registry import BACKBONES, HEADS, SCALERS
from tsfm.types import Problem

PATCH, STEPS, TAIL = 8, 160, 32
ORIGINS = (64, 88, 128)


def model(backbone: str = "patch_transformer", *, known_season: bool = False, time_features: bool = False) -> Model:
    torch.manual_seed(0)
    settings = {
        "patch_transformer": {"depth": 2, "heads": 2, "hidden": 32, "norm": "rms", "pre_norm": True, "dropout": 0.0},
        "mixer": {"depth": 1, "dropout": 0.0, "max_patches": 32},
    }[backbone]
    positions = {"positions": "rotary"} if backbone == "patch_transformer" else {}
    network = Model(
        ModelConfig(
            context=128, horizon=32, width=32, patch=PATCH, stride=PATCH, embed="residual", fill="linear",
            seasonal_lags=2, known_season=known_season, time_features=time_features,
        ),
        scaler=SCALERS.config({"name": "standard", "arcsinh": True}),
        backbone=BACKBONES.config({"name": backbone, **settings, **positions}),
        head=HEADS.config({"name": "patch_quantiles", "hidden": 32}),
    )  # fmt: skip
    for parameter in network.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    return network.eval()


def problem(values: torch.Tensor | None = None, *, origins: tuple[int, ...] = ORIGINS) -> Problem:
    """Noisy waves with gaps; the first one begins late."""
    rows = torch.stack([wave(12 + i, steps=STEPS, seed=i) for i in range(4)])[:, None] + 0.2 * noise(4, 1, STEPS)
    observed = random_mask(4, 1, STEPS, rate=0.9)
    observed[0, :, :20] = False
    steps = torch.arange(STEPS)
    return Problem(
        values=rows if values is None else values,
        visible=observed & (steps < origins[-1]),
        wanted=observed & (steps >= origins[0]),
        seasons=torch.tensor([[12, 84]] * 4),
        origins=origins,
        tail=TAIL,
    )


@pytest.mark.parametrize("known_season", [False, True])
def test_no_forecast_depends_on_values_at_or_after_its_origin(known_season: bool) -> None:
    network, posed = model(known_season=known_season), problem()
    with torch.no_grad():
        forecast = network(posed).prediction
        for index, origin in enumerate(ORIGINS):
            later = torch.arange(STEPS) >= origin
            changed = torch.where(later, 100 * noise(4, 1, STEPS, seed=9), posed.values)
            other = network(problem(changed)).prediction
            assert torch.equal(other[:, : index + 1], forecast[:, : index + 1])
            if index + 1 < len(ORIGINS):
                assert not torch.equal(other[:, index + 1], forecast[:, index + 1])


def test_further_origins_do_not_change_the_forecast_of_the_first_one() -> None:
    network = model()
    with torch.no_grad():
        several, single = network(problem()).prediction, network(problem(origins=ORIGINS[:1])).prediction
    torch.testing.assert_close(several[:, :1], single, rtol=1e-5, atol=1e-5)


def test_a_backbone_without_shared_contexts_forecasts_each_origin_on_its_own() -> None:
    network, posed = model("mixer"), problem()
    with torch.no_grad():
        forecast = network(posed).prediction
        for index, origin in enumerate(ORIGINS):
            alone = network(posed.at_origin(origin), last=TAIL).prediction
            torch.testing.assert_close(forecast[:, index : index + 1], alone, rtol=1e-5, atol=1e-5)


def test_every_parameter_has_a_gradient() -> None:
    network = model(known_season=True).train()
    network(problem()).prediction.square().mean().backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in network.parameters())


def test_the_layout_of_attention() -> None:
    allowed, positions = attention_layout((2, 3), tail=2, patch=1)
    assert positions.tolist() == [0, 1, 2, 2, 3, 3, 4]
    expected = [
        [1, 1, 0, 0, 0, 0, 0],  # before the first origin, in both directions
        [1, 1, 0, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0, 0],  # after it, causal
        [1, 1, 0, 1, 1, 0, 0],  # the tail of the first origin
        [1, 1, 0, 1, 1, 0, 0],
        [1, 1, 1, 0, 0, 1, 1],  # the tail of the second one
        [1, 1, 1, 0, 0, 1, 1],
    ]
    assert allowed.int().tolist() == expected


@pytest.mark.parametrize(
    ("origins", "tail", "steps"), [((), 8, 64), ((8, 8), 8, 64), ((4,), 8, 64), ((56,), 16, 64), ((8,), 4, 64)]
)
def test_origins_off_the_grid_or_outside_the_window_are_refused(
    origins: tuple[int, ...], tail: int, steps: int
) -> None:
    with pytest.raises(ValueError, match="expected ascending multiples of the patch"):
        check_origins(origins, tail=tail, patch=PATCH, num_steps=steps)


def test_several_channels_are_refused() -> None:
    posed = problem()
    wide = Problem(
        *(field.expand(-1, 2, -1) for field in (posed.values, posed.visible, posed.wanted)), origins=(64,), tail=8
    )
    with pytest.raises(ValueError, match="windows of one channel"):
        model()(wide)


def test_layers_across_channels_that_single_channels_skip_allow_a_shared_context() -> None:
    plain = model()
    mixed = Model.from_spec(plain.spec() | {"backbone": plain.spec()["backbone"] | {"mix_every": 1, "mix_heads": 2}})
    skipping_spec = mixed.spec()
    skipping_spec["backbone"]["mix_single"] = False
    skipping = Model.from_spec(skipping_spec).eval()
    skipping.load_state_dict(plain.state_dict(), strict=False)
    assert (mixed.backbone.shares_context, skipping.backbone.shares_context) == (False, True)
    with torch.no_grad():
        assert torch.equal(skipping(problem()).prediction, plain(problem()).prediction)
