"""A progress bar over the series of a long call."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from tqdm import tqdm

from tsfm.messages import did_you_mean

DELAY = 2.0  # seconds, after which a call is long
LOG_INTERVAL = 10.0  # seconds between two lines where the output is not a terminal


class SeriesProgress:
    """Counts series that are done, and shows them; a context manager.

    Parameters
    ----------
    total
        Series to count, at first.
    progress
        Whether to show a bar on standard error. None: in a terminal or a notebook, in calls of more than `DELAY`
        seconds.
    """

    def __init__(self, total: int, *, progress: bool | None):
        self.done = 0
        refreshes = can_refresh(None)
        self._bar: Any = tqdm(
            total=total,
            desc="forecast",
            unit=" series",
            disable=progress is False or (progress is None and not refreshes),
            delay=DELAY if progress is None else 0.0,
            mininterval=0.1 if refreshes else LOG_INTERVAL,
            leave=progress is True,
        )

    def expect(self, count: int) -> None:
        """Count that many more series."""
        self._bar.total += count

    def advance(self, count: int) -> None:
        """Count series as done."""
        self.done += count
        self._bar.update(count)

    def __enter__(self) -> SeriesProgress:
        return self

    def __exit__(self, *error: Any) -> None:
        self._bar.close()


def count_batches(
    batches: Iterator[tuple[np.ndarray, Any, Any]], bar: SeriesProgress | None, *, added: int
) -> Iterator[tuple[np.ndarray, Any, Any]]:
    """Yield batches, the first part of which are the indices of their series, and count these when they are done.

    `added` is the number of series that the bar did not expect.
    """
    if bar is not None:
        bar.expect(added)
    for batch in batches:
        yield batch
        if bar is not None:
            bar.advance(len(batch[0]))


def check_progress(value: Any) -> bool | None:
    """Return the argument `progress`: None, True or False.

    Raises
    ------
    ValueError
        When it is something else.
    """
    if value is not None and not isinstance(value, bool):
        raise ValueError(f"progress is {value!r}; {did_you_mean(str(value), ['None', 'True', 'False'])}")
    return value


def can_refresh(progress: bool | None) -> bool:
    """Return the argument `progress`; None is whether standard error is a terminal or a notebook."""
    return sys.stderr.isatty() or in_notebook() if progress is None else progress


def in_notebook() -> bool:
    """Return whether the code runs in a notebook."""
    shell: Any = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"
