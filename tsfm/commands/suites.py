"""Suites: lists of training runs and evaluations with a name, in conf/suite; `tsfm suite NAME` runs one."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from tsfm.commands.evaluate import evaluate_config
from tsfm.commands.suite_file import GROUP, Suite, SuiteJobs
from tsfm.commands.sweep_state import JobState
from tsfm.commands.sweeps import DEFAULT_RESULTS, JobRunner, SweepOptions, run_sweep
from tsfm.commands.tables import table_text
from tsfm.config import compose, options
from tsfm.results import read_results
from tsfm.results.tables import tables_of

log = logging.getLogger("tsfm")


def run(args: argparse.Namespace) -> int:
    """List the suites, or run one and print its table."""
    if args.name is None:
        print(list_suites())
        return 0
    suite = Suite.read(args.name, config_dir=args.config_dir)
    if args.dry_run:
        print("\n".join(command_lines(suite.without(args.overrides).available()[0], args.overrides)))
        return 0
    try:
        run_suite(suite, args.overrides, SweepOptions.of(args, suite=suite.name), config_dir=args.config_dir)
    finally:
        folders = [text.partition("=")[2] for text in args.overrides if text.startswith("results=")]
        print_tables(folders[-1] if folders else DEFAULT_RESULTS, suite)
    return 0


def run_suite(
    suite: Suite,
    overrides: Sequence[str],
    options: SweepOptions,
    *,
    config_dir: str | None = None,
    verb: str | None = None,
) -> list[JobState]:
    """Run the jobs of a suite, and return their states.

    Parameters
    ----------
    suite
        The suite.
    overrides
        Settings that replace those of the suite, or are added to every job.
    options
        Of its sweeps.
    config_dir
        A folder of further configs.
    verb
        `train` or `eval`: only these jobs; None: all.

    Raises
    ------
    FileNotFoundError
        If none of its data is on this machine; the message says what to get.
    ValueError
        If jobs failed, after all were run: it has a line for each.
    """
    chosen = suite.without(overrides, verb=verb)
    if not chosen.jobs:
        raise ValueError(f"suite {suite.name} has no job of tsfm {verb}; run it by tsfm suite {suite.name}")
    available, missing = chosen.available()
    if missing:
        text = f"{len(missing)} data sets are not on this machine: {', '.join(missing[:12])}"
        more = f" and {len(missing) - 12} more" if len(missing) > 12 else ""
        if not available.jobs:
            raise FileNotFoundError(f"suite {suite.name}: {text}{more}. {suite.needs.strip()} See tsfm data")
        log.warning("suite %s: %s%s; they are left out. %s", suite.name, text, more, suite.needs.strip())
    states, failures = [], []
    for entry in available.jobs:
        runner = runner_of(entry.verb, config_dir)
        try:
            states += run_sweep(runner, [*entry.overrides(), *overrides], options)
        except ValueError as error:  # its other jobs are run all the same
            failures.append(str(error))
    if failures:
        raise ValueError("\n".join(failures))
    return states


def runner_of(verb: str, config_dir: str | None) -> JobRunner:
    """Return how settings become jobs of `tsfm train` or `tsfm eval`."""
    if verb == "eval":
        return JobRunner("eval", partial(compose, "eval"), evaluate_config, config_dir)
    from tsfm.commands.train import train_and_score  # imports Lightning
    from tsfm.training.init_config import compose_with_checkpoint

    return JobRunner("train", compose_with_checkpoint, train_and_score, config_dir)


def command_lines(suite: Suite, overrides: Sequence[str]) -> Iterator[str]:
    """Return a command line for each job of a suite without the settings in `overrides`, which end the line."""
    for entry in suite.jobs:
        for settings in entry.combinations():
            yield " ".join(["tsfm", entry.verb, *SuiteJobs(entry.verb, settings).overrides(), *overrides])


def list_suites() -> str:
    """Return the suites, one line each, with the number of their jobs that can be run on this machine."""
    lines = []
    for name in options(GROUP):
        suite = Suite.read(name)
        counts = [sum(len(entry.combinations()) for entry in jobs) for jobs in (suite.available()[0].jobs, suite.jobs)]
        lines.append(f"{name:16s}{counts[0]:5d} of {counts[1]:4d} jobs   {suite.title}")
    return "\n".join(lines)


def print_tables(folder: str, suite: Suite) -> None:
    """Print the results of a suite: a table for each protocol, by the metric that it is compared by."""
    if Path(folder).is_dir():
        for title, table in tables_of(read_results(folder, suite=suite.name), metric=suite.metric).items():
            print(f"\n{suite.name}: {title}\n\n{table_text(table)}")
