"""`tsfm backtest`: the table of `tsfm.backtest`, its files, and errors in the words of the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tsfm
from tsfm.commands.cli import main


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """Sales of two shops in sales.csv of the current folder."""
    monkeypatch.chdir(tmp_path)
    days, rng = pd.date_range("2025-01-01", periods=60), np.random.default_rng(0)
    shops = [pd.DataFrame({"item_id": shop, "timestamp": days, "target": rng.normal(size=60)}) for shop in ("1", "2")]
    df = pd.concat(shops, ignore_index=True)
    df.to_csv("sales.csv", index=False)
    return df


COMMAND = ["backtest", "sales.csv", "--horizon", "7", "--model", "drift"]


def test_the_files_are_those_of_the_function(file: pd.DataFrame, capsys: pytest.CaptureFixture[str]) -> None:
    files = ["--out", "forecasts.csv", "--scores", "scores.csv", "--plot", "picture.png"]
    assert main([*COMMAND, "--windows", "2", "--step", "3", "--interval", "80", "--by", "item", *files]) == 0
    result = tsfm.backtest(file, 7, windows=2, step=3, models=["drift"], level=[80])
    out = pd.read_csv("forecasts.csv", dtype={"item_id": str}, parse_dates=["timestamp", "cutoff"])
    pd.testing.assert_frame_equal(out, result.forecasts)
    scores = pd.read_csv("scores.csv", dtype={"item": str})
    pd.testing.assert_frame_equal(scores, result.scores("item"), check_dtype=False)
    printed = capsys.readouterr().out
    assert "back-test: 4 windows of 7 steps, 2 items, 2 cutoffs" in printed
    assert printed.splitlines()[-3:] == [
        "wrote 28 rows to forecasts.csv",
        "wrote 4 rows to scores.csv",
        "drew picture.png",
    ]
    assert Path("picture.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--horizon", "0"], "error: --horizon is 0; expected at least 1 step"),
        (["--windows", "0"], "error: --windows is 0"),
        (["--known", "price"], "error: --known is ['price']; sales.csv has no covariate 'price'"),
        (["--effort", "bst"], "error: --effort is 'bst'; did you mean 'best'"),
        (["--scores", "scores.txt"], "ends in .txt; expected .csv or .parquet"),
        (["--horizon", "70"], "item '1' has 60 steps; a window of 70"),
    ],
)
def test_errors_name_flags(
    file: pd.DataFrame, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main([*COMMAND, *arguments]) == 2
    assert message in capsys.readouterr().err
