"""Laws of the pool: which steps a window may show, what resampling does, and how often each series is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from tsfm.data import balance
from tsfm.data.pool import FACTORS, MIN_STEPS, SeriesPool, build_pool, resampled_seasons
from tsfm.data.splits import holdout_length
from tsfm.store.series_store import SeriesStore, StoreWriter
from tsfm.types import NO_TIMESTAMP

HOURLY = 48  # steps that are held out at least
MARKER = 1e6


def store(path: Path, series: Sequence[np.ndarray], *, freq: str = "h") -> SeriesStore:
    arrays = [np.atleast_2d(values).astype(np.float32) for values in series]
    with StoreWriter(path, channels=[f"c{i}" for i in range(len(arrays[0]))]) as writer:
        for i, values in enumerate(arrays):
            writer.add(f"s{i}", values, np.datetime64("2024-01-01", "us"), freq)
    return SeriesStore.open(path)


def ramp(length: int, *, number: int = 0) -> np.ndarray:
    """Series `number` holds number * 100,000 + step, exact in float32."""
    return 100_000.0 * number + np.arange(length)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def marked(length: int) -> np.ndarray:
    """A ramp whose held-out end is the marker."""
    values = ramp(length)
    values[length - holdout_length(length, HOURLY) :] = MARKER
    return values


@pytest.mark.parametrize("resample", [0.0, 1.0])
@pytest.mark.parametrize("steps", [32, 100, 256])
def test_no_window_holds_a_step_that_is_held_out(steps: int, resample: float, tmp_path: Path) -> None:
    lengths = [100, 133, 700, 5000]
    two_channels = store(tmp_path / "one", [np.stack([marked(n), marked(n)]) for n in lengths])
    one_channel = store(tmp_path / "two", [marked(n) for n in lengths])
    drawn = (
        build_pool([two_channels, one_channel], temperature=0.5).draw(2000, steps, seeded(), resample=resample).values
    )
    assert torch.isfinite(drawn).any(-1).all()
    assert drawn.nan_to_num(0.0).max() < max(lengths), "a held-out step"
    everything = (
        build_pool([two_channels, one_channel], temperature=0.5, hold_out=False).draw(2000, steps, seeded()).values
    )
    assert everything.nan_to_num(0.0).max() == MARKER


def test_a_window_is_a_run_of_one_series_and_every_step_that_is_trained_can_be_its_last(tmp_path: Path) -> None:
    lengths = [400, 150, 90]
    drawn = build_pool([store(tmp_path / "s", [ramp(n, number=i) for i, n in enumerate(lengths)])], temperature=0.5)
    windows = drawn.draw(30_000, 64, seeded()).values
    seen = ~windows.isnan()
    assert (seen[:, 1:] | ~seen[:, :-1]).all(), "a hole within a window"
    assert (windows.diff()[seen[:, 1:] & seen[:, :-1]] == 1).all()
    number, last = windows[:, -1] // 100_000, windows[:, -1] % 100_000
    for i, length in enumerate(lengths):
        trained = length - holdout_length(length, HOURLY)
        ends = set(last[number == i].int().tolist())
        assert ends == set(range(min(64, trained) - 1, trained))
        whole = seen[number == i].sum(-1)
        assert (whole == min(64, trained)).all()


def test_resampling_takes_the_mean_of_whole_groups_of_steps(tmp_path: Path) -> None:
    """On a ramp, means of f steps are f apart, and each is the middle of its group."""
    drawn = build_pool([store(tmp_path / "s", [ramp(20_000)])], temperature=0.5)
    windows = drawn.draw(400, 64, seeded(), resample=1.0).values
    apart = windows.diff()
    assert (apart == apart[:, :1]).all()
    assert set(apart[:, 0].int().tolist()) == set(FACTORS)
    first = windows[:, 0] - (apart[:, 0] - 1) / 2
    assert torch.equal(first, first.round())
    assert (windows[:, -1] + (apart[:, 0] - 1) / 2).max() < 20_000 - holdout_length(20_000, HOURLY)
    shares = [
        (drawn.draw(4000, 64, seeded(), resample=rate).values.diff()[:, 0] > 1).float().mean() for rate in (0.0, 0.35)
    ]
    assert shares[0] == 0
    assert abs(shares[1] - 0.35) < 0.03


def test_a_series_is_never_averaged_to_a_few_steps(tmp_path: Path) -> None:
    """What is left at the coarser resolution is a quarter of the window at least."""
    drawn = build_pool([store(tmp_path / "s", [ramp(300)])], temperature=0.5)
    windows = drawn.draw(500, 128, seeded(), resample=1.0).values
    assert ((~windows.isnan()).sum(-1) >= 32).all()


def test_missing_steps_stay_missing_and_means_are_over_what_was_observed(tmp_path: Path) -> None:
    values = ramp(3000)
    values[::7] = np.nan
    values[500:700] = np.nan
    drawn = build_pool([store(tmp_path / "s", [values])], temperature=0.5)
    for row in drawn.draw(200, 64, seeded()).values.tolist():
        observed = [(i, value) for i, value in enumerate(row) if not np.isnan(value)]
        if observed:
            first = int(observed[0][1]) - observed[0][0]
            np.testing.assert_array_equal(row, values[first : first + 64].astype(np.float32))
    ends = torch.tensor([1000, 700])
    means = drawn._read(torch.zeros(2, dtype=torch.long), ends, steps=16, factor=4)
    for row, end in zip(means.numpy(), ends.tolist(), strict=True):
        groups = values[end - 64 : end].reshape(16, 4)
        counted = (~np.isnan(groups)).sum(-1)
        expected = np.where(counted > 0, np.nansum(groups, -1) / np.maximum(counted, 1), np.nan)
        np.testing.assert_allclose(row, expected, rtol=1e-6)
    assert np.isnan(means[1].numpy()).all()


@pytest.mark.parametrize("temperature", [0.0, 0.4, 1.0])
def test_a_set_weighs_its_number_of_values_to_the_temperature(
    temperature: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(balance, "MAX_VALUES", 5000)
    lengths = [[300, 900], [2000], [20_000]]
    stores = [store(tmp_path / f"s{i}", [ramp(n) for n in ns]) for i, ns in enumerate(lengths)]
    drawn = build_pool(stores, temperature=temperature)
    trained = [[n - holdout_length(n, HOURLY) for n in ns] for ns in lengths]
    sets = np.array([min(sum(ns), 5000) ** temperature for ns in trained])
    weight = drawn.weight.numpy()
    assert weight.sum() == pytest.approx(1)
    np.testing.assert_allclose([weight[0] + weight[1], weight[2], weight[3]], sets / sets.sum(), rtol=1e-6)
    assert weight[1] / weight[0] == pytest.approx((trained[0][1] / trained[0][0]) ** 0.5)


def test_series_are_drawn_as_often_as_they_weigh(tmp_path: Path) -> None:
    series = [ramp(n, number=i) for i, n in enumerate((200, 800, 3200))]
    drawn = build_pool([store(tmp_path / "s", series)], temperature=0.4)
    number = (drawn.draw(20_000, 32, seeded()).values[:, -1] // 100_000).long()
    share = torch.bincount(number, minlength=3) / 20_000
    torch.testing.assert_close(share.double(), drawn.weight, atol=0.02, rtol=0)


def test_series_too_short_to_learn_from_are_never_drawn(tmp_path: Path) -> None:
    """Neither those of a few steps, nor for long windows those that would be padding for the most part."""
    lengths = (2, 2 * MIN_STEPS - 2, 140, 2000)
    drawn = build_pool([store(tmp_path / "s", [ramp(n, number=i) for i, n in enumerate(lengths)])], temperature=0.4)
    assert drawn.weight[:2].tolist() == [0, 0]
    assert set((drawn.draw(2000, 32, seeded()).values[:, -1] // 100_000).tolist()) == {2, 3}
    assert set((drawn.draw(2000, 512, seeded()).values[:, -1] // 100_000).tolist()) == {3}


def test_windows_that_no_series_fills_are_refused_by_name(tmp_path: Path) -> None:
    drawn = build_pool([store(tmp_path / "s", [ramp(150)])], temperature=0.4)
    with pytest.raises(ValueError, match="1024"):
        drawn.draw(4, 1024, seeded())


def test_the_same_generator_seed_draws_the_same_windows(tmp_path: Path) -> None:
    drawn = build_pool([store(tmp_path / "s", [ramp(900), ramp(700)])], temperature=0.4)
    first, again, other = (drawn.draw(50, 64, seeded(seed), resample=0.5).values for seed in (0, 0, 1))
    torch.testing.assert_close(first, again, rtol=0, atol=0, equal_nan=True)
    assert not torch.equal(first.nan_to_num(), other.nan_to_num())


def test_last_windows_end_at_the_last_step_and_include_held_out_steps(tmp_path: Path) -> None:
    drawn = build_pool([store(tmp_path / "s", [ramp(900), ramp(40, number=1)])], temperature=0.4)
    windows = drawn.last_windows(torch.tensor([0, 1]), steps=64).numpy()
    np.testing.assert_array_equal(windows[0], ramp(900)[-64:])
    np.testing.assert_array_equal(windows[1], np.concatenate([np.full(24, np.nan), ramp(40, number=1)]))


def test_channels_are_series_of_their_own(tmp_path: Path) -> None:
    both = store(tmp_path / "both", [np.stack([ramp(300), ramp(300, number=1)]), np.stack([ramp(200), ramp(200)])])
    drawn: SeriesPool = build_pool([both], temperature=0.4)
    assert len(drawn) == 4
    assert drawn.total.tolist() == [300, 300, 200, 200]
    assert drawn.values[drawn.first].tolist() == [0, 100_000, 0, 0]


def test_nothing_to_learn_from_is_an_error(tmp_path: Path) -> None:
    for stores in ([], [store(tmp_path / "s", [ramp(20), ramp(8)])]):
        with pytest.raises(ValueError, match=rf"the {len(stores)} data sets have no series of {MIN_STEPS} steps"):
            build_pool(stores, temperature=0.4)


def test_timestamps_are_those_of_the_steps(tmp_path: Path) -> None:
    start = np.datetime64("2024-01-01", "s").astype(np.int64)
    pool = build_pool([store(tmp_path / "h", [ramp(5000), ramp(300)])], temperature=0.4)
    drawn = pool.draw(200, 128, seeded(), resample=0.5, timestamps=True)
    assert torch.equal(drawn.values.nan_to_num(), pool.draw(200, 128, seeded(), resample=0.5).values.nan_to_num())
    assert drawn.timestamps is not None
    factor = (drawn.values[:, 1] - drawn.values[:, 0]).round()
    first_step = drawn.values - (factor[:, None] - 1) / 2  # of the steps that a value is the mean of
    known = drawn.timestamps != NO_TIMESTAMP
    full = known.all(dim=-1)
    assert torch.equal((drawn.timestamps - start)[full].float(), 3600 * first_step[full])
    assert (known == drawn.values.isfinite())[full].all()
    monthly = build_pool([store(tmp_path / "m", [ramp(300)], freq="MS")], temperature=0.4)
    stamps = monthly.draw(4, 64, seeded(), timestamps=True).timestamps
    assert stamps is not None
    assert set(stamps.numpy().astype("M8[s]").astype("M8[M]").ravel() - np.datetime64("2024-01", "M")) <= set(
        np.arange(300).astype("m8[M]")
    )


def test_seasons_follow_the_frequency_and_the_resolution(tmp_path: Path) -> None:
    hourly = build_pool([store(tmp_path / "h", [ramp(5000)])], temperature=0.4)
    assert hourly.draw(8, 64, seeded()).seasons.tolist() == [[24, 168]] * 8
    drawn = hourly.draw(400, 64, seeded(), resample=1.0)
    steps = (drawn.values[:, 1] - drawn.values[:, 0]).round().long()
    for factor, seasons in zip(steps.tolist(), drawn.seasons.tolist(), strict=True):
        assert seasons == [24 // factor if 24 % factor == 0 and factor < 24 else seasons[0], seasons[1]]
        assert seasons[1] in (0, round(168 / factor))
    factors = torch.tensor([7, 24, 48])
    assert resampled_seasons(torch.tensor([[24, 168]] * 3), factors).tolist() == [[0, 24], [0, 7], [0, 0]]
    assert resampled_seasons(torch.tensor([[7, 365]]), torch.tensor([7])).tolist() == [[0, 52]]
    monthly = build_pool([store(tmp_path / "m", [ramp(300)], freq="MS")], temperature=0.4)
    assert monthly.draw(2, 32, seeded()).seasons.tolist() == [[12, 0]] * 2
