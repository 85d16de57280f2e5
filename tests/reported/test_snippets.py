"""Inputs that were once read wrongly, each as it was reported, with the value that is right; see docs/reported.md."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tsfm
import tsfm.commands.cli
from tests.infer.small_models import step_model
from tsfm.bench.predictors import find_predictor
from tsfm.infer.frames import read_frame
from tsfm.store.ingest import ingest
from tsfm.store.series_store import SeriesStore

DAYS = pd.date_range("2024-01-01", periods=60)
MODEL = find_predictor("seasonal_naive")
bundled = pytest.mark.slow


def frame(times: Any, target: Any = None, **columns: Any) -> pd.DataFrame:
    target = np.arange(float(len(times))) if target is None else target
    return pd.DataFrame({"item_id": "a", "timestamp": times, "target": target, **columns})


def command(text: str) -> int:
    return tsfm.commands.cli.main(text.split())


def test_g1_day_first_months() -> None:
    days = pd.date_range("2020-01-01", periods=24, freq="MS").strftime("%d/%m/%Y")
    out = MODEL.predict_df(frame(days), 3)
    assert out.timestamp.tolist() == list(pd.date_range("2022-01-01", periods=3, freq="MS"))
    assert any("day/month/year" in note for note in out.attrs["announcements"])


def test_g2_times_without_a_date_and_months_of_excel() -> None:
    hours = pd.DataFrame({"timestamp": [f"{hour:02d}:00" for hour in range(24)], "target": range(24)})
    with pytest.raises(ValueError, match="a time without a date"):
        read_frame(hours, prediction_length=2)
    months = pd.date_range("2020-01-01", periods=30, freq="MS")
    read = read_frame(frame(list(months.strftime("%b-%y"))), prediction_length=2).series[0]
    assert (read.freq, str(read.start)[:10]) == ("MS", "2020-01-01")


def test_g3_business_months() -> None:
    times = pd.date_range("2020-02-03", periods=34, freq="BMS")
    assert MODEL.predict_df(frame(times[:30]), 4).timestamp.tolist() == times[30:].tolist()


@pytest.mark.parametrize(
    ("zone", "freq"), [("Asia/Tokyo", "B"), ("Asia/Tokyo", "W-MON"), ("Europe/Berlin", "MS"), ("Europe/Berlin", "D")]
)
def test_g4_local_days_in_a_store(zone: str, freq: str, tmp_path: Path) -> None:
    times = pd.date_range("2023-06-01", periods=200, freq=freq, tz=zone)
    report = ingest(frame(times), tmp_path / "s", progress=False)
    store = SeriesStore.open(tmp_path / "s")
    assert (report.steps, store.freqs[0], store.manifest.timezone) == (200, freq, zone)


def test_g5_held_out_steps_in_their_zone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    times = pd.date_range("2024-10-20", periods=120, freq="h", tz="Europe/Berlin")
    frame(times, np.arange(120.0) % 24).to_parquet("z.parquet")
    assert command("forecast z.parquet --model seasonal_naive --horizon 2 --holdout --out f.parquet") == 0
    assert pd.read_parquet("f.parquet").timestamp.tolist() == list(times[-2:])


@pytest.mark.parametrize("name", ["semi.csv", "na.csv", "x.tsv", "years.csv"])
def test_g6_ingest_and_forecast_read_the_same_files(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    df = frame(DAYS[:40])
    df.to_csv("semi.csv", index=False, sep=";")
    df.assign(item_id="NA").to_csv("na.csv", index=False)
    df.to_csv("x.tsv", index=False, sep="\t")
    df.assign(timestamp=range(1980, 2020)).to_csv("years.csv", index=False)
    assert command(f"ingest {name} --out st --overwrite") == 0
    assert command(f"forecast {name} --model seasonal_naive --horizon 2 --out f.csv") == 0
    out = pd.read_csv("f.csv", keep_default_na=False)
    assert set(out["item_id"]) == ({"NA"} if name == "na.csv" else {"a"})
    assert str(out["timestamp"][0])[:4] == ("2020" if name == "years.csv" else "2024")


def test_g7_columns_in_two_levels() -> None:
    columns = pd.MultiIndex.from_product([["Close"], ["AAPL", "MSFT"]])
    df = pd.DataFrame([[i, 2 * i] for i in range(60)], index=DAYS, columns=columns, dtype=float)
    out = MODEL.predict_df(df, 3, target="Close")
    assert len(out) == 6


def test_g8_numbers_of_every_kind_are_covariates() -> None:
    df = frame(DAYS, price=[Decimal(i % 4) for i in range(60)])
    df["promo"] = pd.Series([None] + [True, False] * 29 + [True], dtype=object)
    df["open"] = (df["target"] % 7 < 5).astype("bool[pyarrow]")
    assert read_frame(df, prediction_length=2).past_names == ["price", "promo", "open"]


def test_g9_a_column_that_is_not_used() -> None:
    df = frame(DAYS, [0.0] + [1.0, 2.0, 3.0] * 19 + [1.0, 2.0])
    df["change"] = df["target"].pct_change()
    model = step_model()
    assert len(model.impute_df(df)) == 60
    assert len(model.predict_df(df, 3)) == 3


@bundled
@pytest.mark.parametrize("level", [0, 1e6, 1e7])
def test_g10_p5_high_levels(level: float) -> None:
    wave = np.sin(np.arange(448) * 2 * np.pi / 24)
    df = frame(pd.date_range("2024-01-01", periods=400, freq="h"), level + wave[:400])
    out = tsfm.load("tsfm-small").predict_df(df, 48)
    assert np.abs(out.predictions - level - wave[400:]).mean() < 0.01


@pytest.mark.parametrize("kind", ["30 Hz", "jitter"])
def test_g11_sampling_rates_and_jitter(kind: str) -> None:
    if kind == "30 Hz":
        times, freq = pd.date_range("2024-01-01", periods=102, freq="33333333ns"), None
        df = frame(times[:100], np.arange(100.0) % 9)
    else:
        times, freq = pd.date_range("2024-01-01", periods=102, freq="5min"), "5min"
        jitter = pd.to_timedelta(np.random.default_rng(0).integers(0, 4, 100), unit="s")
        df = frame(times[:100] + jitter, np.arange(100.0) % 9)
    out = MODEL.predict_df(df, 2, freq=freq)
    assert np.abs(out.timestamp - times[100:]).max() <= pd.Timedelta("4s" if freq else "1us")
    assert any("were moved" in note for note in out.attrs["announcements"]) == (freq is not None)


def test_g12_a_sparse_series() -> None:
    day = np.sort(np.random.default_rng(0).choice(1826, 30, replace=False))
    df = frame(pd.Timestamp("2019-01-01") + pd.to_timedelta(day, unit="D"), 1.0)
    out = MODEL.predict_df(df, 3, freq="D")
    assert out.timestamp.tolist() == list(pd.date_range(df.timestamp.iloc[-1], periods=4)[1:])
    assert any("steps without a row are taken as missing" in note for note in out.attrs["announcements"])


@bundled
@pytest.mark.parametrize("kind", ["reversed", "names of Nixtla"])
def test_g13_fit_df_takes_what_predict_df_takes(kind: str) -> None:
    df = frame(DAYS.union(pd.date_range("2024-03-01", periods=30)), np.arange(90.0) % 7)
    df = (
        df[::-1]
        if kind == "reversed"
        else df.rename(columns={"item_id": "unique_id", "timestamp": "ds", "target": "y"})
    )
    model = tsfm.load("tsfm-mini")
    assert len(model.predict_df(df, 3)) == 3
    fitted = model.fit_df(df, 3, overrides=["data.batches_per_epoch=1", "data.batch_size=4"], device="cpu")
    assert len(fitted.predict_df(df, 3)) == 3


def test_g14_offsets_that_change(tmp_path: Path) -> None:
    times = pd.date_range("2024-10-24", periods=100, freq="h", tz="Europe/Berlin")
    frame(times, np.arange(100.0) % 24).to_csv(tmp_path / "dst.csv", index=False)
    out = MODEL.predict_df(pd.read_csv(tmp_path / "dst.csv"), 3)
    assert out.timestamp.tolist() == [times[-1] + pd.Timedelta(hours=hour) for hour in (1, 2, 3)]
    assert any("read as UTC" in note for note in out.attrs["announcements"])


@pytest.mark.parametrize("kind", ["offset", "Timedelta", "1h30min", "1.5h"])
def test_g15_frequencies(kind: str) -> None:
    df = pd.DataFrame({"target": np.arange(60.0)}, index=pd.date_range("2024-01-01", periods=60, freq="90min"))
    freq = {"offset": df.index.freq, "Timedelta": pd.Timedelta("90min")}.get(kind, kind)  # type: ignore[attr-defined]
    assert MODEL.predict_df(df, 1, freq=freq).timestamp.tolist() == [pd.Timestamp("2024-01-04 18:00")]


@bundled
def test_g16_outer_levels_and_bounds() -> None:
    df = frame(pd.date_range("2024-01-01", periods=300), np.random.default_rng(0).poisson(0.2, 300))
    model = tsfm.load("tsfm-small")
    assert (model.predict_df(df, 5, lower=0)[["predictions", "0.1"]] >= 0).all(axis=None)
    out = model.predict_df(df, 5, quantile_levels=[0.9, 0.1])
    assert [name for name in out.columns if name in ("0.9", "0.1")] == ["0.9", "0.1"]
    wide = tsfm.load("tsfm-small-next").predict_df(df, 5, quantile_levels=[0.05, 0.95])
    assert (wide["0.95"] > 0).all()


@bundled
def test_g17_a_known_covariate_gains() -> None:
    rng = np.random.default_rng(0)
    c = rng.normal(size=548)
    y = 20 + 5 * c + 0.1 * rng.normal(size=548)
    rows = frame(pd.date_range("2024-01-01", periods=548, freq="h"), y, c=c)
    model = tsfm.load("tsfm-mini-inverted")
    out = model.predict_df(rows[:500], 48, future_df=rows[500:].drop(columns="target"))
    without = model.predict_df(rows[:500].drop(columns="c"), 48)
    errors = [np.abs(forecast.predictions.to_numpy() - y[500:]).mean() for forecast in (out, without)]
    assert errors[0] < 0.25 < 3 < errors[1]


def test_g18_names_that_are_numbers() -> None:
    df = pd.DataFrame({0: np.arange(60.0)}, index=DAYS)
    assert len(MODEL.predict_df(df, 2, target=[0])) == len(MODEL.predict_df(df, 2, target=0)) == 2
    with pytest.raises(ValueError, match="target is None; name the target column"):
        MODEL.predict_df(df, 2, target=None)


@pytest.mark.parametrize("times", [range(100), range(1959, 2019), [20240101 + day for day in range(31)], None])
def test_g19_whole_numbers_and_no_time(times: Any) -> None:
    df = frame(range(60) if times is None else times)
    out = MODEL.predict_df(df.drop(columns="timestamp") if times is None else df, 1)
    following = {100: 100, 60: 2019 if times is not None else 60, 31: 20240201}[len(df)]
    stamp = out.timestamp.iloc[0]
    assert str(stamp).replace("-", "").startswith(str(following))


def test_g20_an_item_without_a_value() -> None:
    df = pd.concat([frame(DAYS), frame(DAYS, np.nan).assign(item_id="b")])
    with pytest.warns(tsfm.FailedItemWarning, match="'b'"):
        out = MODEL.predict_df(df, 2)
    assert out.groupby("item_id").predictions.count().to_dict() == {"a": 2, "b": 0}
    with pytest.raises(ValueError, match="'b'"):
        MODEL.predict_df(df, 2, errors="raise")


def test_g21_one_numeric_column_is_the_target(tmp_path: Path) -> None:
    df = pd.DataFrame({"shop": "a", "date": DAYS, "revenue": np.arange(60.0)})
    assert len(MODEL.predict_df(df, 2)) == 2
    report = ingest(frame(DAYS, promo=[0, 1] * 30), tmp_path / "s", progress=False)
    assert any("promo are covariates" in note for note in report.notes)


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_g22_decimal_commas_and_encodings(encoding: str, tmp_path: Path) -> None:
    rows = "".join(f"Köln;{day:%Y-%m-%d};1.234,{k % 9}5\n" for k, day in enumerate(DAYS))
    (tmp_path / "x.csv").write_bytes(f"item_id;timestamp;target\n{rows}".encode(encoding))
    assert ingest(tmp_path / "x.csv", tmp_path / "s", progress=False).steps == 60
    store = SeriesStore.open(tmp_path / "s")
    assert (store.ids[0], store.read(0)[0, 0]) == ("Köln", np.float32(1234.05))


@pytest.mark.parametrize("end", ["b,2024-01-09", "b,2024-01-0"])
def test_g23_rows_with_too_few_cells(end: str, tmp_path: Path) -> None:
    rows = "".join(f"a,2024-01-0{day},{day}\n" for day in range(1, 9))
    (tmp_path / "x.csv").write_text(f"item_id,timestamp,target\n{rows}{end}")
    with pytest.raises(ValueError, match="cut short"):
        ingest(tmp_path / "x.csv", tmp_path / "s", progress=False)


def test_g24_the_names_of_the_caller() -> None:
    df = frame(DAYS.to_period("D")).rename(columns={"item_id": "shop", "timestamp": "day"})
    out = MODEL.predict_df(df, 2, id_column="shop", timestamp_column="day")
    assert [*out.columns[:2], str(out["day"].dtype)] == ["shop", "day", "period[D]"]


def test_g25_a_numeric_file_without_a_header(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("".join(f"{row},{row + 1}\n" for row in range(9)))
    with pytest.raises(ValueError, match="header"):
        ingest(tmp_path / "x.csv", tmp_path / "s", progress=False)


@pytest.mark.parametrize("kind", ["a dict as id", "a dict as target", "@ alone"])
def test_g26_cells_that_are_containers(kind: str, tmp_path: Path) -> None:
    df = frame(DAYS).astype({"target": object})
    if kind == "@ alone":
        (tmp_path / "X.ts").write_text("@problemName X\n@\n@data\n1,2\n")
        with pytest.raises(ValueError, match=r"X\.ts"):
            ingest(tmp_path / "X.ts", tmp_path / "s", progress=False)
        return
    df.at[3, "item_id" if "id" in kind else "target"] = {"a": 1}
    with pytest.raises(ValueError, match="'a': 1"):
        step_model().impute_df(df)


def test_g27_an_id_with_nul_and_many_columns() -> None:
    with pytest.raises(ValueError, match="NUL"):
        MODEL.predict_df(frame(DAYS).assign(item_id="a\0b"), 2)
    wide = pd.DataFrame(np.ones((5, 1000)), columns=[f"c{i}" for i in range(1000)])
    read = read_frame(wide.assign(timestamp=DAYS[:5]), prediction_length=1)
    assert len(read.targets) == 1000
