"""The threshold above which a step is flagged: split-conformal, from the scores of steps that are taken as clean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from tsfm.infer.frames import Frame, read_frame
from tsfm.infer.item_errors import ItemErrors, raise_series
from tsfm.messages import announce, format_id
from tsfm.metrics.conformal import conformal_threshold, scores_needed

CLEAN_SHARE = 0.3  # the default share of each item, from its start on, that is taken as clean


def read_clean(calibration: pd.DataFrame, frame: Frame, *, centre: bool = False) -> Frame:
    """Return the DataFrame of clean rows as a frame, read as the frame to score, and with its frequency if it has one.

    `centre` is that of `read_frame`.
    """
    if calibration.empty:
        raise ValueError("calibration is an empty table; give clean rows, or a share of each item such as 0.3")
    freqs = {item.freq for item in frame}
    settings = frame.settings
    if settings.freq is None and len(freqs) == 1:
        settings = settings.updated(freq=freqs.pop())
    settings = settings.updated(errors="raise")
    try:
        return read_frame(
            calibration, prediction_length=1, covariates=False, centre=centre, label="calibration", **settings.options
        )
    except ItemErrors as error:
        raise ValueError(str(error)) from error


def frame_thresholds(
    frame: Frame, clean: Frame, scores: Sequence[np.ndarray], *, level: float, notes: list[str]
) -> list[float]:
    """Return the threshold of each item of `frame` from the scores of the same item in `clean`.

    An item that is not in `clean` has the threshold of all clean scores together; that is added to `notes`.
    """
    clean_scores = dict(zip(map(format_id, clean.ids), scores, strict=True))
    ids = [format_id(item_id) for item_id in frame.ids]
    thresholds, reasons = {}, {}
    for number, item_id in enumerate(ids):
        if item_id in clean_scores:
            try:
                thresholds[item_id] = _threshold(clean_scores[item_id], level, f"calibration, item {item_id}")
            except ValueError as error:
                reasons[number] = str(error)
    if others := [item_id for item_id in ids if item_id not in clean_scores]:
        note = f"{len(others)} items (first {others[0]}) are not in calibration"
        notes.append(f"{note}; they take the threshold of all its steps together")
        announce(notes[-1:])
        try:
            thresholds |= dict.fromkeys(others, _threshold(np.concatenate(scores), level, "calibration"))
        except ValueError as error:
            reasons |= {number: str(error) for number, item_id in enumerate(ids) if item_id in others}
    raise_series(reasons)
    return [thresholds[item_id] for item_id in ids]


def num_clean_steps(frame: Frame, calibration: Any) -> list[int]:
    """Return how many first steps of each item are clean.

    Parameters
    ----------
    calibration
        A share of each item, below 1, or a number of steps; some steps of each item are left to score.

    Raises
    ------
    ValueError
        When it is neither, or takes all steps of an item.
    """
    number: Any = calibration
    is_number = isinstance(calibration, Real) and not isinstance(calibration, bool)
    is_count = is_number and 1 <= number < math.inf and number == int(number)
    if not is_count and not (is_number and 0 < number < 1):
        raise ValueError(
            f"calibration is {calibration!r}; expected a table of clean rows, a share of each item such as "
            f"{CLEAN_SHARE} (below 1), or a whole number of first steps"
        )
    lengths = [item.values.shape[1] for item in frame]
    if not is_count:
        return [int(number * length) for length in lengths]
    stop = int(number)
    raise_series(
        {
            i: f"{name} has {lengths[i]} steps and calibration={stop} takes its first {stop} as clean, which "
            f"leaves none to score; give fewer steps, a share of each item such as {CLEAN_SHARE}, or a table of clean "
            "rows, or leave the item out"
            for i, name in sorted(enumerate(frame.item_names()), key=lambda pair: lengths[pair[0]])
            if stop >= lengths[i]
        }
    )
    return [stop] * len(lengths)


def first_steps_thresholds(
    frame: Frame, scores: Sequence[np.ndarray], stops: Sequence[int], *, level: float
) -> list[float]:
    """Return the threshold of each item from the scores of its own first steps."""
    first = ["first step (a share is below 1)" if stop == 1 else f"first {stop} steps" for stop in stops]
    thresholds, reasons = [], {}
    names = frame.item_names()
    for i, (item_scores, stop, steps) in enumerate(zip(scores, stops, first, strict=True)):
        try:
            thresholds.append(_threshold(item_scores[:stop], level, f"{names[i]}, its {steps}"))
        except ValueError as error:
            reasons[i] = str(error)
    raise_series(reasons)
    return thresholds


def _threshold(scores: np.ndarray, level: float, source: str) -> float:
    """Return the threshold from clean scores; `source` says where they are from."""
    num_scored = int((~np.isnan(scores)).sum())
    if num_scored < (num_needed := scores_needed(level)):
        raise ValueError(
            f"{source}: {num_scored} clean steps have a score, and a level of {level:g} needs {num_needed}; give "
            "calibration= a longer clean stretch or a table of clean rows, or a lower level"
        )
    return conformal_threshold(scores, level=level)
