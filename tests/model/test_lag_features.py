"""Laws of the seasonal copies: which cycles are found, and what every step is shown of them."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from tsfm.model import fill
from tsfm.model.fill import find_neighbours, interpolate
from tsfm.model.lag_features import (
    MAX_SEASONS,
    LagFeatures,
    compute_lag_features,
    fold_by_phase,
    num_channel_features,
    num_step_features,
)
from tsfm.model.model import Model
from tsfm.model.model_config import ModelConfig
from tsfm.model.season_search import MIN_AUTOCORRELATION, find_seasonal_lags
from tsfm.model.seasonal_skip import SeasonalSkip
from tsfm.registry import BACKBONES, HEADS, SCALERS

STEPS = 512


def wave(period: float, *, steps: int = STEPS, seed: int = 0) -> Tensor:
    """A shape of this period with two harmonics, at a random phase."""
    phase = 2 * math.pi * torch.rand(3, generator=torch.Generator().manual_seed(seed))
    turn = 2 * math.pi * torch.arange(steps, dtype=torch.float64) / period
    return (torch.sin(turn + phase[0]) + 0.5 * torch.sin(2 * turn + phase[1]) + 0.2 * torch.sin(3 * turn)).float()


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def shown(*shape: int, rate: float = 0.8, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < rate


def lags(row: Tensor, visible: Tensor | None = None) -> tuple[list[int], list[float]]:
    visible = torch.ones_like(row, dtype=torch.bool) if visible is None else visible
    found, strength = find_seasonal_lags(row[None], visible[None])
    return found[0].tolist(), strength[0].tolist()


def lag_features(values: Tensor, visible: Tensor, *, num_lags: int = 2) -> LagFeatures:
    line = interpolate(torch.where(visible, values, 0.0), visible)
    return compute_lag_features(values, visible, interpolated=line, num_lags=num_lags)


def problem(*, steps: int = 200, seed: int = 0) -> tuple[Tensor, Tensor]:
    """[4, 2, steps] noisy waves with gaps and a hidden tail."""
    rows = torch.stack([wave(6 + 4 * i, steps=steps, seed=seed + i) for i in range(8)])
    rows = rows + 0.2 * noise(8, steps, seed=seed)
    visible = shown(8, steps, rate=0.9, seed=seed)
    visible[:, -steps // 4 :] = False
    return rows.unflatten(0, (4, 2)), visible.unflatten(0, (4, 2))


@pytest.mark.parametrize("steps", [1, 2, 9, 37])
@pytest.mark.parametrize("rate", [0.0, 0.3, 0.9, 1.0, None])
def test_fold_is_what_counting_back_and_ahead_finds(steps: int, rate: float | None) -> None:
    """With gaps, and by the short road of rows that show one run of steps, or none."""
    lag = torch.arange(1, steps + 3)
    rows, known = noise(len(lag), steps), shown(len(lag), steps, rate=rate or 0.0)
    if rate is None:
        bounds = torch.randint(steps + 1, (2, len(lag), 1), generator=torch.Generator().manual_seed(0))
        known = (torch.arange(steps) >= bounds.amin(0)) & (torch.arange(steps) < bounds.amax(0))
    back, mean, ahead = fold_by_phase(rows, known, lag)
    for i, one in enumerate(lag.tolist()):
        for t in range(steps):
            past = [float(rows[i, s]) for s in range(t - one, -1, -one) if known[i, s]]
            future = [float(rows[i, s]) for s in range(t + one, steps, one) if known[i, s]]
            newest = past[:MAX_SEASONS]
            expected = (
                past[0] if past else math.nan,
                sum(newest) / len(newest) if newest else math.nan,
                future[0] if future else math.nan,
            )
            found = tuple(float(part[i, t]) for part in (back, mean, ahead))
            assert found == pytest.approx(expected, abs=1e-6, nan_ok=True), (one, t)


@pytest.mark.parametrize("period", [5, 7, 12, 24, 37, 48, 96, 168])
@pytest.mark.parametrize("rough", [0.0, 0.5])
def test_a_planted_period_is_found(period: int, rough: float) -> None:
    row = wave(period, seed=period) + rough * noise(STEPS, seed=period)
    found, strength = lags(row)
    assert all(abs(lag % period) <= 1 or abs(lag % period - period) <= 1 for lag in found), found
    assert abs(found[0] - period) <= max(1, period // 20), found
    assert all(good > 0.4 for good in strength)


@pytest.mark.parametrize("slope", [-0.05, 0.05])
def test_a_trend_hides_no_period_and_makes_none(slope: float) -> None:
    trend = slope * torch.arange(STEPS)
    assert lags(wave(24) + trend)[0][0] == lags(wave(24))[0][0] == 24
    assert max(lags(trend + 1e-3 * noise(STEPS))[1]) < 0.4


def test_of_two_periods_the_short_one_and_the_best_one_are_found() -> None:
    day = wave(24, steps=1344)
    week = day * (1 + 0.8 * torch.sin(2 * math.pi * torch.arange(1344) / 168 + 1))
    found, strength = lags(week + 0.1 * noise(1344))
    assert found == [24, 168]
    assert strength[1] >= strength[0]


def test_gaps_move_no_lag() -> None:
    row = wave(24) + 0.2 * noise(STEPS)
    for rate in (0.9, 0.6):
        assert lags(row, shown(STEPS, rate=rate))[0][0] == 24


def test_a_period_seen_less_than_twice_is_none() -> None:
    assert all(2 * lag <= 150 for lag in lags(wave(100, steps=150))[0])


@pytest.mark.parametrize("seed", range(5))
def test_noise_has_no_strong_cycle(seed: int) -> None:
    assert max(lags(noise(STEPS, seed=seed))[1]) < 0.25


@pytest.mark.parametrize("poison", [1e30, float("nan"), float("inf")])
@pytest.mark.parametrize("num", [1, 2])
def test_hidden_values_cannot_matter(num: int, poison: float) -> None:
    values, visible = problem()
    line = interpolate(torch.where(visible, values, 0.0), visible)
    plain = compute_lag_features(values, visible, interpolated=line, num_lags=num)
    poked = compute_lag_features(torch.where(visible, values, poison), visible, interpolated=line, num_lags=num)
    assert all(torch.equal(a, b) for a, b in zip(plain, poked, strict=True))


@pytest.mark.parametrize("num", [1, 2])
def test_shapes_and_everything_finite(num: int) -> None:
    values, visible = problem()
    found = lag_features(values, visible, num_lags=num)
    assert found.values.shape == (*values.shape, num_step_features(num))
    assert found.deviation.shape == (*values.shape, 1)
    assert found.channel_features.shape == (4, 2, num_channel_features(num))
    assert found.unit.shape == (4, 2, 1)
    assert all(torch.isfinite(part).all() for part in found)
    assert ((found.unit > 0) & (found.unit <= 1)).all()


def test_copies_of_an_exact_cycle_are_the_cycle() -> None:
    whole = wave(12, steps=120)[None, None]
    visible = torch.ones_like(whole, dtype=torch.bool)
    visible[..., 96:] = False
    found = lag_features(whole, visible)
    torch.testing.assert_close(found.values[..., 96:, :4], whole[..., 96:, None].expand(1, 1, 24, 4), atol=1e-5, rtol=0)
    ahead = found.values[..., :84, -1]
    torch.testing.assert_close(ahead, whole[..., :84], atol=1e-5, rtol=0)


@pytest.mark.parametrize(("factor", "shift"), [(1.0, 3.0), (2.0, 0.0), (0.5, -7.0), (-1.0, 0.0), (-2.0, 1.0)])
def test_affine_equivariance(factor: float, shift: float) -> None:
    values, visible = problem()
    plain, moved = lag_features(values, visible), lag_features(factor * values + shift, visible)
    torch.testing.assert_close(moved.values, factor * plain.values + shift, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(moved.channel_features[..., :4], plain.channel_features[..., :4], atol=1e-3, rtol=1e-3)


def test_rows_do_not_know_each_other() -> None:
    values, visible = problem()
    whole = lag_features(values, visible)
    order = torch.tensor([2, 0, 3, 1])
    mixed = lag_features(values[order], visible[order])
    alone = lag_features(values[:1, 1:], visible[:1, 1:])
    for one, other, single in zip(whole, mixed, alone, strict=True):
        torch.testing.assert_close(other, one[order])
        torch.testing.assert_close(single, one[:1, 1:])


@pytest.mark.parametrize("prefix", [1, 16, 200])
def test_hidden_steps_before_the_first_equal_a_shorter_series(prefix: int) -> None:
    values, visible = problem()
    before = torch.full((4, 2, prefix), torch.nan)
    short = lag_features(values, visible)
    long = lag_features(
        torch.cat([before, values], -1), torch.cat([torch.zeros_like(before, dtype=torch.bool), visible], -1)
    )
    torch.testing.assert_close(long.values[..., prefix:, :], short.values, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(long.deviation[..., prefix:, :], short.deviation, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(long.channel_features, short.channel_features, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 8, 17])
@pytest.mark.parametrize("kind", ["noise", "constant", "zero", "hidden", "one"])
def test_short_and_empty_series_are_finite(steps: int, kind: str) -> None:
    level = {"constant": 5.0, "zero": 0.0}.get(kind)
    values = noise(2, 1, steps) if level is None else torch.full((2, 1, steps), level)
    visible = torch.ones(2, 1, steps, dtype=torch.bool)
    if kind in ("hidden", "one"):
        visible[:] = False
    if kind == "one":
        visible[..., steps // 2] = True
    for num in (1, 2):
        found = lag_features(values, visible, num_lags=num)
        assert all(torch.isfinite(part).all() for part in found)
        if kind != "noise":
            line = interpolate(torch.where(visible, values, 0.0), visible)
            assert torch.equal(found.values, line[..., None].expand_as(found.values)), "a cycle where there is none"
            assert (found.channel_features[..., : 2 * num : 2] == 0).all()


def test_a_line_without_cycles_is_shown_where_none_is_strong() -> None:
    trend = torch.linspace(-1, 1, 64)[None, None]
    visible = torch.ones_like(trend, dtype=torch.bool)
    found = lag_features(trend, visible)
    assert (found.channel_features[..., 0] <= MIN_AUTOCORRELATION).all()
    assert torch.equal(found.values, trend[..., None].expand_as(found.values))


@pytest.mark.parametrize("num", [1, 2])
def test_the_skip_begins_at_a_mean_of_line_and_copies(num: int) -> None:
    """At first no token moves the gates: where line and copies agree, the answer is that, whatever the token."""
    skip = SeasonalSkip(width=8, patch=16, num_lags=num)
    values, visible = problem(steps=64)
    found = lag_features(values, visible, num_lags=num)
    line = interpolate(torch.where(visible, values, 0.0), visible)
    agreed = found._replace(values=line[..., None].expand_as(found.values))
    read = torch.zeros(4, 2, 64, 3)
    out = skip(read, noise(4, 2, 4, 8), interpolated=line, lag_features=agreed)
    torch.testing.assert_close(out, line[..., None].expand(4, 2, 64, 3), atol=1e-5, rtol=1e-5)


def test_the_skip_adds_the_read_in_units_between_that_of_the_channel_and_1() -> None:
    skip = SeasonalSkip(width=8, patch=16, num_lags=2)
    values, visible = problem(steps=64)
    found = lag_features(values, visible)
    line = interpolate(torch.where(visible, values, 0.0), visible)
    tokens = noise(4, 2, 4, 8)
    zero = skip(torch.zeros(4, 2, 64, 1), tokens, interpolated=line, lag_features=found)
    one = skip(torch.ones(4, 2, 64, 1), tokens, interpolated=line, lag_features=found)
    added = (one - zero)[..., 0]
    assert (added >= found.unit - 1e-5).all()
    assert (added <= 1 + 1e-5).all()


def test_a_window_that_is_no_whole_number_of_patches_keeps_its_newest_gates() -> None:
    skip = SeasonalSkip(width=8, patch=16, num_lags=1)
    torch.nn.init.normal_(skip.gates.weight, generator=torch.Generator().manual_seed(0))
    values, visible = problem(steps=64)
    tokens, line = noise(4, 2, 4, 8), interpolate(torch.where(visible, values, 0.0), visible)
    found = lag_features(values, visible, num_lags=1)
    whole = skip(torch.zeros(4, 2, 64, 1), tokens, interpolated=line, lag_features=found)
    late = found._replace(values=found.values[..., 5:, :])
    part = skip(torch.zeros(4, 2, 59, 1), tokens, interpolated=line[..., 5:], lag_features=late)
    assert torch.equal(part, whole[..., 5:, :])


@pytest.mark.parametrize(
    ("shape", "head", "words"),
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
def test_a_model_that_can_show_no_copies_says_so(shape: dict[str, Any], head: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Model(
            ModelConfig(**{"embed": "residual", "fill": "linear", "seasonal_lags": 2} | shape),
            scaler=SCALERS.config({"name": "standard"}),
            backbone=BACKBONES.config({"name": "patch_transformer"}),
            head=HEADS.config({"name": head}),
        )


def test_what_has_no_gaps_is_told_as_if_it_might(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU windows without gaps go a shorter way; on an accelerator and in a graph nobody looks."""
    dice = torch.Generator().manual_seed(0)
    values = torch.randn(40, 2, 130, generator=dice).cumsum(dim=-1) + 5 * torch.sin(
        torch.arange(130) * 2 * math.pi / 12
    )
    ends = torch.randint(0, 131, (40, 2, 2), generator=dice).sort(dim=-1).values
    steps = torch.arange(130)
    visible = (steps >= ends[..., :1]) & (steps < ends[..., 1:])
    values = torch.where(visible, values, 0.0)
    line = interpolate(values, visible)
    near = find_neighbours(visible, dtype=torch.float32)
    short = compute_lag_features(values, visible, interpolated=line, num_lags=2)
    monkeypatch.setattr(fill, "can_branch_on_data", lambda rows: False)
    monkeypatch.setattr("tsfm.model.season_search.can_branch_on_data", lambda rows: False)
    for one, other in zip(near, find_neighbours(visible, dtype=torch.float32), strict=True):
        assert torch.equal(one, other)
    for one, other in zip(short, compute_lag_features(values, visible, interpolated=line, num_lags=2), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
