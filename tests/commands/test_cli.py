"""The command line: fast to start, one RESULT line, exit code 0 only when all was done."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tsfm.commands.cli import main
from tsfm.commands.errors import message_of
from tsfm.files import write_text

SMALL = [
    "model.context=32", "model.horizon=8", "model.width=16", "model.patch=8", "model.stride=8", "backbone.heads=2",
    "backbone.depth=1", "backbone.hidden=16", "trainer.max_epochs=1", "trainer.progress=false",
    "trainer.accelerator=cpu",
]  # fmt: skip


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    stamps = pd.date_range("2024-01-01", periods=240, freq="h")
    tables = [
        pd.DataFrame({"item_id": name, "timestamp": stamps, "target": level + np.sin(np.arange(240) * 2 * np.pi / 24)})
        for name, level in (("a", 3.0), ("b", 50.0))
    ]
    table = pd.concat(tables, ignore_index=True)
    table["target"] += generator.normal(0, 0.1, len(table))
    table.drop(index=[100, 101, 300]).to_csv(tmp_path / "sales.csv", index=False)
    return tmp_path / "sales.csv"


def result_of(text: str) -> dict:
    last = text.strip().splitlines()[-1]
    assert last.startswith("RESULT ")
    return json.loads(last.removeprefix("RESULT "))


def test_ingest_show_train_eval_and_forecast(csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command reads what the one before it wrote."""
    store, run_dir = tmp_path / "store", tmp_path / "run"
    assert main(["ingest", str(csv), "--out", str(store)]) == 0
    assert "3" in capsys.readouterr().out  # the gaps

    data = ["data=store", f"data.dataset={store}", "data.standardize=false"]
    assert main(["show", *data, *SMALL]) == 0
    printed = capsys.readouterr().out
    for word in ("parameters", "tokens", "FLOPs", "windows", "train 2", "?", "season 24"):
        assert word in printed

    assert main(["train", *data, *SMALL, f"run_dir={run_dir}", "name=sales"]) == 0
    result = result_of(capsys.readouterr().out)
    assert result["experiment"] == "sales"
    assert result["windows"] == 2 * (48 - 8 + 1)  # 20 % of 240 rows of two series
    assert {"mse", "mae", "mase", "smape", "wql", "seconds", "run_dir"} <= result.keys()
    for name in ("config.yaml", "command.txt", "environment.json", "metrics.csv", "result.json", "model/config.json"):
        assert (run_dir / name).is_file(), name
    assert "tsfm train" in (run_dir / "command.txt").read_text()

    assert main(["eval", f"predictor={run_dir}", *data]) == 0
    again = result_of(capsys.readouterr().out)
    assert again["mse"] == pytest.approx(result["mse"], rel=1e-6)

    out, picture = tmp_path / "forecast.csv", tmp_path / "forecast.png"
    command = ["forecast", str(csv), "--model", str(run_dir), "--horizon", "12", "--out", str(out)]
    assert main([*command, "--plot", str(picture), "--holdout"]) == 0
    assert "seasonal_naive" in capsys.readouterr().out
    forecast = pd.read_csv(out)
    assert list(forecast.columns[:4]) == ["item_id", "timestamp", "target_name", "predictions"]
    assert len(forecast) == 24
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_score_does_not_depend_on_the_batch_size(
    csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["ingest", str(csv), "--out", str(tmp_path / "store")])
    data = ["data=store", f"data.dataset={tmp_path / 'store'}"]
    main(["train", *data, *SMALL, f"run_dir={tmp_path / 'run'}"])
    capsys.readouterr()
    results = []
    for size in (1, 7, 512):
        assert main(["eval", f"predictor={tmp_path / 'run'}", *data, f"bench.batch_size={size}"]) == 0
        results.append(result_of(capsys.readouterr().out))
    assert len({result["windows"] for result in results}) == 1
    for metric in ("mse", "mae", "mase", "smape", "wql"):
        values = [result[metric] for result in results]
        assert max(values) == pytest.approx(min(values), rel=1e-6)


def test_a_sweep_runs_every_combination(
    csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    main(["ingest", str(csv), "--out", str(tmp_path / "store")])
    settings = [*SMALL, f"data.dataset={tmp_path / 'store'}", "data=store", f"run_root={tmp_path / 'runs'}"]
    assert main(["train", "-m", *settings, "seed=0,1"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert [json.loads(line[7:])["seed"] for line in printed if line.startswith("RESULT ")] == [0, 1]
    capsys.readouterr()
    assert main(["train", "-m", *settings, "seed=0", "optim.lr=-1,0.001,-2"]) == 2
    out, errors = capsys.readouterr()
    assert out.count("RESULT ") == 1  # the others are run
    for rate in (-1, -2):
        assert f"error: optim.lr={rate}: optim.lr is {rate}.0; a learning rate is above 0" in errors
    end = errors.rpartition("error: 2 of 3 jobs failed:\n")[2].splitlines()
    assert [line.partition(": ")[0].strip() for line in end] == ["optim.lr=-1", "optim.lr=-2"]


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["forecast", "--help"], ["--version"]])
def test_help_answers_without_torch(arguments: list[str]) -> None:
    code = f"import sys; sys.argv = ['tsfm', *{arguments}]; from tsfm.commands.cli import main\n"
    code += "try: main()\nexcept SystemExit: pass\n"
    code += "assert not {'torch', 'hydra', 'pandas', 'pytorch_lightning'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.bench
def test_start_up_times() -> None:
    for code, limit in (("import tsfm", 2.5), ("import tsfm; tsfm.load", 5.0)):
        times = []
        for _ in range(3):
            begun = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            times.append(time.perf_counter() - begun)
        assert min(times) < limit


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_output_that_cannot_be_encoded_is_escaped(
    encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the locale is C, or a Windows console has another code page."""
    stamps = pd.date_range("2024-01-01", periods=60)
    pd.DataFrame({"item_id": "Zürich Ω", "timestamp": stamps, "target": range(60)}).to_csv(tmp_path / "a.csv")
    for errors in ("strict", "surrogateescape"):
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors=errors)
        monkeypatch.setattr("sys.stdout", stream)
        assert main(["forecast", str(tmp_path / "a.csv"), "--model", "seasonal_naive", "--horizon", "2"]) == 0
        stream.flush()
        assert rb"rich \u03a9" in stream.buffer.getvalue()  # type: ignore[attr-defined]
        assert stream.errors == errors


def test_records_of_a_command_with_undecoded_bytes(tmp_path: Path) -> None:
    """In the locale C without UTF-8 mode, Python gives the bytes of a name as surrogates."""
    write_text(tmp_path / "command.txt", "tsfm train name=" + os.fsdecode("ü".encode()) + "\udcff")
    assert (tmp_path / "command.txt").read_bytes() == "tsfm train name=ü".encode() + b"\xff"
    error = UnicodeEncodeError("ascii", "ü.csv", 0, 1, "ordinal not in range(128)")
    assert message_of(error).startswith(r"'\xfc.csv' cannot be written in this locale (ascii); set LC_ALL=C.UTF-8")
