"""Score every step of arrays by how anomalous it is given the steps around it. C channels, L steps; NaN is missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tsfm.infer.item_errors import raise_series
from tsfm.infer.loaded_model import LoadedModel
from tsfm.infer.novelty import blend
from tsfm.infer.windows import sliding_windows, to_batch, window_batches
from tsfm.registry import TASKS
from tsfm.types import MIN_RELATIVE_SCALE, MIN_SCALE

if TYPE_CHECKING:
    from jaxtyping import Float

    from tsfm.tasks.detect import Detect


class AnomalyScoring(LoadedModel):
    """Anomaly scores of a model that predicts every step of a window; a higher score is more anomalous."""

    def detection_task(self, score: str | None = None) -> Detect:
        """Return the task the model was trained for if that is detect, else one that hides blocks of its patch length.

        Raises
        ------
        ValueError
            When the model does not predict every step of a window, or cannot compute the score.
        """
        self.check_predicts_steps("detect")
        config, trained = self.model.config, self.about.task
        settings: dict[str, Any] = dict(trained)
        if trained.get("name") != "detect":
            settings = {"name": "detect"}
            num_passes = TASKS.config(settings).num_passes
            settings["block"] = min(config.patch, max(1, self.window_length // num_passes))
        if score is not None:
            settings["score"] = score
        task: Any = TASKS.build(TASKS.config(settings), horizon=config.horizon)
        if len(self.quantile_levels) < 3 and task.config.score == "tail":
            raise ValueError(
                f"score=tail needs the spread between quantiles, and {self.name} predicts the median only; use pinball "
                "or residual"
            )
        return task

    @torch.no_grad()
    def anomaly_scores(
        self,
        arrays: Sequence[Float[np.ndarray, "C _"]],
        *,
        task: Detect,
        names: Sequence[str],
        stride: int | None = None,
        batch_size: int = 256,
        units: Sequence[Float[np.ndarray, "C 1"]] | None = None,
    ) -> list[Float[np.ndarray, "C _"]]:
        """Return the scores of each channel, averaged over the windows that scored a step; NaN where none did.

        Parameters
        ----------
        names
            Of the series, for messages.
        units
            Of the errors of each series; None: `error_unit`.

        Raises
        ------
        SeriesErrors
            When no step of a series can be scored.
        ValueError
            When a prediction is not finite.
        """
        units = [error_unit(array) for array in arrays] if units is None else units
        totals = [np.zeros(array.shape, np.float64) for array in arrays]
        counts = [np.zeros(array.shape, np.int32) for array in arrays]
        stride = max(1, self.window_length // 2) if stride is None else stride
        lengths = [array.shape[1] for array in arrays]
        windows = sliding_windows(lengths, window_length=self.window_length, stride=stride)
        for indices, values in window_batches(arrays, windows, model=self.model, batch_size=batch_size):
            batch = to_batch(values, device=self.device)
            unit = np.stack([units[int(windows.series[index])] for index in indices])
            unit = torch.as_tensor(unit, device=self.device)
            batch_scores, scored = torch.zeros_like(batch.values), torch.zeros_like(batch.observed)
            for problem in task.passes(batch):
                problem_scores = task.score(self.model(problem), problem, unit=unit)
                batch_scores = torch.where(problem.wanted, problem_scores, batch_scores)
                scored |= problem.wanted
            rows = zip(indices, batch_scores.cpu().numpy(), scored.cpu().numpy(), strict=True)
            for index, window_scores, window_scored in rows:
                series, first, _ = windows.location(index)
                self.check_finite(window_scores, names[series])
                steps = slice(max(first, 0), first + self.window_length)
                own = slice(window_scores.shape[1] - (steps.stop - steps.start), None)
                totals[series][:, steps] += window_scores[:, own]
                counts[series][:, steps] += window_scored[:, own]
        raise_series(
            {
                i: f"{name} has {int((~np.isnan(array)).sum())} observed values, and none can be scored from others "
                f"around it (blocks of {task.config.block} steps are hidden at a time); give a longer series, or leave "
                "it out"
                for i, (name, count, array) in enumerate(zip(names, counts, arrays, strict=True))
                if not count.any()
            }
        )
        return [
            np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)
            for total, count in zip(totals, counts, strict=True)
        ]

    def blended_scores(
        self, arrays: Sequence[Float[np.ndarray, "C _"]], *, task: Detect, names: Sequence[str], **options: Any
    ) -> list[Float[np.ndarray, "C _"]]:
        """Return the blend of `anomaly_scores` and novelty of each channel; zeros for a channel that is constant."""
        rows = [(i, c) for i, array in enumerate(arrays) for c, row in enumerate(array) if _varies(row)]
        if self.model.mixes_channels or not rows:
            scores = self.anomaly_scores(arrays, task=task, names=names, **options)
            surprises = [scores[i][c] for i, c in rows]
        else:  # channels do not influence each other, so constant ones need not be scored
            channels = [arrays[i][c : c + 1] for i, c in rows]
            scores = self.anomaly_scores(channels, task=task, names=[names[i] for i, _ in rows], **options)
            surprises = [channel_scores[0] for channel_scores in scores]
        out = [np.where(np.isnan(array), np.nan, 0.0).astype(np.float32) for array in arrays]
        for (i, c), surprise in zip(rows, surprises, strict=True):
            out[i][c] = blend(arrays[i][c], surprise)
        return out


def _varies(row: Float[np.ndarray, " L"]) -> bool:
    return bool(np.ptp(row[~np.isnan(row)]) > 0)


def error_unit(array: Float[np.ndarray, "C L"]) -> Float[np.ndarray, "C 1"]:
    """Return the standard deviation of each channel over the observed steps of the whole series, or a lowest value."""
    values = array.astype(np.float64)
    loc, scale = np.nanmean(values, axis=1, keepdims=True), np.nanstd(values, axis=1, keepdims=True)
    return np.maximum(scale, np.maximum(MIN_RELATIVE_SCALE * np.abs(loc), MIN_SCALE)).astype(np.float32)


def combine_channels(scores: Float[np.ndarray, "C L"], *, method: str) -> Float[np.ndarray, " L"]:
    """Return the mean or max of the channels that have a score at a step; NaN where none has."""
    scored = ~np.isnan(scores)
    if method == "max":
        combined = np.where(scored, scores, -np.inf).max(0)
    else:
        combined = np.where(scored, scores, 0.0).sum(0) / np.maximum(scored.sum(0), 1)
    return np.where(scored.any(0), combined, np.nan).astype(np.float32)
