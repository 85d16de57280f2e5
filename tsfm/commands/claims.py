"""Published numbers of an experiment: checked before a run, compared with the measured ones after it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from tsfm.bench.protocol import Protocol
from tsfm.config import Expect
from tsfm.messages import did_you_mean
from tsfm.metrics.metric import better_direction

log = logging.getLogger("tsfm")


def check_claims(expect: Sequence[Expect], protocol: Protocol) -> None:
    """Refuse a metric that the protocol does not measure, before time is spent on a run."""
    for claim in expect:
        protocol.check_metric(claim.metric)


def make_record(name: str, dataset: str, scores: Mapping[str, Any], expect: Sequence[Expect]) -> dict[str, Any]:
    """Return the result of an experiment with its claims, and log expected and measured numbers.

    Parameters
    ----------
    name, dataset
        Of the experiment.
    scores
        Metrics and what decides them.
    expect
        Published numbers; those of another data set or another horizon are left out.

    Returns
    -------
    dict
        `experiment`, `data`, the scores, and under `expect` a dict per claim: `metric`, `expected`, `found` and `met`.

    Raises
    ------
    ValueError
        If the metric of a claim was not measured.
    """
    record: dict[str, Any] = {"experiment": name, "data": dataset, **scores}
    claims = []
    for claim in expect:
        if claim.data not in (None, dataset) or claim.horizon not in (None, scores.get("horizon", claim.horizon)):
            continue
        if claim.metric not in scores:
            raise ValueError(
                f"expect.metric {claim.metric!r} was not measured; {did_you_mean(claim.metric, list(scores))}"
            )
        measured = scores[claim.metric]
        better = better_direction(claim.metric)
        worse = claim.value - measured if better == "higher" else measured - claim.value
        met = (abs(worse) if better == "target" else worse) <= claim.tolerance * abs(claim.value)
        claims.append({"metric": claim.metric, "expected": claim.value, "found": round(measured, 6), "met": met})
        log.info(
            "%s: found %.4f, expected %.4f; %s %.0f %% (%s)",
            claim.metric, measured, claim.value, "within" if met else "NOT within", 100 * claim.tolerance, claim.source,
        )  # fmt: skip
    return record | ({"expect": claims} if claims else {})
