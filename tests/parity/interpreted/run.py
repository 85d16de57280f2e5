"""Run a program of this package with Triton's interpreter, and check the errors that it prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.parity.interpreted.downloads import ROOT

LIMIT = 1e-5  # relative to the largest value of a tensor; float32 rounding gives 1e-6


def check_errors(program: str, *arguments: str | Path, folders: list[Path]) -> None:
    """Run `program` with `folders` on its path, and assert that outputs and gradients agree within LIMIT."""
    environment = {"TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(map(str, [ROOT, *folders]))}
    run = subprocess.run(
        [sys.executable, "-m", f"tests.parity.interpreted.{program}", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    errors = json.loads(run.stdout)
    assert errors.keys() == {"kernel", "scan", "block"}
    assert {f"gradient of {name}" for name in ("x", "dt", "a", "b", "c", "state")} < errors["kernel"].keys()
    by_tensor = {(where, name): error for where, errors_of in errors.items() for name, error in errors_of.items()}
    assert not {key: error for key, error in by_tensor.items() if not error < LIMIT}
