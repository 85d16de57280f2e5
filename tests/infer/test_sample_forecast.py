"""`predict_samples_df` and `predict_samples`: seeds, quantiles, bounds, counts, styles, items that cannot be used."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import tsfm
from tests.infer.small_models import step_model
from tsfm.bench.baselines.simple import SeasonalNaive
from tsfm.ensemble.adaptive import AdaptiveForecaster

H, S = 6, 4000


def panel(*, level: float = 20.0, items: tuple[str, ...] = ("a", "b")) -> pd.DataFrame:
    rng, days = np.random.default_rng(0), pd.date_range("2024-01-01", periods=90)
    week = np.sin(np.arange(90) * 2 * np.pi / 7)
    tables = [
        pd.DataFrame({"item_id": name, "timestamp": days, "target": level + week + rng.normal(0, 0.5, 90)})
        for name in items
    ]
    return pd.concat(tables, ignore_index=True)


def matrix(paths: pd.DataFrame, num_items: int = 2) -> np.ndarray:
    return paths["predictions"].to_numpy().reshape(num_items, -1, H)


@pytest.mark.parametrize("make", [SeasonalNaive, step_model, lambda: AdaptiveForecaster(SeasonalNaive())])
def test_quantiles_of_many_paths_are_those_of_the_forecast(make: Any) -> None:
    df, model = panel(), make()
    paths = matrix(model.predict_samples_df(df, H, num_samples=S))
    forecast = model.predict_df(df, H, quantile_levels=[0.1, 0.5, 0.9])
    for level in (0.1, 0.5, 0.9):
        below = (paths <= forecast[f"{level:g}"].to_numpy().reshape(2, 1, H)).mean(axis=1)
        assert np.abs(below - level).max() < 0.03


def test_rows_and_seeds() -> None:
    df, model = panel(), SeasonalNaive()
    first = model.predict_samples_df(df, H, num_samples=3)
    assert first.columns.tolist() == ["item_id", "timestamp", "target_name", "sample_id", "predictions"]
    assert first["sample_id"].tolist() == [0] * H + [1] * H + [2] * H + [0] * H + [1] * H + [2] * H
    assert first["timestamp"].iloc[[0, H - 1, H]].dt.day.tolist() == [31, 5, 31]
    pd.testing.assert_frame_equal(first, model.predict_samples_df(df, H, num_samples=3, seed=0))
    assert not np.array_equal(matrix(first), matrix(model.predict_samples_df(df, H, num_samples=3, seed=1)))
    alone = model.predict_samples_df(df[df["item_id"] == "a"], H, num_samples=3)
    assert np.array_equal(matrix(alone, 1)[0], matrix(first)[0])
    nixtla = model.predict_samples_df(df, H, num_samples=3, style="nixtla")
    assert nixtla.columns.tolist() == ["unique_id", "ds", "sample_id", "seasonal_naive"]
    assert np.array_equal(nixtla["seasonal_naive"], first["predictions"])


def test_bounds_hold_in_every_path() -> None:
    df = panel(level=1.5)
    df["target"] = df["target"].clip(lower=0)
    paths = matrix(SeasonalNaive().predict_samples_df(df, H, num_samples=500))
    assert paths.min() == 0
    free = matrix(SeasonalNaive().predict_samples_df(df, H, num_samples=500, lower=None))
    assert free.min() < 0
    assert (paths >= np.maximum(free, 0)).all()  # the quantiles are bounded before, so paths near 0 are a little higher
    assert np.array_equal(paths[free > 1], free[free > 1])
    capped = matrix(SeasonalNaive().predict_samples_df(df, H, num_samples=500, lower=1, upper={"target": 2.5}))
    assert (capped.min(), capped.max()) == (1, 2.5)


def test_counts_give_whole_numbers() -> None:
    df = panel(level=4)
    df["target"] = df["target"].round()
    paths = matrix(SeasonalNaive().predict_samples_df(df, H, num_samples=200))
    assert np.array_equal(paths, np.round(paths))
    free = matrix(SeasonalNaive().predict_samples_df(df, H, num_samples=200, counts=False))
    assert np.abs(free - paths).max() < 1
    assert not np.array_equal(free, np.round(free))


def test_arrays_and_frames_agree() -> None:
    df = panel()
    values = df["target"].to_numpy().reshape(2, -1)
    paths = SeasonalNaive().predict_samples(values, prediction_length=H, num_samples=5, season_length=7)
    assert paths.shape == (2, 1, 5, H)
    assert np.allclose(paths[:, 0], matrix(SeasonalNaive().predict_samples_df(df, H, num_samples=5)), rtol=1e-5)
    best = step_model()
    fast = best.predict_samples(values, prediction_length=H, num_samples=2, effort="fast")
    assert np.array_equal(fast, best.single_pass().predict_samples(values, prediction_length=H, num_samples=2))


def test_an_item_that_cannot_be_used_has_rows_without_values() -> None:
    df = panel(items=("a", "b", "c"))
    df.loc[df["item_id"] == "b", "target"] = np.nan
    with pytest.warns(tsfm.FailedItemWarning, match="item 'b' has no observed value"):
        paths = SeasonalNaive().predict_samples_df(df, H, num_samples=3)
    assert paths["item_id"].unique().tolist() == ["a", "b", "c"]
    assert paths.groupby("item_id").size().tolist() == [3 * H] * 3
    assert paths["predictions"].isna().sum() == 3 * H
    assert (
        paths.loc[paths["item_id"] == "b", "timestamp"].tolist()
        == paths.loc[paths["item_id"] == "a", "timestamp"].tolist()
    )


def test_bad_arguments() -> None:
    class Point(SeasonalNaive):
        quantile_levels = (0.5,)

    df = panel()
    for model, options, message in (
        (SeasonalNaive(), {"num_samples": 0}, "num_samples is 0"),
        (SeasonalNaive(), {"seed": -1}, "seed is -1; expected a whole number"),
        (SeasonalNaive(), {"style": "long"}, "style is 'long'"),
        (Point(), {}, "predicts points; sample paths need quantiles"),
    ):
        with pytest.raises(ValueError, match=message):
            model.predict_samples_df(df, H, **options)
