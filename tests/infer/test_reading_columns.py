"""What a DataFrame verb takes as item, time, target and covariate, and that the output keeps names and kinds."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tests.infer.small_models import step_model
from tsfm.bench.predictors import find_predictor
from tsfm.infer.frames import read_frame
from tsfm.infer.plot import plot

DAYS = pd.date_range("2024-01-01", periods=60)


def table(**columns: Any) -> pd.DataFrame:
    """Return one item of 60 days."""
    return pd.DataFrame({"item_id": "a", "timestamp": DAYS, "target": np.arange(60.0) % 7, **columns})


def naive(df: pd.DataFrame, **options: Any) -> pd.DataFrame:
    """Forecast two steps by the seasonal naive."""
    return find_predictor("seasonal_naive").predict_df(df, 2, **options)


EXPECTED = naive(table())["predictions"].tolist()
FORMS: dict[str, Any] = {
    "names of Nixtla": table().rename(columns={"item_id": "unique_id", "timestamp": "ds", "target": "y"}),
    "series_id, date, value": table().rename(columns={"item_id": "series_id", "timestamp": "date", "target": "value"}),
    "id, datetime": table().rename(columns={"item_id": "id", "timestamp": "datetime"}),
    "capitals": table().rename(columns={"item_id": "Item_ID", "timestamp": "Date", "target": "Target"}),
    "the only numeric column": table().rename(columns={"target": "sales"}),
    "no item": table()[["timestamp", "target"]],
    "row numbers called id": table().assign(id=range(60)).drop(columns="item_id"),
    "an unnamed column of row numbers": table().rename(columns={"target": "sales"}).assign(**{"Unnamed: 0": range(60)}),
    "index": table().set_index(["item_id", "timestamp"]),
    "index of other names": table().rename(columns={"item_id": "unique_id", "timestamp": "Date"}).set_index(
        ["unique_id", "Date"]
    ),
    "unnamed index of dates": pd.DataFrame({"sales": table()["target"].to_numpy()}, index=DAYS),
    "index of periods": pd.DataFrame({"sales": table()["target"].to_numpy()}, index=DAYS.to_period("D")),
    "rows in reverse": table()[::-1],
    "two levels": pd.DataFrame(
        table()["target"].to_numpy()[:, None], index=DAYS, columns=pd.MultiIndex.from_tuples([("Close", "A")])
    ),
    "two levels, one empty": pd.DataFrame(
        {("Date", ""): DAYS, ("target", ""): table()["target"], ("note", "b"): "x"}
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_read(form: str) -> None:
    assert naive(FORMS[form])["predictions"].tolist() == EXPECTED


def test_a_wide_frame_has_a_target_per_column() -> None:
    df = pd.DataFrame({"date": DAYS, "a": table()["target"], "b": 2 * table()["target"]})
    out = naive(df)
    assert out["target_name"].tolist() == ["a", "a", "b", "b"]
    assert out["predictions"].tolist() == [*EXPECTED, *(2 * value for value in EXPECTED)]
    assert any("all 2 numeric columns are targets" in note for note in out.attrs["announcements"])


def test_the_only_text_column_names_items_where_dates_repeat() -> None:
    df = pd.concat([table(), table().assign(item_id="b")]).rename(columns={"item_id": "shop", "timestamp": "date"})
    out = naive(df.rename(columns={"target": "revenue"}))
    assert out.columns[:2].tolist() == ["shop", "date"]
    assert out["shop"].tolist() == ["a", "a", "b", "b"]
    with pytest.raises(ValueError, match="twice"):  # two text columns: neither is guessed
        naive(df.assign(region="x"))


@pytest.mark.parametrize("target", [0, [0], "target"])
def test_names_that_are_numbers(target: Any) -> None:
    df = pd.DataFrame({0: table()["target"].to_numpy()}, index=DAYS)
    assert naive(df, target=target)["predictions"].tolist() == EXPECTED


def test_columns_of_two_levels() -> None:
    columns = pd.MultiIndex.from_product([["Close", "Open"], ["A", "B"]])
    df = pd.DataFrame(np.arange(240.0).reshape(60, 4) % 7, index=DAYS, columns=columns)
    both = naive(df, target="Close")
    assert both["target_name"].tolist() == ["('Close', 'A')"] * 2 + ["('Close', 'B')"] * 2
    assert naive(df, target=("Close", "A"))["predictions"].tolist() == both["predictions"].tolist()[:2]
    assert naive(df, target=[("Close", "A")]).equals(naive(df, target=("Close", "A")))
    with pytest.raises(ValueError, match="no target column 'Clse'"):
        naive(df, target="Clse")
    with pytest.raises(ValueError, match="flatten them, for example"):
        naive(df.astype(str).replace(r".*", "x", regex=True))


@pytest.mark.parametrize(
    ("df", "text"),
    [
        ([1, 2], "df is a list; expected a DataFrame of pandas"),
        (table()["target"], "df is a pandas Series; expected a DataFrame of pandas"),
        (table().rename(columns={"timestamp": "date"}).assign(time=DAYS), "date, time could each be the timestamp"),
    ],
)
def test_what_is_wrong_is_named(df: Any, text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        naive(df)


@pytest.mark.parametrize("bad", [{"a": 1}, ["a"], {1}, ("a", [])])
def test_cells_that_are_containers(bad: Any) -> None:
    ids = table()
    ids["item_id"] = pd.Series(["a"] * 3 + [bad] + ["a"] * 56, dtype=object)
    with pytest.raises(ValueError, match=r"the id column 'item_id' holds .* in row 3; items are named by text"):
        naive(ids)
    values = table()
    values["target"] = pd.Series([1.0] * 5 + [bad] + [2.0] * 54, dtype=object)
    with pytest.raises(ValueError, match="target column 'target' is object, row 5 holds"):
        naive(values)


NUMBERS = {
    "Decimal": pd.Series([Decimal(i % 4) for i in range(60)], dtype=object),
    "Decimal and None": pd.Series([None] + [Decimal(i % 4) for i in range(59)], dtype=object),
    "objects": pd.Series([1, 2.5, None] * 20, dtype=object),
    "bool": pd.Series([True, False] * 30),
    "bool and None": pd.Series([None] + [True, False, True] * 19 + [True, True], dtype=object),
    "boolean": pd.array([True, None] * 30, dtype="boolean"),
    "bool of Arrow": pd.array([True, None] * 30, dtype="bool[pyarrow]"),
    "double of Arrow": pd.array([1.5, None] * 30, dtype="double[pyarrow]"),
    "decimal of Arrow": pd.array([Decimal("1.5"), None] * 30, dtype=pd.ArrowDtype(pa.decimal128(5, 2))),
    "Int64": pd.array([1, None] * 30, dtype="Int64"),
    "Float32": pd.array([1, None] * 30, dtype="Float32"),
    "uint8": np.array([1, 2] * 30, np.uint8),
    "float16": np.array([1, 2] * 30, np.float16),
    "categories": pd.Categorical([1, 2] * 30),
    "NumPy objects": pd.Series([np.float32(1), np.int8(2)] * 30, dtype=object),
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_every_kind_of_number_is_a_target_and_a_covariate(kind: str) -> None:
    column = pd.Series(NUMBERS[kind])
    expected = np.array([np.nan if pd.isna(value) else float(value) for value in column.astype(object)], np.float32)
    as_target = read_frame(table().assign(target=column), prediction_length=1)
    as_covariate = read_frame(table(x=column), prediction_length=1)
    assert as_covariate.past_names == ["x"]
    assert np.array_equal(as_target.series[0].values[0], expected, equal_nan=True)
    assert np.array_equal(as_covariate.series[0].past[0], expected, equal_nan=True)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        (["1,5", "2,25", "3"], [1.5, 2.25, 3]),
        (["1.234,5", "2", "NA"], [1234.5, 2, np.nan]),
        (["1,234.5", "2", "?"], [1234.5, 2, np.nan]),
        (["1", " 2 ", ""], [1, 2, np.nan]),
    ],
)
def test_numbers_in_text_are_a_target_and_not_a_covariate(text: list[str], values: list[float]) -> None:
    frame = read_frame(table().assign(target=text * 20), prediction_length=1)
    assert np.array_equal(frame.series[0].values[0], np.array(values * 20, np.float32), equal_nan=True)
    assert any("'target' is text, read as numbers" in note for note in frame.announcements)
    assert read_frame(table(x=text * 20), prediction_length=1).past_names == []


@pytest.mark.parametrize("bad", [np.inf, 1e300, -np.inf])
def test_a_column_that_is_not_used_is_not_read(bad: float) -> None:
    out = naive(table(change=[1.0] * 59 + [bad]))
    assert out["predictions"].tolist() == EXPECTED
    assert out.attrs["announcements"] == ["seasonal_naive does not use the covariates change"]
    future = pd.DataFrame({"item_id": "z", "timestamp": DAYS, "change": bad})
    assert naive(table(change=1.0), future_df=future)["predictions"].tolist() == EXPECTED


class TestNamesAndKinds:
    """The output has the names, dtypes, zones and periods of the input (G24)."""

    def test_names(self) -> None:
        df = table().rename(columns={"item_id": "shop", "timestamp": "day", "target": "sales"})
        names: dict[str, Any] = {"id_column": "shop", "timestamp_column": "day", "target": "sales"}
        out = naive(df, **names)
        assert out.columns[:4].tolist() == ["shop", "day", "target_name", "predictions"]
        model = step_model()
        assert model.embed_df(df, **names).columns[0] == "shop"
        assert model.impute_df(df, **names).columns[:3].tolist() == ["shop", "day", "sales"]
        assert plot(df, out, id_column="shop", timestamp_column="day").axes[0].get_title(loc="left") == "a: sales"
        assert naive(FORMS["index of other names"]).columns[:2].tolist() == ["unique_id", "Date"]

    @pytest.mark.parametrize("freq", ["D", "M", "Q", "h", "W-SUN"])
    def test_periods(self, freq: str) -> None:
        periods = pd.period_range("2024-01-01", periods=62, freq=freq)
        out = naive(table().assign(timestamp=periods[:60]))
        assert out["timestamp"].tolist() == periods[60:].tolist()
        assert out["timestamp"].dtype == periods.dtype

    @pytest.mark.parametrize(
        "dtype", ["datetime64[s]", "datetime64[ns, Europe/Berlin]", "timestamp[us][pyarrow]", "datetime64[us, UTC]"]
    )
    def test_timestamps(self, dtype: str) -> None:
        times = pd.Series(DAYS.tz_localize("Europe/Berlin") if "," in dtype else DAYS).astype(dtype)
        assert naive(table().assign(timestamp=times))["timestamp"].dtype == times.dtype

    @pytest.mark.parametrize("dtype", ["string", "Int64", "category", "int32", "string[pyarrow]"])
    def test_ids(self, dtype: str) -> None:
        ids = pd.Series(["7"] * 60).astype("int64" if "int" in dtype.lower() else "object").astype(dtype)
        assert naive(table().assign(item_id=ids))["item_id"].dtype == ids.dtype

    def test_predictions_are_float64(self) -> None:
        out = naive(table(), quantile_levels=[0.1], mean=True)
        assert {str(out[name].dtype) for name in ("predictions", "0.1", "mean")} == {"float64"}


class TestHighLevels:
    """A constant added to a series is added to its forecast, in float64 (G10, P5)."""

    WAVE = np.sin(np.arange(432) * 2 * np.pi / 24)

    def frame(self, level: float) -> pd.DataFrame:
        times = pd.date_range("2024-01-01", periods=400, freq="h")
        return pd.DataFrame({"item_id": "a", "timestamp": times, "target": level + self.WAVE[:400]})

    @pytest.mark.parametrize("level", [1e6, 1e7, -1e7, 1e9, 1e12])
    def test_forecasts(self, level: float) -> None:
        spacing = np.spacing(abs(level))  # of float64, in which the values are given
        naive, model = find_predictor("seasonal_naive"), step_model()
        for predictor in (naive, model):
            low, high = (predictor.predict_df(self.frame(at), 24) for at in (0.0, level))
            assert np.allclose(high["predictions"] - level, low["predictions"], atol=1e-4 + 8 * spacing)
        assert np.abs(naive.predict_df(self.frame(level), 24)["predictions"] - level - self.WAVE[400:424]).max() < 1e-3

    @pytest.mark.parametrize("level", [1e7, 1e9])
    def test_imputed_values(self, level: float) -> None:
        model, frames = step_model(), [self.frame(at) for at in (0.0, level)]
        for frame in frames:
            frame.loc[200:210, "target"] = np.nan
        low, high = (model.impute_df(frame, quantile_levels=[0.5]) for frame in frames)
        for name in ("target", "target_0.5"):
            assert np.allclose(high[name] - level, low[name], atol=1e-4)
        assert high["target"][0] == level + self.WAVE[0]

    def test_ordinary_levels_have_no_offset(self) -> None:
        for level in (0.0, 1.0, 1e3, 1e5):
            frame = read_frame(self.frame(level), prediction_length=1, centre=True)
            assert not frame.series[0].offset.any()
            assert np.array_equal(frame.series[0].values[0], (level + self.WAVE[:400]).astype(np.float32))

    def test_only_the_items_at_a_high_level_have_one(self) -> None:
        df = pd.concat([self.frame(0.0), self.frame(1e8).assign(item_id="b")])
        frame = read_frame(df, prediction_length=1, centre=True)
        assert [bool(item.offset.any()) for item in frame] == [False, True]
        assert np.allclose(frame.series[1].original, 1e8 + self.WAVE[:400], atol=1e-6)
