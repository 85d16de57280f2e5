"""The run directory: config.yaml, command.txt, environment.json, metrics.csv, checkpoints/, model/, result.json.

Files are written whole (temp + rename). `resume=auto` finds the newest unfinished run of the same config.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
import yaml

from tsfm import __version__
from tsfm.config import RunConfig, plain

RESULT = "result.json"
# what may differ between a run and its continuation
LOOSE = ("resume", "run_dir", "run_root", "expect", "bench")
PACKAGES = ("torch", "pytorch-lightning", "hydra-core", "numpy", "pandas", "pyarrow", "safetensors", "einops")


def write_whole(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, path)


def identity(config: dict[str, Any]) -> dict[str, Any]:
    """The part of a config that decides the weights."""
    kept = {key: value for key, value in config.items() if key not in LOOSE}
    kept["trainer"] = {key: value for key, value in kept["trainer"].items() if key not in ("progress", "loggers")}
    return kept


def open_run(config: RunConfig, *, command: str) -> tuple[Path, Path | None]:
    """The run's directory, made if new, and the checkpoint to go on from, if any."""
    values = plain(config)
    if config.run_dir is not None:
        run_dir = Path(config.run_dir)
        if (run_dir / "config.yaml").exists():
            return run_dir, _resumable(run_dir, values, resume=config.resume)
    else:
        root = Path(config.run_root) / config.name
        if config.resume == "auto":
            for old in sorted(root.glob("*/config.yaml"), reverse=True):
                if identity(yaml.safe_load(old.read_text())) == identity(values):
                    return old.parent, _resumable(old.parent, values, resume="auto")
        run_dir = _fresh(root, seed=config.seed)
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        write_whole(run_dir / "command.txt", command + "\n")
        write_whole(run_dir / "environment.json", json.dumps(environment(), indent=2) + "\n")
        write_whole(run_dir / "config.yaml", yaml.safe_dump(values, sort_keys=False))
    except PermissionError as error:
        raise PermissionError(f"can't write the run directory {run_dir} ({error.strerror}); set run_root=...") from None
    return run_dir, None


def _fresh(root: Path, *, seed: int) -> Path:
    stamp = f"{datetime.now():%Y-%m-%d_%H-%M-%S}-seed{seed}"
    return next(path for n in range(1000) if not (path := root / (stamp + (f"-{n}" if n else ""))).exists())


def _resumable(run_dir: Path, values: dict[str, Any], *, resume: str) -> Path | None:
    if resume != "auto":
        raise FileExistsError(f"{run_dir} holds a run already; use resume=auto to go on with it, or another run_dir")
    old, new = identity(yaml.safe_load((run_dir / "config.yaml").read_text())), identity(values)
    if old != new:
        changed = ", ".join(sorted(key for key in new if old.get(key) != new[key]))
        raise ValueError(f"{run_dir} was run with another config (differs in: {changed}); use another run_dir")
    checkpoint = run_dir / "checkpoints" / "last.ckpt"
    return checkpoint if checkpoint.is_file() else None


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
    answer = subprocess.run(ask, capture_output=True, text=True)
    return answer.stdout.strip() or None
