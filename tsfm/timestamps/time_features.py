"""Time features: hour, day of week, ... of each step, as channels known in the future.

N series, B windows, F fields, T steps.

Each field is scaled to [-0.5, 0.5], as in GluonTS and Informer (arXiv:2012.07436). The features of a batch of windows
are computed from the timestamp of each series' first step, so they take no memory next to the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tsfm.messages import did_you_mean
from tsfm.timestamps.offsets import DAY, MICROS, day_of_month, parse_freq, timestamp_at

if TYPE_CHECKING:
    from jaxtyping import Float, Int

HOUR, MINUTE = MICROS["h"], MICROS["min"]
FIELDS = ("minute", "hour", "day_of_week", "day_of_month", "day_of_year")
DAILY_FIELDS = FIELDS[2:]  # these are the same for all steps of a day
PREFIX = "calendar_"  # of the name of a field's channel


def varying_fields(freq: str) -> tuple[str, ...]:
    """Return the fields that differ from step to step at this frequency, other than by chance (weekday of a month)."""
    step = parse_freq(freq)
    if step.unit == "step":
        return ()
    micros, days = step.micros, bool(step.weekmask) or step.unit in ("SM", "WOM")
    varies = {
        "minute": micros % HOUR != 0,
        "hour": micros % DAY != 0,
        "day_of_week": days or micros % (7 * DAY) != 0,
        "day_of_month": days or micros != 0,
        "day_of_year": step.months % 12 != 0 or not step.months,
    }
    return tuple(field for field in FIELDS if varies[field])


def choose_fields(requested: Any, freqs: Sequence[str]) -> tuple[str, ...]:
    """Return the fields of the setting data.time_features.

    True selects those that vary at one of the frequencies, a list those that it names, None or False none.
    """
    check_fields(requested)
    if requested is not True:
        return tuple(requested or ())
    kinds = sorted(set(freqs))
    varying = {field for freq in kinds for field in varying_fields(freq)}
    if not varying:
        raise ValueError(
            f"data.time_features is true, but no time feature varies in steps of {', '.join(kinds)}; leave it out"
        )
    return tuple(field for field in FIELDS if field in varying)


def check_fields(requested: Any) -> None:
    """Raise a ValueError unless the setting data.time_features is true, false or a list of fields."""
    if requested is None or isinstance(requested, bool):
        return
    if isinstance(requested, str) or not isinstance(requested, Sequence):
        raise ValueError(
            f"data.time_features is {requested!r}; expected true, false or a list of fields: {', '.join(FIELDS)}"
        )
    for field in requested:
        if field not in FIELDS:
            raise ValueError(f"data.time_features has {field!r}; {did_you_mean(str(field), list(FIELDS))}")
    if len(set(requested)) < len(requested):
        raise ValueError(f"data.time_features is {list(requested)}; name each field once")


class TimeFeatures:
    """Time features of N series.

    Parameters
    ----------
    fields
        Names from `FIELDS`.
    starts
        Timestamp of the first step of each series, [N].
    freqs
        Frequency of each series.
    lengths
        Steps of each series for which features are needed.
    """

    def __init__(
        self,
        fields: Sequence[str],
        *,
        starts: np.ndarray,
        freqs: Sequence[str],
        lengths: Int[np.ndarray, " N"],
    ):
        self.fields = tuple(fields)
        self._starts = np.asarray(starts, dtype="M8[us]")
        self._freqs, codes = np.unique(np.asarray(freqs, dtype=object).astype(str), return_inverse=True)
        self._codes = codes.reshape(-1)
        ends = self._stamps(np.arange(len(self._starts)), (np.asarray(lengths) - 1)[:, None])
        self._first = int(self._starts.astype(np.int64).min() // DAY)
        days = np.arange(self._first, int(ends.max() // DAY) + 1).astype("M8[D]")
        # of every day between the first and the last timestamp: 12 bytes a day, and no calendar arithmetic per step
        self._days = {field: _daily_values(field, days) for field in self.fields if field in DAILY_FIELDS}

    def window(
        self, series: Int[np.ndarray, " B"], first: Int[np.ndarray, " B"], *, steps: int
    ) -> Float[np.ndarray, "B F T"]:
        """Return the features of `steps` steps from step `first` of each series; NaN before a series begins."""
        index = first[:, None] + np.arange(steps)
        early = bool(len(first)) and int(first.min()) < 0
        micros = self._stamps(series, np.maximum(index, 0) if early else index)
        days = micros // DAY
        out = np.empty((len(series), len(self.fields), steps), dtype=np.float32)
        day_index = days - self._first
        for row, field in enumerate(self.fields):
            if field in self._days:
                out[:, row] = self._days[field][day_index]
            elif field == "hour":
                out[:, row] = (micros - days * DAY) // HOUR / 23 - 0.5
            else:
                out[:, row] = micros // MINUTE % 60 / 59 - 0.5
        if early:
            out.transpose(0, 2, 1)[index < 0] = np.nan
        return out

    def timestamps(
        self, series: Int[np.ndarray, " B"], first: Int[np.ndarray, " B"], *, steps: int, missing: int
    ) -> Int[np.ndarray, "B T"]:
        """Return seconds since 1970 of `steps` steps from step `first` of each series; `missing` before it begins."""
        index = first[:, None] + np.arange(steps)
        seconds = self._stamps(series, np.maximum(index, 0)) // 10**6
        return np.where(index >= 0, seconds, missing)

    def _stamps(self, series: Int[np.ndarray, " B"], index: Int[np.ndarray, "B T"]) -> Int[np.ndarray, "B T"]:
        """Microseconds since 1970 of the steps `index` of series."""
        if len(self._freqs) == 1:
            return (
                timestamp_at(self._starts[series][:, None], str(self._freqs[0]), index)
                .astype("M8[us]")
                .astype(np.int64)
            )
        codes = self._codes[series]
        out = np.empty(index.shape, dtype=np.int64)
        for code in np.unique(codes):
            rows = codes == code
            stamps = timestamp_at(self._starts[series[rows]][:, None], str(self._freqs[code]), index[rows])
            out[rows] = stamps.astype("M8[us]").astype(np.int64)
        return out


def _daily_values(field: str, days: np.ndarray) -> Float[np.ndarray, " days"]:
    if field == "day_of_week":
        values = ((days.astype(np.int64) + 3) % 7) / 6  # Monday is 0; 1970-01-01 was a Thursday
    elif field == "day_of_month":
        values = (day_of_month(days) - 1) / 30
    else:
        values = (days - days.astype("M8[Y]").astype("M8[D]")).astype(np.int64) / 365
    return (values - 0.5).astype(np.float32)
