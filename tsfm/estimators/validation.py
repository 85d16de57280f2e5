"""Cases, labels and series as people give them, checked at the door.

N cases or series, C channels, L steps, M classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from jaxtyping import Float, Int

FLOAT32_MAX = float(np.finfo(np.float32).max)


def as_cases(X: Any, *, channels: int | None = None, what: str = "case") -> list[Float[np.ndarray, "C L"]]:
    """The cases of an array [N, C, L] or [N, L] (one channel), or of a list of [C, L] or [L] arrays of any lengths.
    All have as many channels, those of `channels` where it is told; NaN is a value nobody observed."""
    rows = _rows(X, what)
    if not rows:
        raise ValueError(f"X holds no {what}; give at least one")
    cases = [as_array(row, place=f"{what} {i}") for i, row in enumerate(rows)]
    for i, case in enumerate(cases):
        if channels is not None and len(case) != channels:
            raise ValueError(
                f"{what} {i} has {len(case)} channels, and the estimator was fitted on {channels}; give the same "
                "channels in the same order"
            )
        if len(case) != len(cases[0]):
            raise ValueError(
                f"{what} {i} has {len(case)} channels, and {what} 0 has {len(cases[0])}; all need the same, NaN where "
                "a channel was not observed"
            )
    return cases


def _rows(X: Any, what: str) -> list[Any]:
    if isinstance(X, (list, tuple)):
        return list(X)
    array = np.asarray(X)
    if array.dtype == object and array.ndim == 1:  # an array of arrays
        return list(array)
    if array.ndim not in (2, 3):
        raise ValueError(
            f"X has shape {array.shape}; expected [{what}s, channels, steps], [{what}s, steps] for one channel, or a "
            f"list of [channels, steps] arrays"
        )
    return list(array)


def as_array(row: Any, *, place: str) -> Float[np.ndarray, "C L"]:
    """One case or series, float32; at least one value of it was observed, and none is infinite."""
    if hasattr(row, "columns"):
        raise ValueError(f"{place} is a table; give its values as [channels, steps], as in df[columns].to_numpy().T")
    array = np.asarray(row)
    if array.ndim not in (1, 2) or not array.size:
        raise ValueError(f"{place} has shape {array.shape}; expected [channels, steps] or [steps], not empty")
    try:
        wide = np.atleast_2d(array).astype(np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{place} holds {array.dtype}; expected numbers, NaN where nobody observed") from None
    if len(bad := np.argwhere(np.abs(wide) > FLOAT32_MAX)):
        channel, step = map(int, bad[0])
        raise ValueError(
            f"{place} holds {wide[channel, step]} in channel {channel}, step {step}, infinite or beyond float32; "
            "replace it, or use NaN for a value nobody observed"
        )
    if np.isnan(wide).all():
        raise ValueError(f"{place} has no observed value; leave it out")
    return np.ascontiguousarray(wide, dtype=np.float32)


def as_series(X: Any, *, channels: int | None = None) -> list[Float[np.ndarray, "C L"]]:
    """The series of an array [L], [C, L] or [N, C, L], or of a list of [L] or [C, L] arrays."""
    many = listed(X)
    rows = list(X) if many else [X]
    if not rows:
        raise ValueError("X holds no series; give at least one")
    series = [as_array(row, place=f"series {i}" if many else "X") for i, row in enumerate(rows)]
    wanted = len(series[0]) if channels is None else channels
    for i, one in enumerate(series):
        if len(one) != wanted:
            whose = "series 0" if channels is None else "the detector was fitted on"
            raise ValueError(f"series {i} has {len(one)} channels, {whose} {wanted}; give the same channels in all")
        if np.isnan(one).all(axis=1).any() and channels is None:
            silent = int(np.isnan(one).all(axis=1).argmax())
            raise ValueError(f"series {i} has no observed value in channel {silent}; leave the channel out")
    return series


def listed(X: Any) -> bool:
    """Whether X holds several series: a list of arrays, or three axes; a list of numbers is one series."""
    if isinstance(X, (list, tuple)):
        return not len(X) or np.ndim(X[0]) > 0
    return np.ndim(X) == 3


def like(X: Any, answers: list[np.ndarray]) -> Any:
    """One answer for one series, a list for several."""
    return answers if listed(X) else answers[0]


def turned(channels: int, series: list[np.ndarray]) -> str:
    """A hint for those who gave rows of steps."""
    steps = series[0].shape[1]
    return f"; {channels} channels of {steps} steps: are rows and columns exchanged?" if channels > steps else ""


def _column(y: Any, num: int) -> np.ndarray:
    """One entry for each of `num` cases."""
    if y is None:
        raise ValueError("y is missing; give a label or a number for each case")
    array = np.asarray(y)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(f"y has shape {array.shape}; expected one entry for each case")
    if len(array) != num:
        raise ValueError(f"X has {num} cases and y {len(array)} entries; give one for each case")
    missing = np.flatnonzero(pd.isna(array))
    if len(missing):
        raise ValueError(f"y has no label for {len(missing)} cases, the first is case {missing[0]}; leave them out")
    return array


def plain(value: Any) -> Any:
    """A number or a text of numpy as Python's own, which a message shows without its type."""
    return value.item() if isinstance(value, np.generic) else value


def as_labels(y: Any, num: int) -> tuple[np.ndarray, Int[np.ndarray, " N"]]:
    """The sorted classes, of the kind that was given, and the class index of each case."""
    array = _column(y, num)
    entries = y if isinstance(y, (list, tuple)) else array.tolist()
    kinds = sorted({type(entry).__name__ for entry in entries if isinstance(entry, (str, bool, int, float))})
    if "str" in kinds and len(kinds) > 1:
        raise ValueError(f"y mixes labels of the kinds {', '.join(kinds)}; make them all text, or all numbers")
    if array.dtype.kind == "f" and (array != np.floor(array)).any():
        number = array[array != np.floor(array)][0]
        raise ValueError(f"y holds {number:g}, which is a number and no class; use Regressor")
    try:
        classes, codes = np.unique(array, return_inverse=True)
    except TypeError:
        raise ValueError(
            f"y holds labels that can't be sorted ({plain(array[0])!r}, ...); make them all text"
        ) from None
    if len(classes) < 2:
        raise ValueError(
            f"y has the one class {plain(classes[0])!r}; there is nothing to tell apart: give cases of two"
        )
    return classes, codes.reshape(-1)


def as_numbers(y: Any, num: int) -> Float[np.ndarray, " N"]:
    """The targets of a regression, float64."""
    array = _column(y, num)
    if array.dtype.kind not in "fiub":
        try:
            if any(isinstance(value, str) for value in array.tolist()):
                raise ValueError
            array = array.astype(np.float64)
        except (TypeError, ValueError):
            first = plain(array[0])
            raise ValueError(f"y holds {first!r}; the targets of a regression are numbers: use Classifier") from None
    numbers = array.astype(np.float64)
    if len(bad := np.flatnonzero(~np.isfinite(numbers))):
        raise ValueError(f"y holds {numbers[bad[0]]} for case {bad[0]}; correct it, or leave the case out")
    if (numbers == numbers[0]).all():
        raise ValueError(f"y is {numbers[0]:g} for every case; there is nothing to learn: give cases that differ")
    return numbers
