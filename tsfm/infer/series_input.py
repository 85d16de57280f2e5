"""Arrays as the user gives them: checked, grouped into batches of similar length, padded. NaN is missing.

B batch, C channels, L steps, N series.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tsfm.infer.column_values import FLOAT32_MAX, describe_precision_loss
from tsfm.infer.item_errors import raise_series

if TYPE_CHECKING:
    from jaxtyping import Float, Int

logger = logging.getLogger("tsfm")

MAX_LENGTH_RATIO = 1.5  # a batch's longest series is at most this many times its shortest (or 64 steps longer)
MAX_VALUES = 2**22  # values in a padded batch, 16 MiB in float32


@dataclass(frozen=True)
class SeriesInput:
    """Series as [C, L] float32 arrays, and the form in which they were given."""

    arrays: list[np.ndarray]
    form: str  # single: [L]; stack: [N, L] or [N, C, L]; list
    without_channels: list[bool]  # whether a series was given as [L]

    def restore(self, results: Sequence[np.ndarray]) -> Any:
        """Return results [C, L, ...], one for each series, in the form of the input; [L, ...] where that was [L]."""
        pairs = zip(results, self.without_channels, strict=True)
        return self.restore_form([result[0] if flat else result for result, flat in pairs])

    def restore_form(self, results: Sequence[np.ndarray]) -> Any:
        """Return results of any shape, one for each series: a single one, a stack, or a list."""
        if self.form == "single":
            return results[0]
        return np.stack(results) if self.form == "stack" else list(results)


def read_series(series: Any, *, allow_missing_channels: bool = False) -> SeriesInput:
    """Return series as float32 arrays.

    Parameters
    ----------
    series
        One array [L] (also a list of numbers), a stack [N, L] or [N, C, L], or a list of arrays [L] or [C, L] of any
        lengths and one number of channels. One series of several channels is a stack of one, [1, C, L].
    allow_missing_channels
        Accept a channel without any observed value, where another channel of the series has one.

    Raises
    ------
    ValueError
        When a series is empty, not numeric, infinite, beyond float32 or without an observed value, or when the numbers
        of channels differ; the message names the series, the channel and the step.
    """
    if is_list_of_series(series):
        items, form = list(series), "list"
    else:
        array = np.asarray(series)
        if array.ndim > 3:
            raise ValueError(
                f"the array has shape {array.shape}; expected [steps], [series, steps] or [series, channels, steps]"
            )
        items, form = (list(array), "stack") if array.ndim > 1 else ([array], "single")
    if not items:
        raise ValueError("there are no series; give at least one array")
    arrays = [
        _checked(np.asarray(item), index=i, allow_missing_channels=allow_missing_channels)
        for i, item in enumerate(items)
    ]
    channels = {array.shape[0] for array in arrays}
    if len(channels) > 1:
        raise ValueError(f"series have different channel counts {sorted(channels)}; give each count by itself")
    return SeriesInput(arrays, form, [np.ndim(item) == 1 for item in items])


def is_list_of_series(series: Any) -> bool:
    """Return whether the argument is a list of series; a list of plain numbers is one series."""
    return isinstance(series, (list, tuple)) and (not series or any(map(np.iterable, series)))


def _checked(array: np.ndarray, *, index: int, allow_missing_channels: bool) -> np.ndarray:
    if array.ndim not in (1, 2) or not array.size:
        raise ValueError(f"series {index} has shape {array.shape}; expected [steps] or [channels, steps], not empty")
    try:
        values = np.atleast_2d(array).astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"series {index} is {array.dtype}; expected numbers, NaN where missing") from error
    invalid = np.argwhere(np.abs(values) > FLOAT32_MAX)
    if len(invalid):
        channel, step = map(int, invalid[0])
        raise ValueError(
            f"series {index} holds {values[channel, step]} in channel {channel}, step {step}, infinite or beyond "
            "float32; set such steps to NaN or rescale the series"
        )
    missing = np.isnan(values).all(1)
    if missing.all() if allow_missing_channels else missing.any():
        raise ValueError(f"series {index} has no observed value in channel {int(missing.argmax())}; drop or fill it")
    if loss := describe_precision_loss(values):
        logger.warning("series %d: %s", index, loss)
    return values.astype(np.float32)


def number_names(kind: str, count: int) -> list[str]:
    """Return names such as "series 0", "series 1", for messages."""
    return [f"{kind} {i}" for i in range(count)]


def check_recent_values(
    arrays: Sequence[np.ndarray], limit: int | None, *, names: Sequence[str], channels: Sequence[str]
) -> None:
    """Raise SeriesErrors where a channel has no observed value in its last `limit` steps, which are all that is used.

    Parameters
    ----------
    limit
        In steps; None: everything is used.
    names, channels
        Of each series and of each channel, for the message.
    """
    if limit is None:
        return
    reasons = {}
    for i, (name, array) in enumerate(zip(names, arrays, strict=True)):
        missing = np.isnan(array[:, -limit:]).all(1)
        if missing.any():
            reasons[i] = (
                f"{name} has no observed value in {channels[int(missing.argmax())]} over its last {limit} steps, all "
                "that is used of it; end it where its observations end, fill it, or leave it out"
            )
    raise_series(reasons)


def check_any_recent_value(arrays: Sequence[np.ndarray], limit: int, *, names: Sequence[str]) -> None:
    """Raise SeriesErrors where no channel of a series has an observed value in its last `limit` steps."""
    raise_series(
        {
            i: f"{name} has no observed value over its last {limit} steps, all that is used of it; end it where its "
            "observations end, or leave it out"
            for i, (name, array) in enumerate(zip(names, arrays, strict=True))
            if np.isnan(array[:, -limit:]).all()
        }
    )


def length_batches(
    lengths: Int[np.ndarray, " N"], *, batch_size: int, num_channels: int
) -> Iterator[Int[np.ndarray, " B"]]:
    """Yield the indices of series in batches of similar length, each index once, so that padding is bounded.

    The longest series come first: what does not fit into memory fails at once.
    """
    order = np.argsort(lengths, kind="stable")[::-1]
    begin = 0
    while begin < len(order):
        longest = lengths[order[begin]]
        shortest = min(longest / MAX_LENGTH_RATIO, longest - 64)
        similar = np.searchsorted(-lengths[order], -shortest, side="right")
        size = max(1, min(batch_size, MAX_VALUES // max(1, int(longest) * num_channels)))
        stop = min(begin + size, max(int(similar), begin + 1))
        yield order[begin:stop]
        begin = stop


def stack_padded(arrays: list[np.ndarray], length: int) -> Float[np.ndarray, "B C L"]:
    """Return arrays of at most `length` steps as one, with NaN on the left of shorter ones."""
    out = np.full((len(arrays), arrays[0].shape[0], length), np.nan, np.float32)
    for row, array in zip(out, arrays, strict=True):
        row[:, length - array.shape[1] :] = array
    return out
