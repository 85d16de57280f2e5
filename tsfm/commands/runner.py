"""What `tsfm train` and `tsfm eval` do: train, score, compare with what was expected, and say it in one record."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

import yaml

from tsfm.bench.anomaly import AnomalyConfig
from tsfm.bench.find import find_predictor
from tsfm.bench.gift import GiftBench
from tsfm.bench.protocols import WindowsConfig, score_windows
from tsfm.bench.scoring import EITHER, HIGHER, check_bench, check_claim, evaluate_other, score_trained
from tsfm.bench.trained import as_trained, pick_device
from tsfm.bench.zero_shot import judge
from tsfm.config import EvalConfig, Expect, RunConfig, plain
from tsfm.data.cases import CasesConfig
from tsfm.data.module import WindowData
from tsfm.files import check_folder, write_text
from tsfm.infer.load import ModelPredictor
from tsfm.infer.predictor import Predictor
from tsfm.messages import did_you_mean
from tsfm.training.run_directory import (
    CONFIG,
    CUT_SHORT,
    RESULT,
    check_same_config,
    environment,
    is_finished,
)
from tsfm.training.training_run import train

log = logging.getLogger("tsfm")


def train_and_score(config: RunConfig, *, command: str = "") -> dict[str, Any]:
    """Train, score the chosen weights once on the test split, write result.json; returns what it holds."""
    check_claims(config.expect, config.bench)
    if (done := finished(config)) is not None:
        log.info("this run is finished; its result stands in %s", done["run_dir"])
        return done
    check_bench(config)
    trained = train(config, command=command)
    trained.model.to(pick_device("auto", config))
    if config.task.name == "forecast":
        assert isinstance(trained.data, WindowData)
        device = str(next(trained.model.parameters()).device)
        predictor = ModelPredictor(trained.model, name=config.name, about=trained.about, device=device)
        shape = config.model
        scores = score(predictor, trained.data, config.bench, context=shape.context, horizon=shape.horizon)
    else:
        scores = score_trained(trained, config.bench)
    result = record(config.name, config.data.dataset, scores, config.expect)
    result |= {
        "seed": config.seed,
        "parameters": trained.model.num_parameters(),
        "epochs": trained.epochs,
        **trained.validation,
        "seconds": round(trained.seconds, 1),
        "run_dir": str(trained.run_dir),
        "model": str(trained.model_dir),
    }
    if trained.cut:
        result[CUT_SHORT] = trained.cut
    write_text(trained.run_dir / RESULT, json.dumps(result, indent=2) + "\n")
    return result


def finished(config: RunConfig) -> dict[str, Any] | None:
    """The result of a run directory that is asked to resume though nothing is left to do."""
    if config.resume != "auto" or config.run_dir is None:
        return None
    file = Path(config.run_dir) / RESULT
    if not is_finished(file.parent):
        return None
    check_same_config(file.parent, config)
    old = yaml.safe_load((file.parent / CONFIG).read_text(encoding="utf-8"))
    if any(old[key] != plain(config)[key] for key in ("bench", "expect")):
        raise ValueError(
            f"{config.run_dir} is finished and was scored by another bench or expect; score its model again by "
            f"tsfm eval predictor={config.run_dir} ..."
        )
    return json.loads(file.read_text(encoding="utf-8"))


def evaluate(config: EvalConfig, *, command: str = "") -> dict[str, Any]:
    """Score a trained model or a baseline by the protocol."""
    begun = time.perf_counter()
    check_claims(config.expect, config.bench)
    if config.out is not None:
        check_folder(Path(config.out))
    forecasts = isinstance(config.bench, WindowsConfig) and not isinstance(config.data, CasesConfig)
    if forecasts:
        find_predictor(config.predictor).check_forecasts()
    verdict = judge(config)  # before an hour is spent on it
    if forecasts:
        scores, fallbacks = evaluate_windows(config)
    else:
        scores, fallbacks = evaluate_other(config), None
    dataset = config.bench.data if isinstance(config.bench, AnomalyConfig) else config.data.dataset
    dataset = "gift" if isinstance(config.bench, GiftBench) else dataset  # whose data are its own
    result = record(config.name, dataset, scores, config.expect)
    result |= {
        "predictor": config.predictor,
        "seconds": round(time.perf_counter() - begun, 1),
        "run_dir": config.out,
        **(verdict.row() if verdict is not None else {}),
    }
    if fallbacks:
        result["fallbacks"] = dict(fallbacks)
    if config.out is not None:
        kept = result | {"command": command, "environment": environment()}
        write_text(Path(config.out) / RESULT, json.dumps(kept, indent=2) + "\n")
    return result


def evaluate_windows(config: EvalConfig) -> tuple[dict[str, Any], Any]:
    """Forecasts over the windows of a data set; and how often a baseline had to fall back on another."""
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
    scores = score(predictor, data, config.bench, context=context, horizon=horizon)
    return scores, getattr(predictor, "fallbacks", None)


def check_claims(expect: list[Expect], bench: Any) -> None:
    """Refuse an unknown metric before an hour is spent on it."""
    for claim in expect:
        check_claim(claim.metric, bench)


def score(
    predictor: Predictor, data: WindowData, bench: WindowsConfig, *, context: int, horizon: int
) -> dict[str, Any]:
    """The metrics by the protocol, and everything that decides them."""
    own = predictor.quantile_levels
    levels = tuple(bench.levels) if own is None else own
    windows = data.windows(bench.split, stride=bench.stride)
    if not len(windows):
        raise ValueError(
            f"data set {data.config.dataset!r}: data.split={data.config.split} makes no {bench.split} part to score; "
            "choose another data.split or bench.split"
        )
    if windows.skipped:
        item, why = windows.skipped[0]
        log.info("left out of %s: %d series, such as %s (%s)", bench.split, len(windows.skipped), item, why)
    season = bench.season or data.season
    found = score_windows(
        predictor, windows, horizon=horizon, season=season, levels=levels, batch_size=bench.batch_size
    )
    return found | {
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


def record(name: str, dataset: str, scores: dict[str, Any], expect: list[Expect]) -> dict[str, Any]:
    """The result as plain values; published numbers stand beside those found."""
    result: dict[str, Any] = {"experiment": name, "data": dataset, **scores}
    claims = []
    for claim in expect:
        if claim.data not in (None, dataset):
            continue
        if claim.metric not in scores:
            raise ValueError(
                f"expect.metric {claim.metric!r} was not measured; {did_you_mean(claim.metric, list(scores))}"
            )
        found = scores[claim.metric]
        worse = claim.value - found if claim.metric in HIGHER else found - claim.value
        met = (abs(worse) if claim.metric in EITHER else worse) <= claim.tolerance * abs(claim.value)
        claims.append({"metric": claim.metric, "expected": claim.value, "found": round(found, 6), "met": met})
        word = "within" if met else "NOT within"
        log.info(
            "%s: found %.4f, expected %.4f; %s %.0f %% (%s)",
            claim.metric, found, claim.value, word, 100 * claim.tolerance, claim.source,
        )  # fmt: skip
    if claims:
        result["expect"] = claims
    return result
