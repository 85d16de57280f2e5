"""A sweep: every combination of listed settings, or every job of a suite; finished jobs are not computed again."""

from __future__ import annotations

import argparse
import logging
import math
import re
import shlex
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from tsfm.commands.errors import describe_error
from tsfm.commands.jobs import Job, Recording, run_job
from tsfm.commands.results_line import print_result
from tsfm.commands.sweep_state import DONE, FAILED, REUSED, RUNNING, JobState, read_states, summary, write_state
from tsfm.commands.sweep_table import live_table
from tsfm.config import RunConfig, count_jobs, job_number, job_overrides, sweep, swept_overrides, typed
from tsfm.results import ResultStore

log = logging.getLogger("tsfm")
DEFAULT_RESULTS = "results"
SWEEPS = ".sweeps"  # folder of the states of sweeps, in the results store
MAX_NAME = 80  # characters of the name of a run directory


@dataclass(frozen=True)
class JobRunner:
    """How a command line becomes jobs.

    Attributes
    ----------
    kind
        `train` or `eval`, also the name of the configuration.
    compose_config
        Called with overrides and `config_dir`.
    work
        Called with the typed config and, as `command`, the command line that the result records.
    config_dir
        A folder of further configs.
    """

    kind: str
    compose_config: Callable[..., DictConfig]
    work: Callable[..., dict[str, Any]]
    config_dir: str | None = None

    def job(self, overrides: Sequence[str]) -> tuple[Any, str]:
        """Return the typed config of settings, and their command line."""
        options = ["--config-dir", self.config_dir] if self.config_dir else []
        config = typed(self.compose_config(list(overrides), config_dir=self.config_dir))
        return config, f"tsfm {self.kind} {shlex.join([*options, *overrides])}"

    def run(self, overrides: Sequence[str], *, retry_failed: bool = True) -> dict[str, Any]:
        """Run one job, recorded where `results` is set, and return its result."""
        config, command = self.job(overrides)
        if config.results is None:
            return self.work(config, command=command)
        recording = Recording(ResultStore(config.results), retry_failed=retry_failed)
        return run_job(Job(config, command, tuple(overrides)), self.work, recording)


@dataclass(frozen=True)
class SweepOptions:
    """How a sweep is run.

    Attributes
    ----------
    retry_failed
        Whether jobs that failed in an earlier sweep are run again.
    objective
        Entry of a result that a sweeper such as Optuna optimizes; None: the validation score of a training run.
    suite
        Name of the suite that the jobs belong to; empty without one.
    """

    retry_failed: bool = False
    objective: str | None = None
    suite: str = ""

    @staticmethod
    def of(args: argparse.Namespace, *, suite: str = "") -> SweepOptions:
        """Return the options of a command line."""
        return SweepOptions(retry_failed=args.retry_failed, objective=args.objective, suite=suite)


def run_sweep(runner: JobRunner, overrides: Sequence[str], options: SweepOptions) -> list[JobState]:
    """Run every combination of settings by Hydra's multirun, and return the states of the jobs.

    Parameters
    ----------
    runner
        How settings become a job.
    overrides
        Settings, some of them with several values. Without `results` the store is the folder `results`; with
        `results=null` nothing is recorded.
    options
        See `SweepOptions`.

    Raises
    ------
    ValueError
        If jobs failed, after all were run: it has a line for each.
    """
    base, results = _take(overrides, "results", default=DEFAULT_RESULTS)
    store = None if results in (None, "null") else ResultStore(Path(results).resolve())
    name = f"{time.strftime('%Y-%m-%d_%H-%M-%S')}-{uuid.uuid4().hex[:6]}"
    folder = (store.folder / SWEEPS / name) if store is not None else Path("multirun", name).resolve()
    if not any(text.startswith("hydra.sweep.dir=") for text in base):
        base = [*base, f"hydra.sweep.dir={folder}", "hydra.sweep.subdir=."]
    if runner.kind == "train" and not any(text.startswith("resume=") for text in base) and store is not None:
        base = [*base, "resume=auto"]
    recording = None if store is None else Recording(store, name, options.suite, options.retry_failed)
    total = count_jobs(base)

    def run_combination(_: Any) -> float | None:
        return _run_combination(runner, base, folder, recording, options)

    unexpected: BaseException | None = None
    try:
        with live_table(folder, total=total):
            sweep(runner.kind, base, run_combination, config_dir=runner.config_dir)
    except Exception as error:  # noqa: BLE001  of one of the jobs, or of Hydra; `_finish` raises it
        unexpected = error
    return _finish(folder, unexpected, total=total)


def _run_combination(
    runner: JobRunner, swept: Sequence[str], folder: Path, recording: Recording | None, options: SweepOptions
) -> float | None:
    """Run the job of the combination that Hydra is at, keep its state, and return the objective."""
    overrides = job_overrides()
    differing = swept_overrides(overrides, list(swept))
    state = JobState(job_number(), shlex.join(differing), started=time.time())
    write_state(folder, state)
    try:
        config, command = runner.job(overrides)
        job = Job(config, command, tuple(overrides))
        work = runner.work
        if isinstance(config, RunConfig) and config.run_dir is None and recording is not None:
            work = partial(_work_in, work, run_directory(config, differing, job.identity))
        result = run_job(job, work, recording)
    except Exception as error:
        state = state.ended(FAILED, describe_error(error))
        write_state(folder, state)
        print(f"error: {state.settings}: {state.detail}", file=sys.stderr, flush=True)
        raise
    objective = objective_of(result, options.objective)
    write_state(folder, state.ended(REUSED if result.get(REUSED) else DONE, headline(result)))
    print_result(result)
    return objective


def _work_in(work: Callable[..., dict[str, Any]], run_dir: str, config: RunConfig, *, command: str) -> dict[str, Any]:
    """Run a training in a directory."""
    return work(replace(config, run_dir=run_dir), command=command)


def _finish(folder: Path, error: BaseException | None, *, total: int | None) -> list[JobState]:
    """Return the states of all jobs; raise one error for all jobs that failed."""
    states = [
        state if state.status != RUNNING else replace(state, status=FAILED, detail="its process ended without a result")
        for state in read_states(folder)
    ]
    failed = [state for state in states if state.status == FAILED]
    if error is not None and not failed:
        raise error
    log.info("%s", summary(states, total))
    if failed:
        lines = "\n".join(f"  {state.settings}: {state.detail}" for state in failed)
        raise ValueError(f"{len(failed)} of {total or len(states)} jobs failed:\n{lines}") from error
    return states


def run_directory(config: RunConfig, differing: Sequence[str], identity: str) -> str:
    """Return the directory of a run of a sweep: named by the settings that differ, and the identity of the job."""
    text = "_".join(re.sub(r"[^\w.=+-]+", "-", setting.replace("experiment=", "")) for setting in differing)
    return str(Path(config.run_root) / config.name / f"{text[:MAX_NAME].strip('-_.') or 'run'}-{identity[:8]}")


def objective_of(result: Mapping[str, Any], name: str | None) -> float | None:
    """Return the value that a sweeper optimizes; None where a run has no validation score.

    Raises
    ------
    ValueError
        If `name` is not a number in the result.
    """
    known = [key for key, value in result.items() if isinstance(value, (int, float)) and not isinstance(value, bool)]
    if name is None:
        name = next((key for key in known if key.startswith("val_")), None)
        return None if name is None else float(result[name])
    if name not in known:
        raise ValueError(f"--objective {name} is not in the result; expected one of {', '.join(known)}")
    return float(result[name])


def headline(result: Mapping[str, Any]) -> str:
    """Return the first metric of a result as text."""
    skipped = ("seed", "seconds", "parameters", "epochs")
    for name, value in result.items():
        if isinstance(value, float) and name not in skipped and math.isfinite(value):
            return f"{name} {value:.4g}"
    return ""


def _take(overrides: Sequence[str], name: str, *, default: str | None) -> tuple[list[str], str | None]:
    """Return the overrides without those of a setting, and the last value of it."""
    rest = [text for text in overrides if text.partition("=")[0] != name]
    values = [text.partition("=")[2].strip("'\"") for text in overrides if text.partition("=")[0] == name]
    return rest, values[-1] if values else default
