"""A bad input: what is wrong with it, what the user runs, and what the user sees.

Each case runs in a folder of its own, the workspace: sales.csv, a store made of it, a short finished run and a small
config. Used by tests/test_bad_inputs.py and scripts/bad_inputs.py.
"""

from __future__ import annotations

import builtins
import contextlib
import io
import logging
import os
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tsfm
from tsfm.commands.cli import main
from tsfm.store.ingest import ingest

Corruption = Callable[[Path, pytest.MonkeyPatch], Any]  # changes a workspace so that the input is bad
TINY = "--config-dir conf experiment=tiny"  # written ... in the commands
CONFIG = """# @package _global_
# A model that trains in less than a second; the data set is the store of the workspace.
defaults:
  - override /data: store
name: tiny
data: {dataset: store, batch_size: 32, standardize: false}
model: {context: 32, horizon: 8, width: 16, patch: 8, stride: 8}
backbone: {heads: 2, depth: 1, hidden: 16}
trainer: {max_epochs: 1, progress: false, accelerator: cpu}
"""


@dataclass(frozen=True)
class Case:
    """A bad input, or an unusual one that works.

    Attributes
    ----------
    name
        What is wrong.
    command
        `tsfm ...`, or a Python expression.
    phrases
        All are part of the message.
    corrupt
        Changes the workspace before the command.
    may_create
        Files and folders that may exist afterwards.
    works
        Of an unusual input that works: whether the result is right. None: an error is expected.
    """

    name: str
    command: str
    phrases: tuple[str, ...]
    corrupt: Corruption | None = None
    may_create: tuple[str, ...] = ()
    works: Callable[[], bool] | None = None


@dataclass(frozen=True)
class Outcome:
    """What the user sees.

    Attributes
    ----------
    message
        The error, or for a command that works everything that was printed and logged.
    stderr
        What was printed or logged to it.
    failed
        Whether it ended with exit code 2, a ValueError or an OSError.
    unexpected
        An exception of another type.
    """

    message: str
    stderr: str
    failed: bool
    unexpected: BaseException | None


def fill_template(folder: Path) -> None:
    """Write what the workspace of every case begins with."""
    (folder / "conf" / "experiment").mkdir(parents=True)
    (folder / "conf" / "experiment" / "tiny.yaml").write_text(CONFIG)
    rng = np.random.default_rng(0)
    day = np.sin(np.arange(120) * 2 * np.pi / 24)
    items = [
        pd.DataFrame(
            {"item_id": name, "timestamp": pd.date_range("2024-01-01", periods=120, freq="h"), "target": level}
        )
        for name, level in (("a", 3.0), ("b", 50.0))
    ]
    for item in items:
        item["target"] += day + rng.normal(0, 0.1, 120)
    pd.concat(items).to_csv(folder / "sales.csv", index=False)
    with pytest.MonkeyPatch.context() as patch, captured_output():
        patch.chdir(folder)
        ingest("sales.csv", "store", progress=False)
        assert main(shlex.split(f"train {TINY} run_dir=run trainer.checkpoint_every=1")) == 0


@contextlib.contextmanager
def captured_output() -> Iterator[tuple[io.StringIO, io.StringIO]]:
    """Yield (stdout, stderr) with what is printed and logged in the `with` block."""
    out, err = io.StringIO(), io.StringIO()
    handler, log = logging.StreamHandler(err), logging.getLogger("tsfm")
    for stale in list(logging.getLogger().handlers):  # of an earlier test, whose captured stderr is closed
        if getattr(getattr(stale, "stream", None), "closed", False):
            logging.getLogger().removeHandler(stale)
    propagate, log.propagate = log.propagate, False
    log.addHandler(handler)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            yield out, err
    finally:
        log.removeHandler(handler)
        log.propagate = propagate


def enter_workspace(case: Case, template: Path, workspace: Path, patch: pytest.MonkeyPatch) -> None:
    """Copy the template, corrupt it as the case says, and make it the working directory."""
    shutil.copytree(template, workspace)
    (workspace / "tmp").mkdir()
    patch.chdir(workspace)
    patch.setenv("TSFM_DATA", str(workspace / "raw"))
    patch.setenv("TSFM_CACHE", str(workspace / "cache"))
    patch.setattr(tempfile, "tempdir", str(workspace / "tmp"))  # so that files left there are seen
    if case.corrupt is not None:
        case.corrupt(workspace, patch)


def run_case(case: Case) -> Outcome:
    """Run the command of a case in the working directory."""
    failed, unexpected, message = False, None, ""
    with captured_output() as (out, err):
        try:
            if case.command.startswith("tsfm "):
                failed = main(shlex.split(case.command.replace("...", TINY).removeprefix("tsfm "))) == 2
                message = err.getvalue().rpartition("error: ")[2] if failed else out.getvalue() + err.getvalue()
            else:
                names = {"tsfm": tsfm, "pd": pd, "np": np, "ingest": ingest, "sales": pd.read_csv("sales.csv")}
                eval(case.command, names)
                message = out.getvalue() + err.getvalue()
        except (ValueError, OSError) as error:
            failed, message = True, str(error)
        except SystemExit as error:  # argparse
            failed, message = error.code == 2, err.getvalue().rpartition("error: ")[2]
        except Exception as error:  # noqa: BLE001  an error of any kind is the outcome
            unexpected = error
    return Outcome(message.strip(), err.getvalue(), failed, unexpected)


def files_of(folder: Path) -> dict[str, bytes | None]:
    """Return the bytes of every file, and None for every folder except the empty ones of a cache."""
    content = {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")
    }
    return {name: data for name, data in content.items() if name not in ("cache", str(Path("cache") / "stores"))}


def fail_writes(patch: pytest.MonkeyPatch, name: str, number: int) -> None:
    """Let making folders and opening files for writing fail with an errno where `name` is part of the path."""

    def guard(original: Callable[..., Any], writes: Callable[..., bool]) -> Callable[..., Any]:
        def guarded(path: Any, *args: Any, **kwargs: Any) -> Any:
            if name in str(path) and writes(*args, **kwargs):
                raise OSError(number, os.strerror(number), str(path))
            return original(path, *args, **kwargs)

        return guarded

    def open_writes(mode: str = "r", *_: Any, **__: Any) -> bool:
        return bool(set(mode) & set("wax+"))

    def os_open_writes(flags: int = 0, *_: Any, **__: Any) -> bool:
        return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))

    def always(*_: Any, **__: Any) -> bool:
        return True

    for owner, function, writes in (
        (builtins, "open", open_writes), (io, "open", open_writes), (Path, "open", open_writes),
        (os, "open", os_open_writes), (os, "mkdir", always), (Path, "mkdir", always),
    ):  # fmt: skip
        patch.setattr(owner, function, guard(getattr(owner, function), writes))
