"""Laws of GIFT-Eval: its rules, its published seasonal naive to five digits, no value of a window is visible, and every
window is scored once with any batch size."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.infer.small_models import step_model
from tsfm.bench import gift_configs
from tsfm.bench.baselines.simple import LastValue, SeasonalNaive
from tsfm.bench.gift_configs import GIFT, GiftConfig, as_stored, num_windows, prediction_length, select_configs
from tsfm.bench.gift_table import geometric_mean, means
from tsfm.bench.protocols.gift import GiftProtocol, read_configs, score_config, score_gift
from tsfm.commands.cli import main
from tsfm.infer.predictor import POINT, Predictor
from tsfm.metrics.forecast import seasonal_error

HERE = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("TSFM_DATA", HERE.parent / "shared" / "data"))
ANCHORS = Path(os.environ.get("TSFM_ANCHORS", HERE.parent / "shared" / "anchors"))
NAMES = [entry.name for entry in GIFT]


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The anchors; the data root of the session is set to the real one."""
    if not (DATA / "forecasting").is_dir():
        pytest.skip(f"no data at {DATA}; name the data folder in TSFM_DATA")
    if not (ANCHORS / "gift_eval_per_config.csv").is_file():
        pytest.skip(f"no published numbers at {ANCHORS}; name their folder in TSFM_ANCHORS")
    monkeypatch.setenv("TSFM_DATA", str(DATA))
    return ANCHORS


@pytest.fixture
def births(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root with a synthetic us_births.parquet of 15 whole years."""
    days = pd.date_range("1969-01-01", "1983-12-31", freq="D")
    values = 100 + 10 * np.sin(np.arange(len(days)) * 2 * np.pi / 7) + np.random.default_rng(0).normal(size=len(days))
    folder = tmp_path / "root" / "forecasting"
    folder.mkdir(parents=True)
    frame = pd.DataFrame({"item_id": "T1", "timestamp": days, "target": values.astype(np.float32)})
    frame.to_parquet(folder / "us_births.parquet")
    monkeypatch.setenv("TSFM_DATA", str(tmp_path / "root"))
    return folder.parent


def entry(**changes) -> GiftConfig:
    settings = {"horizon": 12, "season_length": 12, "windows": 3, "mase": 1.0, "crps": 1.0}
    return GiftConfig("synthetic/M/short", "synthetic", as_stored, **{**settings, **changes})


def walk(series: int = 3, *, steps: int = 100, variates: int = 2, seed: int = 0) -> list[np.ndarray]:
    noise = np.random.default_rng(seed).normal(size=(series, variates, steps))
    return list(np.cumsum(noise, -1).astype(np.float32))


# the rules


def test_there_are_32_configurations_and_each_has_the_prediction_length_of_the_rule() -> None:
    assert len(set(NAMES)) == 32
    for config in GIFT:
        expected = prediction_length(config.freq, config.term, m4=config.name.startswith("m4"))
        assert config.horizon == expected, config.name


@pytest.mark.realdata
@pytest.mark.parametrize("name", NAMES)
def test_seasonal_naive_is_the_published_one_to_five_digits(real: Path, name: str) -> None:
    config = select_configs([name])[0]
    table = pd.read_csv(real / "gift_eval_per_config.csv").set_index(["config", "model"])
    published = table.loc[(name, "seasonal_naive")]
    assert (config.mase, config.crps) == (published["MASE"], published["CRPS"])
    assert (config.horizon, config.season_length) == (published["prediction_length"], published["mase_seasonality"])
    whole = config.read()
    shortest = min(series.shape[1] for series in whole)
    assert config.windows == num_windows(shortest, horizon=config.horizon, m4=name.startswith("m4"))
    row = score_config(SeasonalNaive(), config, [variate[None] for series in whole for variate in series])
    assert row["windows"] == config.windows * row["series"]
    assert row["series"] == int(pd.read_csv(real / "gift_at_hand.csv").set_index("config").loc[name, "series"])
    assert f"{row['mase']:.5f}" == f"{config.mase:.5f}"
    assert row["crps"] == pytest.approx(config.crps, abs=1.5e-5)


@pytest.mark.realdata
def test_the_published_naive_has_the_published_geometric_means(real: Path) -> None:
    published = pd.read_csv(real / "gift_at_hand_published.csv").set_index("model").loc["naive"]
    scores = score_gift(LastValue(), GiftProtocol.Config(), read_configs())
    assert (round(scores["mase"], 4), round(scores["crps"], 4)) == (published["MASE"], published["CRPS"])
    assert scores["windows"] == sum(row["windows"] for row in scores["rows"])


# the transforms


def test_a_gap_becomes_missing_steps_and_a_duplicate_timestamp_counts_once() -> None:
    stamps = pd.to_datetime(["2020-01-01 00:10", "2020-01-01 00:20", "2020-01-01 00:20", "2020-01-01 00:50"])
    frame = pd.DataFrame({"timestamp": stamps, "a": [1.0, 2.0, 9.0, 5.0]})
    (series,) = gift_configs.ten_minutes(frame)
    np.testing.assert_array_equal(series, [[1, 2, np.nan, np.nan, 5]])


def test_weeks_begin_with_the_first_day_and_only_complete_ones_count() -> None:
    frame = pd.DataFrame({"timestamp": pd.date_range("1969-01-01", periods=17, freq="D"), "a": np.ones(17)})
    np.testing.assert_array_equal(gift_configs.weekly_sum(frame)[0], [[7, 7]])
    np.testing.assert_array_equal(gift_configs.weekly_mean(frame)[0], [[1, 1]])


def test_items_keep_their_order_and_their_lengths() -> None:
    frame = pd.DataFrame({"item_id": ["b", "b", "a"], "timestamp": [1, 2, 1], "target": [1.0, 2.0, 3.0]})
    assert [series.tolist() for series in as_stored(frame)] == [[[1, 2]], [[3]]]


# the protocol


class Spy(Predictor):
    """Repeats the last value, and stores its contexts."""

    name = "spy"

    def __init__(self) -> None:
        self.contexts: list[np.ndarray] = []

    def quantiles(self, context, *, horizon, quantile_levels, season_length=1, known=None):
        self.contexts += list(context)
        shape = (*context.shape[:2], horizon, len(quantile_levels))
        return np.broadcast_to(context[..., -1:, None], shape).astype(np.float32)


def test_the_context_is_everything_before_the_window() -> None:
    series, spy = walk(2, variates=1), Spy()
    score_config(spy, entry(), series, batch_size=1)
    contexts = sorted(spy.contexts, key=lambda context: (context[0, 0], context.shape[1]))
    in_order = sorted(series, key=lambda values: values[0, 0])
    expected = [values[:, :stop] for values in in_order for stop in (100 - 36, 100 - 24, 100 - 12)]
    for context, values in zip(contexts, expected, strict=True):
        np.testing.assert_array_equal(context, values)


def test_context_limits_the_steps_of_the_predictor_and_not_of_the_scale() -> None:
    series, spy = walk(2, variates=1), Spy()
    cut = score_config(spy, entry(), series, context=5)
    assert {context.shape[1] for context in spy.contexts} == {5}
    assert cut["mase"] == score_config(spy, entry(), series)["mase"]


def test_the_scores_are_means_over_all_cells() -> None:
    series = walk(3)
    row = score_config(LastValue(), entry(), series)
    errors, sizes = [], []
    for values in series:
        for first in (64, 76, 88):
            past, y_true = values[:, :first].astype(float), values[:, first : first + 12].astype(float)
            errors.append(np.abs(y_true - past[:, -1:]) / seasonal_error(past, 12)[:, None])
            sizes.append(np.abs(y_true))
    assert row["mase"] == pytest.approx(np.mean(errors), rel=1e-6)
    assert (row["series"], row["windows"]) == (3, 9)


@pytest.mark.parametrize("batch_size", [1, 4, 256])
def test_batches_do_not_matter(batch_size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, series = step_model(), walk(3, variates=1)
    whole = score_config(model, entry(), series)
    monkeypatch.setattr("tsfm.bench.protocols.gift.MAX_VALUES", 150)
    batched = score_config(model, entry(), series, batch_size=batch_size)
    assert batched["mase"] == pytest.approx(whole["mase"], rel=1e-5)
    assert batched["crps"] == pytest.approx(whole["crps"], rel=1e-5)


def test_a_point_forecast_is_scored_by_its_normalised_deviation() -> None:
    class Point(Spy):
        quantile_levels = POINT

    series = walk(2, variates=1)
    row = score_config(Point(), entry(), series)
    y_true = np.concatenate([values[:, first : first + 12] for values in series for first in (64, 76, 88)])
    last = np.concatenate([values[:, first - 1 : first] for values in series for first in (64, 76, 88)])
    assert row["crps"] == pytest.approx(np.abs(y_true - last).sum() / np.abs(y_true).sum(), rel=1e-6)


def test_a_model_that_mixes_no_variates_has_equal_scores_with_multivariate(births: Path) -> None:
    univariate = score_gift(SeasonalNaive(), GiftProtocol.Config(), read_configs(["us_births/M/short"]))
    multivariate = score_gift(
        SeasonalNaive(), GiftProtocol.Config(multivariate=True), read_configs(["us_births/M/short"])
    )
    assert univariate["mase"] == multivariate["mase"]


def test_the_means_are_geometric_and_a_term_has_its_own() -> None:
    rows = [
        {"config": "a/H/short", "mase_relative": 0.5, "crps_relative": 0.25},
        {"config": "a/H/long", "mase_relative": 2.0, "crps_relative": 1.0},
    ]
    assert means(rows) == pytest.approx(
        {"mase": 1.0, "crps": 0.5, "mase_short": 0.5, "crps_short": 0.25, "mase_long": 2.0, "crps_long": 1.0}
    )
    assert geometric_mean([0.0, 1.0]) == 0.0


# refusals and the command


def test_a_series_that_is_too_short_is_named() -> None:
    with pytest.raises(ValueError, match="36 steps has no past"):
        score_config(LastValue(), entry(), walk(1, steps=36))


def test_a_forecast_that_is_not_a_number_is_an_error() -> None:
    class Broken(Spy):
        def quantiles(self, context, **options):
            return super().quantiles(context, **options) * np.nan

    with pytest.raises(ValueError, match="not finite"):
        score_config(Broken(), entry(), walk(1))


def test_a_predictor_that_needs_more_than_past_values_is_refused(births: Path) -> None:
    class WithTimeFeatures(Spy):
        time_features = ("hour",)

    with pytest.raises(ValueError, match="needs the time features hour"):
        score_gift(WithTimeFeatures(), GiftProtocol.Config(), read_configs(["us_births/M/short"]))
    with pytest.raises(ValueError, match="context is 0"):
        read_configs(["us_births/M/short"], context=0)


def test_an_unknown_configuration_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean 'ett1/H/short'"):
        GiftProtocol.Config(configs=["ett1/H/shortt"])
    with pytest.raises(ValueError, match="is empty"):
        GiftProtocol.Config(configs=[])


def test_the_command_logs_the_table_and_writes_both_files(
    births: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    overrides = ["predictor=seasonal_naive", "bench=gift", "bench.configs=[us_births/W/short,us_births/M/short]"]
    with caplog.at_level("INFO", logger="tsfm"):
        assert main(["eval", *overrides, f"out={tmp_path / 'out'}"]) == 0
    assert "us_births/W/short" in caplog.text
    assert "geometric mean of 2" in caplog.text
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("RESULT "))
    kept = json.loads((tmp_path / "out" / "result.json").read_text())
    rows = pd.read_csv(tmp_path / "out" / "gift.csv")
    assert json.loads(line.removeprefix("RESULT "))["mase"] == kept["mase"]
    assert kept["data"] == "gift"
    assert kept["mase"] == pytest.approx(geometric_mean(rows["mase_relative"].tolist()), rel=1e-5)
    assert kept["windows"] == rows["windows"].sum() == 14 + 2


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["bench.configs=[saugeen/D/short]"], "saugeen_river.parquet is not on this machine"),
        (["bench.configs=[us_births/M/short]", "horizon=3"], "bench=gift has no horizon"),
        (["bench.configs=[us_births]"], "known: "),
        (["bench.batch_size=0"], "batch_size is 0"),
    ],
)
def test_errors_are_one_line(
    births: Path, overrides: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", "predictor=seasonal_naive", "bench=gift", *overrides]) == 2
    assert message in capsys.readouterr().err.strip().splitlines()[-1]
