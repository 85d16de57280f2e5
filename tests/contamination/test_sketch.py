"""Laws of the leak check: each planted copy is found and named, nothing else is, a sketch is what it was built from."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scripts.leaks.clean_sets import SAME_SOURCE
from tsfm.contamination.matches import _plausible
from tsfm.contamination.patterns import hash_patterns, is_distinctive, normalize_channel, second_differences
from tsfm.contamination.resolutions import PAIRS, RESOLUTIONS, monthly_series
from tsfm.contamination.sketch import Sketch
from tsfm.store.catalog import resolve

FACTORS = (2, 3, 4, 6, 7, 12, 24)
# benchmark -> corpus sets that hold some of its values: the same source, named in the manifest or found by this check
SHARED = {
    name: sources for name, sources in SAME_SOURCE.items() if name not in ("city_weather_hourly", "dow_stocks_daily")
}


def noisy(length: int, rng: np.random.Generator) -> np.ndarray:
    """What real series look like: seasons, a drift and autocorrelated noise."""
    steps, noise = np.arange(length), rng.normal(size=length)
    for i in range(1, length):
        noise[i] += 0.6 * noise[i - 1]
    day = rng.normal() * np.sin(2 * np.pi * steps / 24 + rng.uniform(0, 6))
    walk = rng.normal(0, 0.05, length).cumsum()
    return (50 * np.exp(rng.normal()) + 5 * (day + walk + noise)).astype(np.float32)


def moved(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Scaled, shifted, in half of the cases flipped; in float32, as a copy of a file would be."""
    scale = np.float32(np.exp(rng.normal(0, 2)) * rng.choice([-1, 1]))
    shift = np.float32(rng.normal(0, 3) * np.nanstd(values) * scale)
    return (scale * values.astype(np.float32) + shift).astype(np.float32)


def means(values: np.ndarray, factor: int) -> np.ndarray:
    return values[: len(values) // factor * factor].reshape(-1, factor).mean(axis=1)


def sums(values: np.ndarray, factor: int) -> np.ndarray:
    return values[: len(values) // factor * factor].reshape(-1, factor).sum(axis=1)


def every(values: np.ndarray, factor: int) -> np.ndarray:
    return values[::factor]


def leak(i: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """What the corpus holds, and what is evaluated: one of six kinds of leaks, at random offsets."""
    coarser, factor = (means, every, sums)[i % 3], FACTORS[i % len(FACTORS)]
    kind = i % 6
    if kind == 0:  # a piece of the series
        whole = noisy(2000, rng)
        first = int(rng.integers(0, 1700))
        return moved(whole[first : first + 300], rng), whole
    if kind == 1:  # a piece of it, inside of another series
        whole, host = noisy(1500, rng), noisy(12000, rng)
        first, position = int(rng.integers(0, 1200)), int(rng.integers(0, 11000))
        host[position : position + 300] = moved(whole[first : first + 300], rng)
        return host, whole
    if kind == 2:  # the whole of a short one
        whole = noisy(int(rng.integers(45, 90)), rng)
        return moved(whole, rng), whole
    if kind in (3, 4):  # a coarser copy of a piece
        whole = noisy(260 * factor, rng)
        return moved(coarser(whole[int(rng.integers(0, 30 * factor)) :], factor)[:220], rng), whole
    whole = noisy(400 * factor, rng)  # the corpus has it finer, and the coarser steps begin anywhere
    return moved(whole, rng), coarser(whole[int(rng.integers(0, factor)) :], factor)


def test_each_of_120_planted_leaks_is_found_where_it_was_planted_and_nothing_else() -> None:
    rng = np.random.default_rng(1)
    planted = [leak(i, rng) for i in range(120)]
    others = [noisy(int(length), rng) for length in rng.integers(30, 4000, 60)]
    sketch = Sketch.build(
        [*(held for held, _ in planted), *others], [*(f"leak {i}" for i in range(120)), *(["other"] * 60)]
    )
    clean = [noisy(int(length), rng) for length in rng.integers(30, 4000, 60)]
    matches = sketch.find([*(evaluated for _, evaluated in planted), *clean])
    assert [(match.series, match.source) for match in matches] == [(i, f"leak {i}") for i in range(120)]


SMOOTH: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "a sine": lambda rng: np.sin(2 * np.pi * np.arange(900) / rng.choice([7, 12, 24]) + rng.uniform(0, 6)),
    "two seasons": lambda rng: sum(
        rng.uniform(1, 2) * np.sin(2 * np.pi * np.arange(900) / p + rng.uniform(0, 6)) for p in (24, 168)
    ),
    "growth": lambda rng: np.exp(np.arange(900) * rng.uniform(0.001, 0.01)),
    "a line": lambda rng: rng.normal() * np.arange(900) + rng.normal(),
    "steps": lambda rng: np.repeat(rng.normal(size=30), 30),
    "few counts": lambda rng: rng.poisson(0.3, 900).astype(float),
    "counts": lambda rng: rng.poisson(5, 900).astype(float),
    "a walk": lambda rng: rng.normal(size=900).cumsum(),
    "noise": lambda rng: rng.normal(size=900),
    "a noisy season": lambda rng: np.sin(np.arange(900) * 2 * np.pi / 24) + rng.normal(0, 0.05, 900),
    "square": lambda rng: np.sign(np.sin(2 * np.pi * (np.arange(900) + rng.integers(24)) / 24)),
}


def test_similar_but_independent_series_do_not_match() -> None:
    rng = np.random.default_rng(2)
    corpus = {name: [make(rng) for _ in range(20)] for name, make in SMOOTH.items()}
    sketch = Sketch.build(
        [series for group in corpus.values() for series in group], [n for n, s in corpus.items() for _ in s]
    )
    assert sketch.find([make(rng) for make in SMOOTH.values() for _ in range(20)]) == []


def test_day_night_series_match_only_their_copies_where_days_differ() -> None:
    rng = np.random.default_rng(16)

    def hours(spread: float) -> np.ndarray:
        strength = np.repeat(1 + spread * rng.normal(size=63), 12)
        return strength * np.sin(2 * np.pi * (np.arange(756) - 8) / 24) + rng.normal(0, 0.02, 756)

    for spread in (0.1, 0.4):
        whole, others = [hours(spread) for _ in range(20)], [hours(spread) for _ in range(20)]
        sketch = Sketch.build([moved(every(values, 12), rng) for values in whole], [str(i) for i in range(20)])
        matches = [(match.series, match.source) for match in sketch.find([*whole, *others])]
        assert matches == ([(i, str(i)) for i in range(20)] if spread == 0.4 else [])  # the others are too much alike
    assert (sketch.kept.scale == RESOLUTIONS.index(PAIRS)).mean() > 0.9


def test_a_hash_is_the_same_after_scaling_shifting_and_flipping() -> None:
    rng = np.random.default_rng(3)
    values = noisy(5000, rng)

    def hashed(row: np.ndarray) -> np.ndarray:
        bent = second_differences([normalize_channel(row)], means=False, factor=1)
        return hash_patterns(bent.windows(slice(0, bent.num_windows)))[: len(row) - 15]

    own = hashed(values)
    assert len(np.unique(own)) > 4900  # and it distinguishes windows
    for _ in range(5):
        assert (hashed(moved(values, rng)) == own).mean() > 0.97
    assert (hashed(noisy(5000, rng)) == own).sum() == 0


def test_windows_taken_one_by_one_are_those_of_the_whole_row() -> None:
    values = noisy(700, np.random.default_rng(4))
    for factor, mean in ((1, False), (5, True), (5, False)):
        bent = second_differences([normalize_channel(values)] * 2, means=mean, factor=factor)
        picked = np.arange(0, bent.num_windows, 7)
        assert np.array_equal(bent.windows(slice(0, bent.num_windows))[:, picked], bent.windows(picked))
        row, step = bent.locate(np.array([3, 700 + factor]))
        assert (row.tolist(), step.tolist()) == ([0, 1], [3, 0])


def test_no_window_spans_a_gap_or_two_series() -> None:
    rng = np.random.default_rng(5)
    values = noisy(400, rng)
    values[200] = np.nan
    for factor, mean in ((1, False), (3, True), (3, False)):
        bent = second_differences(
            [normalize_channel(values), normalize_channel(noisy(100, rng))], means=mean, factor=factor
        )
        none = hash_patterns(bent.windows(slice(0, bent.num_windows))) == 0
        step = np.arange(bent.num_windows)
        inside = np.arange(16)[:, None] * factor + step + (np.arange(factor)[:, None, None] if mean else 0)
        all_values = np.concatenate([values, np.full(factor, np.nan), noisy(100, rng), np.full(9 * factor, np.nan)])
        expected = np.isnan(all_values[np.minimum(inside, len(all_values) - 1)]).any(axis=tuple(range(inside.ndim - 1)))
        assert np.array_equal(none, expected)


def test_a_copy_with_gaps_and_one_among_other_channels_are_found() -> None:
    rng = np.random.default_rng(6)
    series = np.stack([noisy(900, rng) for _ in range(3)])
    held = moved(series[1], rng)
    held[rng.integers(0, 900, 15)] = np.nan
    (match,) = Sketch.build([held]).find([noisy(50, rng), series])
    assert (match.series, match.channel, match.source) == (1, 1, "the corpus")
    assert 0 <= match.first < match.stop <= 900
    assert match.stop - match.first > 450


def test_a_match_names_its_steps_and_resolution() -> None:
    rng = np.random.default_rng(7)
    whole = noisy(4000, rng)
    (match,) = Sketch.build([moved(means(whole[1000:2600], 4), rng)], ["hours"]).find([whole])
    assert (match.own.means, match.own.factor, match.kept.factor) == (True, 4, 1)
    assert 1000 <= match.first < 1200
    assert 2400 < match.stop <= 2600
    assert str(match) == f"steps {match.first} to {match.stop} (means of 4 steps) occur in hours"


def test_series_that_cannot_be_recognised_are_counted() -> None:
    rng = np.random.default_rng(8)
    result = Sketch.build([noisy(300, rng)]).search([np.arange(90.0), noisy(90, rng), np.ones((2, 90)), noisy(12, rng)])
    assert result == ([], 4, [0, 2, 3])


def test_short_series_are_found_or_reported_as_too_short() -> None:
    rng = np.random.default_rng(17)
    for length in range(12, 40):
        held = [noisy(length, rng) for _ in range(20)]
        result = Sketch.build(held).search([moved(values, rng) for values in held])
        hit = {match.series for match in result.matches}
        assert len(hit | set(result.indistinct)) >= 16, length  # rounding, or a bland window, costs a few
        assert (len(hit) > 10) == (length >= 24), length  # two windows of 16 steps, 8 apart


def test_ratios_of_steps_that_no_copy_has_are_left_out() -> None:
    assert all(
        _plausible(*ratios) for ratios in ((1, 1), (24, 1), (1, 288), (144, 6), (2, 3), (6, 4), (5, 6), (96, 336 // 7))
    )
    assert not any(_plausible(*ratios) for ratios in ((336, 96), (7, 2), (24, 7), (60, 7)))
    rng = np.random.default_rng(19)
    hours = noisy(6000, rng)
    (match,) = Sketch.build([moved(means(hours, 2), rng)]).find([means(hours, 3)])  # both come to steps of 6 hours
    assert 3 * match.own.factor == 2 * match.kept.factor


def test_copies_with_huge_or_tiny_values_are_found() -> None:
    rng = np.random.default_rng(18)
    values = noisy(300, rng)
    for scale in (1e-200, 1e200):
        (match,) = Sketch.build([values.astype(np.float64) * scale]).find([values])
        assert match.stop - match.first > 200


def test_a_sketch_is_read_as_it_was_written_and_the_same_corpus_gives_the_same_bytes(tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    corpus = [noisy(int(length), rng) for length in rng.integers(20, 3000, 30)]
    names = [f"set {i % 4}" for i in range(30)]
    sketch = Sketch.build(corpus, names)
    again = Sketch.load(sketch.save(tmp_path / "trained_on.npz"))
    assert again.names == ["set 0", "set 1", "set 2", "set 3"]
    assert (again.num_series, len(again), again.fingerprint) == (30, len(sketch), sketch.fingerprint)
    assert all(np.array_equal(own, other) for own, other in zip(again.kept, sketch.kept, strict=True))
    assert again.to_bytes() == sketch.to_bytes() == Sketch.build(iter(corpus), iter(names)).to_bytes()
    assert list(tmp_path.iterdir()) == [tmp_path / "trained_on.npz"]


def test_merging_sketches_is_the_sketch_of_all() -> None:
    rng = np.random.default_rng(10)
    corpus = [noisy(500, rng) for _ in range(9)]
    names = list("abcabcabc")
    parts = [Sketch.build(corpus[i : i + 3], names[i : i + 3]) for i in (0, 3, 6)]
    whole = Sketch.build(corpus, names).to_bytes()
    assert Sketch.merge(parts).to_bytes() == Sketch.merge(parts[::-1]).to_bytes() == whole
    assert len(Sketch.merge([])) == 0


def test_a_sparse_sketch_is_smaller_and_still_finds_what_is_long() -> None:
    rng = np.random.default_rng(11)
    corpus = [noisy(9000, rng) for _ in range(4)]
    dense, sparse = Sketch.build(corpus), Sketch.build(corpus, spacing=2)
    assert 0.4 < len(sparse) / len(dense) < 0.6
    evaluated = [moved(values[4000:4600], rng) for values in corpus] + [means(values[5:], 3) for values in corpus]
    assert [match.series for match in sparse.find(evaluated)] == list(range(8))


def test_months_of_the_calendar_are_those_of_pandas() -> None:
    rng = np.random.default_rng(15)
    days = pd.date_range("2001-03-01", "2006-02-28")
    values = rng.normal(size=(2, len(days)))
    values[1, 40] = np.nan
    table = pd.DataFrame(values.T, index=days).resample("MS")
    monthly = monthly_series(values, days.to_numpy())
    expected = np.concatenate([table.agg(lambda column: column.mean(skipna=False)), table.sum()], axis=1).T
    expected[3, 1] = np.nan
    np.testing.assert_allclose(monthly, expected, rtol=1e-12)
    assert monthly_series(values[:, :300], days.to_numpy()[:300]) is None  # too few
    assert (
        monthly_series(values[:, :90], np.arange("2001-01", "2008-07", dtype="datetime64[M]")) is None
    )  # months already


def test_an_empty_corpus_gives_an_empty_sketch_and_no_match() -> None:
    empty = Sketch.build([])
    assert (len(empty), empty.find([noisy(99, np.random.default_rng(0))])) == (0, [])
    assert Sketch.from_bytes(empty.to_bytes()).names == []
    blank = Sketch.build([np.full(100, np.nan), np.full(100, np.inf), np.zeros(0), np.ones(100)])
    assert (len(blank), blank.num_series) == (0, 4)


def test_distinctive_windows_are_neither_smooth_nor_even() -> None:
    rng = np.random.default_rng(12)
    share = {}
    for name, make in SMOOTH.items():
        bent = second_differences([normalize_channel(make(rng))], means=False, factor=1)
        share[name] = is_distinctive(bent.windows(slice(0, bent.num_windows))).mean()
    assert share["noise"] > 0.6
    assert share["a walk"] > 0.6
    assert max(share[name] for name in ("a sine", "two seasons", "growth", "a line", "steps", "square")) == 0
    assert share["few counts"] < 0.2


@pytest.mark.wrong_shapes
@pytest.mark.parametrize(
    ("do", "message"),
    [
        (lambda: Sketch.build([np.zeros(9)] * 2, ["a"]), r"names has 1 entries.*one for each"),
        (lambda: Sketch.build([np.zeros(9)], spacing=0), r"spacing is 0; expected 1 or more"),
        (lambda: Sketch.build([np.zeros((2, 3, 4))]), r"series 0 has shape \(2, 3, 4\)"),
        (lambda: Sketch.build([]).find([np.array(["a"])]), r"series 0 has shape \(1,\) and type <U1; give numbers"),
        (lambda: Sketch.from_bytes(b"not a sketch"), r"not a sketch of training data"),
    ],
)
def test_bad_input_is_named(do: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        do()


def test_a_damaged_file_is_named_and_nothing_half_written_stays(tmp_path: Path) -> None:
    file = Sketch.build([noisy(500, np.random.default_rng(13))]).save(tmp_path / "one.npz")
    for cut in (10, 200, len(file.read_bytes()) - 5):
        (tmp_path / "cut.npz").write_bytes(file.read_bytes()[:cut])
        with pytest.raises(ValueError, match=r"cut\.npz: not a sketch"):
            Sketch.load(tmp_path / "cut.npz")
    with pytest.raises(FileNotFoundError, match=r"there is no sketch .*none\.npz"):
        Sketch.load(tmp_path / "none.npz")
    with pytest.raises(OSError, match=r"cannot write .*two\.npz"):
        Sketch.build([]).save(tmp_path / "one.npz" / "two.npz")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.npz", "one.npz"]


def real(role: str, *, grids: bool) -> dict[str, list[np.ndarray]]:
    """The channels of every set: on the grids that models are trained and scored on, or the rows of the files."""
    folder = Path(os.environ["TSFM_DATA"]) / "forecasting"
    channels = {}
    for entry in json.loads((folder / "manifest.json").read_text())["datasets"]:
        if entry["role"] != role:
            continue
        name, table = Path(entry["file"]).stem, pd.read_parquet(folder / entry["file"])
        if grids:
            store = resolve(name)
            channels[name] = [row for i in range(len(store)) for row in store.read(i)]
        elif entry["layout"] == "long":
            groups = table.groupby("item_id", sort=False, observed=True)["target"]
            channels[name] = [group.to_numpy() for _, group in groups]
        else:
            channels[name] = [table[column].to_numpy() for column in table.select_dtypes("float32")]
    return channels


@pytest.mark.slow
@pytest.mark.realdata
def test_on_the_real_corpus_every_planted_leak_is_found_and_no_clean_set_is_accused() -> None:
    """Benchmark sets against the corpus of the same folder; then pieces of them are planted into it."""
    rng = np.random.default_rng(14)
    corpus, benchmark = real("corpus", grids=True), real("benchmark", grids=True)
    begun = time.process_time()
    sketch = Sketch.build(
        [series for group in corpus.values() for series in group], [n for n, s in corpus.items() for _ in s]
    )
    seconds, size = time.process_time() - begun, len(sketch.to_bytes())
    sources_by_set = {name: {match.source for match in sketch.find(group)} for name, group in benchmark.items()}
    accused = {name: sources for name, sources in sources_by_set.items() if sources}
    print(f"\nbuilt in {seconds:.0f} s of CPU time, {len(sketch):,} hashes, {size:,} bytes; found {accused}")
    assert all(sources <= SHARED.get(name, set()) for name, sources in accused.items())
    assert {"exchange_rate", "m1_monthly", "m3_monthly", "m4_yearly"} <= set(accused)
    assert seconds < 180

    def share_distinctive(row: np.ndarray) -> float:
        bent = second_differences([normalize_channel(row)], means=False, factor=1)
        return is_distinctive(bent.windows(slice(0, bent.num_windows))).mean() if bent.num_windows else 0.0

    planted: list[tuple[np.ndarray, np.ndarray]] = []
    descriptions: list[str] = []
    benchmark = real("benchmark", grids=False)
    pool = {
        name: [series for series in group if len(series) >= 45]
        for name, group in benchmark.items()
        if name not in SHARED
    }
    while len(planted) < 400:
        pool = {name: group for name, group in pool.items() if group}
        name = sorted(pool)[len(planted) % len(pool)]
        # without replacement: the same series twice would match only one of its names
        whole = pool[name].pop(int(rng.integers(len(pool[name]))))
        factor = int(rng.choice([1, 1, *FACTORS]))
        if len(whole) < 60 * factor or share_distinctive(whole) < 0.3:
            continue
        first = int(rng.integers(0, max(len(whole) - 250 * factor, 1)))
        piece = whole[first : first + 250 * factor]
        coarse = piece if factor == 1 else (means, every, sums)[len(planted) % 3](piece, factor)
        if not np.nanstd(coarse) > 0:
            continue  # a constant is the same in every corpus
        planted.append((moved(coarse, rng), whole))
        descriptions.append(f"{name}, {piece.shape[-1]} steps, every {factor}")
    leaks = Sketch.build([held for held, _ in planted], [f"leak {i}" for i in range(len(planted))])
    hits = {
        (match.series, match.source)
        for match in Sketch.merge([sketch, leaks]).find([evaluated for _, evaluated in planted])
    }
    missed = [descriptions[i] for i in range(len(planted)) if (i, f"leak {i}") not in hits]
    print(f"planted {len(planted)}, missed {missed}")
    assert missed == []
