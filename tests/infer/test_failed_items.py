"""One bad item does not stop a panel: rows of NaN and a warning that names it, or it is left out, or an error."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tsfm
from tsfm.commands.cli import main as run_command
from tsfm.infer.item_errors import ItemErrors

LENGTH = 360
TIMES = pd.date_range("2024-01-01", periods=LENGTH, freq="h")


def item(name: Any, length: int = LENGTH) -> pd.DataFrame:
    values = np.sin(np.arange(length) * np.pi / 12) + np.arange(length) % 5
    return pd.DataFrame({"item_id": name, "timestamp": TIMES[:length], "target": values})


def changed(column: str, rows: Any, value: Any) -> pd.DataFrame:
    bad = item("bad")
    bad[column] = bad[column].astype(object) if isinstance(value, str) else bad[column]
    bad.loc[rows, column] = value
    return bad


def jittered() -> pd.DataFrame:
    bad = item("bad")
    bad["timestamp"] += pd.to_timedelta(np.random.default_rng(0).integers(0, 3000, LENGTH), unit="s")
    return bad


ALL = slice(None)
BAD: dict[str, tuple[pd.DataFrame, str]] = {  # a bad item, and the reason
    "all missing": (changed("target", ALL, np.nan), "item 'bad' has no observed value in 'target'"),
    "infinite": (changed("target", 7, np.inf), "holds inf in row 367"),
    "beyond float32": (changed("target", 7, 1e39), r"holds 1e\+39 in row 367"),
    "text": (changed("target", 7, "abc"), "row 367 holds 'abc'; expected numbers"),
    "a timestamp twice": (changed("timestamp", 7, TIMES[6]), "item 'bad' has 2024-01-01 06:00:00 twice, again in row"),
    "no timestamp": (changed("timestamp", 7, pd.NaT), "'timestamp' in row 367 is missing"),
    "irregular": (jittered(), "item 'bad' has no dominating time step"),
    "far away": (changed("timestamp", LENGTH - 1, pd.Timestamp("2094-01-01")), "item 'bad', row 719: timestamp 2094"),
    "beside the grid": (changed("timestamp", slice(7, 200), TIMES[7:201] + pd.Timedelta("29min")), "item 'bad'"),
}
VERBS: dict[str, dict[str, Any]] = {
    "predict_df": {"prediction_length": 3}, "impute_df": {"quantile_levels": [0.1]}, "detect_df": {}, "embed_df": {}
}  # fmt: skip


@pytest.fixture(scope="module")
def model() -> Any:
    return tsfm.load("tsfm-mini")


def panel(bad: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([item("a"), bad, item("z")], ignore_index=True)


def result_columns(verb: str, out: pd.DataFrame) -> pd.DataFrame:
    return out.drop(columns=["item_id", "timestamp", "target_name", "target"], errors="ignore")


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("kind", BAD)
def test_a_bad_item_does_not_stop_the_others(model: Any, verb: str, kind: str) -> None:
    bad, reason = BAD[kind]
    df, call = panel(bad), VERBS[verb]
    before = df.copy()
    alone = getattr(model, verb)(pd.concat([item("a"), item("z")], ignore_index=True), **call)
    with pytest.warns(tsfm.FailedItemWarning, match=f"1 of 3 items have no result.*{reason}"):
        out = getattr(model, verb)(df, **call)
    pd.testing.assert_frame_equal(df, before)
    assert list(dict.fromkeys(out["item_id"])) == ["a", "bad", "z"]
    kept = out[out["item_id"] != "bad"].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, alone, check_dtype=kind != "text")
    rows = result_columns(verb, out[out["item_id"] == "bad"])
    assert len(rows) == {"predict_df": 3, "embed_df": 1}.get(verb, LENGTH)
    assert all(not rows[name].any() if rows[name].dtype == bool else rows[name].isna().all() for name in rows)
    assert list(out.attrs["failed_items"]) == ["bad"]
    assert re.search(reason, out.attrs["announcements"][-1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        skipped = getattr(model, verb)(df, **call, errors="skip")
    pd.testing.assert_frame_equal(skipped.reset_index(drop=True), alone, check_dtype=kind != "text")
    with pytest.raises(ValueError, match=reason):
        getattr(model, verb)(df, **call, errors="raise")


def test_forecasts_of_a_bad_item_have_the_timestamps_that_follow_it(model: Any) -> None:
    for kind in ("all missing", "infinite", "a timestamp twice"):
        with pytest.warns(tsfm.FailedItemWarning):
            out = model.predict_df(panel(BAD[kind][0]), 3)
        times = out.loc[out["item_id"] == "bad", "timestamp"]
        assert times.tolist() == list(pd.date_range(TIMES[-1] + pd.Timedelta("1h"), periods=3, freq="h"))
    with pytest.warns(tsfm.FailedItemWarning):
        out = model.predict_df(panel(BAD["no timestamp"][0]), 3)
    assert out.loc[out["item_id"] == "bad", "timestamp"].isna().all()


@pytest.mark.parametrize(
    ("verb", "bad", "reason"),
    [
        ("predict_df", changed("target", slice(40, None), np.nan), r"'bad' has no observed value in 'target' over its"),
        (
            "impute_df",
            changed("target", slice(40, None), np.nan),
            r"'bad' has no observed value in 'target' within the",
        ),
        ("embed_df", changed("target", slice(40, None), np.nan), r"'bad' has no observed value over its last"),
        ("detect_df", item("bad", 2), r"item 'bad' has 2 observed values, and none can be scored"),
        ("detect_df", item("bad", 150), r"item 'bad', its first 45 steps: 45 clean steps have a score"),
    ],
)
def test_an_item_that_the_model_cannot_use(model: Any, verb: str, bad: pd.DataFrame, reason: str) -> None:
    tail = pd.date_range(TIMES[-1], periods=3200, freq="h")[1:]
    if verb != "detect_df":  # long enough that the values lie beyond what the model reads
        more = pd.DataFrame({"item_id": "bad", "timestamp": tail, "target": np.nan})
        bad = pd.concat([bad, more], ignore_index=True)
    with pytest.warns(tsfm.FailedItemWarning, match=reason):
        out = getattr(model, verb)(panel(bad), **VERBS[verb])
    assert out[out["item_id"] != "bad"].iloc[:, -1].notna().any()
    assert list(out.attrs["failed_items"]) == ["bad"]


def test_many_kinds_of_bad_items_and_numbered_ids(model: Any) -> None:
    frames = [bad.assign(item_id=100 + i) for i, (bad, _) in enumerate(BAD.values())]
    df = pd.concat([item(1), *frames, item(2)], ignore_index=True)
    with pytest.warns(tsfm.FailedItemWarning, match=f"{len(frames)} of {len(frames) + 2} items.*and 4 more") as caught:
        out = model.predict_df(df, 2)
    assert len(caught) == 1
    assert list(dict.fromkeys(out["item_id"])) == [1, *range(100, 100 + len(frames)), 2]
    assert out["item_id"].dtype == df["item_id"].dtype
    assert set(out.loc[out["predictions"].isna(), "item_id"]) == set(range(100, 100 + len(frames)))


def test_the_style_of_nixtla(model: Any) -> None:
    df = panel(BAD["all missing"][0]).rename(columns={"item_id": "unique_id", "timestamp": "ds", "target": "y"})
    with pytest.warns(tsfm.FailedItemWarning):
        out = model.predict_df(df, style="nixtla", h=2, level=80)
    assert out.columns.tolist() == ["unique_id", "ds", "tsfm-mini", "tsfm-mini-lo-80", "tsfm-mini-hi-80"]
    assert out["unique_id"].tolist() == ["a", "a", "bad", "bad", "z", "z"]
    assert out["tsfm-mini"].isna().tolist() == [False, False, True, True, False, False]


def test_no_usable_item_is_an_error(model: Any) -> None:
    for df in (BAD["infinite"][0], pd.concat([BAD["all missing"][0], BAD["infinite"][0].assign(item_id="b")])):
        for errors in ("warn", "skip", "raise"):
            with pytest.raises(ItemErrors):
                model.predict_df(df, 3, errors=errors)
    with pytest.raises(ValueError, match="errors is 'ignore'; it is one of warn, raise, skip"):
        model.predict_df(item("a"), 3, errors="ignore")


def test_future_covariates_that_one_item_lacks(model: Any) -> None:
    df = pd.concat([item("a"), item("bad")]).assign(price=lambda rows: np.arange(len(rows)) % 7.0)
    steps = pd.date_range(TIMES[-1], periods=4, freq="h")[1:]
    future = pd.DataFrame({"item_id": "a", "timestamp": steps, "price": 1.0})
    with pytest.warns(tsfm.FailedItemWarning, match="future_df has no rows for item 'bad'"):
        out = model.predict_df(df, 3, future_df=future)
    assert out.loc[out["item_id"] == "bad", "predictions"].isna().all()


@pytest.mark.parametrize(
    "verb", ["forecast --horizon 3", "forecast --horizon 3 --holdout", "impute", "detect", "embed"]
)
@pytest.mark.parametrize("errors", ["", "--errors skip", "--errors raise"])
def test_the_file_verbs_take_errors(tmp_path: Path, capsys: Any, verb: str, errors: str) -> None:
    panel(BAD["all missing"][0]).to_csv(tmp_path / "sales.csv", index=False)
    command, *flags = verb.split()
    out = tmp_path / "out.csv"
    flags += ["--model", "tsfm-mini", "--out", str(out), *errors.split()]
    code = run_command([command, str(tmp_path / "sales.csv"), *flags])
    stderr = capsys.readouterr().err
    if errors == "--errors raise":
        assert code == 2
        assert "item 'bad' has no observed value" in stderr
        return
    assert code == 0, stderr
    assert list(dict.fromkeys(pd.read_csv(out)["item_id"])) == (["a", "z"] if errors else ["a", "bad", "z"])
    assert ("warning: 1 of 3 items have no result (NaN). item 'bad'" in stderr) == (not errors)


def test_holding_out_more_steps_than_one_item_has(tmp_path: Path, capsys: Any) -> None:
    panel(item("bad", 3)).to_csv(tmp_path / "sales.csv", index=False)
    out = tmp_path / "out.csv"
    arguments = ["--model", "tsfm-mini", "--horizon", "5", "--holdout", "--out", str(out)]
    assert run_command(["forecast", str(tmp_path / "sales.csv"), *arguments]) == 0
    captured = capsys.readouterr()
    assert "item 'bad' has 3 steps; holding out 5 leaves no observed value" in captured.err
    assert "2 series, last 5 steps held out" in captured.out
    forecast = pd.read_csv(out)
    assert forecast.loc[forecast["item_id"] == "bad", "predictions"].isna().tolist() == [True] * 5
