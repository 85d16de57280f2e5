"""A table of the jobs of a sweep that is drawn again while they run; it needs `rich` and a terminal."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tsfm.commands.sweep_state import DONE, FAILED, REUSED, RUNNING, JobState, read_states, summary

REFRESH = 1.0  # seconds
ROWS = 30  # at most so many jobs are shown, the last ones
STYLES = {DONE: "green", REUSED: "cyan", FAILED: "red", RUNNING: "yellow"}


@contextmanager
def live_table(folder: Path, *, total: int | None) -> Iterator[None]:
    """Draw the table during the `with` block where stderr is a terminal and `rich` is installed; else do nothing.

    Parameters
    ----------
    folder
        Of the states of the jobs.
    total
        Number of jobs, if it is known.
    """
    if not sys.stderr.isatty() or find_spec("rich") is None:
        yield
        return
    from rich.console import Console
    from rich.live import Live

    ended = threading.Event()
    with Live(console=Console(stderr=True), auto_refresh=False) as live:

        def draw() -> None:
            while not ended.wait(REFRESH):
                live.update(table_of(read_states(folder), total=total), refresh=True)

        thread = threading.Thread(target=draw, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            live.update(table_of(read_states(folder), total=total), refresh=True)


def table_of(states: Sequence[JobState], *, total: int | None) -> Any:
    """Return the table of a list of states, for `rich`."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=summary(states, total), title_justify="left")
    for name in ("job", "settings", "state", "seconds", "result"):
        table.add_column(name, justify="right" if name in ("job", "seconds") else "left")
    for state in states[-ROWS:]:
        seconds = state.seconds if state.status != RUNNING else time.time() - state.started
        status = Text(state.status, style=STYLES[state.status])
        table.add_row(str(state.number), Text(state.settings), status, f"{seconds:.0f}", Text(state.detail[:100]))
    return table
