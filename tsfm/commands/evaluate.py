"""`tsfm eval`: score a trained model or a baseline by a protocol, and compare with what was expected."""

from __future__ import annotations

import argparse
import json
import logging
import time
from functools import partial
from pathlib import Path
from typing import Any

from tsfm.bench.anomaly import AnomalyConfig
from tsfm.bench.find import find_predictor
from tsfm.bench.gift import GiftBench
from tsfm.bench.protocols import WindowsConfig, score_windows
from tsfm.bench.scoring import evaluate_other
from tsfm.bench.trained import as_trained, pick_device
from tsfm.bench.zero_shot import judge
from tsfm.commands.claims import check_claims, make_record
from tsfm.commands.configured import run_configured
from tsfm.config import EvalConfig, compose
from tsfm.data.window_data import WindowData
from tsfm.files import check_folder, write_text
from tsfm.infer.load import ModelPredictor
from tsfm.infer.predictor import Predictor
from tsfm.registry import DATA_MODULES
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
    check_claims(config.expect, config.bench)
    if config.out is not None:
        check_folder(Path(config.out))
    forecasts = isinstance(config.bench, WindowsConfig) and not DATA_MODULES.component_of(config.data).labelled
    if forecasts:
        find_predictor(config.predictor).check_forecasts()
    verdict = judge(config)  # before time is spent on scoring
    if forecasts:
        scores, fallbacks = evaluate_windows(config)
    else:
        scores, fallbacks = evaluate_other(config), None
    dataset = config.bench.data if isinstance(config.bench, AnomalyConfig) else config.data.dataset
    dataset = "gift" if isinstance(config.bench, GiftBench) else dataset  # which has data of its own
    result = make_record(config.name, dataset, scores, config.expect)
    result |= {
        "predictor": config.predictor,
        "seconds": round(time.perf_counter() - start, 1),
        "run_dir": config.out,
        **(verdict.row() if verdict is not None else {}),
    }
    if fallbacks:
        result["fallbacks"] = dict(fallbacks)
    if config.out is not None:
        record = result | {"command": command, "environment": environment()}
        write_text(Path(config.out) / RESULT, json.dumps(record, indent=2) + "\n")
    return result


def evaluate_windows(config: EvalConfig) -> tuple[dict[str, Any], Any]:
    """Return the scores of forecasts over the windows of a data set, and how often a baseline fell back on another."""
    predictor = find_predictor(config.predictor)
    predictor.check_forecasts()
    shape = predictor.model.config if isinstance(predictor, ModelPredictor) else None
    context, horizon = config.context or (shape and shape.context), config.horizon or (shape and shape.horizon)
    if context is None or horizon is None:
        raise ValueError(f"{config.predictor} has no context and horizon of its own; give context=336 horizon=96, say")
    data = WindowData(as_trained(config.data, predictor), context=context, horizon=horizon)
    data.setup()
    if isinstance(predictor, ModelPredictor):
        predictor.model.to(pick_device(config.device))
    scores = score_forecasts(predictor, data, config.bench, context=context, horizon=horizon)
    return scores, getattr(predictor, "fallbacks", None)


def score_forecasts(
    predictor: Predictor, data: WindowData, bench: WindowsConfig, *, context: int, horizon: int
) -> dict[str, Any]:
    """Return the metrics over all windows of `bench.split`, and everything that decides them."""
    own = predictor.quantile_levels
    levels = tuple(bench.levels) if own is None else own
    windows = data.windows(bench.split, stride=bench.stride)
    if not len(windows):
        raise ValueError(
            f"data set {data.config.dataset!r}: data.split={data.config.split} makes no {bench.split} part to score; "
            "choose another data.split or bench.split"
        )
    if windows.skipped:
        item, reason = windows.skipped[0]
        log.info("left out of %s: %d series, such as %s (%s)", bench.split, len(windows.skipped), item, reason)
    season = bench.season or data.season_length
    metrics = score_windows(
        predictor, windows, horizon=horizon, season=season, levels=levels, batch_size=bench.batch_size
    )
    return metrics | {
        "split": bench.split,
        "context": context,
        "horizon": horizon,
        "season": season,
        "standardized": data.standardizer is not None,
        "targets": list(windows.targets),
        **(
            {"covariates": list(data.layout.covariates)} if data.layout.covariates and predictor.uses_covariates else {}
        ),
        "levels": list(levels),
        "skipped_series": len(windows.skipped),
        "skipped": [item for item, _ in windows.skipped[:5]],
        "fingerprint": data.fingerprint,
    }
