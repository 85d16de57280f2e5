"""Laws of GIFT-Eval here: its rules, its published seasonal naive to five digits, nothing of a window shown, and every
window scored once whatever the batches."""

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
from tsfm.bench.gift_configs import GIFT, GiftConfig, as_stored, chosen, num_windows, prediction_length
from tsfm.bench.protocols.gift import GiftProtocol, geometric_mean, means, read_configs, score_config, score_gift
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
    """A data root with a made-up us_births.parquet of 15 whole years."""
    days = pd.date_range("1969-01-01", "1983-12-31", freq="D")
    values = 100 + 10 * np.sin(np.arange(len(days)) * 2 * np.pi / 7) + np.random.default_rng(0).normal(size=len(days))
    folder = tmp_path / "root" / "forecasting"
    folder.mkdir(parents=True)
    frame = pd.DataFrame({"item_id": "T1", "timestamp": days, "target": values.astype(np.float32)})
    frame.to_parquet(folder / "us_births.parquet")
    monkeypatch.setenv("TSFM_DATA", str(tmp_path / "root"))
    return folder.parent


def entry(**changes) -> GiftConfig:
    settings = {"horizon": 12, "season": 12, "windows": 3, "mase": 1.0, "crps": 1.0}
    return GiftConfig("made_up/M/short", "made_up", as_stored, **{**settings, **changes})


def walk(series: int = 3, *, steps: int = 100, variates: int = 2, seed: int = 0) -> list[np.ndarray]:
    noise = np.random.default_rng(seed).normal(size=(series, variates, steps))
    return list(np.cumsum(noise, -1).astype(np.float32))


# the rules


def test_there_are_32_configurations_and_each_has_the_prediction_length_of_the_rule() -> None:
    assert len(set(NAMES)) == 32
    for one in GIFT:
        assert one.horizon == prediction_length(one.freq, one.term, m4=one.name.startswith("m4")), one.name


@pytest.mark.realdata
@pytest.mark.parametrize("name", NAMES)
def test_seasonal_naive_is_the_published_one_to_five_digits(real: Path, name: str) -> None:
    one = chosen([name])[0]
    table = pd.read_csv(real / "gift_eval_per_config.csv").set_index(["config", "model"])
    published = table.loc[(name, "seasonal_naive")]
    assert (one.mase, one.crps) == (published["MASE"], published["CRPS"])
    assert (one.horizon, one.season) == (published["prediction_length"], published["mase_seasonality"])
    whole = one.read()
    shortest = min(series.shape[1] for series in whole)
    assert one.windows == num_windows(shortest, horizon=one.horizon, m4=name.startswith("m4"))
    row = score_config(SeasonalNaive(), one, [variate[None] for series in whole for variate in series])
    assert row["windows"] == one.windows * row["series"]
    assert row["series"] == int(pd.read_csv(real / "gift_at_hand.csv").set_index("config").loc[name, "series"])
    assert f"{row['mase']:.5f}" == f"{one.mase:.5f}"
    assert row["crps"] == pytest.approx(one.crps, abs=1.5e-5)


@pytest.mark.realdata
def test_the_published_naive_has_the_published_geometric_means(real: Path) -> None:
    published = pd.read_csv(real / "gift_at_hand_published.csv").set_index("model").loc["naive"]
    found = score_gift(LastValue(), GiftProtocol.Config(), read_configs())
    assert (round(found["mase"], 4), round(found["crps"], 4)) == (published["MASE"], published["CRPS"])
    assert found["windows"] == sum(row["windows"] for row in found["rows"])


# the transforms


def test_a_gap_becomes_missing_steps_and_a_double_stamp_counts_once() -> None:
    stamps = pd.to_datetime(["2020-01-01 00:10", "2020-01-01 00:20", "2020-01-01 00:20", "2020-01-01 00:50"])
    frame = pd.DataFrame({"timestamp": stamps, "a": [1.0, 2.0, 9.0, 5.0]})
    (series,) = gift_configs.ten_minutes(frame)
    np.testing.assert_array_equal(series, [[1, 2, np.nan, np.nan, 5]])


def test_weeks_begin_with_the_first_stamp_and_only_whole_ones_count() -> None:
    frame = pd.DataFrame({"timestamp": pd.date_range("1969-01-01", periods=17, freq="D"), "a": np.ones(17)})
    np.testing.assert_array_equal(gift_configs.weekly_sum(frame)[0], [[7, 7]])
    np.testing.assert_array_equal(gift_configs.weekly_mean(frame)[0], [[1, 1]])


def test_items_keep_their_order_and_their_lengths() -> None:
    frame = pd.DataFrame({"item_id": ["b", "b", "a"], "timestamp": [1, 2, 1], "target": [1.0, 2.0, 3.0]})
    assert [one.tolist() for one in as_stored(frame)] == [[[1, 2]], [[3]]]


# the protocol


class Watched(Predictor):
    """Repeats the last value, and keeps what it was shown."""

    name = "watched"

    def __init__(self) -> None:
        self.pasts: list[np.ndarray] = []

    def quantiles(self, context, *, horizon, quantile_levels, season_length=1, known=None):
        self.pasts += list(context)
        shape = (*context.shape[:2], horizon, len(quantile_levels))
        return np.broadcast_to(context[..., -1:, None], shape).astype(np.float32)


def test_a_window_is_shown_all_before_it_and_nothing_of_itself() -> None:
    series, watched = walk(2, variates=1), Watched()
    score_config(watched, entry(), series, batch_size=1)
    shown = sorted(watched.pasts, key=lambda past: (past[0, 0], past.shape[1]))
    owners = sorted(series, key=lambda one: one[0, 0])
    wanted = [one[:, :stop] for one in owners for stop in (100 - 36, 100 - 24, 100 - 12)]
    assert len(shown) == len(wanted)
    for past, want in zip(shown, wanted, strict=True):
        np.testing.assert_array_equal(past, want)


def test_context_cuts_what_is_shown_and_not_the_scale() -> None:
    series, watched = walk(2, variates=1), Watched()
    cut = score_config(watched, entry(), series, context=5)
    assert {past.shape[1] for past in watched.pasts} == {5}
    assert cut["mase"] == score_config(watched, entry(), series)["mase"]


def test_the_scores_are_means_over_all_cells() -> None:
    series = walk(3)
    row = score_config(LastValue(), entry(), series)
    errors, sizes = [], []
    for one in series:
        for first in (64, 76, 88):
            past, truth = one[:, :first].astype(float), one[:, first : first + 12].astype(float)
            errors.append(np.abs(truth - past[:, -1:]) / seasonal_error(past, 12)[:, None])
            sizes.append(np.abs(truth))
    assert row["mase"] == pytest.approx(np.mean(errors), rel=1e-6)
    assert (row["series"], row["windows"]) == (3, 9)


@pytest.mark.parametrize("batch_size", [1, 4, 256])
def test_batches_do_not_matter(batch_size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, series = step_model(), walk(3, variates=1)
    whole = score_config(model, entry(), series)
    monkeypatch.setattr("tsfm.bench.protocols.gift.MAX_VALUES", 150)
    part = score_config(model, entry(), series, batch_size=batch_size)
    assert part["mase"] == pytest.approx(whole["mase"], rel=1e-5)
    assert part["crps"] == pytest.approx(whole["crps"], rel=1e-5)


def test_a_point_forecast_is_scored_by_its_normalised_deviation() -> None:
    class Point(Watched):
        quantile_levels = POINT

    series = walk(2, variates=1)
    row = score_config(Point(), entry(), series)
    truth = np.concatenate([one[:, first : first + 12] for one in series for first in (64, 76, 88)])
    last = np.concatenate([one[:, first - 1 : first] for one in series for first in (64, 76, 88)])
    assert row["crps"] == pytest.approx(np.abs(truth - last).sum() / np.abs(truth).sum(), rel=1e-6)


def test_the_variates_at_once_or_one_by_one_are_alike_for_what_does_not_mix_them(births: Path) -> None:
    one = score_gift(SeasonalNaive(), GiftProtocol.Config(), read_configs(["us_births/M/short"]))
    many = score_gift(SeasonalNaive(), GiftProtocol.Config(multivariate=True), read_configs(["us_births/M/short"]))
    assert one["mase"] == many["mase"]


def test_the_means_are_geometric_and_a_term_has_its_own() -> None:
    rows = [
        {"config": "a/H/short", "mase_relative": 0.5, "crps_relative": 0.25},
        {"config": "a/H/long", "mase_relative": 2.0, "crps_relative": 1.0},
    ]
    found = means(rows)
    assert found == pytest.approx(
        {"mase": 1.0, "crps": 0.5, "mase_short": 0.5, "crps_short": 0.25, "mase_long": 2.0, "crps_long": 1.0}
    )
    assert geometric_mean([0.0, 1.0]) == 0.0


# refusals and the command


def test_too_short_a_series_is_named() -> None:
    with pytest.raises(ValueError, match="36 steps has no past"):
        score_config(LastValue(), entry(), walk(1, steps=36))


def test_a_forecast_that_is_not_a_number_is_an_error() -> None:
    class Lost(Watched):
        def quantiles(self, context, **asked):
            return super().quantiles(context, **asked) * np.nan

    with pytest.raises(ValueError, match="not finite"):
        score_config(Lost(), entry(), walk(1))


def test_what_needs_more_than_a_past_is_refused(births: Path) -> None:
    class Marked(Watched):
        time_features = ("hour",)

    with pytest.raises(ValueError, match="needs the time features hour"):
        score_gift(Marked(), GiftProtocol.Config(), read_configs(["us_births/M/short"]))
    with pytest.raises(ValueError, match="context is 0"):
        read_configs(["us_births/M/short"], context=0)


def test_an_unknown_configuration_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean 'ett1/H/short'"):
        GiftProtocol.Config(configs=["ett1/H/shortt"])
    with pytest.raises(ValueError, match="is empty"):
        GiftProtocol.Config(configs=[])


def test_the_command_tells_the_table_and_writes_both_files(
    births: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    words = ["predictor=seasonal_naive", "bench=gift", "bench.configs=[us_births/W/short,us_births/M/short]"]
    with caplog.at_level("INFO", logger="tsfm"):
        assert main(["eval", *words, f"out={tmp_path / 'out'}"]) == 0
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
    ("words", "said"),
    [
        (["bench.configs=[saugeen/D/short]"], "saugeen_river.parquet is not on this machine"),
        (["bench.configs=[us_births/M/short]", "horizon=3"], "bench=gift has no horizon"),
        (["bench.configs=[us_births]"], "known: "),
        (["bench.batch_size=0"], "batch_size is 0"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    births: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", "predictor=seasonal_naive", "bench=gift", *words]) == 2
    found = capsys.readouterr().err.strip().splitlines()[-1]
    assert said in found
