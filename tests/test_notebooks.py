"""The notebooks run from top to bottom, in a kernel of their own."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"


EPOCHS = "trainer.max_epochs=12"  # in the fast test, the notebook trains for one


@pytest.mark.parametrize("epochs", ["trainer.max_epochs=1", pytest.param(EPOCHS, marks=pytest.mark.slow)])
@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebook_runs(path: Path, epochs: str, tmp_path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "clear the outputs before committing"
    for cell in notebook.cells:
        cell.source = cell.source.replace(EPOCHS, epochs)
    assert any(epochs in cell.source for cell in notebook.cells)
    ran = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in ran.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs), "no picture was drawn"
