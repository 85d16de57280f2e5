"""Forecasts with effort="best": nothing after the past is used, what was found is said, short pasts work."""

import numpy as np
import pandas as pd
import pytest

import tsfm
from tsfm.bench.baselines.simple import SeasonalNaive
from tsfm.commands.cli import main
from tsfm.ensemble.adaptive import AdaptiveForecaster
from tsfm.ensemble.fit import MEMBERS, NETWORK, fit_members, num_independent, of_channels, plan_backtest
from tsfm.ensemble.panel import Windows
from tsfm.infer.predictor import Predictor


class Recorder(SeasonalNaive):
    """A seasonal naive forecaster that keeps the contexts it was given."""

    def __init__(self):
        super().__init__()
        self.lengths = []

    def quantiles(self, context, **options):
        self.lengths += [int(np.isfinite(row).any(axis=0).sum()) for row in context]
        return super().quantiles(context, **options)


def make_arrays(count=4, length=120, channels=1, seed=0):
    rng = np.random.default_rng(seed)
    week = 3 * rng.normal(size=7)
    return [week[(np.arange(length) + item) % 7] + rng.normal(size=(channels, length)) for item in range(count)]


def predict(forecaster, arrays, **options):
    settings = {"prediction_length": 5, "season_length": 7} | options
    return forecaster.predict([np.asarray(array) for array in arrays], **settings)


def test_every_window_of_the_backtest_ends_within_the_past():
    lengths = np.array([30, 8, 200, 15])
    windows, begin = plan_backtest(lengths, horizon=6)
    assert (windows.origin >= begin[windows.series]).all()
    assert (windows.origin + 6 <= lengths[windows.series]).all()
    assert set(windows.series) == {0, 2}  # the others hold less than two horizons and four steps
    assert begin[1] == 8
    assert begin[3] == 15


def test_the_network_gets_only_what_lies_before_each_window():
    network = Recorder()
    arrays = make_arrays()
    predict(AdaptiveForecaster(network), arrays)
    assert max(network.lengths[: -len(arrays)]) <= 120 - 5  # the windows of the back-test
    assert network.lengths[-len(arrays) :] == [120] * len(arrays)


def test_a_fitted_forecaster_is_not_fitted_again():
    arrays = make_arrays()
    fitted = AdaptiveForecaster(SeasonalNaive()).fitted_to(
        [array[:, :100] for array in arrays], prediction_length=5, season_length=7
    )
    before = predict(fitted, [array[:, :110] for array in arrays])
    predict(fitted, make_arrays(seed=5))
    np.testing.assert_array_equal(predict(fitted, [array[:, :110] for array in arrays]).quantiles, before.quantiles)


def test_a_longer_horizon_than_that_of_the_fit_is_refused():
    fitted = AdaptiveForecaster(SeasonalNaive()).fitted_to(make_arrays(), prediction_length=5, season_length=7)
    with pytest.raises(ValueError, match="fitted for 5 steps; found prediction_length 6"):
        predict(fitted, make_arrays(), prediction_length=6)


@pytest.mark.parametrize("channels", [1, 2])
def test_results_have_the_shape_of_the_series_and_no_nan(channels):
    arrays = make_arrays(channels=channels)
    arrays[0][:, :30] = np.nan
    arrays[1][0, [5, 60, 61, 119]] = np.nan
    result = predict(AdaptiveForecaster(SeasonalNaive()), arrays, quantile_levels=[0.9, 0.1], mean=True)
    assert result.quantiles.shape == (4, channels, 5, 2)
    assert result.mean.shape == (4, channels, 5)
    assert np.isfinite(result.quantiles).all()
    assert (result.quantiles[..., 0] >= result.quantiles[..., 1]).all()


def test_a_past_too_short_for_a_backtest_is_forecast_by_the_network():
    short = [array[:, :12] for array in make_arrays(count=2)]
    naive = SeasonalNaive()
    result = predict(AdaptiveForecaster(naive), short)
    np.testing.assert_allclose(result.quantiles, predict(naive, short).quantiles, rtol=1e-6)
    assert "too short for a back-test" in result.explanation[0]


def test_a_season_that_the_network_cannot_see_is_found_by_the_members():
    """A network that repeats the last value against members that know the week."""
    naive, arrays = SeasonalNaive(), make_arrays(count=6, length=200)

    class LastValue(Predictor):
        name = "last"

        def quantiles(self, context, *, horizon, quantile_levels, season_length=1, known=None):
            return naive.quantiles(context, horizon=horizon, quantile_levels=quantile_levels, season_length=1)

    def error(forecaster):
        forecast = predict(forecaster, [array[:, :-5] for array in arrays]).predictions
        return np.abs(forecast - np.stack([array[:, -5:] for array in arrays])).mean()

    assert error(AdaptiveForecaster(LastValue())) < 0.6 * error(LastValue())


def test_channels_of_an_item_stay_together():
    windows = of_channels(Windows(np.array([0, 2]), np.array([10, 20])), 2)
    assert windows.series.tolist() == [0, 1, 4, 5]
    assert windows.origin.tolist() == [10, 10, 20, 20]


def test_overlapping_windows_count_less():
    dense = Windows(np.zeros(11, int), np.arange(20, 31))
    assert num_independent(dense, horizon=5) == 3.0
    assert num_independent(Windows(np.arange(4), np.full(4, 9)), horizon=5) == 4.0


def test_weights_begin_with_the_network_and_sum_to_one():
    naive, arrays = SeasonalNaive(), make_arrays()

    def network(windows):
        pasts = [arrays[item][:, :origin] for item, origin in zip(windows.series, windows.origin, strict=True)]
        return naive.predict(pasts, prediction_length=5, season_length=7, quantile_levels=[0.1, 0.5, 0.9]).quantiles

    fitted = fit_members(arrays, network, horizon=5, season_length=7, quantile_levels=(0.1, 0.5, 0.9))
    assert fitted.names[0] == NETWORK
    assert len(fitted.names) == len(fitted.weights) == 1 + len(MEMBERS)
    assert fitted.weights.sum() == pytest.approx(1)
    assert fitted.num_windows >= 100
    assert len(fitted.describe()) == 2 + len(MEMBERS)


def test_point_forecasters_are_refused():
    network = SeasonalNaive()
    network.quantile_levels = (0.5,)
    with pytest.raises(ValueError, match="predicts points"):
        AdaptiveForecaster(network)


@pytest.fixture(scope="module")
def mini():
    return tsfm.load("tsfm-mini")


@pytest.fixture(scope="module")
def daily():
    days = pd.date_range("2024-01-01", periods=150, freq="D")
    rng = np.random.default_rng(0)
    items = [
        pd.DataFrame({"item_id": name, "timestamp": days, "target": 10 + days.dayofweek + rng.normal(size=150) / 5})
        for name in ("a", "b")
    ]
    return pd.concat(items, ignore_index=True)


def test_effort_of_a_frame(mini, daily):
    best, auto = (mini.predict_df(daily, 7, effort=effort) for effort in ("best", "auto"))
    assert list(best.columns) == list(auto.columns)
    assert best[["item_id", "timestamp"]].equals(auto[["item_id", "timestamp"]])
    assert not np.allclose(best["predictions"], auto["predictions"])
    assert any(line.startswith("ridge") for line in best.attrs["explanation"])
    assert "explanation" not in auto.attrs
    pd.testing.assert_frame_equal(best, mini.predict_df(daily, 7, effort="best"))


def test_known_covariates_count_with_best_effort(mini, daily):
    rng = np.random.default_rng(1)
    future = daily.groupby("item_id").tail(7)[["item_id", "timestamp"]]
    noise = rng.normal(size=len(daily))
    frame = daily.assign(price=noise, target=daily["target"] + 5 * noise)
    past = frame.drop(future.index)
    forecast = mini.predict_df(past, 7, future_df=frame.loc[future.index].drop(columns="target"), effort="best")
    error = np.abs(forecast["predictions"].to_numpy() - frame.loc[future.index, "target"].to_numpy()).mean()
    assert error < 1.0  # 4 without the covariate


def test_fast_leaves_out_what_is_added_to_a_single_pass(mini):
    fast = mini.with_effort("fast")
    assert (fast.inference_config.stride, fast.inference_config.extend_short_pasts) == (1, False)
    assert mini.inference_config.stride > 1
    assert mini.with_effort("auto") is mini


def test_unknown_effort_and_baselines_are_refused(mini, daily):
    with pytest.raises(ValueError, match="effort is 'bset'; did you mean 'best'"):
        mini.predict_df(daily, 7, effort="bset")
    with pytest.raises(ValueError, match=r"effort=.best. needs a model of tsfm\.load"):
        SeasonalNaive().predict_df(daily, 7, effort="best")


def test_what_was_found_is_kept_for_the_same_pasts():
    network, arrays = Recorder(), make_arrays()
    forecaster = AdaptiveForecaster(network)
    first = predict(forecaster, arrays)
    num_calls = len(network.lengths)
    np.testing.assert_array_equal(predict(forecaster, arrays).quantiles, first.quantiles)
    assert len(network.lengths) == num_calls + len(arrays)  # no second back-test
    predict(forecaster, make_arrays(seed=3))
    assert len(network.lengths) > num_calls + 2 * len(arrays)


def test_the_estimator_and_the_command_line_offer_efforts(daily, tmp_path, capsys):
    estimator = tsfm.Forecaster("tsfm-mini", effort="best").fit(daily)
    forecast = estimator.predict(7)
    daily.to_csv(tmp_path / "daily.csv", index=False)
    main(["forecast", str(tmp_path / "daily.csv"), "--model", "tsfm-mini", "--horizon", "7", "--effort", "best",
          "--out", str(tmp_path / "out.csv")])  # fmt: skip
    written = pd.read_csv(tmp_path / "out.csv")
    np.testing.assert_allclose(written["predictions"], forecast["predictions"], rtol=1e-5)
    assert "back-test on" in capsys.readouterr().out
