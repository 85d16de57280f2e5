"""Run the notebooks and store their outputs: python scripts/run_notebooks.py [notebooks/02_your_own_data.ipynb ...]

Pictures are reduced to 256 colours, and times of execution are left out, so that the files stay small and change only
with what they show. Prints the seconds and the size of each.
"""

from __future__ import annotations

import argparse
import base64
import io
import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
from nbclient import NotebookClient
from PIL import Image

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
COLORS = 256


def smaller(picture: str) -> str:
    """Return a PNG in base64 with fewer colours."""
    image = Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB").quantize(COLORS)
    out = io.BytesIO()
    image.save(out, format="png", optimize=True)
    return base64.b64encode(out.getvalue()).decode()


def run(path: Path) -> Any:
    """Return a notebook with the outputs of a run in an empty folder."""
    notebook = nbformat.read(path, as_version=4)
    with TemporaryDirectory() as folder:
        NotebookClient(notebook, timeout=900, resources={"metadata": {"path": folder}}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = smaller(output.data["image/png"])
    return notebook


def main() -> None:
    """Run the notebooks of the command line, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="*", type=Path, help="(default: all)")
    for path in parser.parse_args().notebooks or sorted(FOLDER.glob("*.ipynb")):
        begin, before = time.perf_counter(), os.times()
        nbformat.write(run(path), path)
        after = os.times()
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        size = path.stat().st_size / 1024
        print(f"{path.name}: {time.perf_counter() - begin:.0f} s, {cpu:.0f} s of CPU, {size:.0f} kB", flush=True)


if __name__ == "__main__":
    main()
