"""What `tsfm train` and `tsfm eval` share: settings or a sweep in, one RESULT line per configuration out."""

from __future__ import annotations

import argparse
import json
import math
import shlex
import sys
from collections.abc import Callable, Mapping
from typing import Any

from omegaconf import DictConfig

from tsfm.commands.errors import USER_ERRORS, message_of
from tsfm.config import job_overrides, sweep, swept_overrides, typed


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
        With `overrides`, `multirun` and `config_dir`.
    config_name
        `train` or `eval`.
    compose_config
        Called with the overrides and `config_dir`.
    work
        Called with the typed config and, as `command`, the command line that the result records.

    Raises
    ------
    ValueError
        If combinations of a sweep failed, after all were run; a line for each was printed.
    """
    options = ["--config-dir", args.config_dir] if args.config_dir else []

    def run_overrides(overrides: list[str]) -> None:
        config = typed(compose_config(overrides, config_dir=args.config_dir))
        print_result(work(config, command=f"tsfm {args.verb} {shlex.join([*options, *overrides])}"))

    if not args.multirun:
        run_overrides(args.overrides)
        return 0
    failed: list[str] = []  # stays empty where a launcher runs the combinations in other processes

    def run_combination(_: Any) -> None:
        overrides = job_overrides()
        try:
            run_overrides(overrides)
        except USER_ERRORS as error:
            failed.append(f"{shlex.join(swept_overrides(overrides, args.overrides))}: {message_of(error)}")
            print(f"error: {failed[-1]}", file=sys.stderr, flush=True)
            raise

    try:
        sweep(config_name, args.overrides, run_combination, config_dir=args.config_dir)
    except USER_ERRORS as error:
        if not failed:
            raise
        raise ValueError(f"{len(failed)} of the combinations failed, the first is {failed[0]}") from error
    return 0


def print_result(result: Mapping[str, Any]) -> None:
    """Print the machine-readable line `RESULT {json}`; a number that is not finite is null."""
    finite = {k: v if not isinstance(v, float) or math.isfinite(v) else None for k, v in result.items()}
    print("RESULT " + json.dumps(finite, allow_nan=False), flush=True)
