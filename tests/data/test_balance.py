"""Laws of the weights of data sets: bands of frequencies, temperature within a band, factors, the table of shares."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.data.test_pool import ramp, seeded, store
from tsfm.config import compose, typed
from tsfm.data.balance import BANDS, SetSeries, band_of, series_weights, set_factors
from tsfm.data.corpus import CorpusData
from tsfm.data.mixture import CorpusConfig
from tsfm.data.pool import SeriesPool, build_pool
from tsfm.data.shares import band_shares, corpus_shares, share_table
from tsfm.store.series_store import SeriesStore, StoreWriter


def series(lengths: list[int], band: int, factor: float = 1.0) -> SetSeries:
    return SetSeries(np.array(lengths), np.full(len(lengths), band), factor)


def stores(folder: Path) -> list[SeriesStore]:
    """Three hourly sets, one daily and one that is monthly and yearly."""
    plain = [("h", [900, 400]), ("h", [5000]), ("h", [700]), ("D", [800])]
    made = [store(folder / f"s{i}", [ramp(n) for n in ns], freq=freq) for i, (freq, ns) in enumerate(plain)]
    with StoreWriter(folder / "mixed", channels=["c"]) as writer:
        for name, freq, steps in (("months", "MS", 300), ("years", "YS", 60)):
            writer.add(name, ramp(steps)[None].astype(np.float32), np.datetime64("1900-01-01", "us"), freq)
    return [*made, SeriesStore.open(folder / "mixed")]


def sums(pool: SeriesPool, index: torch.Tensor) -> list[float]:
    return torch.zeros(int(index.max()) + 1, dtype=pool.weight.dtype).scatter_add(0, index, pool.weight).tolist()


@pytest.mark.parametrize(
    ("band", "freqs"),
    [
        ("sub-hourly", ["10s", "min", "30min", "59min"]),
        ("hourly", ["60min", "h", "6h"]),
        ("daily", ["D", "B", "24h", "2D"]),
        ("weekly", ["W-MON", "7D", "14D", "2W"]),
        ("monthly+", ["4W", "MS", "QS-OCT", "YE"]),
    ],
)
def test_bands_hold_the_frequencies_of_their_name(band: str, freqs: list[str]) -> None:
    assert {BANDS[band_of(freq)] for freq in freqs} == {band}


def test_every_band_has_the_same_weight_and_sets_keep_their_ratio_within(tmp_path: Path) -> None:
    made = stores(tmp_path)
    by_size = build_pool(made, temperature=0.4)
    balanced = build_pool(made, temperature=0.4, balance="frequency")
    bands = [value for value in sums(balanced, balanced.band) if value]
    assert bands == pytest.approx([1 / 3] * 3)
    old, new = sums(by_size, by_size.set_index), sums(balanced, balanced.set_index)
    assert new[1] / new[0] == pytest.approx(old[1] / old[0])
    assert new[2] / new[0] == pytest.approx(old[2] / old[0])
    assert old[0] + old[1] + old[2] > 0.5  # hourly sets were most of the corpus


def test_a_set_of_two_bands_counts_in_both() -> None:
    both = SetSeries(np.array([400, 100]), np.array([1, 4]))
    weights = series_weights([both, series([400], 1)], temperature=0.5, balance="frequency")
    assert weights.tolist() == pytest.approx([0.5, 1.0, 0.5])


def test_weights_by_size_are_the_formula_bit_for_bit() -> None:
    lengths = [[300, 900, 10], [2000], [7_000_000]]
    weights = series_weights([series(ns, 1) for ns in lengths], temperature=0.4, balance="size")
    expected = []
    for ns in lengths:
        share = np.sqrt(np.where(np.array(ns) >= 16, ns, 0).astype(np.float64))
        expected.append(share / share.sum() * min(float(sum(ns)), 3_000_000) ** 0.4)
    assert np.array_equal(weights, np.concatenate(expected))


@pytest.mark.parametrize("balance", ["size", "frequency"])
def test_a_factor_multiplies_the_weight_of_its_set(balance: str) -> None:
    plain = [series([500, 300], 1), series([400], 1)]
    lighter = [plain[0], series([400], 1, factor=0.1)]
    before, after = (series_weights(sets, temperature=0.4, balance=balance) for sets in (plain, lighter))
    assert after[2] / after[:2].sum() == pytest.approx(0.1 * before[2] / before[:2].sum())
    without = [plain[0], series([400], 1, factor=0.0)]
    assert series_weights(without, temperature=0.4, balance=balance)[2] == 0


def test_factors_are_found_by_name_and_unused_ones_are_reported() -> None:
    assert set_factors(["a", "b"], {"b": 0.1, "z": 2.0}) == ([1.0, 0.1], ["z"])


def test_a_corpus_with_factors_draws_the_set_less_often(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    paths = [store(tmp_path / name, [ramp(900)]).path for name in ("one", "two")]
    settings = {"sets": [str(path) for path in paths], "lengths": [32], "length_weights": [1.0]}
    data = CorpusData(CorpusConfig(**settings, factors={"two": 0.25, "tow": 0.5}))
    with caplog.at_level("WARNING", logger="tsfm"):
        weight = data.pool.weight
    assert float(weight[1] / weight[0]) == pytest.approx(0.25)
    assert "tow" in caplog.text


def test_a_larger_ratio_lets_shorter_series_into_long_windows(tmp_path: Path) -> None:
    made = [store(tmp_path / "s", [ramp(2000), ramp(150)])]
    strict, loose = (build_pool(made, temperature=0.4, length_ratio=ratio) for ratio in (3, 8))
    assert (strict.weights_for(768) > 0).tolist() == [True, False]
    assert (loose.weights_for(768) > 0).tolist() == [True, True]
    padded = loose.draw(300, 768, seeded()).values.isnan().any(-1)
    assert padded.any()


def test_shares_add_up_and_are_what_is_drawn(tmp_path: Path) -> None:
    made = stores(tmp_path)
    pool = build_pool(made, temperature=0.4, balance="frequency")
    names = ["a", "b", "c", "d", "e"]
    shares = corpus_shares(pool, names, lengths=[32, 256], length_weights=[0.25, 0.75])
    assert sum(share.weight for share in shares) == pytest.approx(1)
    assert sum(share.total for share in shares) == pytest.approx(1)
    drawn = torch.multinomial(pool.weights_for(256), 20_000, replacement=True, generator=seeded())
    counted = torch.bincount(pool.set_index[drawn], minlength=5) / 20_000
    assert [counted[names.index(share.name)].item() for share in shares] == pytest.approx(
        [share.drawn[1] for share in shares], abs=0.02
    )
    bands = band_shares(shares)
    assert [band.band for band in bands] == ["hourly", "daily", "monthly+"]
    assert sum(band.total for band in bands) == pytest.approx(1)
    table = share_table(shares, [32, 256])
    assert len(table.splitlines()) == 1 + len(bands) + len(shares)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"balance": "frequncy"}, r"data\.balance is 'frequncy'; did you mean 'frequency'"),
        ({"factors": {"etth1": -1.0}}, r"data\.factors\.etth1 is -1\.0; expected at least 0"),
        ({"length_ratio": 0}, r"data\.length_ratio is 0; it must be at least 1"),
    ],
)
def test_bad_settings_name_themselves(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CorpusConfig(**settings)


def test_the_balanced_corpus_draws_the_broad_mixture() -> None:
    balanced, broad = (typed(compose("train", ["task=pretrain", f"data={name}"])).data for name in CONFIGS)
    assert (balanced.balance, broad.balance) == ("frequency", "size")
    assert balanced.generators == broad.generators
    assert set(balanced.factors.values()) == {0.1}


CONFIGS = ("corpus_balanced", "corpus_broad")
