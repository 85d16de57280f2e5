"""Time marks: what the calendar says of a step, as channels known for ever. N series, B windows, F fields, T steps.

Each field runs over [-0.5, 0.5], as GluonTS and Informer (arXiv:2012.07436) scale them. Marks are worked out for the
windows of a batch from the stamp of each series' first step, so they take no memory beside the data, whatever its size.
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
OF_DAYS = FIELDS[2:]  # these are the same for all steps of a day
PREFIX = "calendar_"  # before a field in the name of its channel


def varying_fields(freq: str) -> tuple[str, ...]:
    """The fields that differ from step to step at this frequency, and not by chance as a month's first weekday does."""
    step = parse_freq(freq)
    micros, days = step.micros, step.unit == "B"
    found = {
        "minute": micros % HOUR != 0,
        "hour": micros % DAY != 0,
        "day_of_week": days or micros % (7 * DAY) != 0,
        "day_of_month": days or micros != 0,
        "day_of_year": step.months % 12 != 0 or not step.months,
    }
    return tuple(field for field in FIELDS if found[field])


def choose_fields(asked: Any, freqs: Sequence[str]) -> tuple[str, ...]:
    """The fields of data.calendar: those that vary at one of the frequencies if it is True, else those it lists."""
    check_fields(asked)
    if asked is not True:
        return tuple(asked or ())
    kinds = sorted(set(freqs))
    found = {field for freq in kinds for field in varying_fields(freq)}
    if not found:
        raise ValueError(
            f"data.calendar is true, but in steps of {', '.join(kinds)} nothing of the calendar varies; leave it out"
        )
    return tuple(field for field in FIELDS if field in found)


def check_fields(asked: Any) -> None:
    """Refuse what is neither true, false nor a list of fields."""
    if asked is None or isinstance(asked, bool):
        return
    if isinstance(asked, str) or not isinstance(asked, Sequence):
        raise ValueError(f"data.calendar is {asked!r}; expected true, false or a list of fields: {', '.join(FIELDS)}")
    for field in asked:
        if field not in FIELDS:
            raise ValueError(f"data.calendar has {field!r}; {did_you_mean(str(field), list(FIELDS))}")
    if len(set(asked)) < len(asked):
        raise ValueError(f"data.calendar is {list(asked)}; name each field once")


class TimeFeatures:
    """The marks of N series, given by the stamp of their first step, their frequency and their length in steps."""

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
        # of every day between the first stamp and the last: 12 bytes a day, and no calendar arithmetic per step
        self._days = {field: _of_days(field, days) for field in self.fields if field in OF_DAYS}

    def cut(
        self, series: Int[np.ndarray, " B"], first: Int[np.ndarray, " B"], *, steps: int
    ) -> Float[np.ndarray, "B F T"]:
        """The marks of `steps` steps from step `first` of each series on; NaN before a series begins."""
        index = first[:, None] + np.arange(steps)
        early = bool(len(first)) and int(first.min()) < 0
        micros = self._stamps(series, np.maximum(index, 0) if early else index)
        days = micros // DAY
        out = np.empty((len(series), len(self.fields), steps), dtype=np.float32)
        place = days - self._first
        for row, field in enumerate(self.fields):
            if field in self._days:
                out[:, row] = self._days[field][place]
            elif field == "hour":
                out[:, row] = (micros - days * DAY) // HOUR / 23 - 0.5
            else:
                out[:, row] = micros // MINUTE % 60 / 59 - 0.5
        if early:
            out.transpose(0, 2, 1)[index < 0] = np.nan
        return out

    def _stamps(self, series: Int[np.ndarray, " B"], index: Int[np.ndarray, "B T"]) -> Int[np.ndarray, "B T"]:
        """Microseconds since 1970 of steps of series."""
        if len(self._freqs) == 1:
            return timestamp_at(self._starts[series][:, None], str(self._freqs[0]), index).astype(np.int64)
        codes = self._codes[series]
        out = np.empty(index.shape, dtype=np.int64)
        for code in np.unique(codes):
            rows = codes == code
            stamps = timestamp_at(self._starts[series[rows]][:, None], str(self._freqs[code]), index[rows])
            out[rows] = stamps.astype(np.int64)
        return out


def _of_days(field: str, days: np.ndarray) -> Float[np.ndarray, " days"]:
    if field == "day_of_week":
        found = ((days.astype(np.int64) + 3) % 7) / 6  # Monday is 0; 1970-01-01 was a Thursday
    elif field == "day_of_month":
        found = (day_of_month(days) - 1) / 30
    else:
        found = (days - days.astype("M8[Y]").astype("M8[D]")).astype(np.int64) / 365
    return (found - 0.5).astype(np.float32)
