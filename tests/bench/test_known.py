"""Laws of bench=known: the oracle has no excess, the seasonal naive and least squares have a known one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tsfm
from tests.tiny import HORIZON, tiny
from tsfm.bench.baselines.autoregression import ArOls, choose_order, lagged_rows
from tsfm.bench.baselines.simple import LastValue, SeasonalNaive
from tsfm.bench.known_scores import KnownSettings, Oracle, PointForecaster, score_kind
from tsfm.bench.protocols.known import KnownData, KnownProtocol, as_text, score_known
from tsfm.bench.zero_shot import check_zero_shot
from tsfm.commands.cli import main
from tsfm.config import EvalConfig
from tsfm.infer.model_predictor import ModelPredictor
from tsfm.model.checkpoint import About
from tsfm.synthetic.known import KINDS, draw_known, kind_generator, select_kinds
from tsfm.synthetic.known_noise import SNRS

PERIODIC = [name for name, kind in KINDS.items() if kind.capability in ("period", "long_dependence")]
SETTINGS = KnownSettings(context=420, horizon=24, windows=64, seed=0, season=True, free_run=0, bins=10)


def settings(**changes: Any) -> KnownSettings:
    return KnownSettings(**{**vars(SETTINGS), **changes})


def scored(predictor: Any, name: str, **changes: Any) -> dict[str, Any]:
    forecaster = predictor if isinstance(predictor, Oracle) else PointForecaster(predictor, 64)
    return score_kind(forecaster, KINDS[name], settings(**changes))


def config(**changes: Any) -> EvalConfig:
    return EvalConfig(predictor="seasonal_naive", data=None, bench=None, **changes)


@pytest.mark.parametrize("name", ["linear", "sines_10", "snr_0", "csi_phase", "lag_10", "ar_4", "recall_8"])
def test_the_oracle_has_no_excess_and_its_error_is_the_optimum(name: str) -> None:
    row = scored(Oracle(), name)
    assert row["excess"] == row["excess_se"] == 0
    assert abs(row["mse"] - row["optimum"]) <= 3 * row["mse_se"]
    assert row.get("first_step", 1) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_the_oracle_reaches_the_optimum_on_every_kind(name: str) -> None:
    row = scored(Oracle(), name, context=512, horizon=96, windows=256)
    assert row["excess"] == 0
    assert abs(row["mse"] - row["optimum"]) <= 3 * row["mse_se"]


@pytest.mark.parametrize("name", PERIODIC)
def test_the_seasonal_naive_is_exact_on_periods_without_noise(name: str) -> None:
    row = scored(SeasonalNaive(), name, windows=8)
    assert row["season"] == KINDS[name].season
    assert row["optimum"] == 0
    assert row["mse"] < 1e-13  # float32


@pytest.mark.parametrize("name", SNRS)
def test_the_seasonal_naive_has_twice_the_variance_of_the_noise(name: str) -> None:
    row = scored(SeasonalNaive(), name, windows=200)
    assert abs(row["excess"] - row["optimum"]) <= 3 * row["excess_se"]
    assert row["mse"] / row["optimum"] == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize("name", ["snr_0", "ar_2"])
def test_the_excess_is_the_expected_error_above_the_optimum(name: str) -> None:
    """The distance to the conditional mean has the expectation of the difference of squared errors, with less noise."""
    row = scored(LastValue(), name, windows=300)
    assert abs(row["mse"] - row["optimum"] - row["excess"]) <= 3 * row["mse_se"]
    assert row["excess"] > 0.3


def test_least_squares_tends_to_the_conditional_mean_with_the_context() -> None:
    ratios = {
        context: np.mean([scored(ArOls(), f"ar_{p}", context=context, horizon=1)["first_step"] for p in (1, 2)])
        for context in (25, 200)
    }
    assert ratios[25] > 1.2 > 1.08 > ratios[200] > 1


@pytest.mark.slow
@pytest.mark.parametrize("order", [1, 2, 4, 8])
def test_least_squares_comes_within_a_hundredth_of_the_conditional_mean(order: int) -> None:
    contexts = (30, 100, 400, 1600)
    ratios = [scored(ArOls(), f"ar_{order}", context=n, horizon=1, windows=300)["first_step"] for n in contexts]
    assert ratios == sorted(ratios, reverse=True)
    assert 1 < ratios[-1] < 1.01


def test_an_order_is_that_of_the_smallest_aic_of_separate_fits() -> None:
    windows = draw_known("ar_4", num=5, context=200, horizon=1, generator=kind_generator("ar_4", 0))
    for series in windows.context[:, 0].numpy():
        criteria = []
        for order in range(13):
            rows, target = lagged_rows(series, 12)[:, : order + 1], series[12:]
            residual = target - rows @ np.linalg.lstsq(rows, target, rcond=None)[0]
            criteria.append(len(target) * np.log((residual**2).mean()) + 2 * (order + 2))
        assert choose_order(series, 12) == int(np.argmin(criteria))


def test_least_squares_continues_lines_growth_and_sines() -> None:
    for name in ("linear", "exponential", "sin_20"):
        assert scored(ArOls(), name, windows=4)["mse"] < 1e-9, name


def test_least_squares_forecasts_series_that_are_short_constant_unstable_or_have_gaps() -> None:
    context = np.random.default_rng(0).normal(size=(5, 1, 40))
    context[0, 0, :-1] = np.nan
    context[1, 0, :-4] = np.nan
    context[2] = 7.0
    context[3, 0] = 1.5 ** np.arange(40)
    context[4, 0, [5, 6, 38, 39]] = np.nan
    quantiles = ArOls().forecast(context, horizon=300, quantile_levels=(0.1, 0.5, 0.9))
    assert np.isfinite(quantiles).all()
    np.testing.assert_allclose(quantiles[2], 7.0)
    np.testing.assert_allclose(quantiles[0, 0, :, 1], context[0, 0, -1], rtol=1e-6)
    assert quantiles[3, 0, 0, 1] == pytest.approx(1.5**40, rel=1e-3)
    widths = quantiles[4, 0, :, 2] - quantiles[4, 0, :, 0]
    assert (np.diff(widths) >= -1e-5).all()
    with pytest.raises(ValueError, match="most is 0"):
        ArOls.Config(most=0)


def test_a_network_is_scored_and_every_channel_is_an_input() -> None:
    model = ModelPredictor(tiny("patch_transformer", "quantiles"), name="tiny", about=About())
    changes = {"context": 32, "horizon": HORIZON, "windows": 2, "free_run": 16}
    rows = [scored(model, name, **changes) for name in ("linear", "lag_24", "brusselator")]
    assert [row["channels"] for row in rows] == [1, 1, 2]
    assert [row["horizon"] for row in rows] == [HORIZON, HORIZON, HORIZON]
    assert all(np.isfinite(row["excess"]) and row["excess"] > 0 for row in rows)
    assert rows[2]["d_stsp"] > rows[2]["d_stsp_floor"] > 0
    assert 0 < rows[2]["d_h"] <= 1
    assert "d_stsp" not in rows[0]


def test_the_oracle_of_a_free_run_is_the_trajectory() -> None:
    row = scored(Oracle(), "brusselator", context=32, windows=2, free_run=40)
    assert row["d_stsp"] == 0
    assert row["d_h"] == pytest.approx(0, abs=1e-6)
    assert row["d_stsp_floor"] > 0


def test_the_season_is_given_or_withheld() -> None:
    with_season, without = (scored(SeasonalNaive(), "sin_20", season=season) for season in (True, False))
    assert (with_season["season"], without["season"]) == (20, 0)
    assert with_season["excess"] < 1e-12 < 0.5 < without["excess"]


def test_results_do_not_depend_on_the_other_kinds() -> None:
    alone, among = (
        score_known(PointForecaster(LastValue(), 64), KnownData(select_kinds(names), settings(windows=4)))
        for names in (["ar_2"], ["linear", "ar_2", "ar_1"])
    )
    by_kind = {row["kind"]: row for row in among["rows"]}
    assert by_kind["ar_2"]["excess"] == alone["excess"]
    assert among["excess_autoregression"] == np.mean([by_kind[name]["excess"] for name in ("ar_1", "ar_2")])
    assert among["excess"] == np.mean([among["excess_trend"], among["excess_autoregression"]])
    assert alone["fingerprint"] != among["fingerprint"]


def test_every_kind_is_a_subset_in_the_results_store() -> None:
    protocol = KnownProtocol(KnownProtocol.Config(kinds=["ar_1", "linear"]))
    measures = protocol.measures(score_known(Oracle(), KnownData(select_kinds(["ar_1", "linear"]), SETTINGS)))
    subsets = {(measure.subset, measure.metric): measure for measure in measures}
    assert {subset for subset, _ in subsets} == {"", "ar_1", "linear"}
    assert subsets["ar_1", "first_step"].value == 1
    assert subsets["linear", "excess"].windows == 64
    assert subsets["", "excess_trend"].windows == 128


def test_the_command_prints_and_writes_the_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    arguments = ["predictor=oracle", "bench=known", "bench.kinds=[noise,linear]", "bench.windows=2", f"out={out}"]
    assert main(["eval", *arguments]) == 0
    printed = capsys.readouterr()
    result = json.loads(printed.out.removeprefix("RESULT "))
    assert (result["data"], result["predictor"], result["kinds"]) == ("known", "oracle", 10)
    assert result["excess"] == result["excess_noise"] == result["excess_trend"] == 0
    assert (result["context"], result["horizon"], result["windows"]) == (512, 96, 20)
    assert "zero_shot" not in result
    assert len((out / "known.csv").read_text().splitlines()) == 11
    assert json.loads((out / "result.json").read_text())["rows"] == result["rows"]


def test_python_returns_the_same_and_names_seen_systems() -> None:
    result = tsfm.evaluate("last_value", bench="known", context=32, horizon=4, overrides=[
        "bench.kinds=[linear,lorenz]", "bench.windows=2",
    ])  # fmt: skip
    assert result["kinds_of_generators"] == ["lorenz"]
    assert result["excess_dynamics_seen"] > 0
    assert "hold the equations of lorenz" in as_text(result)


def test_zero_shot_refuses_systems_of_the_pre_training_and_needs_no_leak_check() -> None:
    protocol = KnownProtocol(KnownProtocol.Config(kinds=["lorenz"]))
    protocol.check(config(zero_shot=True))  # a baseline
    model = config(zero_shot=True)
    model.predictor = "tsfm-mini"
    with pytest.raises(ValueError, match="lorenz is a flow of the generator chaos"):
        protocol.check(model)
    held_out = KnownProtocol(KnownProtocol.Config(kinds=["rucklidge"]))
    held_out.check(model)
    assert check_zero_shot(model, held_out, held_out.load_data(model, Oracle())) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"windows": 0}, "bench.windows is 0; expected at least 1"),
        ({"kinds": ["trends"]}, "did you mean 'trend'"),
        ({"free_run": 3}, "16 steps or more"),
        ({"bins": 1}, "bench.bins is 1"),
        ({"seed": -1}, "bench.seed is -1"),
    ],
)
def test_wrong_settings_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        KnownProtocol.Config(**changes)


def test_a_context_that_is_too_short_for_a_kind_is_refused_before_a_model_is_loaded() -> None:
    with pytest.raises(ValueError, match="context is 100; kind sin_200 needs 200 past steps"):
        KnownProtocol(KnownProtocol.Config(kinds=["sin_200"])).check(config(context=100))


def test_the_digest_of_the_data_follows_what_decides_them() -> None:
    def digest(context: int | None = None, **changes: Any) -> str:
        return KnownProtocol(KnownProtocol.Config(kinds=["ar_1"], **changes)).data_digest(config(context=context))

    assert digest() == digest(context=512) == digest(batch_size=3)
    assert len({digest(), digest(context=256), digest(seed=1), digest(windows=8)}) == 4


def test_scores_are_of_standardised_values() -> None:
    windows = draw_known("ar_1", num=4, context=100, horizon=5, generator=kind_generator("ar_1", 0))
    torch.testing.assert_close(windows.scale()[:, 0, 0], windows.context[:, 0].std(-1, correction=0))
    by_hand = ((windows.future - 1.0) / windows.scale()) ** 2
    torch.testing.assert_close(windows.squared_errors(torch.ones_like(windows.future)), by_hand)
