"""`tsfm forecast --holdout`: scores in data units, few calls, and ids that stay what the file says."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.tiny import CONTEXT, HORIZON, tiny
from tsfm.bench.predictors import find_predictor
from tsfm.commands.forecast import forecast_file, judge
from tsfm.infer.frames import read_frame
from tsfm.infer.model_predictor import ModelPredictor
from tsfm.metrics.forecast_score import ForecastScore
from tsfm.model.checkpoint import About, save
from tsfm.timestamps.frequency import season_length


def sales(ids=("001", "002"), *, rows: int = 90, freq: str = "h", column: str = "target") -> pd.DataFrame:
    noise = np.random.default_rng(0)
    parts = [
        pd.DataFrame(
            {
                "item_id": name,
                "timestamp": pd.date_range("2024-01-01", periods=rows - 3 * (i % 2), freq=freq),
                column: 500 + 100 * noise.normal(size=rows - 3 * (i % 2)),
            }
        )
        for i, name in enumerate(ids)
    ]
    return pd.concat(parts, ignore_index=True)


def figures(line: str) -> dict[str, float]:
    return {name: float(value) for name, value in re.findall(r"(MASE|MAE|WQL) ([\d.e+]+)", line)}


def asked(source: Path, **options):
    kept = dict.fromkeys(("target", "future", "quantile_levels", "out", "plot", "freq"))
    kept |= {"predictor": "seasonal_naive", "horizon": 4, "holdout": False}
    return forecast_file(source, **(kept | {"id_column": "item_id", "timestamp_column": "timestamp"} | options))


def test_a_model_without_window_scaling_is_judged_in_data_units() -> None:
    df = sales(column="OT")
    model = tiny("dlinear", scaler="none")
    frame = read_frame(df, prediction_length=8, target="OT")
    knows = ModelPredictor(model, name="linear", about=About(standardize={"OT": (500.0, 100.0)}))
    errors = []
    for series in frame:
        past = ((series.values[:, -CONTEXT - 8 : -8] - 500) / 100)[None]
        said = knows.forecast(past, horizon=8, quantile_levels=(0.5,))[0, :, :, 0] * 100 + 500
        errors.append(np.abs(said - series.values[:, -8:]).mean())
    (line,) = judge(frame, [knows], horizon=8)
    assert figures(line)["MAE"] == pytest.approx(np.mean(errors), rel=1e-3)
    other = ModelPredictor(model, name="linear", about=About(standardize={"x": (0.0, 1.0)}))
    with pytest.raises(ValueError, match="knows only the units of x; found target OT"):
        judge(frame, [other], horizon=8)


def test_one_call_per_season_and_the_scores_of_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    df = pd.concat([sales(("a", "b", "c", "d")), sales(("m", "n"), freq="MS")], ignore_index=True)
    frame = read_frame(df, prediction_length=8)
    predictor = find_predictor("seasonal_naive")
    scores: dict[int, ForecastScore] = {}
    for series in frame:
        season = season_length(series.freq)
        past = series.values[:, :-8]
        said = predictor.predict([past], prediction_length=8, season_length=season)
        score = scores.setdefault(season, ForecastScore(said.quantile_levels, season))
        score.update(series.values[None, :, -8:], said.quantiles, past[None])
    calls = []
    real = type(predictor).quantiles
    monkeypatch.setattr(type(predictor), "quantiles", lambda *a, **k: calls.append(len(a[1])) or real(*a, **k))
    lines = judge(frame, [predictor], horizon=8)
    assert sorted(calls) == [2, 4]
    assert len(lines) == len(scores) == 2
    for line, score in zip(lines, scores.values(), strict=True):
        found = score.result()
        assert figures(line) == pytest.approx({name: found[name.lower()] for name in figures(line)}, rel=1e-3)
        assert f"({int(found['windows'])} series, last 8 steps held out" in line


def test_a_series_that_fell_silent_is_named_not_judged() -> None:
    df = sales(rows=HORIZON + 2 * CONTEXT)
    df.loc[len(df) - CONTEXT - 8 :, "target"] = np.nan
    model = ModelPredictor(tiny("dlinear"), name="linear")
    with pytest.raises(ValueError, match="item '002' has no observed value in 'target' over its last 48 steps"):
        judge(read_frame(df, prediction_length=8), [model], horizon=8)


@pytest.mark.parametrize("name", ["item_id", "unique_id", "shop"])
def test_ids_of_a_csv_are_text(name: str, tmp_path: Path) -> None:
    sales().rename(columns={"item_id": name}).to_csv(tmp_path / "sales.csv", index=False)
    column = "shop" if name == "shop" else "item_id"
    for holdout in (False, True):
        asked(tmp_path / "sales.csv", out=str(tmp_path / "out.csv"), id_column=column, holdout=holdout)
        said = pd.read_csv(tmp_path / "out.csv", dtype={"item_id": str})
        assert said["item_id"].unique().tolist() == ["001", "002"]


@pytest.mark.parametrize("kinds", [("csv", "parquet"), ("parquet", "csv"), ("csv", "csv")])
def test_ids_of_two_kinds_of_file_meet(kinds: tuple[str, str], tmp_path: Path) -> None:
    df = sales((1, 2)).assign(price=2.0)
    after = [rows["timestamp"].max() + pd.to_timedelta(np.arange(1, 5), "h") for _, rows in df.groupby("item_id")]
    future = pd.DataFrame({"item_id": np.repeat([1, 2], 4), "timestamp": np.concatenate(after), "price": 3.0})
    for table, stem, kind in ((df, "sales", kinds[0]), (future, "future", kinds[1])):
        path = tmp_path / f"{stem}.{kind}"
        table.to_csv(path, index=False) if kind == "csv" else table.to_parquet(path)
    said = asked(tmp_path / f"sales.{kinds[0]}", future=str(tmp_path / f"future.{kinds[1]}"))
    assert "seasonal_naive" not in said
    assert len(said.splitlines()) == 9


def test_a_saved_model_holds_out_and_forecasts_in_data_units(tmp_path: Path) -> None:
    sales(column="OT").to_csv(tmp_path / "sales.csv", index=False)
    about = About(standardize={"OT": (500.0, 100.0)})
    save(tiny("nlinear", scaler="last"), tmp_path / "m", about=about)
    out = tmp_path / "out.csv"
    told = asked(
        tmp_path / "sales.csv", predictor=str(tmp_path / "m"), target=["OT"], horizon=8, out=str(out), holdout=True
    )
    said = pd.read_csv(out, dtype={"item_id": str})
    pieces = [rows["OT"].to_numpy()[-8:] for _, rows in sales(column="OT").groupby("item_id")]
    error = np.abs(np.concatenate(pieces) - said["predictions"]).mean()
    assert figures(told.splitlines()[0])["MAE"] == pytest.approx(error, rel=1e-3)  # both of the same held-out steps


@pytest.mark.parametrize("given", ["future file", "training", "nothing"])
def test_what_is_known_ahead_is_known_of_the_held_out_steps(given: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    df = sales().assign(price=rng.normal(size=177), rain=rng.normal(size=177))
    about = About(trained_on={"data": {"known": ["price"]}} if given == "training" else {})
    save(tiny("patch_transformer", "group"), tmp_path / "m", about=about)
    model = find_predictor(str(tmp_path / "m"))
    df.to_csv(tmp_path / "sales.csv", index=False)
    times = pd.date_range("2024-02-01", periods=2, freq="h")  # only its columns count here
    pd.DataFrame({"item_id": "001", "timestamp": times, "price": 0.0}).to_csv(tmp_path / "future.csv", index=False)
    future, out = str(tmp_path / "future.csv") if given == "future file" else None, tmp_path / "out.csv"
    kept = {"predictor": str(tmp_path / "m"), "horizon": 8, "out": str(out), "holdout": True}
    told = asked(tmp_path / "sales.csv", future=future, **kept)
    place = df.groupby("item_id").cumcount(ascending=False)  # by hand: each item without its last 8 steps
    head, tail = df[place >= 8], df[place < 8].drop(columns=["target", "rain"])
    expected = model.predict_df(head, 8, future_df=None if given == "nothing" else tail)
    said = pd.read_csv(out, dtype={"item_id": str})
    np.testing.assert_allclose(said["predictions"], expected["predictions"], rtol=1e-4)
    error = np.abs(expected["predictions"].to_numpy() - df[place < 8]["target"].to_numpy()).mean()
    assert figures(told.splitlines()[0])["MAE"] == pytest.approx(error, rel=1e-3)
