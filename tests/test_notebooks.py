"""The notebooks run from top to bottom, in a kernel of their own, and are stored with what they print and draw."""

from __future__ import annotations

import base64
import os
import re
import struct
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
PATHS = sorted(FOLDER.glob("*.ipynb"))
MAX_BYTES = 400_000
SECONDS = 90  # of the CPU
FAST = "01_first_forecast"  # runs in the fast suite


def outputs(notebook: Any) -> list[Any]:
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def test_there_are_five() -> None:
    assert [path.name[:2] for path in PATHS] == ["01", "02", "03", "04", "05"]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_the_stored_outputs_are_those_of_one_run(path: Path) -> None:
    """Every code cell was run, in order, without errors and warnings; pictures are there, and files are small."""
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1)), "python scripts/run_notebooks.py"
    assert [
        output for output in outputs(notebook) if output.output_type == "error" or output.get("name") == "stderr"
    ] == []
    pictures = [output.data["image/png"] for output in outputs(notebook) if "image/png" in output.get("data", {})]
    assert pictures
    for picture in pictures:
        width, height = struct.unpack(">II", base64.b64decode(picture)[16:24])
        assert width <= 1000
        assert height <= 1400
    assert path.stat().st_size < MAX_BYTES
    for name in re.findall(r"\]\((?!http)([^)#]+)\)", path.read_text(encoding="utf-8")):
        assert (FOLDER / name).exists(), f"{path.name} links to {name}"


@pytest.mark.parametrize(
    "path",
    [path if path.stem == FAST else pytest.param(path, marks=pytest.mark.slow) for path in PATHS],
    ids=lambda p: p.stem,
)
def test_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without benchmark data, which a reader does not have either, and in at most 90 s of one core."""
    monkeypatch.setenv("TSFM_DATA", str(tmp_path / "nothing"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook, before = nbformat.read(path, as_version=4), os.times()
    ran = NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(tmp_path)}}).execute()
    after = os.times()
    assert any("image/png" in output.get("data", {}) for output in outputs(ran)), "no picture was drawn"
    seconds = after.children_user + after.children_system - before.children_user - before.children_system
    assert seconds < SECONDS
