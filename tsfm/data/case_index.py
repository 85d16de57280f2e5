"""Cases of unequal lengths as one tensor, and batches cut from it. N cases, B of a batch, C channels, T steps.

A shorter case is one whose first steps are missing; of a longer one the most recent steps are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from tsfm.data.case_files import Cases
from tsfm.data.flat import FlatSeries
from tsfm.data.splits import Span, Spans
from tsfm.data.standardize import Standardizer, fit_standardizer
from tsfm.types import Batch

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class CaseIndex:
    """The cases of one split; `label` [N] is a class index (int64) or a standardised number (float32)."""

    skipped: tuple[tuple[str, str], ...] = ()  # every case is a window

    def __init__(self, values: Float[Tensor, "N C T"], *, label: Tensor, key: Int[Tensor, "N 2"]):
        observed = ~torch.isnan(values)
        self._values, self._observed = values.masked_fill(~observed, 0.0), observed
        self.label, self._key = label, key

    def __len__(self) -> int:
        return len(self._values)

    @property
    def num_channels(self) -> int:
        """Channels of a case."""
        return self._values.shape[1]

    def prepare(self, indices: Iterable[int]) -> Int[Tensor, " B"]:
        """Return the indices of cases, checked.

        Raises
        ------
        IndexError
            When there is no case of an index.
        """
        rows = np.asarray(indices if isinstance(indices, np.ndarray) else list(indices), np.int64)
        if len(rows) and not (rows.min() >= 0 and rows.max() < len(self)):
            raise IndexError(f"case numbers {rows.min()} to {rows.max()}; this split has {len(self)} cases")
        return torch.from_numpy(rows)

    def cut(self, prepared: Int[Tensor, " B"], first: int, stop: int) -> Batch:
        """Return prepared cases first..stop-1; `Batch.key` is (index in the official split, first step)."""
        rows = prepared[first:stop]
        return Batch(self._values[rows], self._observed[rows], label=self.label[rows], key=self._key[rows])

    def gather(self, indices: Iterable[int]) -> Batch:
        """Return the cases of these indices, in this order."""
        prepared = self.prepare(indices)
        return self.cut(prepared, 0, len(prepared))


def check_cases(cases: Cases, *, channels: int, location: str) -> None:
    """Refuse cases whose channels differ, infinite values, and cases without any observed value.

    Raises
    ------
    ValueError
        The message begins with `location` and the number of the case.
    """
    for number, case in enumerate(cases.series):
        if len(case) != channels:
            raise ValueError(
                f"{location}, case {number} has {len(case)} channels; the first training case has {channels}"
            )
        if np.isinf(case).any():
            channel, step = np.argwhere(np.isinf(case))[0]
            raise ValueError(
                f"{location}, case {number}, channel {channel}, step {step} is infinite in float32; replace it, or use "
                "NaN for a missing value"
            )
        if np.isnan(case).all():
            raise ValueError(f"{location}, case {number} has no observed value; leave it out")


def pad_cases(series: Sequence[np.ndarray], *, channels: int, length: int, location: str) -> Float[np.ndarray, "N C T"]:
    """Return checked cases that end together, NaN before their first step and where values are missing.

    Raises
    ------
    ValueError
        When a case has no observed value among its last `length` steps.
    """
    padded = np.full((len(series), channels, length), np.nan, dtype=np.float32)
    for row, case in zip(padded, series, strict=True):
        kept = case[:, -length:]
        row[:, length - kept.shape[1] :] = kept
    empty = np.flatnonzero(np.isnan(padded).all((1, 2)))
    if len(empty):
        raise ValueError(
            f"{location}, case {empty[0]} has no observed value among its last {length} steps; raise data.length, or "
            "leave it out"
        )
    return padded


def fit_cases(padded: Float[np.ndarray, "N C T"]) -> Standardizer:
    """Return location and scale of each channel over all observed values of all cases."""
    steps = padded.shape[0] * padded.shape[2]
    names = tuple(f"dim_{channel}" for channel in range(padded.shape[1]))
    values = np.ascontiguousarray(padded.transpose(1, 0, 2)).ravel()  # the cases, one after another, as one series
    series = FlatSeries(values, np.array([0]), np.array([steps]), names, np.array([True]), ["cases"])
    return fit_standardizer(series, Spans.from_spans([Span(0, steps, 0)]), names)
