"""Laws of the lag features: what every step receives from the seasons before it."""

from __future__ import annotations

import math

import pytest
import torch

from tests.model.seasonal_series import lag_features, noise, random_mask, wave, windows
from tsfm.model import fill
from tsfm.model.fill import find_neighbours, interpolate
from tsfm.model.lag_features import (
    MAX_SEASONS,
    compute_lag_features,
    fold_by_phase,
    num_channel_features,
    num_step_features,
)
from tsfm.model.season_search import MIN_AUTOCORRELATION


@pytest.mark.parametrize("steps", [1, 2, 9, 37])
@pytest.mark.parametrize("rate", [0.0, 0.3, 0.9, 1.0, None])
def test_fold_by_phase_equals_a_search_step_by_step(steps: int, rate: float | None) -> None:
    """With gaps, and by the fast path for rows whose visible steps are contiguous (rate None)."""
    lag = torch.arange(1, steps + 3)
    rows, visible = noise(len(lag), steps), random_mask(len(lag), steps, rate=rate or 0.0)
    if rate is None:
        bounds = torch.randint(steps + 1, (2, len(lag), 1), generator=torch.Generator().manual_seed(0))
        visible = (torch.arange(steps) >= bounds.amin(0)) & (torch.arange(steps) < bounds.amax(0))
    previous, mean, following = fold_by_phase(rows, visible, lag)
    for i, season in enumerate(lag.tolist()):
        for t in range(steps):
            past = [float(rows[i, s]) for s in range(t - season, -1, -season) if visible[i, s]]
            future = [float(rows[i, s]) for s in range(t + season, steps, season) if visible[i, s]]
            newest = past[:MAX_SEASONS]
            expected = (
                past[0] if past else math.nan,
                sum(newest) / len(newest) if newest else math.nan,
                future[0] if future else math.nan,
            )
            result = tuple(float(feature[i, t]) for feature in (previous, mean, following))
            assert result == pytest.approx(expected, abs=1e-6, nan_ok=True), (season, t)


@pytest.mark.parametrize("poison", [1e30, float("nan"), float("inf")])
@pytest.mark.parametrize("num", [1, 2])
def test_hidden_values_cannot_matter(num: int, poison: float) -> None:
    values, visible = windows()
    line = interpolate(torch.where(visible, values, 0.0), visible)
    plain = compute_lag_features(values, visible, interpolated=line, num_lags=num)
    poked = compute_lag_features(torch.where(visible, values, poison), visible, interpolated=line, num_lags=num)
    assert all(torch.equal(a, b) for a, b in zip(plain, poked, strict=True))


@pytest.mark.parametrize("num", [1, 2])
def test_shapes_and_everything_finite(num: int) -> None:
    values, visible = windows()
    features = lag_features(values, visible, num_lags=num)
    assert features.values.shape == (*values.shape, num_step_features(num))
    assert features.deviation.shape == (*values.shape, 1)
    assert features.channel_features.shape == (4, 2, num_channel_features(num))
    assert features.unit.shape == (4, 2, 1)
    assert all(torch.isfinite(feature).all() for feature in features)
    assert ((features.unit > 0) & (features.unit <= 1)).all()


def test_features_of_an_exact_season_are_the_season() -> None:
    whole = wave(12, steps=120)[None, None]
    visible = torch.ones_like(whole, dtype=torch.bool)
    visible[..., 96:] = False
    features = lag_features(whole, visible)
    torch.testing.assert_close(
        features.values[..., 96:, :4], whole[..., 96:, None].expand(1, 1, 24, 4), atol=1e-5, rtol=0
    )
    following = features.values[..., :84, -1]
    torch.testing.assert_close(following, whole[..., :84], atol=1e-5, rtol=0)


@pytest.mark.parametrize(("factor", "shift"), [(1.0, 3.0), (2.0, 0.0), (0.5, -7.0), (-1.0, 0.0), (-2.0, 1.0)])
def test_affine_equivariance(factor: float, shift: float) -> None:
    values, visible = windows()
    plain, moved = lag_features(values, visible), lag_features(factor * values + shift, visible)
    torch.testing.assert_close(moved.values, factor * plain.values + shift, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(moved.channel_features[..., :4], plain.channel_features[..., :4], atol=1e-3, rtol=1e-3)


def test_rows_are_independent() -> None:
    values, visible = windows()
    whole = lag_features(values, visible)
    order = torch.tensor([2, 0, 3, 1])
    mixed = lag_features(values[order], visible[order])
    alone = lag_features(values[:1, 1:], visible[:1, 1:])
    for expected, permuted, single in zip(whole, mixed, alone, strict=True):
        torch.testing.assert_close(permuted, expected[order])
        torch.testing.assert_close(single, expected[:1, 1:])


@pytest.mark.parametrize("prefix", [1, 16, 200])
def test_hidden_steps_before_the_first_equal_a_shorter_series(prefix: int) -> None:
    values, visible = windows()
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
        features = lag_features(values, visible, num_lags=num)
        assert all(torch.isfinite(feature).all() for feature in features)
        if kind != "noise":
            line = interpolate(torch.where(visible, values, 0.0), visible)
            assert torch.equal(features.values, line[..., None].expand_as(features.values)), (
                "a season where there is none"
            )
            assert (features.channel_features[..., : 2 * num : 2] == 0).all()


def test_without_a_strong_season_the_features_are_the_interpolated_values() -> None:
    trend = torch.linspace(-1, 1, 64)[None, None]
    visible = torch.ones_like(trend, dtype=torch.bool)
    features = lag_features(trend, visible)
    assert (features.channel_features[..., 0] <= MIN_AUTOCORRELATION).all()
    assert torch.equal(features.values, trend[..., None].expand_as(features.values))


def test_the_path_for_windows_without_gaps_agrees_with_the_general_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a CPU may choose the path by the data; an accelerator and a compiled graph take the general one."""
    rng = torch.Generator().manual_seed(0)
    values = torch.randn(40, 2, 130, generator=rng).cumsum(dim=-1) + 5 * torch.sin(torch.arange(130) * 2 * math.pi / 12)
    ends = torch.randint(0, 131, (40, 2, 2), generator=rng).sort(dim=-1).values
    steps = torch.arange(130)
    visible = (steps >= ends[..., :1]) & (steps < ends[..., 1:])
    values = torch.where(visible, values, 0.0)
    line = interpolate(values, visible)
    neighbours = find_neighbours(visible, dtype=torch.float32)
    features = compute_lag_features(values, visible, interpolated=line, num_lags=2)
    monkeypatch.setattr(fill, "can_branch_on_data", lambda rows: False)
    monkeypatch.setattr("tsfm.model.season_search.can_branch_on_data", lambda rows: False)
    for fast, general in zip(neighbours, find_neighbours(visible, dtype=torch.float32), strict=True):
        assert torch.equal(fast, general)
    for fast, general in zip(
        features, compute_lag_features(values, visible, interpolated=line, num_lags=2), strict=True
    ):
        torch.testing.assert_close(fast, general, rtol=1e-4, atol=1e-4)


def known(seasons: list[list[int]], *, steps: int, visible_steps: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the previous value of the known season for each step of a ramp, and the channel features."""
    rows = torch.arange(steps, dtype=torch.float32).expand(len(seasons), 1, -1) / steps
    visible = (torch.arange(steps) < visible_steps).expand_as(rows)
    line = interpolate(torch.where(visible, rows, 0.0), visible)
    features = compute_lag_features(rows, visible, interpolated=line, num_lags=1, seasons=torch.tensor(seasons))
    return features.values[:, 0, :, 3] * steps, features.channel_features[:, 0]


def test_the_known_season_is_the_longest_one_that_is_visible_once() -> None:
    previous, features = known([[7, 30], [7, 50], [0, 0], [50, 90]], steps=60, visible_steps=40)
    hidden = torch.arange(40, 60)
    for row, lag in enumerate((30, 7)):
        expected = hidden - lag
        while (expected >= 40).any():  # the last visible value a whole number of seasons earlier
            expected = torch.where(expected >= 40, expected - lag, expected)
        torch.testing.assert_close(previous[row, 40:], expected.float(), rtol=0, atol=1e-3)
        assert features[row, 2] == 1
    for row in (2, 3):  # no season, or none that is visible: the last visible value
        torch.testing.assert_close(previous[row, 40:], torch.full((20,), 39.0), rtol=0, atol=1e-3)
        assert features[row, 2] == 0


def test_the_shapes_of_features_with_a_known_season() -> None:
    values, visible = windows()
    line = interpolate(torch.where(visible, values, 0.0), visible)
    seasons = torch.tensor([[24, 168]] * len(values))
    features = compute_lag_features(values, visible, interpolated=line, num_lags=2, seasons=seasons)
    assert features.values.shape[-1] == num_step_features(3)
    assert features.channel_features.shape[-1] == num_channel_features(3)
    assert all(bool(torch.isfinite(field).all()) for field in features)
