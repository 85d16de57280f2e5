"""Laws of the corpus: a batch follows from (seed, epoch, position, rank) alone, and what is held out reaches none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.data.test_pool import seeded, store
from tsfm.data.corpus import CorpusConfig, CorpusData
from tsfm.data.loader import WindowLoader
from tsfm.data.mixture import GROUP_SIZE, CorpusPlan
from tsfm.data.mixup import blend_rows, couple_channels, mix_rows, zscore_rows
from tsfm.data.splits import holdout_length
from tsfm.synthetic.mixture import GeneratorMixtureConfig
from tsfm.types import NO_TIMESTAMP, TARGET, Batch

FEW = GeneratorMixtureConfig(weights={"ets": 1.0, "random_walk": 1.0})
SMALL: dict[str, Any] = {
    "lengths": [32, 64], "length_weights": [0.5, 0.5], "batch_values": 512, "batches_per_epoch": 40, "val_windows": 20,
    "generators": FEW,
}  # fmt: skip
LENGTHS = (300, 500, 240, 90)


def walk(length: int, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.normal(size=length).cumsum() + 3 * np.sin(np.arange(length) / 4)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("corpus") / "set"
    store(folder, [walk(n, seed) for seed, n in enumerate(LENGTHS)])
    return str(folder)


def corpus(*paths: str, seed: int = 0, **settings: Any) -> CorpusData:
    data = CorpusData(CorpusConfig(sets=list(paths), **SMALL | settings), seed=seed)
    data.setup()
    return data


def loader(data: CorpusData, *, rank: int = 0, seed: int | None = None) -> WindowLoader:
    plan = CorpusPlan(data.config.batches_per_epoch, seed=data.seed if seed is None else seed, rank=rank)
    return WindowLoader(data.windows("train"), plan)


def equal(batch: Batch, other: Batch) -> bool:
    return torch.equal(batch.values, other.values) and torch.equal(batch.observed, other.observed)


def test_every_batch_has_one_of_the_lengths_and_as_many_windows_as_its_values_allow(path: str) -> None:
    seen = []
    for batch in loader(corpus(path)):
        num, channels, steps = batch.values.shape
        assert (num, channels) == (512 // steps, 1)
        assert torch.isfinite(batch.values).all()
        assert (batch.values[~batch.observed] == 0).all()
        assert batch.observed.any()
        seen.append(steps)
    assert len(seen) == 40
    assert set(seen) == {32, 64}


def test_batches_made_ahead_are_the_same_bits_also_after_a_resume(path: str) -> None:
    data = corpus(path, seasons=True)
    whole = loader(data)
    expected = [*whole, *whole]  # two epochs of 40 batches
    data.prefetch = 3
    state = torch.get_rng_state()
    prefetched = data.train_dataloader()
    batches = list(prefetched)
    iterator = iter(prefetched)
    batches += [next(iterator) for _ in range(11)]
    resumed = data.train_dataloader()
    resumed.load_state_dict(prefetched.state_dict())
    batches += list(resumed)
    assert len(batches) == len(expected)
    assert all(equal(batch, other) for batch, other in zip(batches, expected, strict=True))
    assert all(torch.equal(batch.seasons, other.seasons) for batch, other in zip(batches, expected, strict=True))
    assert torch.equal(torch.get_rng_state(), state)


def test_the_lengths_have_their_shares(path: str) -> None:
    data = corpus(path, real_rate=1.0, lengths=[32, 48, 64], length_weights=[0.0, 0.8, 0.2], batches_per_epoch=320)
    steps = torch.tensor([batch.values.shape[-1] for batch in loader(data)])
    assert set(steps.tolist()) == {48, 64}
    assert abs((steps == 48).float().mean() - 0.8) < 0.08


def test_a_batch_follows_from_seed_epoch_position_and_rank_alone(path: str) -> None:
    data = corpus(path)
    whole = list(loader(data))
    again = list(loader(corpus(path)))
    assert all(equal(a, b) for a, b in zip(whole, again, strict=True))
    windows = corpus(path).windows("train")
    for position in (33, 0, 39, 31, 5):  # in any order, from groups that are drawn anew
        draws, bounds = CorpusPlan(40, seed=0).draw(0, position, position + 1)
        assert equal(windows.cut(windows.prepare(draws), *bounds.tolist()), whole[position])
    torch.manual_seed(17)
    assert equal(next(iter(loader(corpus(path)))), whole[0])


def test_seeds_epochs_positions_and_ranks_differ() -> None:
    data = corpus(real_rate=0.0, lengths=[32], length_weights=[1.0])
    batches = list(loader(data))
    later = loader(data)
    later.set_epoch(1)
    others = [next(iter(other)) for other in (later, loader(data, rank=1), loader(data, seed=1))]
    for other in [*others, batches[1], batches[GROUP_SIZE - 1], batches[GROUP_SIZE]]:
        alike = torch.cdist(batches[0].values[:, 0], other.values[:, 0], compute_mode="donot_use_mm_for_euclid_dist")
        assert alike.min() > 1e-3, "a window comes twice"


def test_a_loader_goes_on_where_its_state_was_saved(path: str) -> None:
    data = corpus(path)
    whole, states, epochs = loader(data), [], []
    for _ in range(2):
        for batch in whole:
            epochs.append(batch)
            states.append(json.dumps(whole.state_dict()))
    for done in (1, GROUP_SIZE + 1, 40, 57):
        other = loader(data)
        other.load_state_dict(json.loads(states[done - 1]))
        rest = [batch for _ in range(2 if done <= 40 else 1) for batch in other]  # after 40 the first pass is empty
        assert len(rest) == 80 - done
        assert all(equal(a, b) for a, b in zip(rest, epochs[done:], strict=True))


@pytest.mark.parametrize("settings", [{}, {"real_rate": 1.0, "resample_rate": 1.0}, {"channels": 2}], ids=str)
def test_held_out_steps_cannot_change_any_batch(settings: dict[str, Any], tmp_path: Path) -> None:
    rows = [walk(n, seed) for seed, n in enumerate(LENGTHS)]
    poked = [row.copy() for row in rows]
    for row in poked:
        row[len(row) - holdout_length(len(row), 48) :] = 1e6
    store(tmp_path / "a", rows)
    store(tmp_path / "b", poked)
    original, changed = corpus(str(tmp_path / "a"), **settings), corpus(str(tmp_path / "b"), **settings)
    assert all(equal(a, b) for a, b in zip(loader(original), loader(changed), strict=True))
    ends = [data.windows("val").gather(np.arange(4)).values for data in (original, changed)]
    assert not torch.equal(*ends)
    assert (ends[1][..., -1] == 1e6).all()


def test_validation_windows_are_the_same_at_every_call_and_each_belongs_to_one_rank(path: str) -> None:
    data = corpus(path, val_windows=50)
    windows = data.windows("val")
    assert len(windows) == len(LENGTHS)
    batches_by_rank = [list(WindowLoader(windows, plan)) for plan in (data.val_dataloader().plan,)]
    assert sum(len(batch.values) for batch in batches_by_rank[0]) == len(windows)
    assert torch.equal(corpus(path, val_windows=50).windows("val").values.nan_to_num(), windows.values.nan_to_num())


def test_synthetic_alone_needs_no_data_and_has_no_validation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TSFM_DATA", str(tmp_path / "nowhere"))
    data = CorpusData(CorpusConfig(real_rate=0.0, **SMALL))
    data.setup()
    assert data.fingerprints == []
    assert data.val_dataloader() == []
    assert len(data.windows("val")) == 0
    assert torch.isfinite(next(iter(loader(data))).values).all()


def test_a_corpus_of_real_windows_alone_has_no_synthetic_series(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = corpus(path, real_rate=1.0, resample_rate=0.0, mix_rate=0.0)
    windows = data.windows("train")
    windows.augment = lambda rows, generator: rows
    draws, bounds = CorpusPlan(1, seed=0).draw(0, 0, 1)
    batch = windows.cut(draws, *bounds.tolist())
    rows = [walk(n, seed).astype(np.float32) for seed, n in enumerate(LENGTHS)]
    steps = batch.values.shape[-1]
    runs = torch.cat([torch.from_numpy(row).unfold(-1, steps, 1) for row in rows])
    whole = batch.values[batch.observed.all(-1)]
    distance = torch.cdist(whole, zscore_rows(runs), compute_mode="donot_use_mm_for_euclid_dist").amin(-1)
    assert distance.max() < 1e-3


def test_the_share_of_real_windows_is_real_rate(path: str) -> None:
    windows = corpus(path, real_rate=0.75, mix_rate=0.0).windows("train")
    for rows in windows.draw_synthetic(5):
        num = 512 // rows.shape[-1]
        assert len(rows) == num - round(0.75 * num)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_windows_of_several_channels(channels: int, path: str) -> None:
    data = corpus(path, channels=channels)
    assert data.num_channels == channels
    batch = next(iter(loader(data)))
    num, num_channels, steps = batch.values.shape
    assert (num, num_channels) == (512 // steps // channels, channels)


def test_timestamps_are_those_of_real_windows_and_change_no_value(path: str) -> None:
    plain, timed = list(loader(corpus(path))), list(loader(corpus(path, timestamps=True)))
    known, num = 0, 0
    for batch, other in zip(timed, plain, strict=True):
        assert torch.equal(batch.values, other.values)
        assert other.timestamps is None
        assert batch.timestamps is not None
        has_timestamps = (batch.timestamps != NO_TIMESTAMP).any(dim=-1)
        known, num = known + int(has_timestamps.sum()), num + len(has_timestamps)
        steps = batch.timestamps.diff(dim=-1)[has_timestamps]
        assert (steps >= 0).all()  # 0 before the first step of a series
    assert 0 < known < num  # synthetic series, and those whose time was changed, have none


def test_means_of_several_series_have_no_timestamps(path: str) -> None:
    for batch in loader(corpus(path, timestamps=True, mix_rate=1.0)):
        assert batch.timestamps is not None
        assert (batch.timestamps == NO_TIMESTAMP).all()


def test_a_share_of_the_windows_has_covariates_and_the_others_stay_as_they_are(path: str) -> None:
    settings: dict[str, Any] = {"channels": 3, "seasons": True, "coupling_rate": 0.5}
    without = list(loader(corpus(path, **settings)))
    batches = list(loader(corpus(path, covariate_rate=0.5, **settings)))
    assert all(batch.role is None for batch in without)
    kept, changed, num = 0, 0, 0
    for batch, plain in zip(batches, without, strict=True):
        assert batch.role is not None
        assert (batch.role[:, 0] == TARGET).all()
        assert (batch.values[~batch.observed] == 0).all()
        assert torch.isfinite(batch.values).all()
        same = (batch.values == plain.values).flatten(1).all(-1)
        targets_alone = (batch.role == TARGET).all(-1)
        assert batch.seasons is not None
        assert plain.seasons is not None
        assert torch.equal(batch.seasons, plain.seasons)
        kept, num = kept + int((targets_alone & same).sum()), num + len(same)
        changed += int((targets_alone & ~same).sum())  # windows of further targets alone
    assert abs(kept / num - 0.5) < 0.15
    assert changed / num < 0.05
    again = corpus(path, covariate_rate=0.5, **settings)
    assert all(equal(a, b) for a, b in zip(batches, loader(again), strict=True))


def test_a_share_of_the_batches_has_windows_of_one_channel(path: str) -> None:
    batches = list(loader(corpus(path, channels=2, univariate_rate=0.5, covariate_rate=1.0)))
    single = [batch.values.shape[1] == 1 for batch in batches]
    assert 0.2 < sum(single) / len(single) < 0.8
    for batch, is_single in zip(batches, single, strict=True):
        num, channels, steps = batch.values.shape
        assert num * channels == 512 // steps // 2 * 2
        assert (batch.role is None) == is_single


def test_fingerprints_of_every_real_series_are_kept(path: str, tmp_path: Path) -> None:
    store(tmp_path / "two", [walk(200, 9)])
    data = corpus(path, str(tmp_path / "two"))
    assert len(set(data.fingerprints)) == len(LENGTHS) + 1


def test_sets_are_those_with_the_role_of_a_corpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "forecasting").mkdir()
    listed = [
        {"file": "forecasting/one.parquet", "role": "corpus"},
        {"file": "forecasting/two.parquet", "role": "benchmark"},
    ]
    (tmp_path / "forecasting" / "manifest.json").write_text(json.dumps({"datasets": listed}))
    monkeypatch.setenv("TSFM_DATA", str(tmp_path))
    assert CorpusData(CorpusConfig(**SMALL)).names == ["one"]
    monkeypatch.setenv("TSFM_DATA", str(tmp_path / "nowhere"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"no data set of the role `corpus` was found; set TSFM_DATA"):
        CorpusData(CorpusConfig(**SMALL)).setup()


def test_scaled_rows_have_mean_0_and_standard_deviation_1_in_any_unit() -> None:
    rows = torch.randn(20, 64, generator=seeded())
    rows[:, ::5] = torch.nan
    rows[0] = 7.0
    rows[1] = torch.nan
    scaled = zscore_rows(rows)
    assert torch.equal(scaled.isnan(), rows.isnan())
    assert (scaled[0] == 0).all()
    torch.testing.assert_close(scaled[2:].nanmean(-1), torch.zeros(18), atol=1e-6, rtol=0)
    torch.testing.assert_close(scaled[2:].square().nanmean(-1), torch.ones(18), atol=1e-5, rtol=0)
    for factor, shift in ((1e6, -4e6), (1e-6, 0.0), (1e30, 0.0)):
        torch.testing.assert_close(
            zscore_rows(factor * rows[2:] + shift), scaled[2:], atol=1e-4, rtol=1e-4, equal_nan=True
        )


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_mixed_rows_are_between_their_sources_and_missing_steps_stay_missing(share: float) -> None:
    rows = torch.arange(50.0)[:, None].expand(50, 16).clone()
    rows[::3, 4] = torch.nan
    mixed = mix_rows(rows, share, seeded())
    assert torch.equal(mixed.isnan(), rows.isnan())
    assert mixed.nan_to_num(0.0).max() < 50
    assert mixed.nan_to_num(0.0).min() >= 0
    changed = ((mixed != rows) & ~rows.isnan()).any(-1).float().mean()
    assert abs(changed - share) < 0.15
    same = torch.ones(50, 16)
    torch.testing.assert_close(mix_rows(same, share, seeded()), same)


def test_a_coupled_channel_is_itself_plus_a_weighted_later_copy_of_another() -> None:
    windows = torch.randn(100, 2, 64, generator=seeded())
    windows[0, 0, 3] = torch.nan
    assert torch.equal(couple_channels(windows, 0.0, seeded()).nan_to_num(), windows.nan_to_num())
    mixed = couple_channels(windows, 1.0, seeded())
    assert torch.equal(mixed.isnan(), windows.isnan())
    added = (mixed - windows)[1:, 0]
    for row, window in zip(added, windows[1:], strict=True):
        # what was added is one of the channels, by one weight, 0 to 16 steps later
        fits = []
        for source in window:
            for late in range(17):
                shifted = source[(torch.arange(64) - late).clamp_min(0)]
                weight = (row * shifted).sum() / shifted.square().sum()
                fits.append(((row - weight * shifted).abs().max().item(), abs(weight.item())))
        off, weight = min(fits)
        assert off < 1e-5
        assert weight <= 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"real_rate": 1.2}, r"data\.real_rate is 1\.2; expected a number"),
        ({"real_rate": float("nan")}, r"data\.real_rate is nan"),
        ({"mix_rate": -1.0}, r"data\.mix_rate is -1\.0"),
        ({"resample_rate": 2.0}, r"data\.resample_rate is 2\.0"),
        ({"temperature": 3.0}, r"data\.temperature is 3\.0"),
        ({"coupling_rate": -0.1}, r"data\.coupling_rate is -0\.1"),
        ({"lengths": [64]}, r"data\.lengths \[64\] and data\.length_weights \[0\.5, 0\.5\] belong together"),
        ({"lengths": [], "length_weights": []}, r"data\.lengths \[\]"),
        ({"lengths": [8, 64]}, r"windows of at least 32 steps"),
        ({"length_weights": [0.0, 0.0]}, r"data\.length_weights is \[0\.0, 0\.0\]"),
        ({"length_weights": [-1.0, 2.0]}, r"data\.length_weights is \[-1\.0, 2\.0\]"),
        ({"length_weights": [float("nan"), 1.0]}, r"data\.length_weights is \[nan, 1\.0\]"),
        ({"covariate_rate": 0.5}, r"data\.covariate_rate is 0\.5 and data\.channels 1; .*set data\.channels=2"),
        ({"univariate_rate": -0.5}, r"data\.univariate_rate is -0\.5"),
        ({"batch_values": 63}, r"data\.batch_values is 63, less than one window of 64"),
        ({"batch_values": 100, "channels": 2}, r"data\.batch_values is 100, less than one window of 128"),
        ({"channels": 0}, r"data\.channels is 0"),
        ({"batches_per_epoch": 0}, r"data\.batches_per_epoch is 0"),
        ({"eval_batch_size": 0}, r"data\.eval_batch_size is 0"),
        ({"val_windows": 0}, r"data\.val_windows is 0"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CorpusConfig(**SMALL | settings)


def test_data_that_are_not_there_or_too_short_say_so(path: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown data set 'nosuchset'"):
        corpus("nosuchset")
    store(tmp_path / "short", [walk(20, 0)])
    with pytest.raises(ValueError, match="have no series of 16 steps to learn from"):
        corpus(str(tmp_path / "short"))
    with pytest.raises(ValueError, match="unknown split 'trian'; did you mean 'train'"):
        corpus(path).windows("trian")
    config = replace(corpus(path).config, lengths=[2048], length_weights=[1.0], batch_values=4096)
    with pytest.raises(ValueError, match="2048"):
        next(iter(loader(CorpusData(config))))


def test_a_blend_lies_between_a_real_and_a_synthetic_row_and_keeps_gaps() -> None:
    """Real rows are even, synthetic ones odd functions of time, so both weights can be read off."""
    t = torch.linspace(-3, 3, 61)
    real, synthetic = torch.cos(t).expand(400, -1).clone(), torch.sin(t).expand(7, -1)
    real[:, 5] = torch.nan
    blended = blend_rows(real, synthetic, 0.4, seeded())
    assert blended[:, 5].isnan().all()
    assert not blended[:, :5].isnan().any()
    changed = (blended != real)[:, 6:].any(-1)
    assert changed.float().mean() == pytest.approx(0.4, abs=0.08)
    even = (blended[changed, 10] + blended[changed, 50]) / (2 * torch.cos(t[10]))
    odd = (blended[changed, 50] - blended[changed, 10]) / (2 * torch.sin(t[50]))
    assert torch.allclose(even + odd, torch.ones(len(even)), atol=1e-5)
    assert even.min() >= -1e-5
    assert odd.min() >= -1e-5
    assert odd.std() > 0.1


def test_no_blend_draws_nothing_and_changes_nothing() -> None:
    rows, generator = torch.randn(5, 40, generator=seeded()), seeded()
    before = generator.get_state()
    assert blend_rows(rows, torch.zeros(3, 40), 0.0, generator) is rows
    assert blend_rows(rows, torch.zeros(0, 40), 0.5, generator) is rows
    assert torch.equal(generator.get_state(), before)


def test_blends_change_batches_and_stay_reproducible(path: str) -> None:
    plain, blended, again = (corpus(path, real_rate=0.5, blend_rate=rate).first_batch() for rate in (0.0, 1.0, 1.0))
    assert equal(blended, again)
    assert plain.values.shape == blended.values.shape
    assert not torch.equal(plain.values, blended.values)


@pytest.mark.parametrize("real_rate", [0.0, 1.0])
def test_a_blend_without_real_or_synthetic_series_is_refused(real_rate: float) -> None:
    with pytest.raises(ValueError, match=r"data\.blend_rate is 0\.2 and data\.real_rate"):
        CorpusConfig(real_rate=real_rate, blend_rate=0.2)
