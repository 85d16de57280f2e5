"""The directory of a training run, and how a run is resumed.

It holds config.yaml, command.txt, environment.json, metrics.csv, checkpoints/, model/ and result.json, written
completely or not at all. `resume=auto` finds the newest unfinished run of the same configuration.
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
CUT_SHORT = "cut_short"  # key in the result of a run that trainer.max_time ended early: how far it came
RUN_DIR_VARIABLE = "TSFM_RUN_DIR"  # environment variable for the other processes of a run
# settings that may differ between a run and its continuation
IGNORED = ("resume", "run_dir", "run_root", "expect", "bench")
IGNORED_TRAINER = ("progress", "loggers", "max_time", "packed")
PACKAGES = ("torch", "pytorch-lightning", "hydra-core", "numpy", "pandas", "pyarrow", "safetensors", "einops")


def comparable_config(config: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that decide the weights of a run, from its plain configuration."""
    kept = {key: value for key, value in config.items() if key not in IGNORED}
    if isinstance(trainer := kept.get("trainer"), dict):
        trainer = {"keep": "best"} | trainer  # runs of version 0.1.0 have neither `keep` nor `init`
        kept["trainer"] = {key: value for key, value in trainer.items() if key not in IGNORED_TRAINER}
    if kept:
        kept["init"] = default_init() | (kept.get("init") or {})
    return kept


def rank() -> int:
    """Return the rank of this process among those that train together, as torchrun or Lightning set it."""
    return int(os.environ.get("RANK") or os.environ.get("LOCAL_RANK") or 0)


@contextmanager
def shared_with_ranks(run_dir: Path) -> Iterator[None]:
    """Give the run directory to the processes that Lightning starts from this one."""
    before = os.environ.get(RUN_DIR_VARIABLE)
    os.environ[RUN_DIR_VARIABLE] = str(run_dir)
    try:
        yield
    finally:
        del os.environ[RUN_DIR_VARIABLE]
        if before is not None:
            os.environ[RUN_DIR_VARIABLE] = before


def find_run_directory(config: RunConfig) -> tuple[Path, Path | None]:
    """Return the directory of a run, which may not exist yet, and the checkpoint to resume from, if any.

    Raises
    ------
    FileExistsError
        If the directory holds a run and `resume` is not `auto`.
    ValueError
        If the run in it had another configuration, or its checkpoint is damaged.
    """
    if rank() > 0:  # the first process decides
        run_dir = os.environ.get(RUN_DIR_VARIABLE) or config.run_dir
        if run_dir is None:
            raise ValueError("processes that were started from outside need one run directory; give run_dir=...")
        checkpoint = Path(run_dir) / "checkpoints" / "last.ckpt"
        return Path(run_dir), checkpoint if config.resume == "auto" and checkpoint.is_file() else None
    if config.run_dir is not None:
        path = Path(config.run_dir)
        return path, _resumable(path, config) if (path / CONFIG).exists() else None
    root = Path(config.run_root) / config.name
    if config.resume == "auto":
        values = comparable_config(plain(config))
        for old in sorted(root.glob(f"*/{CONFIG}"), reverse=True):
            if not is_finished(old.parent) and comparable_config(_read(old)) == values:
                return old.parent, _resumable(old.parent, config)
    return _new_path(root, seed=config.seed), None


def is_finished(run_dir: Path) -> bool:
    """Return whether a run is complete: it has a result and was not cut short."""
    file = run_dir / RESULT
    return file.is_file() and CUT_SHORT not in json.loads(file.read_text(encoding="utf-8"))


def create_run_directory(run_dir: Path, config: RunConfig, *, command: str) -> None:
    """Create the directory of a new run, completely or not at all; nothing happens in other ranks or for an old run."""
    if rank() > 0 or (run_dir / CONFIG).exists():
        return
    is_new = not run_dir.exists()
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        write_text(run_dir / "command.txt", command + "\n")
        write_text(run_dir / "environment.json", json.dumps(environment(), indent=2) + "\n")
        write_text(run_dir / CONFIG, yaml.safe_dump(plain(config), sort_keys=False))
    except OSError as error:
        if is_new:
            shutil.rmtree(run_dir, ignore_errors=True)
        raise write_error(run_dir, error, hint="or set run_dir=... or run_root=...") from None


def _new_path(root: Path, *, seed: int) -> Path:
    name = f"{datetime.now():%Y-%m-%d_%H-%M-%S}-seed{seed}"
    return next(path for n in range(1000) if not (path := root / (name + (f"-{n}" if n else ""))).exists())


def _resumable(run_dir: Path, config: RunConfig) -> Path | None:
    if config.resume != "auto":
        raise FileExistsError(f"{run_dir} holds a run already; use resume=auto to continue it, or another run_dir")
    check_same_config(run_dir, config)
    checkpoint = run_dir / "checkpoints" / "last.ckpt"
    if not checkpoint.is_file():
        return None
    if not zipfile.is_zipfile(checkpoint):
        raise ValueError(f"{checkpoint} is damaged or cut short; remove it and the run starts again")
    return checkpoint


def check_same_config(run_dir: Path, config: RunConfig) -> None:
    """Refuse to resume a run of another configuration; the message names the groups that differ."""
    old, new = comparable_config(_read(run_dir / CONFIG)), comparable_config(plain(config))
    if not old:
        raise ValueError(f"{run_dir / CONFIG} cannot be read, so the run cannot be resumed; use another run_dir")
    if old != new:
        changed = ", ".join(sorted(key for key in new if old.get(key) != new[key]))
        raise ValueError(f"{run_dir} was run with another config (differs in: {changed}); use another run_dir")


def _read(file: Path) -> dict[str, Any]:
    """Read the configuration of an earlier run; empty if it cannot be read."""
    try:
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        return {}
    return config if isinstance(config, dict) else {}


def environment() -> dict[str, Any]:
    """Return versions, commit and hardware: what is needed to judge whether a number can be compared."""
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
    """Return the commit of the checkout that this package is imported from, with + if it was changed since."""
    checkout = Path(__file__).resolve().parents[2]
    if not (checkout / ".git").exists():
        return None
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty=+", "--abbrev=12"]
    try:
        process = subprocess.run(command, capture_output=True, text=True)
    except OSError:  # git is not installed
        return None
    return process.stdout.strip() or None
