"""Split-conformal calibration: which score a clean step exceeds with a given probability. n clean scores."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def check_level(level: float) -> float:
    """The share of clean steps below the threshold, checked."""
    try:
        level = float(level)
    except (TypeError, ValueError):
        raise ValueError(f"level is {level!r}; expected a number in (0, 1), such as 0.99") from None
    if not 0 < level < 1:
        raise ValueError(f"level is {level:g}; expected a share of clean steps in (0, 1), such as 0.99")
    return level


def scores_needed(level: float) -> int:
    """The fewest clean scores from which a threshold of this level can be had: n with (n + 1) level <= n."""
    return math.ceil(level / (1 - level) - 1e-9)


def conformal_threshold(scores: Any, *, level: float) -> float:
    """The ceil((n + 1) level)-th smallest of the clean scores: another score, exchangeable with them, lies above it
    with probability at most 1 - level, and at least 1 - level - 1 / (n + 1) where scores do not tie (Vovk et al. 2005;
    Lei et al. 2018, arXiv:1604.04173, theorem 2.2). NaN is no score."""
    level = check_level(level)
    known = np.asarray(scores, np.float64).ravel()
    known = known[~np.isnan(known)]
    if len(known) < scores_needed(level):
        raise ValueError(
            f"a level of {level:g} needs {scores_needed(level)} clean scores, {len(known)} were found; give a longer "
            "clean stretch, or a lower level"
        )
    rank = math.ceil((len(known) + 1) * level - 1e-9)
    return float(np.partition(known, rank - 1)[rank - 1])
