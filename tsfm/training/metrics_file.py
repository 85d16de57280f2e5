"""The file metrics.csv of a run: one row for each step that was logged, in one column for each metric."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers.logger import Logger, rank_zero_experiment
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from tsfm.files import write_text
from tsfm.training.checkpoint_file import check_own

METRICS = "metrics.csv"
STEP = "step"


class MetricsFile(Logger):
    """A Lightning logger that adds rows to a file, and never removes a row of an earlier process before it is replaced.

    Parameters
    ----------
    run_dir
        The file is its metrics.csv. It is made with the first row.
    """

    def __init__(self, run_dir: Path):
        super().__init__()
        self.path = run_dir / METRICS
        self._columns: list[str] | None = None  # of the file; None: there is none, or it is of an earlier process

    @property
    def name(self) -> str:
        """The name of the folder that a logger makes: none."""
        return ""

    @property
    def version(self) -> str:
        """The name of the folder that a logger makes: none."""
        return ""

    @property
    @rank_zero_experiment
    def experiment(self) -> MetricsFile:
        """The logger itself."""
        return self

    @rank_zero_only
    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: config.yaml holds the settings."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add the row of a step."""
        row = {**metrics, STEP: step}
        if self._columns is not None and row.keys() <= set(self._columns):
            with self.path.open("a", encoding="utf-8", newline="") as file:
                file.write(_as_text([row], self._columns))  # one call: a row is not cut by a kill
        else:
            rows = [] if self._columns is None else _read_rows(self.path)
            self._write([*rows, row])

    def keep_rows(self, *, before: int) -> None:
        """Keep the rows of an earlier process of this run that belong to the steps before a step."""
        if self.path.is_file():
            check_own(self.path)
            rows = [row for row in _read_rows(self.path) if _step_of(row) < before]
            self._write(rows)

    def flush(self) -> None:
        """Wait until the rows are on the disk: a state of the run that is written next stands for them."""
        if self._columns is not None:
            with self.path.open("rb+") as file:
                os.fsync(file.fileno())

    def _write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._columns = sorted({STEP}.union(*rows))
        write_text(self.path, _as_text([dict(zip(self._columns, self._columns, strict=True)), *rows], self._columns))


def _step_of(row: Mapping[str, Any]) -> float:
    """Return the step of a row; infinite where it is not a number, so that the row is left out."""
    text = row.get(STEP, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else math.inf


def _as_text(rows: Iterable[Mapping[str, Any]], columns: list[str]) -> str:
    text = io.StringIO()
    csv.DictWriter(text, columns).writerows(rows)
    return text.getvalue()


def _read_rows(file: Path) -> list[dict[str, Any]]:
    """Read the rows of a file; a last one without the end of its line was cut by a crash and is left out."""
    text = file.read_bytes().decode("utf-8", errors="replace")
    rows = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1]))
    try:
        return [{key: value for key, value in row.items() if key and value} for row in rows]
    except csv.Error as error:
        raise ValueError(f"{file} is damaged ({error}); remove it and go on without its rows") from None
