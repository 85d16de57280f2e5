"""The end of a corpus series that training never sees, so that recipes can be chosen on it: pure functions."""

from __future__ import annotations

from tsfm.timestamps.offsets import parse_freq

SHARE = 10  # percent of a series
# steps by the unit of the step
HORIZONS = {"us": 60, "ms": 60, "s": 60, "min": 48, "h": 48, "D": 30, "B": 30, "W": 8, "M": 12, "Q": 8, "Y": 6}


def held_out(length: int, horizon: int) -> int:
    """Last steps of a series of `length` steps that are never trained on: a tenth of it, rounded up, at least one
    `horizon` (steps), and at most half of it."""
    if length < 0 or horizon < 1:
        raise ValueError(
            f"a series of {length} steps and a horizon of {horizon} were given; expected a length of at least 0 and a "
            "horizon of at least 1 step"
        )
    return min(max(horizon, -(-length * SHARE // 100)), length // 2)


def usual_horizon(freq: str) -> int:
    """Steps that a forecast of this frequency usually covers, whatever its multiple (GIFT-Eval's short term,
    arXiv:2410.10393, appendix B)."""
    return HORIZONS[parse_freq(freq).unit]
