"""Whether what `tsfm eval` is about to score is zero-shot: told in the log and the result, refused where it must be."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tsfm.bench.anomaly import AnomalyConfig, choose
from tsfm.bench.gift import GiftBench, chosen
from tsfm.config import EvalConfig
from tsfm.contamination.verdict import Verdict, check_contamination, training_record
from tsfm.model.checkpoint import bundled
from tsfm.registry import BASELINES, DATA_MODULES

log = logging.getLogger("tsfm")


class Scored(NamedTuple):
    """The series of an evaluation, and where they are known their fingerprints and, by the number, their stamps."""

    names: Sequence[str]
    series: Iterable[Any]
    fingerprints: Sequence[str] | None = None
    stamps: Callable[[int], np.ndarray] | None = None


def judge(config: EvalConfig) -> Verdict | None:
    """What can be said of the predictor and the series; None for a baseline, which has seen nothing before. What is
    asked to be zero-shot, and is not or can't be told to be, is refused."""
    name = config.predictor
    if name in BASELINES.names() or not (name in bundled() or Path(name).exists()):
        return None  # of an unknown name the bench says what there is
    if (silent := training_record(name).missing_reason) is not None:
        verdict = Verdict(None, silent)  # nothing need be read
    else:
        names, series, fingerprints, when = scored(config)
        verdict = check_contamination(name, series, names=names, fingerprints=fingerprints, timestamps=when)
    if config.zero_shot and verdict.zero_shot is not True:
        other = "or score it on other data" if verdict.seen else "or score a model that keeps a sketch of its training"
        raise ValueError(
            f"zero_shot=true asks for series that {name} was never trained on; {verdict}; leave zero_shot out to score "
            f"it all the same, {other}"
        )
    log.info("%s: %s", name, verdict)
    return verdict


def scored(config: EvalConfig) -> Scored:
    """The series that an evaluation scores, whole: with the past of what is scored."""
    bench, data = config.bench, config.data
    if isinstance(bench, AnomalyConfig):
        picked = choose(bench)
        return Scored([one.item_id for one in picked], [one.values for one in picked])
    if isinstance(bench, GiftBench):
        read = {entry.name: entry.read() for entry in chosen(bench.configs)}
        return Scored(
            [name for name, some in read.items() for _ in some], [one for some in read.values() for one in some]
        )
    module = DATA_MODULES.component_of(data).from_config(data, seed=config.seed or 0)
    return Scored(*module.source_series())
