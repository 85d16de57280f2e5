"""Score every step of series by how anomalous it is given the steps around it, and flag the most anomalous.

C channels, L steps of a series. NaN is missing; a higher score is more anomalous.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tsfm.infer.anomaly_scoring import AnomalyScoring, combine_channels, error_unit
from tsfm.infer.arguments import check_choice
from tsfm.infer.failed_items import add_rows, tolerates_failed_items
from tsfm.infer.frames import Frame, read_frame
from tsfm.infer.row_mapping import check_new_columns, step_of_each_row
from tsfm.infer.series_input import number_names, read_series
from tsfm.infer.thresholds import CLEAN_SHARE, first_steps_thresholds, frame_thresholds, num_clean_steps, read_clean
from tsfm.messages import announce
from tsfm.metrics.conformal import check_level
from tsfm.store.foreign_frames import accepts_frames
from tsfm.store.read_options import ReadOptions, takes_options

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from tsfm.tasks.detect import Detect

COMBINE = ("mean", "max", "none")
BLEND = "blend"  # a score of `detect` besides those of the task
SCORE_COLUMNS = ("score", "threshold", "is_anomaly")


class Detection(AnomalyScoring):
    """The verbs `detect` and `detect_df` of a model that predicts every step of a window."""

    def detect(
        self,
        series: Any,
        *,
        score: str | None = None,
        stride: int | None = None,
        combine: str = "mean",
        batch_size: int = 256,
    ) -> Any:
        """Return how anomalous each step is.

        Every block of a window is hidden in turn and scored from the steps around it. Errors are in units of the
        standard deviation of the channel in the whole series, so that a constant stretch is not an anomalous one.
        A model trained with task.mode=reconstruct is the exception: nothing is hidden, each step is scored while it is
        visible, and that is logged.

        Parameters
        ----------
        series
            One array [L], a stack [N, L] or [N, C, L], or a list of arrays [L] or [C, L] of any lengths. One series of
            several channels is a stack of one, [1, C, L].
        score
            pinball, residual or tail, see `tsfm.tasks.detect`; None: that of the model's training. blend finds the
            neighborhoods of anomalies rather than single steps, see `tsfm.infer.novelty`.
        stride
            Steps between windows, by default half a window; scores of overlapping windows are averaged.
        combine
            How the channels are combined: mean, max, or none.

        Returns
        -------
        numpy.ndarray or list
            Scores [L] for one array, [N, L] for a stack, a list for a list; with ``combine="none"`` of the shape of the
            input. NaN: missing steps, and steps around which no window has a value of the channel.

        Raises
        ------
        ValueError
            When the model cannot detect, or an argument cannot be used.
        """
        check_choice("combine", combine, COMBINE)
        task = self.detection_task(None if score == BLEND else score)
        data = read_series(series)
        names = number_names("series", len(data.arrays))
        self._announce_mode(task)
        compute = self.blended_scores if score == BLEND else self.anomaly_scores
        scores = compute(data.arrays, task=task, stride=stride, batch_size=batch_size, names=names)
        if combine == "none":
            return data.restore(scores)
        return data.restore_form([combine_channels(channels, method=combine) for channels in scores])

    @accepts_frames("df", "calibration")
    @takes_options
    @tolerates_failed_items(add_rows)
    def detect_df(
        self,
        df: pd.DataFrame,
        level: float = 0.99,
        calibration: pd.DataFrame | float = CLEAN_SHARE,
        score: str | None = None,
        combine: str = "mean",
        batch_size: int = 256,
        **options: Unpack[ReadOptions],
    ) -> pd.DataFrame:
        """Score the rows of a long DataFrame, and flag those above a split-conformal threshold.

        Parameters
        ----------
        df
            One row for each item and timestamp.
        level
            Of clean steps, a share of ``1 - level`` is flagged.
        calibration
            What is clean: a DataFrame like `df` of clean rows, a share below 1 of each item from its start on, or a
            number of first steps. Each item has a threshold of its own; an item without rows in the clean DataFrame
            has that of all clean steps together.
        score
            pinball, residual or tail; None: that of the model's training.
        combine
            How the scores of several targets are combined: mean or max.
        **options
            How `df` and `calibration` are read, see `tsfm.store.read_options.ReadOptions`.

        Returns
        -------
        pandas.DataFrame
            The rows and columns of `df`, and the columns below. What was assumed is logged and kept in
            ``result.attrs["announcements"]``.

            ============ ==========================================
            score        NaN where the target is missing
            threshold    of the item
            is_anomaly   whether the score is above its threshold
            ============ ==========================================

        Raises
        ------
        ValueError
            When the model cannot detect, an argument or a column cannot be used, or there are too few clean steps for
            the level.

        Examples
        --------
        >>> import numpy as np, pandas as pd, tsfm
        >>> hours = pd.date_range("2024-01-01", periods=480, freq="h")
        >>> df = pd.DataFrame({"timestamp": hours, "target": np.sin(np.arange(480) * np.pi / 12)})
        >>> df.loc[400, "target"] = 5.0
        >>> scored = tsfm.load("tsfm-mini").detect_df(df)
        >>> scored.columns.tolist()
        ['timestamp', 'target', 'score', 'threshold', 'is_anomaly']
        >>> bool(scored.loc[400, "is_anomaly"])
        True
        """
        level = check_level(level)
        check_choice("combine", combine, COMBINE[:2])
        if score == BLEND:
            raise ValueError(
                "score is 'blend', which ranks the steps of one series and has no threshold; use detect() for it, or "
                "pinball, residual or tail here"
            )
        task = self.detection_task(score)
        frame = read_frame(df, prediction_length=1, covariates=False, centre=self.any_level, **options)
        check_new_columns(df, SCORE_COLUMNS)
        notes = [*self.announce("detect"), *self._announce_mode(task)]
        scoring: dict[str, Any] = {"task": task, "combine": combine, "batch_size": batch_size}
        if isinstance(calibration, pd.DataFrame):
            clean = read_clean(calibration, frame, centre=self.any_level)
            units = self._error_units(clean)
            clean_scores = self._frame_scores(clean, units=units, **scoring)
            known = dict(zip(clean.item_names(), units, strict=True))
            with frame.naming_items():
                scores = self._frame_scores(frame, units=self._error_units(frame, known=known), **scoring)
                thresholds = frame_thresholds(frame, clean, clean_scores, level=level, notes=notes)
        else:
            with frame.naming_items():
                stops = num_clean_steps(frame, calibration)
                scores = self._frame_scores(frame, units=self._error_units(frame), **scoring)
                thresholds = first_steps_thresholds(frame, scores, stops, level=level)
        steps = step_of_each_row(frame)
        out = df.copy()
        out["score"] = np.concatenate(scores)[steps]
        lengths = [len(item_scores) for item_scores in scores]
        out["threshold"] = np.repeat(thresholds, lengths)[steps].astype(np.float32)
        out["is_anomaly"] = (out["score"] > out["threshold"]).to_numpy()
        out.attrs["announcements"] = [*frame.announcements, *notes]
        return out

    def _announce_mode(self, task: Detect) -> list[str]:
        """Log and return where the scores are not those of hidden steps."""
        if task.config.mode != "reconstruct":
            return []
        note = (
            f"{self.name} was trained with task.mode=reconstruct: nothing is hidden, each step is scored while it is "
            "visible"
        )
        announce([note])
        return [note]

    def _error_units(self, frame: Frame, *, known: dict[str, np.ndarray] | None = None) -> list[np.ndarray]:
        """Return the unit of the errors of each item; `known` are those of other data, by item name."""
        pairs = zip(frame.item_names(), self.item_arrays(frame), strict=True)
        known = known or {}
        return [known[name] if name in known else error_unit(array) for name, array in pairs]

    def _frame_scores(
        self, frame: Frame, *, task: Detect, combine: str, batch_size: int, units: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        """Return the score of each step of each item."""
        names = frame.item_names()
        scores = self.anomaly_scores(
            self.item_arrays(frame), task=task, names=names, batch_size=batch_size, units=units
        )
        return [combine_channels(channels, method=combine) for channels in scores]
