"""`tsfm impute | detect | embed | classify`: a file in, a table out, written completely or not at all."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.infer.small_models import CLASSES, label_model, sines, step_model
from tsfm.commands import cli
from tsfm.model.checkpoint import About, save


def main(command: str) -> int:
    return cli.main(shlex.split(command))


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """sales.csv with gaps, and a model of each kind."""
    monkeypatch.chdir(tmp_path)
    stamps = pd.date_range("2024-01-01", periods=400, freq="h")
    tables = [
        pd.DataFrame({"item_id": name, "timestamp": stamps, "target": sines(400, seed=k, missing=0.05)})
        for k, name in enumerate(("007", "b"))
    ]
    pd.concat(tables).to_csv("sales.csv", index=False)
    for name, model in (
        ("steps", step_model()),
        ("classes", label_model()),
        ("numbers", label_model(labels={"loc": 5.0, "scale": 2.0})),
    ):
        save(model.model, tmp_path / name, about=model.about)
    return tmp_path


def test_impute(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("impute sales.csv --model steps --out filled.csv --quantile-levels 0.1 0.9") == 0
    original, filled = (
        pd.read_csv(file, dtype={"item_id": str}, float_precision="round_trip") for file in ("sales.csv", "filled.csv")
    )
    num_missing = int(original["target"].isna().sum())
    printed = capsys.readouterr().out
    assert f"filled {num_missing} of 800 values of target" in printed
    assert "wrote 800 rows to filled.csv" in printed
    assert list(filled.columns) == [*original.columns, "target_imputed", "target_0.1", "target_0.9"]
    pd.testing.assert_frame_equal(filled[["item_id", "timestamp"]], original[["item_id", "timestamp"]])
    assert filled["target"].notna().all()
    np.testing.assert_array_equal(filled["target"][original["target"].notna()], original["target"].dropna())
    assert main("impute sales.csv --model steps") == 0
    rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 2 + 12
    assert all(row.endswith("True") for row in rows[2:])  # those that were filled


def test_detect(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = "detect sales.csv --model steps --level 0.95 --calibration 200 --out scored.parquet --plot scored.png"
    assert main(command) == 0
    scored = pd.read_parquet("scored.parquet")
    assert {"score", "threshold", "is_anomaly"} < set(scored.columns)
    printed = capsys.readouterr().out
    assert f"flagged {int(scored['is_anomaly'].sum())} of 800 rows" in printed
    assert "drew scored.png" in printed
    assert Path("scored.png").read_bytes().startswith(b"\x89PNG")
    assert main("detect sales.csv --model steps --level 0.95 --calibration sales.csv --score tail") == 0
    flagged = int(capsys.readouterr().out.split("flagged ")[1].split()[0])
    assert 0 < flagged <= 0.05 * 800  # of the rows that the threshold was taken from


def test_embed(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("embed sales.csv --model steps --pool last --layer 0 --out vectors.csv") == 0
    assert "embedded 2 series in 16 numbers each" in capsys.readouterr().out
    vectors = pd.read_csv("vectors.csv", dtype={"item_id": str})
    assert vectors["item_id"].tolist() == ["007", "b"]
    assert vectors.shape == (2, 18)


def test_classify(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("classify sales.csv --model classes --out labels.csv") == 0
    assert "labelled 2 items: " in capsys.readouterr().out
    labels = pd.read_csv("labels.csv", dtype={"item_id": str})
    assert list(labels.columns) == ["item_id", "label", *(f"probability_{name}" for name in CLASSES)]
    assert main("classify sales.csv --model numbers") == 0
    printed = capsys.readouterr().out
    assert "predicted a number for 2 items" in printed
    assert "prediction" in printed


def test_other_names_of_columns(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    df = pd.read_csv("sales.csv").rename(columns={"item_id": "shop", "timestamp": "when", "target": "sold"})
    df.assign(more=df["sold"] * 2).to_csv("other.csv", index=False)
    options = "--id-column shop --timestamp-column when --freq h --target sold --target more"
    assert main(f"impute other.csv --model steps --out o.csv {options}") == 0
    assert "values of sold" in capsys.readouterr().out
    assert pd.read_csv("o.csv")[["sold", "more"]].notna().to_numpy().all()
    assert main(f"detect other.csv --model steps --plot o.png {options}") == 0
    assert Path("o.png").is_file()


def test_names_of_files_are_checked_before_any_work(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(step_model().model, workspace / "broken", about=About())
    (workspace / "broken" / "model.safetensors").unlink()
    for command, message in (
        ("embed sales.csv --model broken --out v.xlsx", "expected .csv or .parquet"),
        ("detect sales.csv --model broken --plot v.gif", "name it with one of .png"),
        ("detect sales.csv --model broken --level 2", "--level is 2; expected a share"),
        ("detect sales.csv --model broken --calibration none.csv", "there is no file none.csv"),
    ):
        assert main(command) == 2
        assert message in capsys.readouterr().err
    assert sorted(path.name for path in workspace.iterdir()) == ["broken", "classes", "numbers", "sales.csv", "steps"]
