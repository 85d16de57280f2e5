"""Checks of cases, labels and series given to estimators.

N cases or series, C channels, L steps, M classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from jaxtyping import Float, Int

FLOAT32_MAX = float(np.finfo(np.float32).max)


def as_cases(X: Any, *, channels: int | None = None, kind: str = "case") -> list[Float[np.ndarray, "C _"]]:
    """Return cases [C, L] from an array [N, C, L] or [N, L], or from a list of [C, L] or [L] arrays of any lengths.

    Parameters
    ----------
    channels
        The required number of channels; None requires only that all cases have the same number.
    kind
        What an entry is called in messages.
    """
    rows = _rows(X, kind)
    if not rows:
        raise ValueError(f"X holds no {kind}; give at least one")
    cases = [as_array(row, label=f"{kind} {i}") for i, row in enumerate(rows)]
    for i, case in enumerate(cases):
        if channels is not None and len(case) != channels:
            raise ValueError(
                f"{kind} {i} has {len(case)} channels, and the estimator was fitted on {channels}; give the same "
                "channels in the same order"
            )
        if len(case) != len(cases[0]):
            raise ValueError(
                f"{kind} {i} has {len(case)} channels, and {kind} 0 has {len(cases[0])}; all need the same, with NaN "
                "for a channel without values"
            )
    return cases


def _rows(X: Any, kind: str) -> list[Any]:
    if isinstance(X, (list, tuple)):
        return list(X)
    array = np.asarray(X)
    if array.dtype == object and array.ndim == 1:  # an array of arrays
        return list(array)
    if array.ndim not in (2, 3):
        raise ValueError(
            f"X has shape {array.shape}; expected [{kind}s, channels, steps], [{kind}s, steps] for one channel, or a "
            f"list of [channels, steps] arrays"
        )
    return list(array)


def as_array(row: Any, *, label: str) -> Float[np.ndarray, "C L"]:
    """Return one case or series as float32 [C, L], with at least one observed value and none infinite."""
    if hasattr(row, "columns"):
        raise ValueError(f"{label} is a table; give its values as [channels, steps], as in df[columns].to_numpy().T")
    array = np.asarray(row)
    if array.ndim not in (1, 2) or not array.size:
        raise ValueError(f"{label} has shape {array.shape}; expected [channels, steps] or [steps], not empty")
    try:
        wide = np.atleast_2d(array).astype(np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{label} holds {array.dtype}; expected numbers, with NaN for missing values") from None
    if len(invalid := np.argwhere(np.abs(wide) > FLOAT32_MAX)):
        channel, step = map(int, invalid[0])
        raise ValueError(
            f"{label} holds {wide[channel, step]} in channel {channel}, step {step}, infinite or beyond float32; "
            "replace it, or use NaN for a missing value"
        )
    if np.isnan(wide).all():
        raise ValueError(f"{label} has no observed value; leave it out")
    return np.ascontiguousarray(wide, dtype=np.float32)


def as_series(X: Any, *, channels: int | None = None) -> list[Float[np.ndarray, "C _"]]:
    """Return series [C, L] from an array [L], [C, L] or [N, C, L], or from a list of [L] or [C, L] arrays."""
    many = is_list_of_series(X)
    rows = list(X) if many else [X]
    if not rows:
        raise ValueError("X holds no series; give at least one")
    series = [as_array(row, label=f"series {i}" if many else "X") for i, row in enumerate(rows)]
    expected = len(series[0]) if channels is None else channels
    for i, values in enumerate(series):
        if len(values) != expected:
            reference = "series 0" if channels is None else "the detector was fitted on"
            raise ValueError(
                f"series {i} has {len(values)} channels, {reference} {expected}; give the same channels in all"
            )
        if np.isnan(values).all(axis=1).any() and channels is None:
            channel = int(np.isnan(values).all(axis=1).argmax())
            raise ValueError(f"series {i} has no observed value in channel {channel}; leave the channel out")
    return series


def is_list_of_series(X: Any) -> bool:
    """Return whether X holds several series: a list of arrays, or three axes; a list of numbers is one series."""
    if isinstance(X, (list, tuple)):
        return not len(X) or np.ndim(X[0]) > 0
    return np.ndim(X) == 3


def unwrap_single(X: Any, results: list[np.ndarray]) -> Any:
    """Return the only result for one series, the list for several."""
    return results if is_list_of_series(X) else results[0]


def transposed_hint(channels: int, series: list[np.ndarray]) -> str:
    """Return a hint for users who may have exchanged channels and steps."""
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


def to_python(value: Any) -> Any:
    """Return a numpy scalar as Python's own type, which messages show without the type."""
    return value.item() if isinstance(value, np.generic) else value


def as_labels(y: Any, num: int) -> tuple[np.ndarray, Int[np.ndarray, " N"]]:
    """Return the sorted classes, in the type that was given, and the class index of each case."""
    array = _column(y, num)
    entries = y if isinstance(y, (list, tuple)) else array.tolist()
    kinds = sorted({type(entry).__name__ for entry in entries if isinstance(entry, (str, bool, int, float))})
    if "str" in kinds and len(kinds) > 1:
        raise ValueError(f"y mixes labels of the kinds {', '.join(kinds)}; make them all text, or all numbers")
    if array.dtype.kind == "f" and (array != np.floor(array)).any():
        number = array[array != np.floor(array)][0]
        raise ValueError(f"y holds {number:g}, which is a number and not a class; use Regressor")
    try:
        classes, codes = np.unique(array, return_inverse=True)
    except TypeError:
        raise ValueError(
            f"y holds labels that cannot be sorted ({to_python(array[0])!r}, ...); make them all text"
        ) from None
    if len(classes) < 2:
        raise ValueError(
            f"y has only the class {to_python(classes[0])!r}; a classifier needs cases of at least two classes"
        )
    return classes, codes.reshape(-1)


def as_numbers(y: Any, num: int) -> Float[np.ndarray, " N"]:
    """Return the targets of a regression as float64."""
    array = _column(y, num)
    if array.dtype.kind not in "fiub":
        try:
            if any(isinstance(value, str) for value in array.tolist()):
                raise ValueError
            array = array.astype(np.float64)
        except (TypeError, ValueError):
            first = to_python(array[0])
            raise ValueError(f"y holds {first!r}; the targets of a regression are numbers: use Classifier") from None
    numbers = array.astype(np.float64)
    if len(invalid := np.flatnonzero(~np.isfinite(numbers))):
        raise ValueError(f"y holds {numbers[invalid[0]]} for case {invalid[0]}; correct it, or leave the case out")
    if (numbers == numbers[0]).all():
        raise ValueError(f"y is {numbers[0]:g} for every case; there is nothing to learn: give cases that differ")
    return numbers
