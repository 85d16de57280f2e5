"""Arrays as a user gives them, checked, and put into batches of similar length.

B batch, C channels, L past steps, N series.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tsfm.infer.columns import FLOAT32_MAX, blur

logger = logging.getLogger("tsfm")

STRETCH = 1.5  # a batch's longest series is at most this many times its shortest (and 64 steps)
CELLS = 2**22  # values in a padded batch, 16 MiB in float32


def listed(series: Any) -> bool:
    """Whether it is a list of series; a list of plain numbers is one series."""
    return isinstance(series, (list, tuple)) and (not series or any(map(np.iterable, series)))


def as_series(series: Any, *, silent_channels: bool = False) -> list[np.ndarray]:
    """A list of [C, L] float32 arrays from one array ([L] or [C, L]; numbers in a list are [L]), a stack [N, C, L] or
    a list of arrays. With `silent_channels` it is enough that a series has an observed value in one of its channels."""
    if listed(series):
        parts = list(series)
    else:
        array = np.asarray(series)
        parts = list(array) if array.ndim == 3 else [array]
    if not parts:
        raise ValueError("there are no series; give at least one array")
    return [_checked(np.asarray(part), place=i, silent_channels=silent_channels) for i, part in enumerate(parts)]


def _checked(array: np.ndarray, *, place: int, silent_channels: bool) -> np.ndarray:
    if array.ndim not in (1, 2) or not array.size:
        raise ValueError(f"series {place} has shape {array.shape}; expected [steps] or [channels, steps], not empty")
    try:
        wide = np.atleast_2d(array).astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"series {place} is {array.dtype}; expected numbers, NaN where missing") from error
    bad = np.argwhere(np.abs(wide) > FLOAT32_MAX)
    if len(bad):
        channel, step = map(int, bad[0])
        raise ValueError(
            f"series {place} holds {wide[channel, step]} in channel {channel}, step {step}, infinite or beyond "
            "float32; set such steps to NaN or rescale the series"
        )
    silent = np.isnan(wide).all(1)
    if silent.all() if silent_channels else silent.any():
        raise ValueError(f"series {place} has no observed value in channel {int(silent.argmax())}; drop or fill it")
    if blurred := blur(wide):
        logger.warning("series %d: %s", place, blurred)
    return wide.astype(np.float32)


def check_recent(
    parts: Sequence[np.ndarray], limit: int | None, *, names: Sequence[str], channels: Sequence[str]
) -> None:
    """Every channel must be observed somewhere in the past that is read, else its forecast would rest on nothing."""
    if limit is None:
        return
    for name, part in zip(names, parts, strict=True):
        silent = np.isnan(part[:, -limit:]).all(1)
        if silent.any():
            raise ValueError(
                f"{name} has no observed value in {channels[int(silent.argmax())]} over its last {limit} steps, all "
                "that is read of it; end it where its observations end, fill it, or leave it out"
            )


def batches(lengths: np.ndarray, *, batch_size: int, cells: int) -> Iterator[np.ndarray]:
    """Places of series in batches of similar length, so that padding stays bounded; each place comes once."""
    order = np.argsort(lengths, kind="stable")[::-1]  # the longest first: what does not fit in memory fails at once
    begin = 0
    while begin < len(order):
        longest = lengths[order[begin]]
        near = np.searchsorted(-lengths[order], -min(longest / STRETCH, longest - 64), side="right")
        room = max(1, min(batch_size, CELLS // max(1, int(longest) * cells)))
        stop = min(begin + room, max(int(near), begin + 1))
        yield order[begin:stop]
        begin = stop


def stack(parts: list[np.ndarray], length: int) -> np.ndarray:
    """[B, rows, length] with NaN on the left of shorter series."""
    out = np.full((len(parts), parts[0].shape[0], length), np.nan, np.float32)
    for row, part in zip(out, parts, strict=True):
        row[:, length - part.shape[1] :] = part
    return out
