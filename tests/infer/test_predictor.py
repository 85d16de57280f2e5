"""Laws of every Predictor: batches and padding change nothing, and quantile levels only what they name."""

from __future__ import annotations

import re
from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsfm.infer.predictor import DECILES, Predictor
from tsfm.infer.quantiles import interpolate_quantiles


class Recorder(Predictor):
    """Predicts the last observed value plus the level, and records its arguments."""

    name = "recorder"

    def __init__(self, quantile_levels=None, *, limit=None, covariates=False):
        self.quantile_levels, self.max_context_length, self.uses_covariates = quantile_levels, limit, covariates
        self.seen: list[dict] = []

    def quantiles(self, context, *, horizon, quantile_levels, season_length=1, known=None):
        self.seen.append({"context": context, "season_length": season_length, "known": known})
        last = np.apply_along_axis(lambda row: row[~np.isnan(row)][-1], -1, context)
        step = np.arange(1, horizon + 1)[None, None, :, None]
        return self.interpolate_quantiles(
            last[..., None, None] + step * np.asarray(self.quantile_levels or quantile_levels), quantile_levels
        )


class Broken(Predictor):
    name = "broken"

    def __init__(self, answer):
        self.answer = answer

    def quantiles(self, context, *, horizon, quantile_levels, season_length=1, known=None):
        return self.answer((*context.shape[:2], horizon, len(quantile_levels)))


def ragged(lengths, *, channels: int = 2) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=(channels, length)).astype(np.float32) for length in lengths]


def frame(items=("b", "a"), *, steps: int = 30, freq: str = "h", **columns) -> pd.DataFrame:
    parts = [
        pd.DataFrame(
            {
                "item_id": item,
                "timestamp": pd.date_range("2024-01-01", periods=steps, freq=freq),
                "target": np.arange(steps) + 100.0 * index,
                **columns,
            }
        )
        for index, item in enumerate(items)
    ]
    return pd.concat(parts, ignore_index=True)


class TestPredict:
    @given(lengths=st.lists(st.integers(1, 900), min_size=1, max_size=30), size=st.integers(1, 8))
    def test_batch_size_and_order_do_not_matter(self, lengths, size):
        series = ragged(lengths)
        whole = Recorder().predict(series, prediction_length=3, batch_size=512)
        parts = Recorder().predict(series[::-1], prediction_length=3, batch_size=size)
        assert np.array_equal(whole.quantiles, parts.quantiles[::-1])
        for array, predictions in zip(series, whole.predictions, strict=True):
            assert np.allclose(predictions[:, 0], array[:, -1] + 0.5)

    def test_shorter_series_are_padded_with_nan_on_the_left(self):
        spy = Recorder()
        spy.predict(ragged([5, 8], channels=1), prediction_length=2)
        context = spy.seen[0]["context"]
        assert context.shape == (2, 1, 8)
        assert np.isnan(context[1, 0, :3]).all()
        assert not np.isnan(context[1, 0, 3:]).any()

    def test_shapes_of_series(self):
        row = np.arange(9.0)
        assert Recorder().predict(row, prediction_length=2).predictions.shape == (1, 1, 2)
        assert Recorder().predict(np.stack([row, row]), prediction_length=2).predictions.shape == (2, 1, 2)
        assert Recorder().predict(np.stack([row, row])[None], prediction_length=2).predictions.shape == (1, 2, 2)
        assert Recorder().predict(np.zeros((4, 2, 9)), prediction_length=2).quantiles.shape == (4, 2, 2, 9)
        assert Recorder().predict([row, row[:3]], prediction_length=2).predictions.shape == (2, 1, 2)

    def test_the_past_is_cut_to_the_limit(self):
        spy = Recorder(limit=7, covariates=True)
        series = ragged([5, 20])
        spy.predict(series, prediction_length=2, known=[np.ones((1, 7)), np.arange(22.0)[None]])
        assert spy.seen[0]["context"].shape[-1] == 7
        assert np.array_equal(spy.seen[0]["context"][0], series[1][:, -7:])
        assert spy.seen[0]["known"][0, 0].tolist() == list(range(13, 22))
        assert np.isnan(spy.seen[0]["known"][1, 0, :2]).all()

    def test_a_past_without_an_observed_value_within_the_limit_is_refused(self):
        series = ragged([20, 20])
        series[1][1, -7:] = np.nan
        text = "series 1 has no observed value in channel 1 over its last 7 steps"
        with pytest.raises(ValueError, match=text):
            Recorder(limit=7).predict(series, prediction_length=2)
        assert Recorder(limit=8).predict(series, prediction_length=2).predictions[1, 1, 0] == series[1][1, -8] + 0.5
        assert np.isfinite(Recorder().predict(series, prediction_length=2).predictions).all()

    def test_quantiles_rise_with_the_level(self):
        crossed = Broken(lambda shape: np.random.default_rng(0).normal(size=shape))
        quantiles = crossed.predict(np.zeros(9), prediction_length=5).quantiles
        assert (np.diff(quantiles, axis=-1) >= 0).all()


class TestLevels:
    def test_any_level_where_none_is_set(self):
        forecast = Recorder().predict(np.zeros(5), prediction_length=1, quantile_levels=(0.011, 0.99))
        assert forecast.quantiles[0, 0, 0] == pytest.approx([0.011, 0.99])
        assert forecast.predictions[0, 0, 0] == 0.5
        assert Recorder().predict(np.zeros(5), prediction_length=1).quantile_levels == DECILES

    def test_trained_levels_come_unchanged(self):
        quantile_levels = (0.1, 0.3, 0.5, 0.9)
        forecast = Recorder(quantile_levels).predict(np.zeros(5), prediction_length=1)
        assert forecast.quantile_levels == quantile_levels
        assert np.array_equal(forecast.quantiles[0, 0, 0], np.asarray(quantile_levels, np.float32))

    @given(level=st.floats(0.1, 0.9))
    def test_between_trained_levels_quantiles_are_those_of_a_normal_distribution(self, level):
        trained = (0.1, 0.2, 0.5, 0.9)
        quantiles = interpolate_quantiles(
            np.array([3 + 2 * NormalDist().inv_cdf(each) for each in trained]), trained, [level]
        )
        assert quantiles == pytest.approx(3 + 2 * NormalDist().inv_cdf(level), abs=1e-9)

    def test_outside_the_trained_levels_is_an_error(self):
        with pytest.raises(
            ValueError, match=re.escape("[0.05, 0.5] were requested of recorder; it can predict 0.1 to 0.9")
        ):
            Recorder((0.1, 0.9)).predict(np.zeros(5), prediction_length=1, quantile_levels=(0.05, 0.5))
        with pytest.raises(ValueError, match=re.escape("it can predict only 0.5, as a point model")):
            Recorder((0.5,)).predict(np.zeros(5), prediction_length=1, quantile_levels=(0.1, 0.5))

    @given(quantile_levels=st.permutations((0.1, 0.3, 0.5, 0.8, 0.9)))
    def test_any_order_gives_the_same_quantiles_in_that_order(self, quantile_levels):
        for predictor in (Recorder(), Recorder((0.1, 0.5, 0.9))):
            values = np.arange(7.0)
            options = {"prediction_length": 2}
            ascending = predictor.predict(values, quantile_levels=sorted(quantile_levels), **options)
            forecast = predictor.predict(values, quantile_levels=quantile_levels, **options)
            order = [sorted(quantile_levels).index(level) for level in quantile_levels]
            assert forecast.quantile_levels == tuple(quantile_levels)
            np.testing.assert_array_equal(forecast.quantiles, ascending.quantiles[..., order])
            np.testing.assert_array_equal(forecast.predictions, ascending.predictions)
            batch = predictor.forecast(values[None, None], horizon=2, quantile_levels=quantile_levels)
            np.testing.assert_array_equal(batch, forecast.quantiles)

    @pytest.mark.parametrize("quantile_levels", [(), (0.0,), (float("nan"),), (0.5, 0.5)])
    def test_bad_levels(self, quantile_levels):
        with pytest.raises(ValueError, match="quantile levels are"):
            Recorder().predict(np.zeros(5), prediction_length=1, quantile_levels=quantile_levels)


class TestFrames:
    def test_columns_and_order(self):
        out = Recorder((0.1, 0.5, 0.9)).predict_df(frame(), 3)
        assert list(out.columns) == ["item_id", "timestamp", "target_name", "predictions", "0.1", "0.5", "0.9"]
        assert out["item_id"].tolist() == ["b"] * 3 + ["a"] * 3
        assert out["predictions"].tolist() == pytest.approx([29.5, 30, 30.5, 129.5, 130, 130.5])
        assert out["predictions"].equals(out["0.5"].rename("predictions"))

    def test_a_point_model_gives_predictions_only(self):
        assert list(Recorder((0.5,)).predict_df(frame(), 3).columns[3:]) == ["predictions"]
        options = Recorder((0.5,)).predict_df(frame(), 3, quantile_levels=[0.5])
        assert list(options.columns[3:]) == ["predictions", "0.5"]

    def test_requested_levels_are_the_columns(self):
        out = Recorder().predict_df(frame(), 3, quantile_levels=[0.25, 0.75])
        assert list(out.columns[3:]) == ["predictions", "0.25", "0.75"]
        assert out["predictions"].iloc[0] == 29.5

    def test_columns_have_the_order_of_the_levels(self):
        out = Recorder().predict_df(frame(), 3, quantile_levels=[0.9, 0.1])
        assert list(out.columns[3:]) == ["predictions", "0.9", "0.1"]
        assert (out["0.9"] > out["0.1"]).all()

    def test_the_mean_is_one_more_column(self):
        predictor = Recorder((0.1, 0.2, 0.5, 0.9))  # its quantiles are linear in the level: mean = median
        for quantile_levels in (None, [0.85, 0.15]):  # the mean does not depend on the request
            plain = predictor.predict_df(frame(), 3, quantile_levels=quantile_levels)
            out = predictor.predict_df(frame(), 3, quantile_levels=quantile_levels, mean=True)
            assert list(out.columns[3:5]) == ["predictions", "mean"]
            pd.testing.assert_frame_equal(out.drop(columns="mean"), plain)
            np.testing.assert_allclose(out["mean"], out["predictions"], rtol=1e-6)
        assert Recorder((0.5,)).predict_df(frame(), 3, mean=True)["mean"].iloc[0] == 29.5

    def test_an_item_with_values_that_end_early_is_named(self):
        df = frame(second=1.0)
        df.loc[50:, "second"] = np.nan
        options = {"target": ["target", "second"], "prediction_length": 3}
        with pytest.raises(ValueError, match="item 'a' has no observed value in 'second' over its last 10 steps"):
            Recorder(limit=10).predict_df(df, **options, errors="raise")
        assert len(Recorder(limit=11).predict_df(df, **options)) == 12

    def test_targets_may_come_as_an_index(self):
        df = frame(second=5.0)
        forecast = Recorder().predict_df(df, 2, target=df.columns[2:])
        assert forecast["target_name"].unique().tolist() == ["target", "second"]
        with pytest.raises(ValueError, match="target is 5; expected the name of a column or a list of names"):
            Recorder().predict_df(df, 2, target=5)

    @pytest.mark.parametrize("quantile_levels", ["0.5", 0.5, np.float64(0.5), ["half"], [None]])
    def test_levels_that_are_not_a_list_of_numbers(self, quantile_levels):
        with pytest.raises(ValueError, match=r"quantile levels are .*; expected"):
            Recorder().predict_df(frame(), 2, quantile_levels=quantile_levels)

    def test_levels_may_come_as_an_array(self):
        assert "0.25" in Recorder().predict_df(frame(), 2, quantile_levels=np.array([0.25, 0.5]))

    def test_many_targets(self):
        out = Recorder().predict_df(frame(second=5.0), 2, target=["second", "target"])
        assert out["target_name"].tolist() == ["second"] * 2 + ["target"] * 2 + ["second"] * 2 + ["target"] * 2
        assert out["predictions"].iloc[[0, 2]].tolist() == [5.5, 29.5]

    def test_each_frequency_has_its_season(self):
        spy = Recorder()
        df = pd.concat([frame(("h1",)), frame(("m1", "m2"), freq="MS"), frame(("h2",))])
        out = spy.predict_df(df, 2)
        assert {call["season_length"]: len(call["context"]) for call in spy.seen} == {24: 2, 12: 2}
        assert out["item_id"].unique().tolist() == ["h1", "m1", "m2", "h2"]
        assert out["predictions"].iloc[2] == 29.5

    def test_covariates_reach_a_predictor_that_uses_them(self):
        df = frame(noise=np.arange(30.0), price=2.0)
        times = pd.date_range("2024-01-02 06:00", periods=3, freq="h")
        future = pd.concat([pd.DataFrame({"item_id": i, "timestamp": times, "price": 3.0}) for i in ("a", "b")])
        spy = Recorder(covariates=True)
        spy.predict_df(df, 3, future_df=future)
        known = spy.seen[0]["known"]
        assert known.shape == (2, 2, 33)
        assert np.array_equal(known[0, 0], [*range(30), np.nan, np.nan, np.nan], equal_nan=True)
        assert known[0, 1].tolist() == [2] * 30 + [3] * 3

    def test_covariates_that_are_not_used_are_announced(self, caplog):
        with caplog.at_level("INFO", logger="tsfm"):
            out = Recorder().predict_df(frame(price=2.0), 3)
        assert "recorder does not use the covariates price" in caplog.text
        assert out.attrs["announcements"] == ["recorder does not use the covariates price"]

    def test_frames_and_arrays_agree(self):
        df = frame()
        arrays = [rows["target"].to_numpy() for _, rows in df.groupby("item_id", sort=False)]
        forecast = Recorder().predict(arrays, prediction_length=3)
        assert np.array_equal(Recorder().predict_df(df, 3)["0.9"].to_numpy(), forecast.quantiles[..., -1].ravel())


BAD = {
    "nothing": ([], {}, "there are no series"),
    "a number": (5.0, {}, "series 0 has shape ()"),
    "an empty series": ([np.zeros(3), np.zeros(0)], {}, "series 1 has shape (0,)"),
    "text": ([np.array(["a"])], {}, "series 0 is <U1; expected numbers"),
    "infinite": ([np.zeros((2, 3)), np.array([[1.0, 2], [3, np.inf]])], {}, "series 1 holds inf in channel 1, step 1"),
    "missing": (np.array([[[1.0, 2], [np.nan, np.nan]]]), {}, "series 0 has no observed value in channel 1"),
    "missing of two": (np.array([[1.0, 2], [np.nan, np.nan]]), {}, "series 1 has no observed value in channel 0"),
    "axes": (np.zeros((2, 2, 2, 2)), {}, "shape (2, 2, 2, 2); expected [steps], [series, steps] or [series, channels"),
    "channels": ([np.zeros((2, 3)), np.zeros((1, 3))], {}, "different channel counts [1, 2]"),
    "horizon": (np.zeros(4), {"prediction_length": -1}, "prediction_length is -1"),
    "batch size": (np.zeros(4), {"batch_size": 0}, "batch_size is 0"),
    "season length": (np.zeros(4), {"season_length": 0}, "season_length is 0"),
    "known count": (np.zeros(4), {"known": []}, "given for 0 of 1 series"),
    "known shape": (np.zeros(4), {"known": [np.zeros((1, 4))]}, "series 0 have shape (1, 4); expected [K, 6]"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_named(name):
    series, options, text = BAD[name]
    with pytest.raises(ValueError, match=re.escape(text)):
        Recorder().predict(series, **{"prediction_length": 2, **options})


def test_invalid_predictions_are_named():
    with pytest.raises(ValueError, match="broken predicted values that are not finite for 1 of 1 series"):
        Broken(lambda shape: np.full(shape, np.nan)).predict(np.zeros(4), prediction_length=2)
    with pytest.raises(ValueError, match=re.escape("broken predicted shape (3,); expected (1, 1, 2, 9)")):
        Broken(lambda shape: np.zeros(3)).predict(np.zeros(4), prediction_length=2)
