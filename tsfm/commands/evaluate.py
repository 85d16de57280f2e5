"""`tsfm eval`: score a trained model or a baseline by a protocol, and compare with what was expected."""

from __future__ import annotations

import argparse
import json
import logging
import time
from functools import partial
from pathlib import Path
from typing import Any

from tsfm.bench.zero_shot import check_zero_shot
from tsfm.commands.claims import check_claims, make_record
from tsfm.commands.configured import run_configured
from tsfm.config import EvalConfig, compose
from tsfm.files import check_folder, write_text
from tsfm.registry import PROTOCOLS
from tsfm.training.run_directory import RESULT, environment

log = logging.getLogger("tsfm")


def run(args: argparse.Namespace) -> int:
    """Score as the settings of the command line say."""
    return run_configured(args, "eval", partial(compose, "eval"), evaluate_config)


def evaluate_config(config: EvalConfig, *, command: str = "") -> dict[str, Any]:
    """Score a trained model or a baseline by the protocol `config.bench`.

    Parameters
    ----------
    config
        A typed configuration, as `tsfm.config.typed` returns it.
    command
        The command line, for the record in `config.out`.

    Returns
    -------
    dict
        Metrics and what decides them; where `config.out` is given it is also written to result.json there.
    """
    start = time.perf_counter()
    protocol = PROTOCOLS.build(config.bench)
    check_claims(config.expect, protocol)
    if config.out is not None:
        check_folder(Path(config.out))
    protocol.check(config)
    predictor = protocol.load_predictor(config)
    data = protocol.load_data(config, predictor)
    verdict = check_zero_shot(config, protocol, data)  # before time is spent on scoring
    scores = protocol.score(predictor, data)
    protocol.write_tables(scores, None if config.out is None else Path(config.out))
    result = make_record(config.name, protocol.data_name(config), scores, config.expect)
    result |= {
        "predictor": config.predictor,
        "seconds": round(time.perf_counter() - start, 1),
        "run_dir": config.out,
        **(verdict.row() if verdict is not None else {}),
    }
    if config.out is not None:
        record = result | {"command": command, "environment": environment()}
        write_text(Path(config.out) / RESULT, json.dumps(record, indent=2) + "\n")
    return result
