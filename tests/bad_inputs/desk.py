"""One bad input: what is spoilt, what the user does, and what is seen. Used by the tests and by scripts/bad_inputs.py.

A case happens in a folder of its own (the desk): sales.csv, a store made of it, a short finished run, a small config.
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

Spoil = Callable[[Path, pytest.MonkeyPatch], Any]
TINY = "--config-dir conf experiment=tiny"  # written ... in the commands
CONFIG = """# @package _global_
# A model small enough to train in a blink; the data set is the store on the desk.
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
    name: str
    command: str  # `tsfm ...`, or a Python expression
    words: tuple[str, ...]  # all stand in the message
    spoil: Spoil | None = None
    leaves: tuple[str, ...] = ()  # what may be new on the desk afterwards
    works: Callable[[], bool] | None = None  # the input is odd but fine: no error, and this holds


@dataclass(frozen=True)
class Outcome:
    message: str  # what the user reads: the error, or for a case that works all that was said
    stderr: str
    failed: bool  # exit code 2, or a ValueError or OSError
    strange: BaseException | None  # an exception that reached the user in another way


def furnish(desk: Path) -> None:
    """Put on the desk what every case finds there."""
    (desk / "conf" / "experiment").mkdir(parents=True)
    (desk / "conf" / "experiment" / "tiny.yaml").write_text(CONFIG)
    generator = np.random.default_rng(0)
    day = np.sin(np.arange(120) * 2 * np.pi / 24)
    parts = [
        pd.DataFrame(
            {"item_id": name, "timestamp": pd.date_range("2024-01-01", periods=120, freq="h"), "target": level}
        )
        for name, level in (("a", 3.0), ("b", 50.0))
    ]
    for part in parts:
        part["target"] += day + generator.normal(0, 0.1, 120)
    pd.concat(parts).to_csv(desk / "sales.csv", index=False)
    with pytest.MonkeyPatch.context() as patch, quiet():
        patch.chdir(desk)
        ingest("sales.csv", "store", progress=False)
        assert main(shlex.split(f"train {TINY} run_dir=run trainer.checkpoint_every=1")) == 0


@contextlib.contextmanager
def quiet() -> Iterator[tuple[io.StringIO, io.StringIO]]:
    """What is printed and logged meanwhile, as (stdout, stderr)."""
    out, err = io.StringIO(), io.StringIO()
    handler, log = logging.StreamHandler(err), logging.getLogger("tsfm")
    others, log.propagate = log.propagate, False
    log.addHandler(handler)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            yield out, err
    finally:
        log.removeHandler(handler)
        log.propagate = others


def spread(case: Case, template: Path, desk: Path, patch: pytest.MonkeyPatch) -> None:
    """A fresh desk for the case, spoilt, as the working folder."""
    shutil.copytree(template, desk)
    (desk / "tmp").mkdir()
    patch.chdir(desk)
    patch.setenv("TSFM_DATA", str(desk / "raw"))
    patch.setenv("TSFM_CACHE", str(desk / "cache"))
    patch.setattr(tempfile, "tempdir", str(desk / "tmp"))  # so that what is left in it is seen
    if case.spoil is not None:
        case.spoil(desk, patch)


def act(case: Case) -> Outcome:
    """Do what the user does, in the working folder."""
    failed, strange, message = False, None, ""
    with quiet() as (out, err):
        try:
            if case.command.startswith("tsfm "):
                words = shlex.split(case.command.replace("...", TINY).removeprefix("tsfm "))
                failed = main(words) == 2
                message = err.getvalue().rpartition("error: ")[2] if failed else out.getvalue() + err.getvalue()
            else:
                known = {"tsfm": tsfm, "pd": pd, "np": np, "ingest": ingest, "sales": pd.read_csv("sales.csv")}
                eval(case.command, known)
                message = out.getvalue() + err.getvalue()
        except (ValueError, OSError) as error:
            failed, message = True, str(error)
        except SystemExit as error:  # argparse
            failed, message = error.code == 2, err.getvalue().rpartition("error: ")[2]
        except Exception as error:  # noqa: BLE001  an error of any kind is the outcome
            strange = error
    return Outcome(message.strip(), err.getvalue(), failed, strange)


def contents(desk: Path) -> dict[str, bytes | None]:
    """Every file with its bytes and every folder, but for the empty folders of a cache."""
    found = {str(path.relative_to(desk)): path.read_bytes() if path.is_file() else None for path in desk.rglob("*")}
    return {name: data for name, data in found.items() if name not in ("cache", str(Path("cache") / "stores"))}


def refuse(patch: pytest.MonkeyPatch, place: str, number: int) -> None:
    """Making folders and opening files for writing fails where `place` is in the path: a full or read-only disk."""

    def guard(original: Callable[..., Any], writes: Callable[..., bool]) -> Callable[..., Any]:
        def guarded(path: Any, *args: Any, **kwargs: Any) -> Any:
            if place in str(path) and writes(*args, **kwargs):
                raise OSError(number, os.strerror(number), str(path))
            return original(path, *args, **kwargs)

        return guarded

    def opens(mode: str = "r", *_: Any, **__: Any) -> bool:
        return bool(set(mode) & set("wax+"))

    def low(flags: int = 0, *_: Any, **__: Any) -> bool:
        return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))

    def always(*_: Any, **__: Any) -> bool:
        return True

    for owner, name, writes in (
        (builtins, "open", opens), (io, "open", opens), (Path, "open", opens), (os, "open", low),
        (os, "mkdir", always), (Path, "mkdir", always),
    ):  # fmt: skip
        patch.setattr(owner, name, guard(getattr(owner, name), writes))
