"""Short histories: what is cut, that the steps to forecast stay the same, and the tables."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tsfm.bench.short import (
    CYCLES,
    SETS,
    check_cycles,
    means_by_cycles,
    score_short_set,
    sets_by_cycles,
    short_context_length,
)
from tsfm.bench.suite_windows import SuiteSet
from tsfm.commands.bench import options
from tsfm.commands.cli import main
from tsfm.infer.predictor import Predictor
from tsfm.store.catalog import resolve


def noisy_seasons(lengths: dict[str, int], freq: str, season: int) -> pd.DataFrame:
    """Items with a season, noise and a level of their own."""
    rng, frames = np.random.default_rng(0), []
    for item, length in lengths.items():
        times = pd.date_range("2020-01-01", periods=length, freq=freq)
        values = 20 + 5 * np.sin(np.arange(length) * 2 * np.pi / season) + rng.normal(size=length)
        frames.append(pd.DataFrame({"item_id": item, "timestamp": times, "target": values.astype(np.float32)}))
    return pd.concat(frames, ignore_index=True)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root with a manifest, two seasonal corpus sets and a yearly one."""
    folder = tmp_path / "root" / "forecasting"
    folder.mkdir(parents=True)
    hours = noisy_seasons({"whole": 600, "gap": 600, "brief": 100}, "h", 24)
    hours.loc[(hours["item_id"] == "gap") & (hours.groupby("item_id").cumcount() == 545), "target"] = np.nan
    hours.to_parquet(folder / "hours.parquet")
    noisy_seasons({"m": 120, "n": 150}, "MS", 12).to_parquet(folder / "months.parquet")
    noisy_seasons({"y": 80}, "YS", 9).to_parquet(folder / "years.parquet")
    listed = [{"file": f"{name}.parquet", "role": "corpus"} for name in ("hours", "months", "years")]
    (folder / "manifest.json").write_text(json.dumps({"datasets": listed}))
    monkeypatch.setenv("TSFM_DATA", str(folder.parent))
    return folder.parent


class ContextMean(Predictor):
    """The mean of the context; it records contexts and season lengths."""

    name = "context_mean"

    def __init__(self):
        self.contexts: list[np.ndarray] = []
        self.season_lengths: list[int] = []

    def quantiles(self, context, *, horizon, quantile_levels, season_length=1, known=None):
        self.contexts.append(context)
        self.season_lengths.append(season_length)
        center = context.mean(-1)[..., None, None]
        return np.broadcast_to(center, (*context.shape[:2], horizon, len(quantile_levels)))


@pytest.mark.parametrize("season", [4, 7, 12, 24, 52, 365])
def test_a_cut_has_more_than_one_cycle_and_at_most_the_given_number(season: int) -> None:
    for cycles in CYCLES:
        length = short_context_length(cycles, season)
        assert season < length <= max(season + 1, cycles * season)
        assert length + 1 > cycles * season


def test_forecasters_get_the_last_cycles_and_the_season_of_the_frequency(root: Path) -> None:
    predictor = ContextMean()
    rows = score_short_set({"mean": predictor}, SuiteSet("months", "corpus"), cycles=(2.5, 1.1))
    assert [row["cycles"] for row in rows] == [1.1, 2.5]
    assert [row["context"] for row in rows] == ["13", "30"]
    assert set(predictor.season_lengths) == {12}
    ends = [resolve("months").read(i)[:, :-12] for i in range(2)]
    for context, length in zip(predictor.contexts, (13, 30), strict=True):
        expected = np.stack([values[:, -length:] for values in ends])
        order = np.argsort(expected[:, 0, 0])  # in a batch, series may have any order
        np.testing.assert_array_equal(context[np.argsort(context[:, 0, 0])], expected[order])


def test_the_error_is_that_of_the_held_out_end(root: Path) -> None:
    (row,) = score_short_set({"mean": ContextMean()}, SuiteSet("months", "corpus"), cycles=(1.5,))
    errors, naive = [], []
    for i in range(2):
        values = resolve("months").read(i)[0].astype(np.float64)
        errors += np.abs(values[-12:] - values[-30:-12].mean()).tolist()
        naive += np.abs(values[-12:] - values[-24:-12]).tolist()
    assert row["mae"] == pytest.approx(np.mean(errors), rel=1e-5)
    assert row["mae_relative"] == pytest.approx(np.mean(errors) / np.mean(naive), rel=1e-5)


def test_windows_are_the_same_for_every_number_of_cycles(root: Path) -> None:
    rows = score_short_set({"mean": ContextMean()}, SuiteSet("hours", "corpus"), cycles=CYCLES)
    assert {row["windows"] for row in rows} == {1}
    assert {row["left_out"] for row in rows} == {2}  # a gap in the shortest cut; 100 hours are less than 48 + 60
    assert len({row["mae_naive"] for row in rows}) == 1


def test_what_has_no_season_or_too_few_cycles_is_refused(root: Path) -> None:
    with pytest.raises(ValueError, match="set 'years' has no window with a season"):
        score_short_set({"mean": ContextMean()}, SuiteSet("years", "corpus"))
    with pytest.raises(ValueError, match="40 observed cycles"):
        score_short_set({"mean": ContextMean()}, SuiteSet("months", "corpus"), cycles=(1.1, 40))
    for cycles in ((), (1.0,), (float("inf"),), (float("nan"),)):
        with pytest.raises(ValueError, match="expected numbers above 1"):
            check_cycles(cycles)


def test_means_are_geometric_over_sets() -> None:
    common = {"model": "a", "freq": "h", "horizon": "48", "season": "24", "windows": 1, "left_out": 0}
    rows = [
        {**common, "set": name, "cycles": cycles, "mae_relative": ratio, "mase_relative": 1.0}
        for name, cycles, ratio in (("x", 1.1, 0.5), ("y", 1.1, 2.0), ("x", 2.5, 0.25), ("y", 2.5, float("nan")))
    ]
    mae, mase = means_by_cycles(rows)
    assert (mae["1.1"], mae["2.5"], mase["1.1"]) == pytest.approx((1.0, 0.25, 1.0))
    assert [row["1.1"] for row in sets_by_cycles(rows, "a")] == [0.5, 2.0]


def test_the_command_writes_tables(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    command = ["bench", "short", "seasonal_naive", "last_value", "--out", str(out)]
    assert main([*command, "--sets", "hours", "months", "--cycles", "1.5", "2"]) == 0
    table = pd.read_csv(out / "short.csv")
    assert len(table) == 8
    naive = table[table["model"] == "seasonal_naive"]
    assert (naive["mae_relative"] == 1).all()
    assert "| seasonal_naive | MAE | 1.0000 | 1.0000 |" in (out / "short.md").read_text()
    assert "| last_value | MAE |" in capsys.readouterr().out
    assert main([*command, "--sets", "hours", "--cycles", "0.5"]) == 2
    assert "expected numbers above 1" in capsys.readouterr().err
    assert main(command) == 2  # this folder lacks the ten sets
    assert main([*command, "--sets", "others", "--cycles", "1.5"]) == 0  # years have no season
    table = (tmp_path / "out" / "short.md").read_text()
    assert "over 2 sets" in table
    assert "without a window: years" in table
    assert f"no corpus set '{SETS[0]}'" in capsys.readouterr().err


def test_the_default_cycles_are_those_of_the_benchmark() -> None:
    assert tuple(options.CYCLES) == CYCLES
    assert len(set(SETS)) == 10
