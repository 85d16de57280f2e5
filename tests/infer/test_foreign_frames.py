"""Laws of frames of other libraries: the same numbers as from pandas, and the same kind and types come back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import tsfm
from tsfm.bench.predictors import find_predictor
from tsfm.store.foreign_frames import read_foreign
from tsfm.store.series_store import SeriesStore

pl = pytest.importorskip("polars", reason="polars is not installed: pip install -e .[dev]")
duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed: pip install -e .[dev]")
ibis = pytest.importorskip("ibis", reason="ibis is not installed: pip install -e .[dev]")

STEPS = 72
HOURS = pd.date_range("2024-03-29", periods=STEPS, freq="h", tz="Europe/Berlin")  # DST begins on 31 March
NAMES: dict[str, Any] = {"id_column": "shop", "timestamp_column": "when", "target": "sales"}


def panel() -> pd.DataFrame:
    parts = [
        pd.DataFrame({"shop": shop, "when": HOURS, "sales": 10.0 * i + np.sin(np.arange(STEPS) * np.pi / 12)})
        for i, shop in enumerate(["b", "a"], start=1)
    ]
    df = pd.concat(parts, ignore_index=True)
    df.loc[[5, 100], "sales"] = np.nan
    df["count"] = np.arange(len(df)) + 2**53 + 1  # not exact in float64
    return df


def to_polars(df: pd.DataFrame) -> Any:
    return pl.from_pandas(df).with_columns(pl.col("when").dt.cast_time_unit("us"))


def to_duckdb(df: pd.DataFrame) -> Any:
    connection = duckdb.connect()
    connection.sql("SET timezone = 'Europe/Berlin'")
    connection.register("panel", df)
    return connection.sql("SELECT * FROM panel")


KINDS = {
    "polars": to_polars,
    "polars lazy": lambda df: to_polars(df).lazy(),
    "arrow": lambda df: to_polars(df).to_arrow(),
    "arrow dictionary": lambda df: pa.Table.from_pandas(df.astype({"shop": "category"}), preserve_index=False),
    "duckdb": to_duckdb,
    "ibis": lambda df: ibis.memtable(to_polars(df)),
}
EAGER = {"polars lazy": pl.DataFrame}  # what comes back for a kind that is not that kind


@pytest.fixture(scope="module")
def model() -> Any:
    return tsfm.load("tsfm-mini")


def rows(frame: Any) -> pa.Table:
    return read_foreign(frame, label="df").pandas  # type: ignore[union-attr]


VERBS = {
    "predict_df": lambda model, df: model.predict_df(df, 4, **NAMES),
    "impute_df": lambda model, df: model.impute_df(df, quantile_levels=[0.1, 0.9], **NAMES),
    "fill_gaps": lambda model, df: model.impute_df(df, fill_gaps=True, **NAMES),
    "detect_df": lambda model, df: model.detect_df(df, level=0.8, **NAMES),
    "clean rows": lambda model, df: model.detect_df(df, level=0.8, calibration=df, **NAMES),
    "embed_df": lambda model, df: model.embed_df(df, **NAMES),
    "Forecaster": lambda model, df: tsfm.Forecaster(model, **NAMES).fit(df).predict(4),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("verb", VERBS)
def test_the_same_numbers_and_the_same_kind(model: Any, verb: str, kind: str) -> None:
    df = panel()
    expected, frame = VERBS[verb](model, df), KINDS[kind](df)
    result = VERBS[verb](model, frame)
    assert isinstance(result, EAGER.get(kind, type(frame)))
    result = rows(result)
    assert [*result.columns] == [*expected.columns]
    for name in expected.columns:
        if expected[name].dtype.kind in "fib":
            values = result[name].to_numpy(
                expected[name].dtype, na_value=np.nan if expected[name].dtype.kind == "f" else 0
            )
            np.testing.assert_array_equal(values, expected[name].to_numpy(), err_msg=name)
        else:
            assert result[name].astype(object).tolist() == expected[name].astype(object).tolist(), name


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("text", "unit"), [(pl.String, "ms"), (pl.Categorical, "us"), (pl.Enum(["b", "a", "c"]), "ns")], ids=str
)
def test_types_of_polars_come_back(model: Any, verb: str, text: Any, unit: str) -> None:
    df = to_polars(panel()).with_columns(pl.col("shop").cast(text), pl.col("when").dt.cast_time_unit(unit))
    result = VERBS[verb](model, df)
    shared = [name for name in df.columns if name in result.columns]
    assert shared
    assert [result.schema[name] for name in shared] == [df.schema[name] for name in shared]


@pytest.mark.parametrize(
    "dtype", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.uint16(), pa.string())]
)
def test_types_of_arrow_come_back(model: Any, dtype: Any) -> None:
    table = pa.Table.from_pandas(panel(), preserve_index=False)
    table = table.set_column(
        0,
        "shop",
        pa.chunked_array([pa.array(panel()["shop"]).dictionary_encode().cast(dtype)])
        if pa.types.is_dictionary(dtype)
        else table.column("shop").cast(dtype),
    )
    for verb in ("predict_df", "detect_df"):
        result = VERBS[verb](model, table)
        assert result.schema.field("shop").type == dtype
        assert result.schema.field("when").type == table.schema.field("when").type
        assert isinstance(json.loads(result.schema.metadata[b"announcements"]), list)


def test_whole_numbers_nulls_and_nan_stay() -> None:
    """Integers beyond 2**53, null next to NaN, decimals, lists: columns that no verb uses come back bit for bit."""
    df = pl.DataFrame(
        {"timestamp": HOURS[:40].tz_localize(None), "target": np.sin(np.arange(40))},
        schema_overrides={"timestamp": pl.Datetime("us")},
    ).with_columns(
        whole=pl.Series([2**60 + 1, None] * 20),
        floats=pl.Series([1.5, None, float("nan"), -0.0] * 10),
        decimals=pl.Series(["1.10", None] * 20).cast(pl.Decimal(10, 2)),
        lists=pl.Series([[1, 2], None] * 20),
        flag=pl.Series([True, None] * 20),
        time=pl.Series([pd.Timestamp("2024-01-01 07:00").time(), None] * 20),
    )
    result = tsfm.load("tsfm-mini").embed_df(df)
    assert isinstance(result, pl.DataFrame)
    result = tsfm.load("tsfm-mini").impute_df(df)
    assert result[df.columns].equals(df, null_equal=True)


def test_dates_and_steps_come_back() -> None:
    naive = find_predictor("seasonal_naive")
    values = np.arange(30.0)
    days = pl.DataFrame(
        {"timestamp": pl.date_range(pd.Timestamp("2024-01-01"), pd.Timestamp("2024-01-30"), eager=True)}
    )
    out = naive.predict_df(days.with_columns(target=values), 2)
    assert out.schema["timestamp"] == pl.Date
    assert out["timestamp"].cast(str).to_list() == ["2024-01-31", "2024-02-01"]
    steps = pl.DataFrame({"timestamp": np.arange(30, dtype=np.int16), "target": values})
    out = naive.predict_df(steps, 2)
    assert out.schema["timestamp"] == pl.Int16
    assert out["timestamp"].to_list() == [30, 31]
    text = days.select(pl.col("timestamp").cast(str)).with_columns(target=values)
    assert naive.predict_df(text, 2).schema["timestamp"].is_temporal()


@pytest.mark.parametrize(
    ("kind", "future"), [*(("pandas", kind) for kind in KINDS), ("polars", "pandas"), ("duckdb", "arrow dictionary")]
)
def test_the_future_may_be_of_another_library(model: Any, kind: str, future: str) -> None:
    df = panel().drop(columns="count").assign(price=np.arange(2 * STEPS) % 7)
    df["sales"] += df["price"]
    steps = pd.date_range(HOURS[-1], periods=5, freq="h")[1:]
    rows_ahead = pd.concat(pd.DataFrame({"shop": s, "when": steps, "price": [1, 4, 2, 6]}) for s in "ba")
    expected = model.predict_df(df, 4, future_df=rows_ahead, **NAMES)["predictions"]
    make: Any = {"pandas": lambda frame: frame, **KINDS}
    result = model.predict_df(make[kind](df), 4, future_df=make[future](rows_ahead), **NAMES)
    result = result if kind == "pandas" else rows(result)
    assert result["predictions"].tolist() == expected.tolist()


def test_a_relation_comes_back_on_its_connection(model: Any) -> None:
    relation = to_duckdb(panel())
    forecast = model.predict_df(relation, 4, **NAMES)
    assert forecast.join(relation.set_alias("r"), "shop").aggregate("count(*)").fetchall() == [(2 * STEPS * 4,)]


@pytest.mark.parametrize("kind", KINDS)
def test_ingest_and_fit_read_every_kind(tmp_path: Path, kind: str) -> None:
    df = panel().drop(columns="count")
    tsfm.ingest(df, tmp_path / "pandas", progress=False, **NAMES)
    tsfm.ingest(KINDS[kind](df), tmp_path / "other", progress=False, **NAMES)
    expected, store = SeriesStore.open(tmp_path / "pandas"), SeriesStore.open(tmp_path / "other")
    assert store.manifest.fingerprint == expected.manifest.fingerprint
    assert [*store.ids] == [*expected.ids]


def test_fit_df_reads_other_kinds(model: Any) -> None:
    df = panel().drop(columns="count")
    options: dict[str, Any] = {"epochs": 1, "method": "head", "overrides": ["data.batches_per_epoch=2"], **NAMES}
    tuned, other = (model.fit_df(frame, 4, keep_better=False, **options) for frame in (df, to_polars(df)))
    assert tuned.predict_df(df, 4, **NAMES).equals(other.predict_df(df, 4, **NAMES))


def test_plots_read_every_kind(model: Any) -> None:
    df = to_polars(panel())
    figure = model.plot(df, model.predict_df(df, 4, **NAMES), id_column="shop", timestamp_column="when")
    assert [axes.get_title("left") for axes in figure.axes] == ["b: sales", "a: sales"]


class Remote:
    """Stands for a frame of a cluster."""


@pytest.mark.parametrize(("library", "way"), [("pyspark.sql", "applyInPandas"), ("ray.data", "map_batches")])
def test_a_frame_of_a_cluster_is_not_collected(model: Any, monkeypatch: Any, library: str, way: str) -> None:
    monkeypatch.setattr(Remote, "__module__", library)
    with pytest.raises(ValueError, match=rf"df is a {library.split('.')[0]} Remote, .*{way}"):
        model.predict_df(Remote(), 4)


def test_what_cannot_be_read_is_named(model: Any) -> None:
    connection = duckdb.connect()
    relation = connection.sql("SELECT 1 AS target")
    connection.close()
    with pytest.raises(ValueError, match="df is a duckdb DuckDBPyRelation that cannot be read: "):
        model.predict_df(relation, 4)
    with pytest.raises(ValueError, match="future_df is a polars LazyFrame that cannot be read: "):
        model.predict_df(panel(), 4, future_df=to_polars(panel()).lazy().select("absent"), **NAMES)
    for frame in (pl.Series([1.0]), [1.0], {"target": [1.0]}, np.zeros(3), None):
        with pytest.raises(ValueError, match=r"df is a .*; expected a DataFrame of pandas, polars"):
            model.predict_df(frame, 4)
