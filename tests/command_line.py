"""Run commands of tsfm one after the other in one process of their own, which imports torch once."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.conftest import ROOT

Done = subprocess.CompletedProcess[str]


def run_commands(folder: Path, commands: Sequence[Sequence[str]], *, packages: Path | None = None) -> list[Done]:
    """The exit status, the output and the errors of each command, run in a folder with packages installed."""
    path = os.pathsep.join(str(item) for item in (packages, ROOT) if item)
    env = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    process = [sys.executable, "-m", "tests.command_line", json.dumps(commands)]
    done = subprocess.run(process, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [Done(*result) for result in json.loads(done.stdout.splitlines()[-1])]


def run_one(arguments: list[str]) -> tuple[list[str], int, str, str]:
    from tsfm.commands.cli import main

    logging.root.handlers.clear()  # the handler of the last command writes to the stream of that command
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            status = main(arguments)
        except SystemExit as error:  # argparse
            status = int(error.code or 0)
    return arguments, status, out.getvalue(), err.getvalue()


if __name__ == "__main__":
    print(json.dumps([run_one(arguments) for arguments in json.loads(sys.argv[1])]))
