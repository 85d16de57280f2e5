"""Laws of the evidence of the leak check: what clean series have by chance, or by habit, is not a match."""

from __future__ import annotations

import importlib
from types import ModuleType

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.contamination.test_sketch import moved, noisy
from tsfm.contamination.matches import MAX_EXPECTED, SearchSize, best_matches
from tsfm.contamination.patterns import (
    MIN_FREE,
    count_free,
    is_distinctive,
    normalize_channel,
    second_differences,
)
from tsfm.contamination.resolutions import RESOLUTIONS
from tsfm.contamination.sketch import Sketch
from tsfm.contamination.verdict import training_record


def size(num_windows: int, num_hashes: int) -> SearchSize:
    table = np.zeros((2, len(RESOLUTIONS)), np.int64)
    table[1, 0] = num_hashes
    return SearchSize(num_windows, table)


def test_expected_accidents_grow_with_the_search_and_fall_with_every_hit() -> None:
    small, large = size(10**5, 10**6), size(10**7, 10**6)
    for steps in (10, 10_000):
        counts = [large.expected(k, steps=steps, source=1, resolution=0) for k in range(2, 9)]
        assert counts == sorted(counts, reverse=True)
        assert small.expected(3, steps=steps, source=1, resolution=0) < counts[1]
    assert large.expected(2, steps=10, source=1, resolution=0) < large.expected(2, steps=99, source=1, resolution=0)


def test_two_hits_far_apart_in_a_long_search_are_no_match_and_two_close_ones_of_a_short_one_are() -> None:
    channel = normalize_channel(noisy(30_000, np.random.default_rng(0)))

    def matches(steps: list[int], search: SearchSize) -> int:
        hits = np.array([[0, 0, step, i] for i, step in enumerate(steps)])
        ones = np.ones(len(steps), np.int64)
        return len(best_matches([channel], hits, ones, 0 * ones, ["a", "b"], search))

    assert matches([100, 450], size(4 * 10**7, 10**6)) == 0
    assert matches([100, 450, 800, 1100], size(4 * 10**7, 10**6)) == 1
    assert matches([100, 108], size(10**4, 10**4)) == 1


def test_clean_noise_has_no_match_by_the_number_of_windows_alone() -> None:
    """A search of 40 million windows has about 100 hits in a sketch of this size; pairs of them are not evidence."""
    sizes = size(4 * 10**7, 2 * 10**6)
    assert sizes.expected(1, steps=1, source=1, resolution=0) > 100
    assert sizes.expected(2, steps=400, source=1, resolution=0) > MAX_EXPECTED


def peaks(num: int, rng: np.random.Generator) -> np.ndarray:
    """A value at one of four times of the day, as of solar power or a sparse count every six hours."""
    return (rng.lognormal(0, 0.5, num)[:, None] * np.array([0.0, 0.0, 1.0, 0.0])).ravel()


def test_isolated_peaks_have_few_free_values() -> None:
    rng = np.random.default_rng(1)
    for values, low in ((peaks(500, rng), True),
                        (noisy(2000, rng), False)):  # fmt: skip
        differences = second_differences([normalize_channel(values)], means=False, factor=1)
        patterns = differences.windows(slice(0, differences.num_windows - 20))
        free = count_free(patterns[:, is_distinctive(patterns)])
        assert len(free) > 50
        assert (free >= MIN_FREE).mean() < 0.02 if low else (free >= MIN_FREE).mean() > 0.85


def test_peaks_at_one_time_of_the_day_do_not_match(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    sketch = Sketch.build([peaks(400, rng) for _ in range(6)])
    others = [peaks(400, rng) for _ in range(6)]
    assert sketch.find(others) == []
    monkeypatch.setattr("tsfm.contamination.sketch.MIN_FREE", 0)  # as the check was before
    assert len(sketch.find(others)) > 0


def test_a_copy_in_a_long_clean_set_is_found() -> None:
    rng = np.random.default_rng(3)
    host, whole = rng.normal(size=(4, 30_000)).cumsum(axis=1), noisy(2000, rng)
    host[2, 9000:9300] = moved(whole[700:1000], rng)
    sketch = Sketch.merge([training_record("tsfm-small").sketch, Sketch.build([whole], ["planted"])])
    (match,) = sketch.find([host])
    assert (match.source, match.channel) == ("planted", 2)
    assert 8900 < match.first < match.stop < 9400


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("bench_contamination")


@pytest.mark.slow
@pytest.mark.realdata
def test_the_benchmark_accuses_no_clean_set_and_finds_its_copies(bench: ModuleType) -> None:
    assert bench.main(["--small"]) == {"checked": 3, "accused": 0, "planted": 20, "found": 20}


@pytest.mark.slow
@pytest.mark.realdata
def test_the_whole_benchmark_accuses_no_clean_set_and_finds_its_copies(bench: ModuleType) -> None:
    counts = bench.main([])
    assert counts["checked"] >= 200
    assert (counts["accused"], counts["planted"], counts["found"]) == (0, 400, 400)
