"""The threshold above which a score is an anomaly's: split-conformal, from steps that are taken as clean."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from tsfm.infer.frames import Frame, read_frame
from tsfm.metrics.conformal import conformal_threshold, scores_needed
from tsfm.timestamps.timezones import format_id

logger = logging.getLogger("tsfm")
CLEAN = 0.3  # the share of each item that is taken as clean where nothing is told


def clean_frame(calibration: pd.DataFrame, frame: Frame, *, freq: str | None, columns: dict[str, Any]) -> Frame:
    """The clean frame; items too short to tell their frequency take that of the frame to score."""
    known = {one.freq for one in frame}
    if calibration.empty:
        raise ValueError("calibration is an empty frame; give clean rows, or a share of each item such as 0.3")
    freq = freq or (known.pop() if len(known) == 1 else None)
    return read_frame(calibration, prediction_length=1, freq=freq, covariates=False, **columns)


def by_frame(frame: Frame, clean: Frame, scores: Sequence[np.ndarray], *, level: float) -> list[float]:
    """The threshold of each item of `frame` from the scores of the clean frame."""
    own = {format_id(item): one for item, one in zip(clean.ids, scores, strict=True)}
    wanted = [format_id(item) for item in frame.ids]
    found = {item: _threshold(own[item], level, f"calibration, item {item}") for item in wanted if item in own}
    if strange := [item for item in wanted if item not in own]:
        told = "calibration does not hold %d items (first %s); they take the threshold of all its steps together"
        logger.info(told, len(strange), strange[0])
        found |= dict.fromkeys(strange, _threshold(np.concatenate(scores), level, "calibration"))
    return [found[item] for item in wanted]


def clean_steps(frame: Frame, calibration: Any) -> list[int]:
    """How many first steps of each item are clean; some are left to judge."""
    number = isinstance(calibration, (int, float, np.integer, np.floating)) and not isinstance(calibration, bool)
    steps = number and 1 <= calibration < math.inf and calibration == int(calibration)
    if not steps and not (number and 0 < calibration < 1):
        raise ValueError(
            f"calibration is {calibration!r}; expected a frame of clean rows, a share of each item such as {CLEAN} "
            "(below 1), or a whole number of first steps"
        )
    lengths = [one.values.shape[1] for one in frame]
    if not steps:
        return [int(calibration * length) for length in lengths]
    stop, short = int(calibration), int(np.argmin(lengths))
    if stop >= lengths[short]:
        raise ValueError(
            f"item {format_id(frame.ids[short])} has {lengths[short]} steps and calibration={stop} takes its first "
            f"{stop} as "
            f"clean, which leaves none to judge; give fewer steps, a share of each item such as {CLEAN}, or a frame of "
            "clean rows, or leave the item out"
        )
    return [stop] * len(lengths)


def by_start(frame: Frame, scores: Sequence[np.ndarray], stops: Sequence[int], *, level: float) -> list[float]:
    """The threshold of each item from its own first steps."""
    first = ["first step (a share lies below 1)" if stop == 1 else f"first {stop} steps" for stop in stops]
    return [
        _threshold(one[:stop], level, f"item {format_id(item)}, its {words}")
        for item, one, stop, words in zip(frame.ids, scores, stops, first, strict=True)
    ]


def _threshold(scores: np.ndarray, level: float, place: str) -> float:
    known = int((~np.isnan(scores)).sum())
    if known < (needed := scores_needed(level)):
        raise ValueError(
            f"{place}: {known} clean steps are scored, and a level of {level:g} needs {needed}; give calibration= a "
            "longer clean stretch or a frame of clean rows, or a lower level"
        )
    return conformal_threshold(scores, level=level)
