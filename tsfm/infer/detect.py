"""Score every step of series of any length: how strange it is, given the steps around it; and flag the strangest.

N series, C channels, L steps of a series, T steps of a window. NaN is missing; a higher score is stranger.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from tsfm.infer.abilities import check_steps, notes
from tsfm.infer.frames import Frame, read_frame
from tsfm.infer.novelty import blend
from tsfm.infer.row_mapping import check_free, in_frame, in_units
from tsfm.infer.thresholds import CLEAN, by_frame, by_start, clean_frame, clean_steps
from tsfm.infer.windows import as_batch, cut, take, tile
from tsfm.messages import did_you_mean
from tsfm.metrics.conformal import check_level
from tsfm.registry import TASKS
from tsfm.timestamps.timezones import format_id
from tsfm.types import MIN_RELATIVE_SCALE, MIN_SCALE

if TYPE_CHECKING:
    from jaxtyping import Float

    from tsfm.infer.load import ModelPredictor
    from tsfm.tasks.detect import Detect

logger = logging.getLogger("tsfm")
COMBINE = ("mean", "max", "none")
BLEND = "blend"  # a score of `detect` beside those of the task
COLUMNS = ("score", "threshold", "is_anomaly")


def detect(
    self: ModelPredictor,
    series: Any,
    *,
    score: str | None = None,
    stride: int | None = None,
    combine: str = "mean",
    batch_size: int = 256,
) -> Any:
    """How strange each step is: [L] scores for one array ([L] or [C, L]), [N, L] for a stack, a list for a list.

    Every block of a window is hidden in turn and scored from the steps around it (`score`: pinball | residual | tail;
    see tsfm.tasks.detect). blend finds the neighbourhoods of anomalies rather than single steps: the largest of these
    scores nearby, and how unlike all others the stretch around a step is, both in deviations over the series
    (tsfm.infer.novelty). A model trained with task.mode=reconstruct is the exception: nothing is hidden from it, each
    step is scored while it is seen, and that is logged. Windows lie `stride` steps apart, by default half their length,
    and where they overlap the scores are averaged. Errors are in units of the standard deviation of the channel in the
    whole series, so that a flat stretch is no strange one. `combine` joins the channels: mean | max | none ([C, L] as
    given).
    NaN: missing steps, and observed ones around which no window shows a value of the channel."""
    if combine not in COMBINE:
        raise ValueError(f"combine is {combine!r}; {did_you_mean(combine, list(COMBINE))}")
    task = settle_task(self, None if score == BLEND else score)
    given = take(series)
    names = [f"series {i}" for i in range(len(given.parts))]
    _announce(self, task)
    look = blended if score == BLEND else strangeness
    found = look(self, given.parts, task=task, stride=stride, batch_size=batch_size, names=names)
    return given.back(found) if combine == "none" else given.joined([join(one, how=combine) for one in found])


def settle_task(self: ModelPredictor, score: str | None = None) -> Detect:
    """The task a model was trained by, if that was to detect; else blocks as long as its patches."""
    check_steps(self, "detect")
    config, trained = self.model.config, self.about.task
    settings: dict[str, Any] = dict(trained)
    if trained.get("name") != "detect":
        settings = {"name": "detect"}
        num_passes = TASKS.config(settings).num_passes
        settings["block"] = min(config.patch, max(1, (config.context + config.horizon) // num_passes))
    if score is not None:
        settings["score"] = score
    task: Any = TASKS.build(TASKS.config(settings), horizon=config.horizon)
    if len(self.model.quantile_levels) < 3 and task.config.score == "tail":
        raise ValueError(
            f"score=tail reads the spread between quantiles, and {self.name} tells the median alone; use pinball or "
            "residual"
        )
    return task


def _announce(self: ModelPredictor, task: Detect) -> list[str]:
    """Say where the scores are not those of hidden steps."""
    if task.config.mode != "reconstruct":
        return []
    note = (
        f"{self.name} was trained with task.mode=reconstruct: nothing is hidden, each step is scored while it is seen"
    )
    logger.info(note)
    return [note]


def unit_of(part: Float[np.ndarray, "C L"]) -> Float[np.ndarray, "C 1"]:
    """The standard deviation of each channel over the observed steps of the whole series, and its floor."""
    wide = part.astype(np.float64)
    loc, scale = np.nanmean(wide, axis=1, keepdims=True), np.nanstd(wide, axis=1, keepdims=True)
    return np.maximum(scale, np.maximum(MIN_RELATIVE_SCALE * np.abs(loc), MIN_SCALE)).astype(np.float32)


@torch.no_grad()
def strangeness(
    self: ModelPredictor,
    parts: Sequence[np.ndarray],
    *,
    task: Detect,
    names: Sequence[str],
    stride: int | None = None,
    batch_size: int = 256,
    units: Sequence[np.ndarray] | None = None,
) -> list[Float[np.ndarray, "C L"]]:
    """The scores of each channel: of every window all turns, averaged over the windows that asked for a step."""
    model, window = self.model, self.model.config.context + self.model.config.horizon
    units = [unit_of(part) for part in parts] if units is None else units
    total = [np.zeros(part.shape, np.float64) for part in parts]
    count = [np.zeros(part.shape, np.int32) for part in parts]
    stride = max(1, window // 2) if stride is None else stride
    tiles = tile([part.shape[1] for part in parts], window=window, stride=stride)
    for picked, windows in cut(parts, tiles, model=model, batch_size=batch_size):
        batch = as_batch(windows, model=model)
        unit = torch.as_tensor(np.stack([units[tiles.at(place)[0]] for place in picked]), device=batch.values.device)
        found, asked = torch.zeros_like(batch.values), torch.zeros_like(batch.observed)
        for problem in task.passes(batch):
            found = torch.where(problem.wanted, task.score(model(problem), problem, unit=unit), found)
            asked |= problem.wanted
        for place, scores, wanted in zip(picked, found.cpu().numpy(), asked.cpu().numpy(), strict=True):
            one, first, _ = tiles.at(place)
            if not np.isfinite(scores).all():
                raise ValueError(
                    f"{self.name} gave values that are not finite for {names[one]}, so none is used; rescale the "
                    "series if its values are extreme"
                )
            steps = slice(max(first, 0), first + window)
            own = slice(scores.shape[1] - (steps.stop - steps.start), None)
            total[one][:, steps] += scores[:, own]
            count[one][:, steps] += wanted[:, own]
    for name, asked, part in zip(names, count, parts, strict=True):
        if not asked.any():
            raise ValueError(
                f"{name} has {int((~np.isnan(part)).sum())} observed values, and none can be scored from others around "
                f"it (blocks of {task.config.block} steps are hidden at a time); give a longer series, or leave it out"
            )
    return [np.where(n > 0, s / np.maximum(n, 1), np.nan).astype(np.float32) for s, n in zip(total, count, strict=True)]


def blended(
    self: ModelPredictor, parts: Sequence[np.ndarray], *, task: Detect, names: Sequence[str], **options: Any
) -> list[Float[np.ndarray, "C L"]]:
    """The blend of each channel; zeros for one that never varies. Where the model sees channels one by one, only those
    that vary are looked at."""
    rows = [(i, c) for i, part in enumerate(parts) for c in range(len(part)) if np.ptp(part[c][~np.isnan(part[c])]) > 0]
    if self.model.mixes_channels or not rows:
        whole = strangeness(self, parts, task=task, names=names, **options)
        surprise = [whole[i][c] for i, c in rows]
    else:
        own = [parts[i][c : c + 1] for i, c in rows]
        surprise = [one[0] for one in strangeness(self, own, task=task, names=[names[i] for i, _ in rows], **options)]
    out = [np.where(np.isnan(part), np.nan, 0.0).astype(np.float32) for part in parts]
    for (i, c), found in zip(rows, surprise, strict=True):
        out[i][c] = blend(parts[i][c], found)
    return out


def join(scores: Float[np.ndarray, "C L"], *, how: str) -> Float[np.ndarray, " L"]:
    """One score per step from those of the channels that have one; NaN where none has."""
    known = ~np.isnan(scores)
    if how == "max":
        joined = np.where(known, scores, -np.inf).max(0)
    else:
        joined = np.where(known, scores, 0.0).sum(0) / np.maximum(known.sum(0), 1)
    return np.where(known.any(0), joined, np.nan).astype(np.float32)


def detect_df(
    self: ModelPredictor,
    df: pd.DataFrame,
    level: float = 0.99,
    calibration: pd.DataFrame | float = CLEAN,
    target: str | Sequence[str] = "target",
    score: str | None = None,
    combine: str = "mean",
    id_column: str = "item_id",
    timestamp_column: str = "timestamp",
    freq: str | None = None,
    batch_size: int = 256,
) -> pd.DataFrame:
    """The same rows in the same order with `score`, `threshold` and `is_anomaly`: a score above its threshold.

    Scores are those of `detect`: of hidden steps, but for a model trained with task.mode=reconstruct, from which
    nothing is hidden; that is logged and kept in `result.attrs["announcements"]`.
    The threshold is split-conformal: of clean steps a share of 1 - level is flagged, one in a hundred at 0.99. What is
    clean is said by `calibration`: a frame like `df` of clean rows, a share (0.3, below 1) of each item from its start
    on, or a number of first steps (500), fewer than any item has. Each item has the threshold of its own clean steps;
    an item that the clean frame does not hold has that of all clean steps together. Missing rows have no score and are
    no anomaly."""
    level = check_level(level)
    if combine not in COMBINE[:2]:
        raise ValueError(f"combine is {combine!r}; {did_you_mean(combine, list(COMBINE[:2]))}")
    if score == BLEND:
        raise ValueError(
            "score is 'blend', which ranks the steps of one series and has no threshold; use detect() for it, or "
            "pinball, residual or tail here"
        )
    task = settle_task(self, score)
    columns: dict[str, Any] = {"id_column": id_column, "timestamp_column": timestamp_column, "target": target}
    frame = read_frame(df, prediction_length=1, freq=freq, covariates=False, **columns)
    check_free(df, COLUMNS)
    own = [*notes(self, "detect"), *_announce(self, task)]
    options: dict[str, Any] = {"task": task, "combine": combine, "batch_size": batch_size}
    if isinstance(calibration, pd.DataFrame):
        clean = clean_frame(calibration, frame, freq=freq, columns=columns)
        known, units = _of_frame(self, clean, **options)
        found, _ = _of_frame(self, frame, units=dict(zip(map(format_id, clean.ids), units, strict=True)), **options)
        thresholds = by_frame(frame, clean, known, level=level)
    else:
        stops = clean_steps(frame, calibration)
        found, _ = _of_frame(self, frame, **options)
        thresholds = by_start(frame, found, stops, level=level)
    where = in_frame(frame)
    out = df.copy()
    out["score"] = np.concatenate(found)[where]
    out["threshold"] = np.repeat(thresholds, [len(one) for one in found])[where].astype(np.float32)
    out["is_anomaly"] = (out["score"] > out["threshold"]).to_numpy()
    out.attrs["announcements"] = [*frame.announcements, *own]
    return out


def _of_frame(
    self: ModelPredictor,
    frame: Frame,
    *,
    task: Detect,
    combine: str,
    batch_size: int,
    units: dict[str, np.ndarray] | None = None,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The score of each step of each item, and the unit of each item; `channel_units` are those known by item."""
    parts = in_units(frame, self.channel_units(frame.targets))
    names = [f"item {format_id(item)}" for item in frame.ids]
    own = [
        unit_of(part) if units is None or format_id(item) not in units else units[format_id(item)]
        for part, item in zip(parts, frame.ids, strict=True)
    ]
    found = strangeness(self, parts, task=task, names=names, batch_size=batch_size, units=own)
    return [join(one, how=combine) for one in found], own
