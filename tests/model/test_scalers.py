"""Laws of every registered scaler: undo is the inverse of apply, and only visible steps count."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tsfm.model.scalers import MAX_ARCSINH, Scaler, arcsinh
from tsfm.registry import SCALERS
from tsfm.types import MIN_RELATIVE_SCALE, Grid

NAMES = SCALERS.names()
EQUIVARIANT = [entry.name for entry in SCALERS if entry.component.equivariant]
CHANNELS, STEPS = 2, 40
fast = settings(max_examples=25, deadline=None)


def build(name: str, *, channels: int | None = CHANNELS, **config: Any) -> Scaler:
    grid = Grid(channels=channels, patches=5, patch=8, width=16)
    return SCALERS.build(SCALERS.config({"name": name, **config}), grid=grid)


@st.composite
def windows(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Noise of any level and scale that float32 can represent, with random steps visible."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32 - 1)))
    size = 10.0 ** draw(st.integers(-3, 3))
    level = size * draw(st.floats(-50, 50))
    values = torch.randn(3, CHANNELS, STEPS, generator=generator) * size + level
    visible = torch.rand(values.shape, generator=generator) < draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    return values, visible


def arrangements() -> list[dict[str, Any]]:
    plain = [{"name": name, "arcsinh": arcsinh} for name in NAMES for arcsinh in (False, True)]
    return plain + [{"name": "standard", "affine": True, "arcsinh": arcsinh} for arcsinh in (False, True)]


@pytest.mark.parametrize("config", arrangements(), ids=lambda c: "-".join(k for k in c if c[k]) + "-" + c["name"])
@fast
@given(window=windows())
def test_undo_is_the_inverse_of_apply(config: dict[str, Any], window: tuple[Tensor, Tensor]) -> None:
    values, visible = window
    scaler = build(**config)
    if config.get("affine"):
        with torch.no_grad():
            scaler.gain.copy_(torch.tensor([0.3, -2.0]))
            scaler.shift.copy_(torch.tensor([5.0, -1.0]))
    state = scaler.fit(values, visible)
    scaled = scaler.apply(values, state)
    again = scaler.undo(scaled[..., None], state)[..., 0]
    magnitude = values.abs().amax(dim=-1, keepdim=True) + state.scale
    if config["arcsinh"]:  # values beyond the limit come back as the limit
        far = ((values - state.loc) / state.scale).asinh().abs()
        assert torch.isfinite(again).all()
        again = torch.where(far < MAX_ARCSINH, again, values)
    assert ((again - values).abs() <= 2e-5 * magnitude).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("poison", [float("nan"), float("inf"), 1e30])
@fast
@given(window=windows())
def test_hidden_steps_never_enter_the_state(name: str, poison: float, window: tuple[Tensor, Tensor]) -> None:
    values, visible = window
    scaler = build(name)
    clean = scaler.fit(torch.where(visible, values, 0.0), visible)
    dirty = scaler.fit(torch.where(visible, values, poison), visible)
    assert torch.equal(clean.loc, dirty.loc)
    assert torch.equal(clean.scale, dirty.scale)


@pytest.mark.parametrize("name", NAMES)
@fast
@given(window=windows(), before=st.integers(0, 20), after=st.integers(0, 20))
def test_hidden_steps_around_a_series_do_not_matter(
    name: str, window: tuple[Tensor, Tensor], before: int, after: int
) -> None:
    values, visible = window
    pad = lambda x: torch.nn.functional.pad(x, (before, after))  # noqa: E731
    for short, long in zip(build(name).fit(values, visible), build(name).fit(pad(values), pad(visible)), strict=True):
        torch.testing.assert_close(long, short, rtol=1e-5, atol=1e-5 * float(values.abs().max()))


@pytest.mark.parametrize("name", EQUIVARIANT)
@pytest.mark.parametrize("arcsinh", [False, True])
@fast
@given(window=windows(), stretch=st.floats(0.01, 100), shift=st.floats(-100, 100))
def test_equivariant_scalers_give_the_same_for_shifted_and_multiplied_windows(
    name: str, arcsinh: bool, window: tuple[Tensor, Tensor], stretch: float, shift: float
) -> None:
    values, visible = window
    values = values.double()
    scaler = build(name, arcsinh=arcsinh)
    moved = stretch * values + shift * stretch * float(values.std())
    count = visible.sum(dim=-1, keepdim=True)
    plain = scaler.apply(values, scaler.fit(values, visible))
    other = scaler.apply(moved, scaler.fit(moved, visible))
    enough = (count > 2).expand_as(visible)  # one visible step has no scale
    torch.testing.assert_close(other[enough], plain[enough], rtol=1e-6, atol=1e-6)


def test_the_declared_equivariance_is_not_claimed_by_others() -> None:
    """A scaler that is not declared equivariant is not equivariant."""
    values = torch.randn(2, CHANNELS, STEPS, dtype=torch.float64)
    visible = torch.ones_like(values, dtype=torch.bool)
    for name in set(NAMES) - set(EQUIVARIANT):
        scaler, moved = build(name), 3 * values + 7
        plain, other = (scaler.apply(x, scaler.fit(x, visible)) for x in (values, moved))
        assert not torch.allclose(plain, other), name


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("level", [0.0, 0.1, -3.0, 1e7, -1e-12])
def test_a_constant_series_is_finite_and_comes_back(name: str, level: float) -> None:
    values = torch.full((1, CHANNELS, 336), level)
    visible = torch.ones_like(values, dtype=torch.bool)
    scaler = build(name)
    state = scaler.fit(values, visible)
    scaled = scaler.apply(values, state)
    assert (state.scale > 0).all()
    if name != "none":
        assert scaled.abs().max() <= 1.001
    torch.testing.assert_close(scaler.undo(scaled[..., None], state)[..., 0], values)


@pytest.mark.parametrize("name", NAMES)
def test_without_visible_steps_the_scale_is_1(name: str) -> None:
    values = torch.full((2, CHANNELS, STEPS), float("nan"))
    state = build(name).fit(values, torch.zeros_like(values, dtype=torch.bool))
    assert torch.equal(state.loc, torch.zeros(2, CHANNELS, 1))
    assert torch.equal(state.scale, torch.ones(2, CHANNELS, 1))


@pytest.mark.parametrize("name", EQUIVARIANT)
def test_a_huge_offset_stays_within_the_precision_of_float32(name: str) -> None:
    """1e7 + noise of 1: float32 steps there are 1 wide. Scaled values stay small and come back to a few steps."""
    noise = torch.randn(4, CHANNELS, 512, generator=torch.Generator().manual_seed(0))
    values = 1e7 + noise
    visible = torch.ones_like(values, dtype=torch.bool)
    scaler = build(name)
    state = scaler.fit(values, visible)
    scaled = scaler.apply(values, state)
    assert (state.scale >= MIN_RELATIVE_SCALE * 0.99e7).all()  # not the noise of rounding
    assert scaled.abs().max() < 1
    torch.testing.assert_close(scaler.undo(scaled[..., None], state)[..., 0], values, rtol=0, atol=4.0)


@pytest.mark.parametrize("name", [*EQUIVARIANT, "mean"])
@pytest.mark.parametrize("size", [1e-25, 1e-12, 1e12, 1e19, 1e30])
def test_values_of_any_size_in_float32_can_be_scaled(name: str, size: float) -> None:
    """The squares of such values overflow or underflow in float32; the scale does not."""
    values = torch.randn(2, CHANNELS, 64, generator=torch.Generator().manual_seed(0))
    visible = torch.ones_like(values, dtype=torch.bool)
    scaler = build(name)
    plain = scaler.apply(values, scaler.fit(values, visible))
    state = scaler.fit(values * size, visible)
    torch.testing.assert_close(scaler.apply(values * size, state), plain, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(scaler.undo(plain[..., None], state)[..., 0] / size, values, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_measured_in_float32(dtype: torch.dtype) -> None:
    values = (1000 + 10 * torch.randn(2, CHANNELS, 512, generator=torch.Generator().manual_seed(0))).to(dtype)
    state = build("standard").fit(values, torch.ones_like(values, dtype=torch.bool))
    assert state.loc.dtype == torch.float32
    torch.testing.assert_close(state.loc, values.float().mean(dim=-1, keepdim=True))


@fast
@given(window=windows())
def test_standard_and_robust_and_mean_are_those_of_numpy(window: tuple[Tensor, Tensor]) -> None:
    values, visible = (x.numpy() for x in window)
    for b, c in np.ndindex(*values.shape[:2]):
        values_seen = values[b, c][visible[b, c]].astype(np.float64)
        if len(values_seen) < 3:
            continue
        low, middle, high = np.quantile(values_seen, [0.25, 0.5, 0.75])
        expected = {
            "standard": (values_seen.mean(), values_seen.std()),
            "mean": (0.0, np.abs(values_seen).mean()),
            "robust": (middle, high - low),
            "last": (values_seen[-1], 1.0),
            "none": (0.0, 1.0),
        }
        size = np.abs(values_seen).max()
        for name, (loc, scale) in expected.items():
            state = build(name).fit(*window)
            assert state.loc[b, c].item() == pytest.approx(loc, rel=1e-5, abs=1e-5 * size)
            assert state.scale[b, c].item() == pytest.approx(scale, rel=2e-3, abs=1e-5 * size)


def test_robust_falls_back_where_most_steps_are_equal() -> None:
    values = torch.zeros(1, 1, 100)
    values[..., :10] = 5.0
    state = build("robust", channels=1).fit(values, torch.ones_like(values, dtype=torch.bool))
    assert state.loc.item() == 0.0
    assert state.scale.item() == pytest.approx((0.1 * 25) ** 0.5)


def test_robust_is_not_moved_by_an_outlier_and_standard_is() -> None:
    values = torch.randn(1, 1, 200, generator=torch.Generator().manual_seed(0))
    visible = torch.ones_like(values, dtype=torch.bool)
    hit = values.clone()
    hit[..., 7] = 1e4
    robust, standard = (build(name, channels=1) for name in ("robust", "standard"))
    assert (robust.fit(hit, visible).scale / robust.fit(values, visible).scale - 1).abs() < 0.1
    assert standard.fit(hit, visible).scale > 100 * standard.fit(values, visible).scale


def test_arcsinh_bounds_predictions() -> None:
    scaler = build("standard", arcsinh=True)
    values = torch.randn(1, CHANNELS, STEPS)
    state = scaler.fit(values, torch.ones_like(values, dtype=torch.bool))
    assert torch.isfinite(scaler.undo(torch.full((1, CHANNELS, 3, 1), 1e9), state)).all()


def test_arcsinh_is_that_of_torch_at_every_size() -> None:
    sizes = torch.cat([torch.zeros(1), torch.logspace(-38, 38, 1001)])
    x = torch.cat([sizes, -sizes])
    torch.testing.assert_close(arcsinh(x), x.double().asinh().float(), rtol=3e-7, atol=0)
    assert arcsinh(torch.tensor([torch.nan])).isnan().all()


def test_affine_needs_the_number_of_channels() -> None:
    with pytest.raises(ValueError, match=r"set model\.channels"):
        build("standard", channels=None, affine=True)


def test_affine_is_the_identity_initially_and_learns_one_gain_per_channel() -> None:
    plain, affine = build("standard"), build("standard", affine=True)
    values = torch.randn(3, CHANNELS, STEPS)
    visible = torch.ones_like(values, dtype=torch.bool)
    state = affine.fit(values, visible)
    assert torch.equal(plain.apply(values, state), affine.apply(values, state))
    with torch.no_grad():
        affine.gain[1] = 2.0
    changed = affine.apply(values, state) != plain.apply(values, state)
    assert changed[:, 1].all()
    assert not changed[:, 0].any()
    assert sum(p.numel() for p in affine.parameters()) == 2 * CHANNELS


def test_undo_serves_every_quantile_level() -> None:
    scaler = build("standard", arcsinh=True)
    values = torch.randn(3, CHANNELS, STEPS) * 5 + 20
    state = scaler.fit(values, torch.ones_like(values, dtype=torch.bool))
    quantiles = torch.randn(3, CHANNELS, STEPS, 9).sort(dim=-1).values
    undone = scaler.undo(quantiles, state)
    for q in range(9):
        torch.testing.assert_close(undone[..., q : q + 1], scaler.undo(quantiles[..., q : q + 1], state))
    assert (undone.diff(dim=-1) >= 0).all()  # order of quantiles is kept
