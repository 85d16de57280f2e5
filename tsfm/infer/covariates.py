"""Covariates on their way to a predictor: the rows beside the targets, and the time features below them.

A covariate is a row over the past and the steps ahead, NaN where nobody knows it: visibility says the rest.
B batch, K covariates, L past steps, H horizon, N series, W = L + H, T steps of a batch's rows, R steps ahead
for which marks are made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tsfm.infer.batches import stack
from tsfm.timestamps.time_features import TimeFeatures

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from tsfm.infer.frames import Frame, FrameSeries


class Rows:
    """What stands beside the targets of N series: covariates given by the user, then the marks of a calendar."""

    def __init__(
        self,
        known: Sequence[Float[np.ndarray, "K W"]] | None,
        calendar: TimeFeatures | None,
        *,
        lengths: Int[np.ndarray, " N"],
        horizon: int,
        reach: int,
    ):
        self.known, self.calendar, self.lengths = known, calendar, lengths
        self.horizon, self.reach = horizon, reach if calendar is not None else horizon

    def __len__(self) -> int:
        given = self.known[0].shape[0] if self.known else 0
        return given + (len(self.calendar.fields) if self.calendar is not None else 0)

    def batch(self, places: Int[np.ndarray, " B"], *, length: int) -> Float[np.ndarray, "B K T"] | None:
        """The last `length` steps of the past of these series and what follows; NaN on the left of shorter series."""
        parts = []
        if self.known is not None:
            steps = length + self.horizon
            given = stack([self.known[i][:, -steps:] for i in places], steps)
            parts.append(np.pad(given, ((0, 0), (0, 0), (0, self.reach - self.horizon)), constant_values=np.nan))
        if self.calendar is not None:
            parts.append(self.calendar.window(places, self.lengths[places] - length, steps=length + self.reach))
        return np.concatenate(parts, axis=1) if parts else None


def make_calendar(
    fields: Sequence[str], lengths: Int[np.ndarray, " N"], *, starts: Any, freq: Any, reach: int, name: str
) -> TimeFeatures | None:
    """The calendar of series that begin at `starts`; an error that says what is missing where there are no stamps."""
    if not fields:
        return None
    if starts is None or freq is None:
        raise ValueError(
            f"{name} needs the time features {', '.join(fields)}, and arrays have no timestamps; give starts="
            " and freq=, for example starts='2024-01-01', freq='h', or use predict_df"
        )
    count = len(lengths)
    try:
        begun = np.asarray(starts, dtype="M8[us]")
    except (ValueError, TypeError):
        raise ValueError(f"starts is {starts!r}; expected the first stamp of each series, such as 2024-01-31") from None
    freqs = [freq] * count if isinstance(freq, str) else list(freq)
    if begun.ndim > 1 or begun.size not in (1, count) or len(freqs) != count or np.isnat(begun).any():
        raise ValueError(
            f"{begun.size} starts and {len(freqs)} frequencies are given for {count} series; give one of each, or one "
            "for all"
        )
    return TimeFeatures(fields, starts=np.resize(begun, count), freqs=freqs, lengths=lengths + reach)


def check_known(known: Sequence[Any], parts: Sequence[np.ndarray], *, horizon: int) -> list[np.ndarray]:
    """One [K, L+H] float32 array for each series, NaN where nobody knows; infinities are named."""
    if len(known) != len(parts):
        raise ValueError(f"known covariates are given for {len(known)} of {len(parts)} series; give one array for each")
    checked = []
    for i, (one, part) in enumerate(zip(known, parts, strict=True)):
        steps = part.shape[1] + horizon
        if np.ndim(one) != 2 or np.shape(one) != (np.shape(known[0])[0], steps):
            raise ValueError(f"known covariates of series {i} have shape {np.shape(one)}; expected [K, {steps}]")
        with np.errstate(over="ignore"):
            checked.append(np.asarray(one, dtype=np.float32))
        if np.isinf(checked[-1]).any():
            row, step = map(int, np.argwhere(np.isinf(checked[-1]))[0])
            raise ValueError(
                f"known covariates of series {i} hold {checked[-1][row, step]} in row {row}, step {step}, infinite or "
                "beyond float32; set such steps to NaN or rescale the row"
            )
    return checked


def frame_rows(frame: Frame, one: FrameSeries, names: Sequence[str]) -> Float[np.ndarray, "K W"]:
    """The covariates of one item in this order; those known only so far are NaN from the forecast on."""
    ahead = np.full((one.past.shape[0], one.known.shape[1] - one.past.shape[1]), np.nan, np.float32)
    rows = np.concatenate([np.concatenate([one.past, ahead], axis=1), one.known])
    held = [*frame.past_names, *frame.known_names]
    return rows[[held.index(name) for name in names]]
