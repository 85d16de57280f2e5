"""Covariates as rows next to the targets: those of the user, then time features.

A covariate is a row over past and future steps, NaN where it is unknown. B batch, K covariates, L past steps,
H horizon, W = L + H, N series,
T steps of a batch's rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tsfm.infer.series_input import stack_padded
from tsfm.timestamps.time_features import TimeFeatures

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from tsfm.infer.frames import Frame
    from tsfm.infer.item_series import ItemSeries


class CovariateBlock:
    """The covariates of N series.

    Parameters
    ----------
    known
        One array for each series, from the user.
    time_features
        Appended below the rows of the user.
    lengths
        Past steps of each series.
    future_length
        Future steps for which time features are made; at least the horizon, because a model that is rolled out
        predicts a multiple of its own horizon.
    """

    def __init__(
        self,
        known: Sequence[Float[np.ndarray, "K _"]] | None,
        time_features: TimeFeatures | None,
        *,
        lengths: Int[np.ndarray, " N"],
        horizon: int,
        future_length: int,
    ):
        self.known, self.time_features, self.lengths = known, time_features, lengths
        self.horizon = horizon
        self.future_length = horizon if time_features is None else future_length

    def __len__(self) -> int:
        num_known = self.known[0].shape[0] if self.known else 0
        return num_known + (len(self.time_features.fields) if self.time_features is not None else 0)

    def batch(self, indices: Int[np.ndarray, " B"], *, length: int) -> Float[np.ndarray, "B K T"] | None:
        """Return the last `length` past steps of these series and the future; NaN on the left of shorter series."""
        blocks = []
        if self.known is not None:
            steps = length + self.horizon
            known = stack_padded([self.known[i][:, -steps:] for i in indices], steps)
            padding = ((0, 0), (0, 0), (0, self.future_length - self.horizon))
            blocks.append(np.pad(known, padding, constant_values=np.nan))
        if self.time_features is not None:
            steps = length + self.future_length
            blocks.append(self.time_features.window(indices, self.lengths[indices] - length, steps=steps))
        return np.concatenate(blocks, axis=1) if blocks else None


def make_time_features(
    fields: Sequence[str], lengths: Int[np.ndarray, " N"], *, starts: Any, freq: Any, future_length: int, name: str
) -> TimeFeatures | None:
    """Return the time features of series, or None where `fields` is empty.

    Parameters
    ----------
    starts
        Timestamp of the first step: one for each series, or one for all.
    freq
        Frequency: one for each series, or one for all.
    name
        The predictor, for messages.

    Raises
    ------
    ValueError
        When there are fields and no timestamps, or when the numbers of timestamps, frequencies and series differ.
    """
    if not fields:
        return None
    if starts is None or freq is None:
        raise ValueError(
            f"{name} needs the time features {', '.join(fields)}, and arrays have no timestamps; give starts="
            " and freq=, for example starts='2024-01-01', freq='h', or use predict_df"
        )
    return _read_times(fields, lengths, starts=starts, freq=freq, future_length=future_length)


def make_step_times(
    lengths: Int[np.ndarray, " N"], *, starts: Any, freq: Any, future_length: int
) -> TimeFeatures | None:
    """Return what gives the timestamps of series; None without `starts` or `freq`; see `make_time_features`."""
    if starts is None or freq is None:
        return None
    return _read_times((), lengths, starts=starts, freq=freq, future_length=future_length)


def _read_times(
    fields: Sequence[str], lengths: Int[np.ndarray, " N"], *, starts: Any, freq: Any, future_length: int
) -> TimeFeatures:
    num_series = len(lengths)
    try:
        first_times = np.asarray(starts, dtype="M8[us]")
    except (ValueError, TypeError):
        raise ValueError(
            f"starts is {starts!r}; expected the first timestamp of each series, such as 2024-01-31"
        ) from None
    freqs = [freq] * num_series if isinstance(freq, str) else list(freq)
    wrong_number = first_times.ndim > 1 or first_times.size not in (1, num_series) or len(freqs) != num_series
    if wrong_number or np.isnat(first_times).any():
        raise ValueError(
            f"{first_times.size} starts and {len(freqs)} frequencies are given for {num_series} series; give one of "
            "each, or one for all"
        )
    return TimeFeatures(fields, starts=np.resize(first_times, num_series), freqs=freqs, lengths=lengths + future_length)


def check_known(known: Sequence[Any], arrays: Sequence[np.ndarray], *, horizon: int) -> list[np.ndarray]:
    """Return the covariates of the user as float32 arrays [K, L+H], one for each series; NaN is unknown.

    Raises
    ------
    ValueError
        When their number or a shape does not fit the series, or when a value is infinite.
    """
    if len(known) != len(arrays):
        raise ValueError(
            f"known covariates are given for {len(known)} of {len(arrays)} series; give one array for each"
        )
    checked = []
    for i, (covariates, array) in enumerate(zip(known, arrays, strict=True)):
        steps = array.shape[1] + horizon
        if np.ndim(covariates) != 2 or np.shape(covariates) != (np.shape(known[0])[0], steps):
            raise ValueError(
                f"known covariates of series {i} have shape {np.shape(covariates)}; expected [K, {steps}]: rows of "
                f"{array.shape[1]} past and {horizon} future steps"
            )
        with np.errstate(over="ignore"):
            values = np.asarray(covariates, dtype=np.float32)
        if np.isinf(values).any():
            row, step = map(int, np.argwhere(np.isinf(values))[0])
            raise ValueError(
                f"known covariates of series {i} hold {values[row, step]} in row {row}, step {step}, infinite or "
                "beyond float32; set such steps to NaN or rescale the row"
            )
        checked.append(values)
    return checked


def covariate_rows(frame: Frame, item: ItemSeries, names: Sequence[str]) -> Float[np.ndarray, "K W"]:
    """Return the covariates `names` of one item, in this order; past-only ones are NaN in the future."""
    num_past, steps = item.past.shape
    future = np.full((num_past, item.known.shape[1] - steps), np.nan, np.float32)
    rows = np.concatenate([np.concatenate([item.past, future], axis=1), item.known])
    available = [*frame.past_names, *frame.known_names]
    return rows[[available.index(name) for name in names]]
