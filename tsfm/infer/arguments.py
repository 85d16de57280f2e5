"""Check the plain arguments that the verbs share: counts and lengths."""

from __future__ import annotations

from numbers import Integral
from typing import Any

from tsfm.messages import did_you_mean


def check_count(name: str, value: Any, *, unit: str = "step") -> int:
    """Return a whole number of at least 1; NumPy integers count, booleans do not.

    Parameters
    ----------
    name
        The argument, for the message.
    unit
        What is counted, in the singular; its plural adds an s where it has none.

    Raises
    ------
    ValueError
        When `value` is not a whole number, or below 1.
    """
    plural = unit if unit.endswith("s") else f"{unit}s"
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ValueError(f"{name} is {value!r} ({type(value).__name__}); expected a whole number of {plural}")
    if value < 1:
        raise ValueError(f"{name} is {value}; expected at least 1 {unit}")
    return int(value)


def check_prediction_length(value: Any) -> int:
    """Return the number of steps to forecast as an int, at least 1."""
    return check_count("prediction_length", value)


def check_choice(name: str, value: Any, choices: tuple[str, ...]) -> str:
    """Return `value`, or raise a ValueError that lists the choices."""
    if value not in choices:
        raise ValueError(f"{name} is {value!r}; {did_you_mean(str(value), list(choices))}")
    return value
