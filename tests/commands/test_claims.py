"""Claims of experiments: which direction of a metric is better, and which metrics can be named."""

from __future__ import annotations

import pytest

from tsfm.commands.claims import make_record
from tsfm.config import Expect


@pytest.mark.parametrize(
    ("metric", "value", "measured", "met"),
    [
        ("mse", 0.4, 0.2, True), ("mse", 0.4, 0.41, True), ("mse", 0.4, 0.42, False),
        ("accuracy", 0.9, 0.1, False), ("accuracy", 0.9, 0.88, True), ("accuracy", 0.9, 0.99, True),
        ("vus_pr", 0.5, 0.4, False), ("r2", 0.5, 0.6, True), ("false_alarms", 0.1, 0.01, True),
        ("coverage", 0.8, 0.7, False), ("coverage", 0.8, 0.9, False), ("coverage", 0.8, 0.81, True),
    ],
)  # fmt: skip
def test_a_claim_is_met_by_a_better_or_a_near_value(metric: str, value: float, measured: float, met: bool) -> None:
    (claim,) = make_record("x", "y", {metric: measured}, [Expect(metric=metric, value=value)])["expect"]
    assert claim["met"] == met
