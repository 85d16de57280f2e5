"""The run directory: config.yaml, command.txt, environment.json, metrics.csv, checkpoints/, model/, result.json.

Files are written whole (temp + rename). `resume=auto` finds the newest unfinished run of the same config.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
import yaml

from tsfm.config import RunConfig, default_init, plain
from tsfm.files import write_error, write_text
from tsfm.version import __version__

CONFIG, RESULT = "config.yaml", "result.json"
CUT_SHORT = "cut_short"  # in the result of a run that trainer.max_time ended: how far it came
RUN_DIR_VARIABLE = "TSFM_RUN_DIR"  # set for the other processes of a run
# what may differ between a run and its continuation
IGNORED = ("resume", "run_dir", "run_root", "expect", "bench")
IGNORED_TRAINER = ("progress", "loggers", "max_time")  # of trainer
PACKAGES = ("torch", "pytorch-lightning", "hydra-core", "numpy", "pandas", "pyarrow", "safetensors", "einops")


def comparable_config(config: dict[str, Any]) -> dict[str, Any]:
    """The part of a config that decides the weights."""
    kept = {key: value for key, value in config.items() if key not in IGNORED}
    if isinstance(trainer := kept.get("trainer"), dict):
        trainer = {"keep": "best"} | trainer  # runs of 0.1.0 don't say it, nor how they began
        kept["trainer"] = {key: value for key, value in trainer.items() if key not in IGNORED_TRAINER}
    if kept:
        kept["init"] = default_init() | (kept.get("init") or {})
    return kept


def rank() -> int:
    """This process among those that train together, as torchrun or Lightning tell it before training begins."""
    return int(os.environ.get("RANK") or os.environ.get("LOCAL_RANK") or 0)


@contextmanager
def shared_with_ranks(run_dir: Path) -> Iterator[None]:
    """Tell the processes that Lightning starts from this one where the run is."""
    os.environ[RUN_DIR_VARIABLE] = str(run_dir)
    try:
        yield
    finally:
        del os.environ[RUN_DIR_VARIABLE]


def find_run_directory(config: RunConfig) -> tuple[Path, Path | None]:
    """The run's directory, which may not exist yet, and the checkpoint to go on from, if any."""
    if rank() > 0:  # the first process decides; where they were started from outside, only run_dir can tell the others
        told = os.environ.get(RUN_DIR_VARIABLE) or config.run_dir
        if told is None:
            raise ValueError("several processes started from outside need one run directory; give run_dir=...")
        checkpoint = Path(told) / "checkpoints" / "last.ckpt"
        return Path(told), checkpoint if config.resume == "auto" and checkpoint.is_file() else None
    if config.run_dir is not None:
        run_dir = Path(config.run_dir)
        return run_dir, _resumable(run_dir, config) if (run_dir / CONFIG).exists() else None
    root = Path(config.run_root) / config.name
    if config.resume == "auto":
        values = comparable_config(plain(config))
        for old in sorted(root.glob(f"*/{CONFIG}"), reverse=True):
            if not is_finished(old.parent) and comparable_config(_read(old)) == values:
                return old.parent, _resumable(old.parent, config)
    return _fresh(root, seed=config.seed), None


def is_finished(run_dir: Path) -> bool:
    """Whether nothing is left to do for a run."""
    file = run_dir / RESULT
    return file.is_file() and CUT_SHORT not in json.loads(file.read_text(encoding="utf-8"))


def create_run_directory(run_dir: Path, config: RunConfig, *, command: str) -> None:
    """Make the directory of a new run; a half-made one is taken away again."""
    if rank() > 0 or (run_dir / CONFIG).exists():
        return
    new = not run_dir.exists()
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        write_text(run_dir / "command.txt", command + "\n")
        write_text(run_dir / "environment.json", json.dumps(environment(), indent=2) + "\n")
        write_text(run_dir / CONFIG, yaml.safe_dump(plain(config), sort_keys=False))
    except OSError as error:
        if new:
            shutil.rmtree(run_dir, ignore_errors=True)
        raise write_error(run_dir, error, hint="or set run_dir=... or run_root=...") from None


def _fresh(root: Path, *, seed: int) -> Path:
    stamp = f"{datetime.now():%Y-%m-%d_%H-%M-%S}-seed{seed}"
    return next(path for n in range(1000) if not (path := root / (stamp + (f"-{n}" if n else ""))).exists())


def _resumable(run_dir: Path, config: RunConfig) -> Path | None:
    if config.resume != "auto":
        raise FileExistsError(f"{run_dir} holds a run already; use resume=auto to go on with it, or another run_dir")
    check_same_config(run_dir, config)
    checkpoint = run_dir / "checkpoints" / "last.ckpt"
    if not checkpoint.is_file():
        return None
    if not zipfile.is_zipfile(checkpoint):
        raise ValueError(f"{checkpoint} is damaged or cut short; remove it and the run begins anew")
    return checkpoint


def check_same_config(run_dir: Path, config: RunConfig) -> None:
    """Refuse to go on with a run of another config."""
    old, new = comparable_config(_read(run_dir / CONFIG)), comparable_config(plain(config))
    if not old:
        raise ValueError(f"{run_dir / CONFIG} can't be read, so nobody can tell how to go on; use another run_dir")
    if old != new:
        changed = ", ".join(sorted(key for key in new if old.get(key) != new[key]))
        raise ValueError(f"{run_dir} was run with another config (differs in: {changed}); use another run_dir")


def _read(file: Path) -> dict[str, Any]:
    """The config of an earlier run; empty where nobody can tell what it was."""
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def environment() -> dict[str, Any]:
    """Versions and hardware: what a reader needs to judge whether a number can be compared."""
    versions: dict[str, str] = {"tsfm": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "absent"
    return {
        "versions": versions,
        "commit": _commit(),
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "argv": sys.argv[1:],
    }


def _commit() -> str | None:
    """The commit of the checkout this package runs from, with + when it was changed since."""
    here = Path(__file__).resolve().parents[2]
    if not (here / ".git").exists():
        return None
    ask = ["git", "-C", str(here), "describe", "--always", "--dirty=+", "--abbrev=12"]
    try:
        answer = subprocess.run(ask, capture_output=True, text=True)
    except OSError:  # no git on this machine
        return None
    return answer.stdout.strip() or None
