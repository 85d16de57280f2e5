"""Laws of long horizons, zero-shot: one pass scores the windows of the protocol, all of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.infer.small_models import step_model
from tsfm.bench.baselines.simple import SeasonalNaive
from tsfm.bench.longhorizon import dataset, score_long
from tsfm.commands.bench import longhorizon
from tsfm.commands.cli import main
from tsfm.data.settings import DataConfig

ROWS = 400
HORIZONS = [4, 12, 30]


@pytest.fixture
def etth1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataConfig:
    """Two channels of 400 hours with a gap, 70/10/20 %; the store is ./data/waves."""
    random = np.random.default_rng(0)
    table = pd.DataFrame({"timestamp": pd.date_range("2020-01-01", periods=ROWS, freq="h")})
    for name in ("a", "b"):
        table[name] = np.sin(np.arange(ROWS) * np.pi / 12) + 0.3 * random.normal(size=ROWS)
    table.loc[350:353, "b"] = np.nan
    table.to_csv(tmp_path / "waves.csv", index=False)
    monkeypatch.chdir(tmp_path)
    assert main(["ingest", "waves.csv", "--out", "data/waves"]) == 0
    return DataConfig("waves")


@pytest.mark.parametrize("batch_size", [7, 64])
def test_one_pass_equals_the_protocol_where_the_first_steps_do_not_depend_on_the_last(
    etth1: DataConfig, batch_size: int
) -> None:
    options = {"horizons": HORIZONS, "context": 48, "batch_size": batch_size}
    single = score_long(SeasonalNaive(), etth1, **options)
    whole = score_long(SeasonalNaive(), etth1, one_pass=True, **options)
    for row, other, horizon in zip(single, whole, HORIZONS, strict=True):
        assert row["horizon"] == other["horizon"] == horizon
        assert row["windows"] == other["windows"] == ROWS // 5 - horizon + 1
        assert other["mse"] == pytest.approx(row["mse"], rel=1e-9)
        assert other["mae"] == pytest.approx(row["mae"], rel=1e-9)


def test_a_row_equals_the_result_of_the_eval_command(etth1: DataConfig, capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = score_long(SeasonalNaive(), etth1, horizons=[12], context=48)
    overrides = ["predictor=seasonal_naive", "data=store", "data.dataset=waves", "context=48", "horizon=12"]
    assert main(["eval", *overrides, "data.split=ratio", "data.standardize=true"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("RESULT "))
    result = json.loads(line.removeprefix("RESULT "))
    assert [row["mse"], row["mae"]] == pytest.approx([result["mse"], result["mae"]], rel=1e-9)
    assert row["windows"] == result["windows"] == 69


def test_a_model_forecasts_beyond_its_own_horizon_and_context(etth1: DataConfig) -> None:
    model = step_model()
    assert model.max_horizon is not None
    rows = score_long(model, etth1, horizons=[model.max_horizon, 2 * model.max_horizon], context=24, one_pass=True)
    assert [row["windows"] for row in rows] == [80 - 16 + 1, 80 - 32 + 1]
    assert all(np.isfinite(row["mse"]) for row in rows)


def test_horizons_without_windows_are_refused(etth1: DataConfig) -> None:
    with pytest.raises(ValueError, match="at least one horizon"):
        score_long(SeasonalNaive(), etth1, horizons=[], context=48)
    with pytest.raises(ValueError, match="no window of context"):
        score_long(SeasonalNaive(), etth1, horizons=[200], context=48)


def test_the_data_sets_are_those_of_the_config_group() -> None:
    assert (dataset("ettm2").dataset, dataset("ettm2").split) == ("ettm2", "ett_minute")


def test_the_command_writes_the_mean_over_its_lines(etth1: DataConfig, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(longhorizon, "dataset", lambda name: etth1)
    options = ["--sets", "x", "--horizons", "4", "12", "--context", "48", "--out", "out"]
    assert main(["bench", "longhorizon", "seasonal_naive", *options]) == 0
    table = pd.read_csv("out/long.csv")
    assert list(table["horizon"]) == [4, 12]
    assert f"{table['mse'].mean():.4f}" in Path("out/long.md").read_text().splitlines()[-1]
