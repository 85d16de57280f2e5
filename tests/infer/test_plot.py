"""The figure shows its input, needs no display, and is saved completely or not at all."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest

from tsfm.bench.baselines.simple import SeasonalNaive
from tsfm.infer.plot import plot


def data(items=("a", "b"), *, steps: int = 72) -> pd.DataFrame:
    times = pd.date_range("2024-01-01", periods=steps, freq="h")
    values = np.sin(np.arange(steps) * np.pi / 12)
    return pd.concat([pd.DataFrame({"item_id": i, "timestamp": times, "target": values}) for i in items])


def test_lines_band_and_labels():
    df = data()
    head = df.groupby("item_id").head(60)
    forecast = SeasonalNaive().predict_df(head, 12)
    figure = SeasonalNaive().plot(head, forecast, actual=df, history=20, title="A try")
    assert len(figure.axes) == 2
    first = figure.axes[0]
    lines = {line.get_label(): line for line in first.get_lines()}
    assert len(lines["history"].get_ydata()) == 20
    assert np.allclose(lines["forecast"].get_ydata()[1:], forecast["predictions"].iloc[:12])
    assert lines["forecast"].get_ydata()[0] == lines["history"].get_ydata()[-1]  # it begins at the last value
    assert lines["forecast"].get_xdata()[0] == lines["history"].get_xdata()[-1]
    assert np.allclose(lines["actual"].get_ydata(), df["target"].iloc[60:72], atol=1e-6)
    assert [text.get_text() for text in first.get_legend().get_texts()] == [
        "history", "80 % interval", "forecast", "actual",
    ]  # fmt: skip
    assert first.get_title("left") == "a: target"
    assert first.get_ylabel() == "target"


def test_pyplot_is_not_touched():
    forecast = SeasonalNaive().predict_df(data(), 1)
    before = set(sys.modules)
    plot(data(), forecast, item="b")
    assert "matplotlib.pyplot" not in set(sys.modules) - before


def test_omitted_series_are_counted_in_the_title():
    df = data(("a", "b", "c"))
    figure = plot(df, SeasonalNaive().predict_df(df, 4), max_panels=2)
    assert figure.get_suptitle() == "Forecast (2 of 3 series)"


def test_other_names_zones_and_point_forecasts():
    df = data(("a",)).rename(columns={"item_id": "unique_id", "timestamp": "ds", "target": "y"})
    df["ds"] = df["ds"].dt.tz_localize("Europe/Berlin")
    forecast = SeasonalNaive().predict_df(df, 4)[["unique_id", "ds", "target_name", "predictions"]]
    figure = plot(df, forecast)
    plot(df, forecast.rename(columns={"unique_id": "item_id", "ds": "timestamp"}))
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["history", "forecast"]


def test_the_file_is_complete_or_absent(tmp_path, monkeypatch):
    df = data(("a",))
    forecast = SeasonalNaive().predict_df(df, 4)
    figure = plot(df, forecast, path=tmp_path / "one.png")
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")
    assert [file.name for file in tmp_path.iterdir()] == ["one.png"]

    def full(self, *_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(figure), "savefig", full)
    with pytest.raises(OSError, match=r"cannot write .*two.png \(the disk is full\)"):
        plot(df, forecast, path=tmp_path / "two.png")
    assert [file.name for file in tmp_path.iterdir()] == ["one.png"]


def test_what_is_wrong_is_named(tmp_path):
    df = data(("a",))
    forecast = SeasonalNaive().predict_df(df, 4)
    with pytest.raises(ValueError, match="nothing for item 'z'"):
        plot(df, forecast, item="z")
    with pytest.raises(ValueError, match="forecast lacks item_id"):
        plot(df, df.drop(columns="item_id"))
    with pytest.raises(ValueError, match="df has no rows of item 'a'"):
        plot(data(("q",)), forecast)
    with pytest.raises(ValueError, match=r"name it with one of \.png"):
        plot(df, forecast, path=tmp_path / "one.txt")
    with pytest.raises(FileNotFoundError, match="make it first"):
        plot(df, forecast, path=tmp_path / "absent" / "one.png")


def test_the_wide_interval_is_interpolated():
    """At the quantile_levels of 95 %, between those that the forecast has."""
    df, quantile_levels = data(("a",)), [0.01, 0.05, 0.1, 0.5, 0.9, 0.95, 0.99]
    noisy = df.assign(target=df["target"] + np.random.default_rng(0).normal(size=len(df)))
    forecast = SeasonalNaive().predict_df(noisy, 4, quantile_levels=quantile_levels)
    axes = plot(noisy, forecast).axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "history", "95 % interval", "80 % interval", "forecast",
    ]  # fmt: skip
    heights = axes.collections[0].get_paths()[0].vertices[:, 1]
    expected = 0.4626 * forecast["0.01"] + 0.5374 * forecast["0.05"]  # as a normal distribution has it
    assert all(np.isclose(heights, value, atol=1e-3).any() for value in expected)


def test_a_last_value_that_is_missing():
    df = data(("a",))
    df.loc[df.index[-2:], "target"] = np.nan
    lines = {line.get_label(): line for line in plot(df, SeasonalNaive().predict_df(df, 4)).axes[0].get_lines()}
    assert lines["forecast"].get_xdata()[0] == df["timestamp"].iloc[-3].to_datetime64()
    assert lines["forecast"].get_ydata()[0] == df["target"].iloc[-3]


def test_filled_values_join_their_neighbours():
    df = data(("a", "b"))
    is_filled = np.zeros(len(df), bool)
    is_filled[100:103] = True  # of b
    filled = df.assign(target_imputed=is_filled, **{"target_0.1": df["target"] - 1, "target_0.9": df["target"] + 1})
    figure = SeasonalNaive().plot(filled, max_panels=1, around=5)
    axes = figure.axes[0]
    assert figure.get_suptitle() == "Imputation (1 of 2 series)"  # the series with filled values comes first
    assert axes.get_title("left") == "b: target, 3 of 72 filled"
    lines = {line.get_label(): line.get_ydata() for line in axes.get_lines()}
    assert len(lines["observed"]) == 3 + 2 * 5
    assert np.isfinite(lines["filled"]).sum() == 3
    joined = next(line.get_ydata() for line in axes.get_lines() if np.isfinite(line.get_ydata()).sum() == 5)
    assert np.array_equal(joined[np.isfinite(joined)], df["target"].iloc[99:104])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["observed", "80 % interval", "filled"]
    with pytest.raises(ValueError, match="no item 'c'; it has 'a', 'b'"):
        SeasonalNaive().plot(filled, item="c")
    with pytest.raises(ValueError, match="lacks columns that end in '_imputed'"):
        SeasonalNaive().plot(df)


def test_scores_are_drawn_below_the_series():
    df = data(("a", "b"))
    score = np.where(np.arange(len(df)) == 10, 3.0, 0.5)
    figure = SeasonalNaive().plot(df.assign(score=score, threshold=1.0, is_anomaly=score > 1), max_items=1)
    series, scores = figure.axes
    assert figure.get_suptitle() == "1 of 2 items"
    assert series.get_title("left") == "a: target, 1 of 72 steps flagged"
    assert np.array_equal(scores.get_lines()[0].get_ydata(), score[:72])
    assert series.get_xlim() == scores.get_xlim()
    assert [text.get_text() for text in series.get_legend().get_texts()] == ["observed", "flagged"]
