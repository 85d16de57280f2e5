"""Split-conformal calibration: the score that a clean step exceeds with a given probability. n clean scores."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def check_level(level: float) -> float:
    """Return the share of clean steps below the threshold as a float in (0, 1)."""
    try:
        level = float(level)
    except (TypeError, ValueError):
        raise ValueError(f"level is {level!r}; expected a number in (0, 1), such as 0.99") from None
    if not 0 < level < 1:
        raise ValueError(f"level is {level:g}; expected a share of clean steps in (0, 1), such as 0.99")
    return level


def scores_needed(level: float) -> int:
    """Return the smallest number n of clean scores that allows a threshold of this level: ``(n + 1) level <= n``."""
    return math.ceil(level / (1 - level) - 1e-9)


def conformal_threshold(scores: Any, *, level: float) -> float:
    """Return the ``ceil((n + 1) level)``-th smallest of the clean scores.

    Another score that is exchangeable with them is above it with probability at most ``1 - level``, and at least
    ``1 - level - 1 / (n + 1)`` where scores do not tie. NaN scores are ignored.

    References
    ----------
    Vovk et al., "Algorithmic Learning in a Random World", 2005; Lei et al., arXiv:1604.04173, theorem 2.2.
    """
    level = check_level(level)
    valid = np.asarray(scores, np.float64).ravel()
    valid = valid[~np.isnan(valid)]
    if len(valid) < scores_needed(level):
        raise ValueError(
            f"a level of {level:g} needs {scores_needed(level)} clean scores, and {len(valid)} were found; use a "
            "longer clean part, or a lower level"
        )
    rank = math.ceil((len(valid) + 1) * level - 1e-9)
    return float(np.partition(valid, rank - 1)[rank - 1])
