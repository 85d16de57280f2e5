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
    assert np.allclose(lines["forecast"].get_ydata(), forecast["predictions"].iloc[:12])
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
