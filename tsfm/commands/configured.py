"""`tsfm train` and `tsfm eval`: settings, a sweep or a suite in, one RESULT line per job out."""

from __future__ import annotations

import argparse

from tsfm.commands.results_line import print_result
from tsfm.commands.suite_file import Suite, take_suite
from tsfm.commands.suites import run_suite, runner_of
from tsfm.commands.sweeps import SweepOptions, run_sweep


def run(args: argparse.Namespace) -> int:
    """Run the settings of a command line: one job, with --multirun every combination, or the jobs of a suite.

    Raises
    ------
    ValueError
        If jobs of a sweep failed, after all were run; it has a line for each.
    """
    runner = runner_of(args.verb, args.config_dir)
    suite, overrides = take_suite(args.overrides)
    if suite is not None:
        if not args.multirun:
            raise ValueError(f"suite={suite} is a sweep; add -m, or run tsfm suite {suite}")
        options = SweepOptions.of(args, suite=suite)
        chosen = Suite.read(suite, config_dir=args.config_dir)
        run_suite(chosen, overrides, options, config_dir=args.config_dir, verb=args.verb)
    elif args.multirun:
        run_sweep(runner, args.overrides, SweepOptions.of(args))
    else:
        print_result(runner.run(args.overrides))
    return 0
