"""The runs below a folder: what each was, how far it came, and how they differ."""

from __future__ import annotations

import fnmatch
import logging
import shutil
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from tsfm.files.locks import is_locked, locked
from tsfm.training.run_identity import comparable_config, differing_settings
from tsfm.training.run_record import CONFIG, CUT_SHORT, RESULT, read_config, read_result

log = logging.getLogger("tsfm")
FINISHED, CUT, RUNNING, UNFINISHED, DAMAGED = "finished", "cut short", "running", "unfinished", "damaged"
COLUMNS = ("run", "status", "name", "seed", "data", "task", "backbone", "parameters", "seconds", "begun")
NO_METRICS = ("seed", "parameters", "epochs", "seconds", "windows", "horizon", "context", "season")


def list_runs(root: str | Path = "runs", *, pattern: str = "*", **where: Any) -> pd.DataFrame:
    """Return the training runs below a folder.

    Parameters
    ----------
    root
        The folder, `run_root` of the runs.
    pattern
        Only runs whose path below `root` matches, such as `ltsf/*`.
    **where
        Settings by name, such as `seed=0` or `optim__lr=0.01` (two underscores stand for a dot): only runs that have
        them are returned.

    Returns
    -------
    DataFrame
        A row per run, the oldest first: `run` (path below `root`), `status` (finished, cut short, running, unfinished,
        damaged), name, seed, data, task, backbone, parameters, seconds, begun; then the numbers in its result.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist.

    Examples
    --------
    >>> import tsfm
    >>> tsfm.list_runs("runs", pattern="ltsf/*", seed=0)[["run", "status", "mse"]]  # doctest: +SKIP
    """
    root = Path(root)
    rows = []
    for run_dir in find_runs(root, [pattern]):
        config = read_config(run_dir / CONFIG)
        if all(_setting(config, name.replace("__", ".")) == value for name, value in where.items()):
            rows.append(_describe(run_dir, root, config))
    frame = pd.DataFrame(rows) if rows else pd.DataFrame({name: [] for name in COLUMNS})
    return frame.sort_values("begun", kind="stable", ignore_index=True)


def find_runs(root: Path, patterns: Iterable[str]) -> list[Path]:
    """Return the directories of runs below a folder whose relative path matches one of the patterns.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"{root} is not a folder; runs are written below run_root, by default runs")
    matches = [file.parent for file in sorted(root.rglob(CONFIG)) if not file.parent.is_symlink()]
    patterns = list(patterns)
    return [path for path in matches if any(_matches(path.relative_to(root), pattern) for pattern in patterns)]


def compare_runs(run_dirs: Sequence[str | Path]) -> pd.DataFrame:
    """Return the settings and results in which runs differ.

    Parameters
    ----------
    run_dirs
        Directories of at least two runs.

    Returns
    -------
    DataFrame
        A row for each setting that differs, then one for each number of the results; a column per run.

    Raises
    ------
    ValueError
        If there are fewer than two runs, or the configuration of one cannot be read.
    """
    if len(run_dirs) < 2:
        raise ValueError(f"expected at least two runs to compare; there are {len(run_dirs)}")
    configs = {}
    for run_dir in run_dirs:
        configs[str(run_dir)] = comparable_config(read_config(Path(run_dir) / CONFIG))
        if not configs[str(run_dir)]:
            raise ValueError(f"{run_dir} does not hold a run, or its {CONFIG} cannot be read")
    first, *others = configs.values()
    names = sorted({name for other in others for name in differing_settings(first, other)})
    rows = {name: [_setting(config, name) for config in configs.values()] for name in names}
    results = [_numbers(Path(run_dir)) for run_dir in run_dirs]
    for metric in dict.fromkeys(name for result in results for name in result):
        rows[metric] = [result.get(metric) for result in results]
    table = pd.DataFrame(rows, index=pd.Index(list(configs), dtype=object), dtype=object).T
    return table.rename_axis("setting or metric")


def delete_runs(run_dirs: Sequence[Path]) -> list[Path]:
    """Delete directories of runs, and return them; those of running processes are left and named in a warning."""
    deleted = []
    for run_dir in run_dirs:
        if is_locked(run_dir):
            log.warning("%s is left: a process is training in it", run_dir)
            continue
        with locked(run_dir):  # no process begins in it meanwhile
            shutil.rmtree(run_dir)
        deleted.append(run_dir)
    return deleted


def _matches(path: Path, pattern: str) -> bool:
    return fnmatch.fnmatch(str(path), pattern) or fnmatch.fnmatch(str(path), f"{pattern.rstrip('/')}/*")


def _describe(run_dir: Path, root: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    numbers = _numbers(run_dir)
    known = {
        "run": str(run_dir.relative_to(root)),
        "status": status_of(run_dir, config),
        "name": config.get("name"),
        "seed": config.get("seed"),
        "data": _setting(config, "data.dataset"),
        "task": _setting(config, "task.name"),
        "backbone": _setting(config, "backbone.name"),
        "parameters": numbers.get("parameters"),
        "seconds": numbers.get("seconds"),
        "begun": datetime.fromtimestamp((run_dir / CONFIG).stat().st_mtime).replace(microsecond=0),
    }
    return known | {name: value for name, value in numbers.items() if name not in NO_METRICS}


def status_of(run_dir: Path, config: Mapping[str, Any]) -> str:
    """Return how far a run came; `config` is the content of its configuration, empty if it cannot be read."""
    if is_locked(run_dir):
        return RUNNING
    if not config:
        return DAMAGED
    if read_result(run_dir) is not None:
        return FINISHED
    result = read_config(run_dir / RESULT)
    if CUT_SHORT in result:
        return CUT
    return DAMAGED if (run_dir / RESULT).is_file() else UNFINISHED


def _numbers(run_dir: Path) -> dict[str, Any]:
    """Return the numbers in the result of a run; empty without one."""
    result = read_config(run_dir / RESULT)
    kept = {name: value for name, value in result.items() if isinstance(value, (int, float))}
    return {name: value for name, value in kept.items() if not isinstance(value, bool)}


def _setting(config: Mapping[str, Any], name: str) -> Any:
    """Return a setting by its full name; None if there is none."""
    value: Any = config
    for key in name.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
