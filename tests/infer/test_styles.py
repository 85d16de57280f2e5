"""Laws of the styles of forecasts: other names, the same numbers, and what other packages make of them."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tsfm
from tsfm.bench.predictors import find_predictor
from tsfm.infer.styles import interval_bounds

STEPS, H = 120, 7
rng = np.random.default_rng(0)
PANEL = pd.concat(
    [
        pd.DataFrame(
            {
                "unique_id": name,
                "ds": pd.date_range("2024-01-01", periods=STEPS),
                "y": level + np.sin(np.arange(STEPS) * 2 * np.pi / 7) + rng.normal(0, 0.3, STEPS),
            }
        )
        for name, level in (("b", 10.0), ("a", 50.0))
    ],
    ignore_index=True,
)
PAST, ACTUAL = PANEL.groupby("unique_id").head(STEPS - H), PANEL.groupby("unique_id").tail(H)
NAME = "tsfm-small-next"


@pytest.fixture(scope="module")
def model() -> Any:
    return tsfm.load(NAME)


@pytest.fixture(scope="module")
def forecast(model: Any) -> pd.DataFrame:
    return model.predict_df(PAST, h=H, level=[80, 95], style="nixtla")


def test_the_numbers_are_those_of_the_other_style(model: Any, forecast: pd.DataFrame) -> None:
    other = model.predict_df(PAST, H, quantile_levels=[0.025, 0.1, 0.9, 0.975], id_column="unique_id")
    expected = dict(zip(["lo-95", "lo-80", "hi-80", "hi-95"], other.columns[4:], strict=True))
    assert [*forecast.columns] == ["unique_id", "ds", NAME, *(f"{NAME}-{side}" for side in expected)]
    assert forecast[["unique_id", "ds"]].equals(other[["unique_id", "ds"]])
    assert forecast[NAME].equals(other["predictions"].rename(NAME))
    for side, column in expected.items():
        assert forecast[f"{NAME}-{side}"].tolist() == other[column].tolist()
    assert forecast.attrs["announcements"] == []


@pytest.mark.parametrize(
    ("names", "options", "out"),
    [
        (["item_id", "timestamp", "target"], {}, ["unique_id", "ds"]),
        (["id", "date", "value"], {}, ["unique_id", "ds"]),
        (["shop", "when", "sales"], {"id_column": "shop", "timestamp_column": "when"}, ["shop", "when"]),
    ],
)
def test_names_in_and_out(model: Any, forecast: pd.DataFrame, names: list[str], options: Any, out: list[str]) -> None:
    df = PAST.set_axis(names, axis=1)
    result = model.predict_df(df, h=H, level=[95, 80], style="nixtla", **options)
    assert [*result.columns[:2]] == out
    assert result.set_axis(forecast.columns, axis=1).equals(forecast)


def test_usual_names_of_both_styles_side_by_side() -> None:
    """Where a frame has `y` and `target`, each style reads its own."""
    df = PAST.assign(target=0.0)
    naive = find_predictor("seasonal_naive")
    assert naive.predict_df(df, h=1, style="nixtla")["seasonal_naive"].min() > 5
    assert naive.predict_df(df, 1)["predictions"].max() == 0


def test_points_only_and_levels_as_written(model: Any) -> None:
    assert [*model.predict_df(PAST, h=1, style="nixtla").columns] == ["unique_id", "ds", NAME]
    out = model.predict_df(PAST, h=1, style="nixtla", level=(80.0, np.int64(50)), mean=True)
    assert [*out.columns[2:]] == [
        NAME,
        f"{NAME}-mean",
        *(f"{NAME}-{e}" for e in ("lo-80.0", "lo-50", "hi-50", "hi-80.0")),
    ]
    assert [*model.predict_df(PAST, h=1, style="nixtla", level=90).columns[3:]] == [f"{NAME}-lo-90", f"{NAME}-hi-90"]
    assert interval_bounds(99.9) == (0.0005, 0.9995)


def test_evaluate_and_plot_series_take_it_unchanged(forecast: pd.DataFrame) -> None:
    evaluation = pytest.importorskip("utilsforecast.evaluation", reason="needs utilsforecast: pip install -e .[dev]")
    from utilsforecast.losses import coverage, mae, mase, mqloss, quantile_loss
    from utilsforecast.plotting import plot_series

    both = forecast.merge(ACTUAL, on=["unique_id", "ds"])
    assert len(both) == len(forecast) == 2 * H
    metrics = [mae, mqloss, coverage, quantile_loss, partial(mase, seasonality=7)]
    scores = evaluation.evaluate(both, metrics=metrics, level=[80, 95], train_df=PAST)
    assert [*scores.columns] == ["unique_id", "metric", NAME]
    table = scores.pivot(index="metric", columns="unique_id", values=NAME)
    for name, rows in both.groupby("unique_id"):
        assert table.loc["mae", name] == pytest.approx((rows["y"] - rows[NAME]).abs().mean())
        inside = rows["y"].between(rows[f"{NAME}-lo-80"], rows[f"{NAME}-hi-80"])
        assert table.loc["coverage_level80", name] == pytest.approx(inside.mean())
    figure = plot_series(PAST, forecast, level=[80, 95])
    assert len(figure.axes) == 2
    lines = {line.get_label() for axes in figure.axes for line in axes.lines}
    assert {"y", NAME} <= lines


def test_polars_goes_through_evaluate(model: Any, forecast: pd.DataFrame) -> None:
    evaluation = pytest.importorskip("utilsforecast.evaluation", reason="needs utilsforecast: pip install -e .[dev]")
    pl = pytest.importorskip("polars", reason="needs polars: pip install -e .[dev]")
    from utilsforecast.losses import mae
    from utilsforecast.plotting import plot_series

    past, actual = pl.from_pandas(PAST), pl.from_pandas(ACTUAL)
    out = model.predict_df(past, h=H, level=[80, 95], style="nixtla")
    assert out.to_pandas().equals(forecast)
    scores = evaluation.evaluate(out.join(actual, on=["unique_id", "ds"]), metrics=[mae])
    assert scores[NAME].max() < 1
    assert len(plot_series(past, out, level=[80]).axes) == 2


def test_the_default_has_the_names_of_chronos(model: Any) -> None:
    """Arguments and columns of `predict_df` of chronos-forecasting 2.3 (chronos/base.py)."""
    arguments = ["df", "future_df", "id_column", "timestamp_column", "target", "prediction_length", "quantile_levels"]
    assert {*arguments, "batch_size", "freq"} <= {*inspect.signature(model.predict_df).parameters, "self"}
    df = PAST.rename(columns={"unique_id": "item_id", "ds": "timestamp", "y": "target"})
    out = model.predict_df(df, prediction_length=2, quantile_levels=[0.1, 0.5, 0.9], style="chronos")
    assert [*out.columns] == ["item_id", "timestamp", "target_name", "predictions", "0.1", "0.5", "0.9"]
    assert out.equals(model.predict_df(df, 2, quantile_levels=[0.1, 0.5, 0.9]))


BAD = {
    "style": ({"style": "nixla"}, "style is 'nixla'; did you mean 'nixtla'?"),
    "both": ({"prediction_length": 2}, "prediction_length and h are 2 and 7, two names of one thing"),
    "neither": ({"h": None}, "prediction_length and h are both missing; give the number of steps"),
    "h": ({"h": 0}, "h is 0; expected at least 1 step"),
    "level of chronos": (
        {"style": "chronos"},
        "belongs to style='nixtla'; give that style, or quantile_levels=[0.1, 0.9]",
    ),
    "quantiles of nixtla": ({"quantile_levels": [0.1]}, "quantile_levels belongs to style='chronos'"),
    "share": ({"level": [0.8, 101]}, "level is [0.8, 101]; expected intervals in percent, such as [80, 95]"),
    "twice": ({"level": [80, 80]}, "expected intervals in percent, such as [80, 95], each once"),
    "text": ({"level": "80"}, "level is '80'; expected intervals in percent"),
    "bool": ({"level": True}, "level is True; expected intervals in percent"),
    "none": ({"level": []}, "level is []; expected intervals in percent"),
    "wide": (
        {"level": 99},
        "level is 99; the widest interval of tsfm-small-next is 98 %, between its levels 0.01 and 0.99",
    ),
    "targets": ({"target": ["y", "z"]}, "style='nixtla' has one column of values, and df has the targets y, z"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit_is_named(model: Any, case: str) -> None:
    changes, message = BAD[case]
    arguments: dict[str, Any] = {"h": H, "level": [80], "style": "nixtla", **changes}
    with pytest.raises(ValueError) as error:
        model.predict_df(PAST.assign(z=1.0), **arguments)
    assert message in str(error.value)
