"""The benchmark suite: which windows of which sets are scored, that corpus windows were never trained on, and what
`better` than the seasonal naive means."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.infer.small_models import step_model
from tsfm.bench.baselines.simple import SeasonalNaive
from tsfm.bench.suite import score_set, score_windows_of_set, summarize
from tsfm.bench.suite_windows import LIMITS, SuiteLimits, SuiteSet, collect_windows, find_suite_sets
from tsfm.commands.cli import main
from tsfm.contamination.sketch import SKETCH_FILE, Sketch
from tsfm.data.splits import holdout_length
from tsfm.infer.predictor import Predictor
from tsfm.model.checkpoint import About, save
from tsfm.store.catalog import resolve

SETS = {  # name -> role, official split
    "Hours": ("benchmark", None),
    "months": ("benchmark", "official: split column, horizon 6"),
    "days": ("benchmark", "Monash convention: last 20 points are test (split column)"),
    "tsdl_mixed": ("corpus", None),
    "wide": ("corpus", None),
}


def long(lengths: dict[str, int], freq: str, *, start: str = "2020-01-01") -> pd.DataFrame:
    """Items with a season of 12 steps, a level of their own and noise."""
    rng, frames = np.random.default_rng(len(lengths)), []
    for item, length in lengths.items():
        stamps = pd.date_range(start, periods=length, freq=freq)
        values = 20 + 5 * np.sin(np.arange(length) * np.pi / 6) + rng.normal(size=length) + rng.uniform(0, 20)
        frames.append(pd.DataFrame({"item_id": item, "timestamp": stamps, "target": values.astype(np.float32)}))
    return pd.concat(frames, ignore_index=True)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root with a manifest and five sets."""
    folder = tmp_path / "root" / "forecasting"
    folder.mkdir(parents=True)
    hours = long({"a": 960, "b": 1400, "c": 30}, "h")
    hours.loc[(hours["item_id"] == "b") & (hours.groupby("item_id").cumcount() >= 1300), "target"] = np.nan
    hours.to_parquet(folder / "Hours.parquet")
    long({f"m{i}": 60 + i for i in range(9)}, "MS").to_parquet(folder / "months.parquet")
    long({"d": 300}, "D").to_parquet(folder / "days.parquet")
    table = pd.DataFrame({f"c{i}": np.random.default_rng(i).normal(size=700).cumsum() for i in range(5)})
    table.insert(0, "timestamp", pd.date_range("2020-01-01", periods=700, freq="30min"))
    table.to_parquet(folder / "wide.parquet")
    both = pd.concat([long({"q": 40, "r": 15}, "QS"), long({"m": 200}, "MS")], ignore_index=True)
    both.to_parquet(folder / "tsdl_mixed.parquet")
    listed = [
        {"file": f"{name}.parquet", "role": role, "official_split": split} for name, (role, split) in SETS.items()
    ]
    (folder / "manifest.json").write_text(json.dumps({"datasets": listed}))
    monkeypatch.setenv("TSFM_DATA", str(folder.parent))
    return folder.parent


def collected(name: str, role: str = "benchmark", **limits: int):
    entry = next(entry for entry in find_suite_sets(role) if entry.name == name)
    return collect_windows(entry, resolve(name), replace(LIMITS[role], **limits))


def test_the_sets_of_a_role_are_those_of_the_manifest_with_their_official_horizons(root: Path) -> None:
    assert find_suite_sets("benchmark") == [
        SuiteSet("days", "benchmark", 20, once=False),
        SuiteSet("Hours", "benchmark", None, once=False),
        SuiteSet("months", "benchmark", 6, once=True),
    ]
    assert [entry.name for entry in find_suite_sets("corpus")] == ["tsdl_mixed", "wide"]
    with pytest.raises(ValueError, match="did you mean 'corpus'"):
        find_suite_sets("corpse")


def test_windows_are_the_last_ones_and_their_number_follows_the_shortest_series(root: Path) -> None:
    (days,) = collected("days").tasks
    assert (days.horizon, days.season_length, len(days.contexts)) == (20, 7, 2)  # two horizons cover a tenth of 300
    assert [context.shape[1] for context in days.contexts] == [260, 280]
    whole = resolve("days").read(0)
    np.testing.assert_array_equal(np.concatenate(days.y_true, 1), whole[:, -40:])
    (months,) = collected("months").tasks
    assert (months.horizon, months.season_length, len(months.contexts)) == (6, 12, 9)  # one window of a competition


def test_a_forecaster_is_fitted_to_what_lies_before_the_first_window_of_each_series(root: Path) -> None:
    fits = []

    class Fitted(SeasonalNaive):
        def fitted_to(self, series, *, prediction_length, season_length):
            fits.append(([values.shape[1] for values in series], prediction_length, season_length))
            return self

    score_set({"fitted": Fitted()}, SuiteSet("days", "benchmark", 20), LIMITS["benchmark"])
    assert fits == [([260], 20, 7)]
    assert sorted(past.shape[1] for past in collected("months").tasks[0].pasts()) == sorted(
        context.shape[1] for context in collected("months").tasks[0].contexts
    )


def test_what_cannot_be_scored_is_left_out_and_counted(root: Path) -> None:
    windows = collected("Hours")
    (hours,) = windows.tasks
    assert hours.horizon == 48
    assert windows.too_short == 1  # 30 steps have no past before a horizon of 48
    assert windows.unobserved_windows == 2  # the end of b is missing, and with it both of its windows
    assert (windows.series, len(hours.contexts)) == (1, 2)


def test_the_sample_depends_on_the_seed_alone_and_the_rest_is_counted(root: Path) -> None:
    some, again, other = (
        collected("months", series=4),
        collected("months", series=4),
        collected("months", series=4, seed=1),
    )
    ends = [[context[0, -1] for context in windows.tasks[0].contexts] for windows in (some, again, other)]
    assert ends[0] == ends[1] != ends[2]
    assert (some.series, some.not_drawn) == (4, 5)
    assert len(collected("days", windows=1).tasks[0].contexts) == 1


@pytest.mark.parametrize("each", [1, 3])
def test_corpus_windows_are_in_the_part_excluded_from_training(root: Path, each: int) -> None:
    for name in ("tsdl_mixed", "wide"):
        for task in collected(name, "corpus", each=each).tasks:
            for context, y_true in zip(task.contexts, task.y_true, strict=True):
                known = {200, 40, 700}
                length = min(n for n in known if n >= context.shape[1] + y_true.shape[1])
                assert context.shape[1] >= length - holdout_length(length, task.horizon)


def test_each_frequency_of_a_mixed_set_has_its_own_horizon(root: Path) -> None:
    windows = collected("tsdl_mixed", "corpus")
    assert [(task.horizon, task.season_length) for task in windows.tasks] == [(12, 12), (8, 4)]
    assert windows.too_short == 1  # 15 quarters: half of them are less than a horizon
    assert score_windows_of_set(SeasonalNaive(), windows)["windows"] == 2
    assert len(collected("wide", "corpus").tasks[0].contexts) == 5  # variates count as series


class Oracle(Predictor):
    """The seasonal naive moved towards the true values by a share of the difference."""

    name = "oracle"

    def __init__(self, y_true: np.ndarray, share: float):
        self.y_true, self.share = y_true, share

    def quantiles(self, context, *, horizon, quantile_levels, season_length=1, known=None):
        first = context.shape[-1]
        naive = SeasonalNaive().quantiles(
            context, horizon=horizon, quantile_levels=quantile_levels, season_length=season_length
        )
        y_true = self.y_true[None, :, first : first + horizon, None]
        return (self.share * y_true + (1 - self.share) * naive).astype(np.float32)


@pytest.mark.parametrize(("share", "better"), [(-0.5, False), (0.0, False), (0.5, True)])
def test_better_is_strictly_better_in_both(root: Path, share: float, better: bool) -> None:
    entry = SuiteSet("days", "benchmark", 20)
    oracle = Oracle(resolve("days").read(0), share)
    row = score_set({"oracle": oracle}, entry, SuiteLimits(), batch_size=1)["oracle"]
    assert row["better"] is better
    if share == 0:
        assert row["mase_relative"] == row["wql_relative"] == 1.0
    summary = summarize([row])
    assert summary["not_better"] == ([] if better else ["days"])
    assert summary["better"] == float(better)
    assert summary["mase"] == pytest.approx(row["mase_relative"])


def test_batches_do_not_matter_to_a_model(root: Path) -> None:
    windows = collected("months")
    whole, single = (
        score_windows_of_set(step_model(), windows),
        score_windows_of_set(step_model(), windows, batch_size=1),
    )
    assert single["mase"] == pytest.approx(whole["mase"], rel=1e-5)
    assert single["wql"] == pytest.approx(whole["wql"], rel=1e-5)


def test_a_missing_list_of_sets_names_the_places_that_were_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TSFM_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="set TSFM_DATA"):
        find_suite_sets("benchmark")
    (tmp_path / "forecasting").mkdir()
    (tmp_path / "forecasting" / "manifest.json").write_text("[]")
    with pytest.raises(ValueError, match=r"manifest.json cannot be read"):
        find_suite_sets("benchmark")


# the commands


def test_the_suite_is_written_as_tables(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["bench", "suite", "last_value", "seasonal_naive", "--out", str(out)]) == 0
    assert "both better on" in capsys.readouterr().out
    table = pd.read_csv(out / "suite.csv")
    assert set(table["model"]) == {"last_value", "seasonal_naive"}
    assert len(table) == 6
    naive = table[table["model"] == "seasonal_naive"]
    assert (naive["mase_relative"] == 1).all()
    text = (out / "suite.md").read_text()
    assert "Not better in both: days, Hours, months." in text
    assert main(["bench", "suite", "last_value", "--sets", "dayz", "--out", str(out)]) == 2
    assert "error: --sets: no benchmark set 'dayz'; did you mean 'days'?" in capsys.readouterr().err
    assert main(["bench", "suite", "last_value", "last_value", "--out", str(out)]) == 2
    assert "named twice" in capsys.readouterr().err


def test_sets_with_series_that_a_model_has_seen_are_counted_separately(root: Path, tmp_path: Path) -> None:
    months = resolve("months")
    sketch = Sketch.build([np.asarray(months.read(0)[0])], ["corpus"])
    model = save(step_model().model, tmp_path / "knows", about=About(), files={SKETCH_FILE: sketch.to_bytes()})
    out = tmp_path / "out"
    assert main(["bench", "suite", str(model), "seasonal_naive", "--out", str(out)]) == 0
    table = pd.read_csv(out / "suite.csv")
    seen = table[table["model"] == "knows"].set_index("set")["seen"]
    assert seen["months"] == 1
    assert seen["Hours"] == 0
    assert table[table["model"] == "seasonal_naive"]["seen"].isna().all()
    assert "| knows, sets without a series it has seen | 2 |" in (out / "suite.md").read_text()


def test_gift_tables_have_the_published_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "root" / "forecasting"
    folder.mkdir(parents=True)
    long({"T1": 3000}, "D", start="1969-01-01").to_parquet(folder / "us_births.parquet")
    monkeypatch.setenv("TSFM_DATA", str(folder.parent))
    rows = [
        {"config": config, "model": model, "MASE_rel": 0.5 * scale, "CRPS_rel": 0.25 * scale}
        for config, scale in (("us_births/M/short", 1), ("us_births/W/short", 4), ("saugeen/D/short", 9))
        for model in ("Good", "Partial")
        if (config, model) != ("us_births/W/short", "Partial")
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "gift_eval_per_config.csv", index=False)
    options = ["last_value", "--published", str(tmp_path), "--compare", "Good", "--out", str(tmp_path / "out")]
    assert main(["bench", "gift", *options, "--configs", "us_births/M/short", "us_births/W/short"]) == 0
    means = pd.read_csv(tmp_path / "out" / "gift_means.csv").set_index("model")
    assert list(means.index) == ["Good", "**last_value**"]  # what lacks a configuration has no mean
    assert means.loc["Good", "MASE"] == pytest.approx(1.0)
    assert means.loc["Good", "CRPS"] == pytest.approx(0.5)
    text = (tmp_path / "out" / "gift.md").read_text()
    assert "| us_births/W/short |" in text
    assert "Good CRPS" in text
    assert "relative to seasonal naive" in capsys.readouterr().out
