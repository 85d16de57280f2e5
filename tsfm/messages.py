"""Parts of error messages that many packages share, and the announcement of assumptions."""

from __future__ import annotations

import difflib
import inspect
import logging
import warnings
from collections.abc import Collection, Iterable
from typing import Any


class FailedItemWarning(UserWarning):
    """Items of a DataFrame could not be used, and have no result; the text names them and the reasons."""


MAX_LISTED = 20  # names that a message lists
logger = logging.getLogger("tsfm")


class AssumptionWarning(UserWarning):
    """Something was assumed when data was read or used; what, is also in ``attrs["announcements"]`` of the result.

    Examples
    --------
    >>> import warnings, tsfm
    >>> warnings.simplefilter("ignore", tsfm.AssumptionWarning)  # they are no longer shown
    >>> warnings.simplefilter("default", tsfm.AssumptionWarning)
    """


def announce(notes: Iterable[str]) -> None:
    """Warn of each assumption, at the line of the user that called tsfm, and log it.

    The command line shows what is logged, at level INFO, and hides the warnings.
    """
    for note in notes:
        logger.info(note)
        warnings.warn(note, AssumptionWarning, stacklevel=_user_level())


def warn_of_failed_items(text: str) -> None:
    """Warn of items that could not be used, at the line of the user that called tsfm."""
    warnings.warn(text, FailedItemWarning, stacklevel=_user_level())


def _user_level() -> int:
    """Return the stack level of the first caller outside tsfm, for `announce`."""
    level, frame = 0, inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "tsfm":
        level, frame = level + 1, frame.f_back
    return max(level, 1)


def did_you_mean(name: str, known: list[str]) -> str:
    """Return the end of a message about an unknown name: the most similar known name, and the known names.

    Of more than `MAX_LISTED` known names, only the most similar ones are listed, followed by how many more there are.

    Examples
    --------
    >>> did_you_mean("mixr", ["mamba", "mixer"])
    "did you mean 'mixer'? known: mamba, mixer"
    """
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    listed = sorted(known)
    num_more = len(listed) - MAX_LISTED
    if num_more > 0:
        listed = sorted(difflib.get_close_matches(name, known, n=MAX_LISTED, cutoff=0.0))
    suggestion = f"did you mean {near[0]!r}? " if near else ""
    return f"{suggestion}known: {', '.join(listed) or 'none'}" + (f" and {num_more} more" if num_more > 0 else "")


def format_id(item_id: Any) -> str:
    """Return an id as the user wrote it, also where it is a NumPy scalar.

    Examples
    --------
    >>> import numpy as np
    >>> format_id(np.int64(3)), format_id("shop")
    ('3', "'shop'")
    """
    to_python = getattr(item_id, "item", None)
    return repr(to_python() if callable(to_python) else item_id)


def check_choice(setting: str, value: str, choices: Collection[str]) -> None:
    """Raise a ValueError that names the setting and the nearest choice where `value` is not one of the choices."""
    if value not in choices:
        raise ValueError(f"{setting} is {value!r}; {did_you_mean(value, list(choices))}")
