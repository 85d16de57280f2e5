"""The leak check of `tsfm eval`: whether its predictor was trained on the series that are scored."""

from __future__ import annotations

import logging
from typing import Any

from tsfm.bench.predictors import is_baseline, is_model
from tsfm.bench.protocol import Protocol
from tsfm.config import EvalConfig
from tsfm.contamination.verdict import Verdict, check_contamination, training_record

log = logging.getLogger("tsfm")


def check_zero_shot(config: EvalConfig, protocol: Protocol, data: Any) -> Verdict | None:
    """Return the verdict on the predictor and the data; None for a baseline, which was not trained.

    Raises
    ------
    ValueError
        If `config.zero_shot` is set, and the predictor has seen the data, or that is unknown.
    """
    name = config.predictor
    if is_baseline(name) or not is_model(name):
        return None
    if (reason := training_record(name).missing_reason) is not None:
        verdict = Verdict(None, reason)  # the series need not be read
    else:
        scored = protocol.scored_series(data)
        verdict = check_contamination(
            name, scored.series, names=scored.names, fingerprints=scored.fingerprints, timestamps=scored.timestamps
        )
    if config.zero_shot and verdict.zero_shot is not True:
        advice = "or score it on other data" if verdict.seen else "or score a model that has a sketch of its training"
        raise ValueError(
            f"zero_shot=true requires series that {name} was never trained on; {verdict}; leave zero_shot out to score "
            f"it anyway, {advice}"
        )
    log.info("%s: %s", name, verdict)
    return verdict
