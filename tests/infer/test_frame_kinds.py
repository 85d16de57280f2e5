"""Laws of pandas DataFrames: names, dtypes, periods, dates and time zones come back from every verb."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import tsfm

DAYS = pd.date_range("2024-03-20", periods=48, freq="D")
NAMES: dict[str, Any] = {"id_column": "shop", "timestamp_column": "when", "target": "sales"}


def panel(**columns: Any) -> pd.DataFrame:
    df = pd.DataFrame({"shop": "a", "when": DAYS, "sales": np.sin(np.arange(48) * np.pi / 6)}).assign(**columns)
    return df.drop(index=[20, 21]).reset_index(drop=True)


DATES = pd.Series(DAYS.date, dtype=object)
KINDS = {
    "period": panel(when=DAYS.to_period("D")),
    "zone": panel(when=DAYS.tz_localize("America/New_York")),
    "seconds": panel(when=DAYS.astype("datetime64[s]")),
    "Arrow timestamps": panel(when=pd.Series(DAYS).astype(pd.ArrowDtype(pa.timestamp("us")))),
    "Arrow dates": panel(when=DATES.astype(pd.ArrowDtype(pa.date32()))),
    "dates": panel(when=DATES),
    "category": panel().astype({"shop": "category"}),
    "string": panel().astype({"shop": "string"}),
    "Arrow string": panel().astype({"shop": pd.ArrowDtype(pa.string())}),
    "Arrow dictionary": panel().astype({"shop": pd.ArrowDtype(pa.dictionary(pa.int8(), pa.string()))}),
    "int8": panel(shop=np.int8(7)),
    "Int64": panel(shop=pd.array([7] * 48, dtype="Int64")),
    "steps": panel(when=np.arange(48, dtype=np.int16)),
    "nullable steps": panel(when=pd.array(range(48), dtype="UInt16")),
}
VERBS = {
    "predict_df": lambda df: tsfm.load("tsfm-mini").predict_df(df, 3, **NAMES),
    "impute_df": lambda df: tsfm.load("tsfm-mini").impute_df(df, **NAMES),
    "fill_gaps": lambda df: tsfm.load("tsfm-mini").impute_df(df, fill_gaps=True, **NAMES),
    "embed_df": lambda df: tsfm.load("tsfm-mini").embed_df(df, **NAMES),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("verb", VERBS)
def test_dtypes_come_back(verb: str, kind: str) -> None:
    df = KINDS[kind]
    out = VERBS[verb](df)
    assert out["shop"].dtype == df["shop"].dtype
    assert len(out) == {"predict_df": 3, "impute_df": 46, "fill_gaps": 48, "embed_df": 1}[verb]
    if verb != "embed_df":
        assert out["when"].dtype == df["when"].dtype
        assert type(out["when"].iloc[-1]) is type(df["when"].iloc[-1])


@pytest.mark.parametrize("kind", KINDS)
def test_the_timestamps_continue(kind: str) -> None:
    """What comes back joins the DataFrame: as timestamps of the same kind, one after another."""
    df = KINDS[kind]
    both = pd.concat([df["when"], VERBS["predict_df"](df)["when"]], ignore_index=True)
    assert both.dtype == df["when"].dtype
    assert both.is_monotonic_increasing
    assert both.is_unique


def test_dates_become_timestamps_where_they_must() -> None:
    df = panel(when=DATES)
    hours = tsfm.load("tsfm-mini").predict_df(df, 3, freq="12h", **NAMES)
    assert hours["when"].tolist() == [*pd.date_range("2024-05-06 12:00", periods=3, freq="12h")]


def test_numbers_that_no_longer_fit_are_widened() -> None:
    df = pd.DataFrame({"when": np.arange(80, 127, dtype=np.int8), "sales": np.arange(47.0)})
    out = tsfm.load("tsfm-mini").predict_df(df, 3, timestamp_column="when", target="sales")
    assert out["when"].tolist() == [127, 128, 129]


def test_names_that_are_numbers_come_back() -> None:
    df = panel().rename(columns={"shop": 0, "when": 1, "sales": 2})
    names: dict[str, Any] = {"id_column": 0, "timestamp_column": 1, "target": 2}
    model = tsfm.load("tsfm-mini")
    assert [*model.predict_df(df, 3, **names).columns[:3]] == [0, 1, "target_name"]
    assert [*model.embed_df(df, **names).columns[:2]] == [0, "target_name"]
    assert [*model.impute_df(df, **names).columns] == [0, 1, 2, "2_imputed"]


def test_nested_columns_are_left_alone() -> None:
    """A column of Arrow lists is neither an id nor a covariate, and comes back."""
    lists = pd.array([[1, 2]] * 48, dtype=pd.ArrowDtype(pa.list_(pa.int64())))
    df = panel(lists=lists).drop(columns="shop").rename(columns={"when": "timestamp", "sales": "target"})
    assert tsfm.load("tsfm-mini").impute_df(df)["lists"].dtype == df["lists"].dtype
