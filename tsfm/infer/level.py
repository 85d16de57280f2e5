"""Constants to subtract from series at a high level, so that float32 represents their movement. C channels, L steps."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tsfm.infer.item_rows import ItemRows

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

FLOAT32_SPACING = 2.0**-23  # of float32 numbers, relative to their size
MAX_SPACING = 0.1  # of float32 numbers, in units of the typical change from step to step
CONSTANT_CHANGE = 1e-3  # for a constant series: no offset


def level_offset(values: Float[np.ndarray, "L C"]) -> Float[np.ndarray, " C"]:
    """Return the constant to subtract from each target before float32, 0 where float32 represents it well.

    It is the median of a target for which the spacing of float32 at this level is more than a tenth of the median
    change from step to step.

    Examples
    --------
    >>> wave = np.sin(np.arange(100.0) / 4)[:, None]
    >>> level_offset(1000 + wave), level_offset(1e7 + wave).round()
    (array([0.]), array([10000000.]))
    """
    offsets = np.zeros(values.shape[1])
    for c, target in enumerate(values.T):
        observed = target[~np.isnan(target)]
        if not len(observed):
            continue
        level, changes = float(np.median(observed)), np.abs(np.diff(observed))
        changes = changes[changes > 0]
        typical = float(np.median(changes)) if len(changes) else abs(level) * CONSTANT_CHANGE
        if abs(level) * FLOAT32_SPACING > MAX_SPACING * typical:
            offsets[c] = level
    return offsets


def may_need_offset(values: Float[np.ndarray, "L C"], bounds: np.ndarray) -> Bool[np.ndarray, " N"]:
    """Return the items for which `level_offset` may not be 0, judged by their largest value and smallest change.

    Item i has the rows ``bounds[i]:bounds[i + 1]``, at least one.
    """
    first, last = bounds[:-1], bounds[1:] - 1
    changes = np.abs(np.diff(values, axis=0, append=np.nan))
    changes[last] = np.inf  # to the next item
    changes[changes == 0] = np.inf
    smallest, largest = np.minimum.reduceat(changes, first), np.maximum.reduceat(np.abs(values), first)
    with np.errstate(invalid="ignore"):
        is_fine = largest * FLOAT32_SPACING <= MAX_SPACING * smallest  # not where NaN: a value is missing
    return np.any(~is_fine, axis=1)


def subtract_levels(
    rows: ItemRows, num_targets: int, *, notes: list[str], label: str = "df"
) -> tuple[ItemRows, np.ndarray]:
    """Return the rows without the constant of each item and target, and these constants, [N, C]."""
    values, spans = rows.values, [rows.span(i) for i in range(len(rows.bounds) - 1)]
    offsets = np.zeros((len(spans), num_targets))
    for item in np.flatnonzero(may_need_offset(values[:, :num_targets], rows.bounds)):
        offsets[item] = level_offset(values[spans[item], :num_targets])
    if num_centred := int(offsets.any(axis=1).sum()):
        values = values.copy()
        for span, offset in zip(spans, offsets, strict=True):
            values[span, :num_targets] -= offset
        notes.append(
            f"{label}: a constant is subtracted from {num_centred} items before float32 and added back, because they "
            "vary little around a high level"
        )
    return replace(rows, values=values), offsets
