"""`tsfm forecast`: scores of held-out steps in data units, one call per season length, ids as in the file."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.tiny import CONTEXT, HORIZON, tiny
from tsfm.bench.predictors import find_predictor
from tsfm.commands.forecast import forecast_file
from tsfm.commands.holdout import score_holdout
from tsfm.infer.frames import read_frame
from tsfm.infer.model_predictor import ModelPredictor
from tsfm.metrics.forecast_score import ForecastScore
from tsfm.model.checkpoint import About, save
from tsfm.timestamps.frequency import season_length


def sales(ids=("001", "002"), *, rows: int = 90, freq: str = "h", column: str = "target") -> pd.DataFrame:
    rng = np.random.default_rng(0)
    tables = [
        pd.DataFrame(
            {
                "item_id": name,
                "timestamp": pd.date_range("2024-01-01", periods=rows - 3 * (i % 2), freq=freq),
                column: 500 + 100 * rng.normal(size=rows - 3 * (i % 2)),
            }
        )
        for i, name in enumerate(ids)
    ]
    return pd.concat(tables, ignore_index=True)


def figures(line: str) -> dict[str, float]:
    return {name: float(value) for name, value in re.findall(r"(MASE|MAE|WQL) ([\d.e+]+)", line)}


def run_forecast(source: Path, **options) -> str:
    return forecast_file(source, **({"predictor": "seasonal_naive", "horizon": 4} | options))


def test_a_model_without_window_scaling_is_scored_in_data_units() -> None:
    df = sales(column="OT")
    model = tiny("dlinear", scaler="none")
    frame = read_frame(df, prediction_length=8, target="OT")
    standardized = ModelPredictor(model, name="linear", about=About(standardize={"OT": (500.0, 100.0)}))
    errors = []
    for series in frame:
        past = ((series.values[:, -CONTEXT - 8 : -8] - 500) / 100)[None]
        predicted = standardized.forecast(past, horizon=8, quantile_levels=(0.5,))[0, :, :, 0] * 100 + 500
        errors.append(np.abs(predicted - series.values[:, -8:]).mean())
    (line,) = score_holdout(frame, [standardized], horizon=8)
    assert figures(line)["MAE"] == pytest.approx(np.mean(errors), rel=1e-3)
    other = ModelPredictor(model, name="linear", about=About(standardize={"x": (0.0, 1.0)}))
    with pytest.raises(ValueError, match="knows only the units of x; found target OT"):
        score_holdout(frame, [other], horizon=8)


def test_one_call_per_season_gives_the_scores_of_single_series(monkeypatch: pytest.MonkeyPatch) -> None:
    df = pd.concat([sales(("a", "b", "c", "d")), sales(("m", "n"), freq="MS")], ignore_index=True)
    frame = read_frame(df, prediction_length=8)
    predictor = find_predictor("seasonal_naive")
    scores: dict[int, ForecastScore] = {}
    for series in frame:
        season = season_length(series.freq)
        past = series.values[:, :-8]
        predicted = predictor.predict([past], prediction_length=8, season_length=season)
        score = scores.setdefault(season, ForecastScore(predicted.quantile_levels, season))
        score.update(series.values[None, :, -8:], predicted.quantiles, past[None])
    calls = []
    real = type(predictor).quantiles
    monkeypatch.setattr(type(predictor), "quantiles", lambda *a, **k: calls.append(len(a[1])) or real(*a, **k))
    lines = score_holdout(frame, [predictor], horizon=8)
    assert sorted(calls) == [2, 4]
    assert len(lines) == len(scores) == 2
    for line, score in zip(lines, scores.values(), strict=True):
        metrics = score.result()
        assert figures(line) == pytest.approx({name: metrics[name.lower()] for name in figures(line)}, rel=1e-3)
        assert f"({int(metrics['windows'])} series, last 8 steps held out" in line


def test_a_series_without_recent_values_is_named_and_not_scored() -> None:
    df = sales(rows=HORIZON + 2 * CONTEXT)
    df.loc[len(df) - CONTEXT - 8 :, "target"] = np.nan
    model = ModelPredictor(tiny("dlinear"), name="linear")
    with pytest.raises(ValueError, match="item '002' has no observed value in 'target' over its last 48 steps"):
        score_holdout(read_frame(df, prediction_length=8), [model], horizon=8)


@pytest.mark.parametrize("name", ["item_id", "unique_id", "shop"])
def test_ids_of_a_csv_are_text(name: str, tmp_path: Path) -> None:
    sales().rename(columns={"item_id": name}).to_csv(tmp_path / "sales.csv", index=False)
    column = "shop" if name == "shop" else "item_id"
    for holdout in (False, True):
        run_forecast(tmp_path / "sales.csv", out=str(tmp_path / "out.csv"), id_column=column, holdout=holdout)
        forecast = pd.read_csv(tmp_path / "out.csv", dtype={name: str})
        assert forecast[name].unique().tolist() == ["001", "002"]


@pytest.mark.parametrize("kinds", [("csv", "parquet"), ("parquet", "csv"), ("csv", "csv")])
def test_ids_of_two_kinds_of_file_meet(kinds: tuple[str, str], tmp_path: Path) -> None:
    df = sales((1, 2)).assign(price=2.0)
    after = [rows["timestamp"].max() + pd.to_timedelta(np.arange(1, 5), "h") for _, rows in df.groupby("item_id")]
    future = pd.DataFrame({"item_id": np.repeat([1, 2], 4), "timestamp": np.concatenate(after), "price": 3.0})
    for table, stem, kind in ((df, "sales", kinds[0]), (future, "future", kinds[1])):
        path = tmp_path / f"{stem}.{kind}"
        table.to_csv(path, index=False) if kind == "csv" else table.to_parquet(path)
    printed = run_forecast(tmp_path / f"sales.{kinds[0]}", future=str(tmp_path / f"future.{kinds[1]}"))
    assert "seasonal_naive" not in printed
    assert len(printed.splitlines()) == 9


def test_a_saved_model_holds_out_and_forecasts_in_data_units(tmp_path: Path) -> None:
    sales(column="OT").to_csv(tmp_path / "sales.csv", index=False)
    about = About(standardize={"OT": (500.0, 100.0)})
    save(tiny("nlinear", scaler="last"), tmp_path / "m", about=about)
    out = tmp_path / "out.csv"
    printed = run_forecast(
        tmp_path / "sales.csv", predictor=str(tmp_path / "m"), target=["OT"], horizon=8, out=str(out), holdout=True
    )
    forecast = pd.read_csv(out, dtype={"item_id": str})
    actual = [rows["OT"].to_numpy()[-8:] for _, rows in sales(column="OT").groupby("item_id")]
    error = np.abs(np.concatenate(actual) - forecast["predictions"]).mean()
    assert figures(printed.splitlines()[0])["MAE"] == pytest.approx(error, rel=1e-3)  # both of the same held-out steps


@pytest.mark.parametrize("source", ["future file", "training", "none"])
def test_known_covariates_are_known_at_the_held_out_steps(source: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    df = sales().assign(price=rng.normal(size=177), rain=rng.normal(size=177))
    about = About(trained_on={"data": {"known": ["price"]}} if source == "training" else {})
    save(tiny("patch_transformer", "group"), tmp_path / "m", about=about)
    model = find_predictor(str(tmp_path / "m"))
    df.to_csv(tmp_path / "sales.csv", index=False)
    times = pd.date_range("2024-02-01", periods=2, freq="h")  # only its columns count here
    pd.DataFrame({"item_id": "001", "timestamp": times, "price": 0.0}).to_csv(tmp_path / "future.csv", index=False)
    future, out = str(tmp_path / "future.csv") if source == "future file" else None, tmp_path / "out.csv"
    options = {"predictor": str(tmp_path / "m"), "horizon": 8, "out": str(out), "holdout": True}
    printed = run_forecast(tmp_path / "sales.csv", future=future, **options)
    steps_left = df.groupby("item_id").cumcount(ascending=False)  # by hand: each item without its last 8 steps
    head, tail = df[steps_left >= 8], df[steps_left < 8].drop(columns=["target", "rain"])
    expected = model.predict_df(head, 8, future_df=None if source == "none" else tail)
    forecast = pd.read_csv(out, dtype={"item_id": str})
    np.testing.assert_allclose(forecast["predictions"], expected["predictions"], rtol=1e-4)
    error = np.abs(expected["predictions"].to_numpy() - df[steps_left < 8]["target"].to_numpy()).mean()
    assert figures(printed.splitlines()[0])["MAE"] == pytest.approx(error, rel=1e-3)


@pytest.mark.parametrize("freq", ["h", "D"])
def test_held_out_steps_keep_their_time_zone(freq: str, tmp_path: Path) -> None:
    """Their timestamps join with those of the source, also where daylight saving changes."""
    times = pd.date_range("2024-10-24", periods=100, freq=freq, tz="Europe/Berlin")
    pd.DataFrame({"item_id": "a", "timestamp": times, "target": np.arange(100) % 24}).to_parquet(tmp_path / "z.parquet")
    out = tmp_path / "f.parquet"
    forecast_file(tmp_path / "z.parquet", predictor="seasonal_naive", horizon=30, holdout=True, out=str(out))
    forecast = pd.read_parquet(out)["timestamp"]
    assert (forecast.tolist(), forecast.dtype) == (times[-30:].tolist(), times.dtype)


def test_dates_that_can_be_read_in_two_ways(tmp_path: Path) -> None:
    days = pd.date_range("2020-01-01", periods=12).strftime("%d/%m/%Y")
    pd.DataFrame({"timestamp": days, "target": np.arange(12.0)}).to_csv(tmp_path / "d.csv", index=False)
    options = {"predictor": "last_value", "horizon": 1, "out": str(tmp_path / "f.csv")}
    with pytest.raises(ValueError, match="give dayfirst=True or dayfirst=False"):
        forecast_file(tmp_path / "d.csv", **options)
    for dayfirst, expected in ((True, "2020-01-13"), (False, "2021-01-01")):
        forecast_file(tmp_path / "d.csv", **options, dayfirst=dayfirst)
        assert pd.read_csv(tmp_path / "f.csv")["timestamp"].tolist() == [expected]
