"""What `tsfm train` and `tsfm eval` share: settings or a sweep in, one RESULT line per configuration out."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from omegaconf import DictConfig

from tsfm.commands.results_line import print_result
from tsfm.commands.suites import Suite, run_suite, take_suite
from tsfm.commands.sweeps import JobRunner, SweepOptions, run_sweep


def run_configured(
    args: argparse.Namespace,
    config_name: str,
    compose_config: Callable[..., DictConfig],
    work: Callable[..., dict[str, Any]],
) -> int:
    """Compose the settings of a command line and print the result of `work`; with --multirun for each combination.

    Parameters
    ----------
    args
        With `overrides`, `multirun`, `config_dir` and the options of a sweep.
    config_name
        `train` or `eval`.
    compose_config
        Called with the overrides and `config_dir`.
    work
        Called with the typed config and, as `command`, the command line that the result records.

    Raises
    ------
    ValueError
        If combinations of a sweep failed, after all were run; it has a line for each.
    """
    runner = JobRunner(config_name, compose_config, work, args.config_dir)
    suite, overrides = take_suite(args.overrides)
    if suite is not None:
        if not args.multirun:
            raise ValueError(f"suite={suite} is a sweep; add -m, or run tsfm suite {suite}")
        options = SweepOptions.of(args, suite=suite)
        chosen = Suite.read(suite, config_dir=args.config_dir)
        run_suite(chosen, overrides, options, config_dir=args.config_dir, verb=config_name)
    elif args.multirun:
        run_sweep(runner, args.overrides, SweepOptions.of(args))
    else:
        print_result(runner.run(args.overrides))
    return 0
