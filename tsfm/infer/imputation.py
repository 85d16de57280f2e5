"""Fill missing values of series of any length, with quantiles.

N series, C channels, L steps of a series, T steps of a window, Q quantile levels. NaN is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from tsfm.infer.cross_channel import correct_across_channels, use_cross_channel
from tsfm.infer.failed_items import add_rows, tolerates_failed_items
from tsfm.infer.filled_columns import announce_dtype, fill_column
from tsfm.infer.frames import Frame, read_frame
from tsfm.infer.item_errors import raise_series
from tsfm.infer.loaded_model import LoadedModel
from tsfm.infer.quantiles import check_requested_levels, interpolate_quantiles, sort_quantiles
from tsfm.infer.row_mapping import check_new_columns, insert_missing_rows, step_of_each_row
from tsfm.infer.series_input import number_names, read_series
from tsfm.infer.units import from_model_units
from tsfm.infer.windows import Windows, sliding_windows, to_batch, window_batches
from tsfm.store.foreign_frames import accepts_frames
from tsfm.store.read_options import ReadOptions, takes_options
from tsfm.types import Problem

if TYPE_CHECKING:
    from jaxtyping import Float
    from typing_extensions import Unpack


@dataclass(frozen=True)
class Imputed:
    """Series without missing values, in the form in which they were given: a single one, a stack, or a list.

    Attributes
    ----------
    values
        Bit for bit those observed, and the predicted median where they were missing.
    quantiles
        One more axis, for the quantile levels; where a value was observed, all of them are that value.
    """

    values: Any
    quantiles: Any
    quantile_levels: tuple[float, ...]


class Imputation(LoadedModel):
    """The verbs `impute` and `impute_df` of a model that predicts every step of a window."""

    def impute(
        self,
        series: Any,
        *,
        quantile_levels: Sequence[float] | None = None,
        batch_size: int = 256,
        cross_channel: bool | None = None,
    ) -> Imputed:
        """Fill the NaN of arrays.

        Windows of the model's length cover a series every half window; each step is taken from the window in which it
        is farthest from the borders.

        Parameters
        ----------
        series
            One array [L], a stack [N, L] or [N, C, L], or a list of arrays [L] or [C, L] of any lengths, in the units
            that `predict` takes. One series of several channels is a stack of one, [1, C, L].
        quantile_levels
            Ascending, each in (0, 1). None: those of the model.
        cross_channel
            Whether a channel's missing values are corrected by the channels that have values there, from how their
            errors correlate in the window; it takes five times as many passes. None: for models that read each channel
            by itself.

        Raises
        ------
        ValueError
            When the model cannot impute, an argument cannot be used, or a channel has no observed value in a window.
        """
        self.check_predicts_steps("impute")
        data = read_series(series)
        requested_levels = self._check_levels(self.quantile_levels if quantile_levels is None else quantile_levels)
        filled = self._fill(
            data.arrays,
            requested_levels=requested_levels,
            names=number_names("series", len(data.arrays)),
            channels=number_names("channel", data.arrays[0].shape[0]),
            batch_size=batch_size,
            cross_channel=cross_channel,
        )
        values = [np.array(value, ndmin=2) for value in ([series] if data.form == "single" else series)]
        for value, array, (median, _) in zip(values, data.arrays, filled, strict=True):
            missing = np.isnan(array)
            if missing.any():
                value[missing] = median[missing]
        return Imputed(data.restore(values), data.restore([quantiles for _, quantiles in filled]), requested_levels)

    @accepts_frames("df")
    @takes_options
    @tolerates_failed_items(add_rows)
    def impute_df(
        self,
        df: pd.DataFrame,
        quantile_levels: Sequence[float] | None = None,
        fill_gaps: bool = False,
        batch_size: int = 256,
        cross_channel: bool | None = None,
        **options: Unpack[ReadOptions],
    ) -> pd.DataFrame:
        """Fill the missing target values of a long DataFrame.

        Parameters
        ----------
        df
            One row for each item and timestamp. Timestamps without a row are missing too when the model reads `df`.
        quantile_levels
            Adds a column for each level.
        fill_gaps
            Add rows for timestamps without a row; all rows are then sorted by item and time.
        cross_channel
            As in `impute`, for several targets.
        **options
            How `df` is read, see `tsfm.store.read_options.ReadOptions`.

        Returns
        -------
        pandas.DataFrame
            The rows and columns of `df` and, for each target, those below. A float target keeps its dtype; another one
            in which something is filled becomes float64. What was assumed is logged and kept in
            ``result.attrs["announcements"]``.

            ======================== =======================================================
            <target>                 filled with the median where it was missing
            <target>_imputed         whether it was missing
            <target>_0.1, ...        one for each quantile level; observed values as they are
            ======================== =======================================================

        Raises
        ------
        ValueError
            When the model cannot impute, a column or value cannot be used, an integer would change as float64, or a
            new column exists already.

        Examples
        --------
        >>> import numpy as np, pandas as pd, tsfm
        >>> hours = pd.date_range("2024-01-01", periods=96, freq="h")
        >>> df = pd.DataFrame({"timestamp": hours, "target": np.sin(np.arange(96) * np.pi / 12)})
        >>> df.loc[50, "target"] = np.nan
        >>> filled = tsfm.load("tsfm-mini").impute_df(df, quantile_levels=[0.1, 0.9])
        >>> filled.columns.tolist()
        ['timestamp', 'target', 'target_imputed', 'target_0.1', 'target_0.9']
        >>> int(filled["target_imputed"].sum()), int(filled["target"].isna().sum())
        (1, 0)
        """
        self.check_predicts_steps("impute")
        requested_levels = () if quantile_levels is None else self._check_levels(quantile_levels)
        frame = read_frame(df, prediction_length=1, covariates=False, centre=self.any_level, **options)
        notes = self.announce("impute")
        added = {
            name: [f"{name}_imputed", *(f"{name}_{level:g}" for level in requested_levels)] for name in frame.targets
        }
        check_new_columns(df, [column for new_columns in added.values() for column in new_columns])
        if fill_gaps:
            out = insert_missing_rows(df, frame)
            steps = np.arange(len(out))
        else:
            out, steps = df.copy(), step_of_each_row(frame)
        labels = [next(column for column in df.columns if str(column) == name) for name in frame.targets]
        missing = [np.concatenate([np.isnan(item.values[c]) for item in frame])[steps] for c in range(len(labels))]
        for label, rows in zip(labels, missing, strict=True):
            notes += announce_dtype(df[label]) if rows.any() else []
        with frame.naming_items():
            filled = self._fill_frame(
                frame, requested_levels=requested_levels or (0.5,), batch_size=batch_size, cross_channel=cross_channel
            )
        for c, (name, label) in enumerate(zip(frame.targets, labels, strict=True)):
            median = np.concatenate([values[c] for values, _ in filled])[steps]
            out[label] = fill_column(out[label], missing[c], median, frame.settings)
            imputed, *quantile_columns = added[name]
            out[imputed] = missing[c]
            for i, column in enumerate(quantile_columns):
                quantile = np.concatenate([quantiles[c, :, i] for _, quantiles in filled])[steps]
                out[column] = np.where(missing[c], quantile, out[label].to_numpy(np.float64, na_value=np.nan))
        out.attrs["announcements"] = [*frame.announcements, *notes]
        return out

    def _check_levels(self, quantile_levels: Sequence[float]) -> tuple[float, ...]:
        return check_requested_levels(quantile_levels, self.quantile_levels, name=self.name)

    def _fill_frame(self, frame: Frame, **options: Any) -> list[tuple[np.ndarray, np.ndarray]]:
        """`_fill` in the units of the DataFrame, in float64."""
        units, channels = self.channel_units(frame.targets), [repr(name) for name in frame.targets]
        filled = self._fill(self.item_arrays(frame), names=frame.item_names(), channels=channels, **options)
        return [
            (
                from_model_units(median, units, channel_axis=0) + item.offset[:, None],
                from_model_units(quantiles, units, channel_axis=0) + item.offset[:, None, None],
            )
            for item, (median, quantiles) in zip(frame, filled, strict=True)
        ]

    @torch.no_grad()
    def _fill(
        self,
        arrays: Sequence[np.ndarray],
        *,
        requested_levels: tuple[float, ...],
        batch_size: int,
        cross_channel: bool | None,
        names: Sequence[str],
        channels: Sequence[str],
    ) -> list[tuple[Float[np.ndarray, "C _"], Float[np.ndarray, "C _ Q"]]]:
        """Median and quantiles of each series; at observed steps the value itself."""
        window_length = self.window_length
        predicted_levels = tuple(sorted({*requested_levels, 0.5}))
        requested, middle = [predicted_levels.index(level) for level in requested_levels], predicted_levels.index(0.5)
        corrected = use_cross_channel(self.model, cross_channel)
        out = [(array.copy(), np.repeat(array[..., None], len(requested_levels), axis=-1)) for array in arrays]
        lengths = [array.shape[1] for array in arrays]
        windows = sliding_windows(lengths, window_length=window_length, stride=max(1, window_length // 2))
        windows = windows.select(_with_missing_values(arrays, windows))
        reasons: dict[int, str] = {}
        for indices, values in window_batches(arrays, windows, model=self.model, batch_size=batch_size):
            batch = to_batch(values, device=self.device)
            problem = Problem(values=batch.values, visible=batch.observed, wanted=~batch.observed)
            predicted = correct_across_channels(self._predict, problem) if corrected else self._predict(problem)
            quantiles = sort_quantiles(predicted.cpu().numpy())
            if predicted_levels != self.quantile_levels:
                quantiles = interpolate_quantiles(quantiles, self.quantile_levels, predicted_levels)
            for index, row, row_quantiles in zip(indices, values, quantiles, strict=True):
                series, first, steps = windows.location(index)
                start = first + window_length - row.shape[1]  # the step at which the window begins without padding
                kept = slice(steps.start - start, steps.stop - start)
                missing = np.isnan(row[:, kept])
                unobserved = np.isnan(row).all(1) & missing.any(1)
                if unobserved.any():
                    channel = int(unobserved.argmax())
                    missing_steps = steps.start + np.flatnonzero(missing[channel])
                    problem = f"{names[series]} has no observed value in {channels[channel]}"
                    reasons.setdefault(int(series), self._unobserved(problem, missing_steps))
                    continue
                filled = row_quantiles[:, kept][missing]
                self.check_finite(filled, names[series])
                median, series_quantiles = out[series]
                median[:, steps][missing] = filled[:, middle]
                series_quantiles[:, steps][missing] = filled[:, requested]
        raise_series(reasons)
        return out

    def _predict(self, problem: Problem) -> torch.Tensor:
        """Ascending quantiles of every step, [B, C, T, Q]."""
        return self.model(problem).prediction.sort(dim=-1).values

    def _unobserved(self, problem: str, steps: np.ndarray) -> str:
        """Return the message on a channel without an observed value in a window, of which even the level is unknown."""
        return (
            f"{problem} within the {self.window_length} steps around its missing steps {steps[0]} to {steps[-1]}, all "
            f"that {self.name} reads at once; end the series there, or use a model of a longer window"
        )


def _with_missing_values(arrays: Sequence[np.ndarray], windows: Windows) -> np.ndarray:
    """Return the windows with a missing value among the steps that are kept of them."""
    counts = [np.append(0, np.isnan(array).any(0).cumsum()) for array in arrays]  # missing steps before each step
    kept = zip(windows.series, windows.begin, windows.stop, strict=True)
    indices = [w for w, (series, begin, stop) in enumerate(kept) if counts[series][stop] > counts[series][begin]]
    return np.array(indices, dtype=np.int64)
