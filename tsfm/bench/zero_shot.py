"""The leak check of everything that scores: whether a predictor was trained on the series that it is scored on."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from tsfm.bench.predictors import is_baseline, is_model
from tsfm.bench.protocol import Protocol
from tsfm.config import EvalConfig
from tsfm.contamination.verdict import Verdict, check_contamination, training_record
from tsfm.data.base import SourceSeries

log = logging.getLogger("tsfm")


def check_zero_shot(config: EvalConfig, protocol: Protocol, data: Any) -> Verdict | None:
    """Return the verdict on the predictor and the data; None for a baseline, and where the series are synthetic.

    Raises
    ------
    ValueError
        If `config.zero_shot` is set, and the predictor has seen the data, or that is unknown.
    """
    if protocol.synthetic:
        return None
    name = config.predictor
    verdict = check_seen(name, lambda: protocol.scored_series(data))
    if verdict is None:
        return None
    if config.zero_shot and verdict.zero_shot is not True:
        advice = "or score it on other data" if verdict.seen else "or score a model that has a sketch of its training"
        raise ValueError(
            f"zero_shot=true requires series that {name} was never trained on; {verdict}; leave zero_shot out to score "
            f"it anyway, {advice}"
        )
    log.info("%s: %s", name, verdict)
    return verdict


def check_seen(name: str, scored: Callable[[], SourceSeries]) -> Verdict | None:
    """Return whether the predictor of a name has seen series; None for a baseline, which was not trained.

    Parameters
    ----------
    name
        A baseline, or a model as in `tsfm.load`.
    scored
        Returns the whole series that are scored; not called where nothing is known of the training.
    """
    if is_baseline(name) or not is_model(name):
        return None
    if (reason := training_record(name).missing_reason) is not None:
        return Verdict(None, reason)
    series = scored()
    return check_contamination(
        name, series.series, names=series.names, fingerprints=series.fingerprints, timestamps=series.timestamps
    )
