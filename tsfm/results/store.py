"""A results store: a folder of Parquet files that many processes append to at the same time.

A file holds the rows of one job. It is written completely or not at all, and never changed afterwards. Its name begins
with the identity of the job, so that a job is found without reading the others. `pandas.read_parquet(folder)` and
`SELECT * FROM 'folder/*.parquet'` in DuckDB read the whole store.
"""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tsfm.files import atomic_file, check_folder, explain_write_errors, make_folder
from tsfm.files.folders import sync_folder
from tsfm.files.locks import enter_lock
from tsfm.messages import did_you_mean
from tsfm.results.schema import COLUMNS, DONE, FAILED, SCHEMA

log = logging.getLogger("tsfm")
LOCKS = ".jobs"  # folder of the locks; readers of Parquet datasets ignore names that begin with a dot
DRAFTS = ".drafts"  # folder of files that are being written: DuckDB would read hidden files next to the others
NO_JOB = "rows"  # beginning of the name of a file whose rows are of several jobs


class ResultStore:
    """The results in a folder, which need not exist yet.

    Parameters
    ----------
    folder
        Of the Parquet files.

    Examples
    --------
    >>> import tempfile
    >>> store = ResultStore(tempfile.mkdtemp())
    >>> path = store.append([{"job": "4f1a", "status": "done", "model": "naive", "metric": "mse", "value": 0.5}])
    >>> store.read(model="naive")[["model", "metric", "value"]].to_dict("records")
    [{'model': 'naive', 'metric': 'mse', 'value': 0.5}]
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)

    def append(self, rows: Sequence[Mapping[str, Any]]) -> Path:
        """Add rows, all or none of them, and return the new file.

        Parameters
        ----------
        rows
            Values by column of `SCHEMA`; what a row lacks is null.

        Raises
        ------
        ValueError
            If there are no rows, a column is unknown, or a value has another type than its column.
        OSError
            If the folder cannot be written.
        """
        table = as_table(rows)
        jobs = set(table["job"].to_pylist())
        job = next(iter(jobs)) if len(jobs) == 1 else NO_JOB
        name = f"{job or NO_JOB}-{datetime.now(timezone.utc):%Y%m%dT%H%M%S%f}-{uuid.uuid4().hex[:8]}.parquet"
        check_folder(self.folder)
        with atomic_file(self.folder / DRAFTS / name) as draft:
            pq.write_table(table, draft)
        with explain_write_errors(self.folder / name):
            os.replace(self.folder / DRAFTS / name, self.folder / name)
            sync_folder(self.folder)
        return self.folder / name

    def read(self, **where: Any) -> pd.DataFrame:
        """Return the rows in the order in which they were written.

        Parameters
        ----------
        **where
            Values of columns, or lists of values: only rows that have one of them are returned.

        Raises
        ------
        ValueError
            If a column is unknown.
        """
        for column in where:
            if column not in COLUMNS:
                raise ValueError(f"results have no column {column!r}; {did_you_mean(column, list(COLUMNS))}")
        frame = _concatenate([table for file in self.files() if (table := _read(file)) is not None])
        for column, values in where.items():
            wanted = [values] if isinstance(values, (str, int, float, bool)) or values is None else list(values)
            frame = frame.loc[frame[column].isin(wanted)]
        return frame.sort_values("time", kind="stable", ignore_index=True)

    def files(self, job: str = "") -> list[Path]:
        """Return the files of the store, or those of one job."""
        pattern = f"{job}-*.parquet" if job else "[!._]*.parquet"
        return sorted(self.folder.glob(pattern))

    def job_rows(self, job: str) -> pd.DataFrame:
        """Return the newest rows of a job: its measures, else its failure; empty if it was never run.

        A job that failed and was later repeated counts as done.
        """
        tables = [table for file in self.files(job) if (table := _read(file)) is not None]
        frames = [_concatenate([table]) for table in tables]
        done = [frame for frame in frames if (frame["status"] == DONE).all()]
        failed = [frame for frame in frames if (frame["status"] == FAILED).all()]
        return [_concatenate([]), *failed, *done][-1]

    def add_to_suite(self, rows: pd.DataFrame, *, suite: str) -> None:
        """Append rows of a finished job under a suite, unless the job has rows of that suite already."""
        job = rows["job"].iloc[0]
        tables = [table for file in self.files(job) if (table := _read(file)) is not None]
        if not suite or suite in {name for table in tables for name in table["suite"].to_pylist()}:
            return
        added = rows.assign(suite=suite).astype(object).where(rows.notna().to_numpy(), None)
        self.append([{str(name): value for name, value in row.items()} for row in added.to_dict("records")])

    @contextmanager
    def claimed(self, job: str) -> Iterator[None]:
        """Hold the lock of a job during the `with` block; another process that wants it waits meanwhile."""
        folder = self.folder / LOCKS / job
        check_folder(self.folder)
        try:
            with ExitStack() as stack:
                enter_lock(stack, folder, make=lambda: make_folder(folder), wait=True)
                yield
        finally:
            with suppress(OSError):
                folder.rmdir()
                folder.parent.rmdir()


def as_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return rows as a table of `SCHEMA`.

    Raises
    ------
    ValueError
        As `ResultStore.append`.
    """
    if not rows:
        raise ValueError("no rows to append; expected at least one")
    for row in rows:
        if unknown := sorted(set(row) - set(COLUMNS)):
            raise ValueError(f"results have no column {unknown[0]!r}; {did_you_mean(unknown[0], list(COLUMNS))}")
    columns = []
    for field in SCHEMA:
        values = [row.get(field.name) for row in rows]
        try:
            columns.append(pa.array(values, type=field.type, from_pandas=False))
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
            raise ValueError(f"column {field.name!r} of results holds {field.type}; {error}") from None
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def read_results(folder: str | Path = "results", **where: Any) -> pd.DataFrame:
    """Return the rows of a results store.

    Parameters
    ----------
    folder
        Of the store.
    **where
        Values of columns, or lists of values, such as `suite="ucr", metric=["accuracy", "macro_f1"]`.

    Returns
    -------
    DataFrame
        A row per model, data, setting, seed and metric, with its provenance, in the order of writing; failed jobs have
        `status` "failed" and an `error`.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist.
    ValueError
        If a column is unknown.

    Examples
    --------
    >>> import tsfm
    >>> table = tsfm.read_results("results", suite="ucr", metric="accuracy")  # doctest: +SKIP
    >>> table.pivot_table(index="data", columns="model", values="value")  # doctest: +SKIP
    """
    if not Path(folder).is_dir():
        raise FileNotFoundError(
            f"{folder} is not a folder; a results store is written by `tsfm train results=...`, by "
            "`tsfm eval results=...`, or by a sweep"
        )
    return ResultStore(folder).read(**where)


def _read(file: Path) -> pa.Table | None:
    """Return the rows of a file; None, with a warning, if it is damaged or of another kind."""
    try:
        table = pq.ParquetFile(file).read()
        missing = [name for name in ("job", "status", "metric", "value") if name not in table.column_names]
        if missing:
            raise ValueError(f"it has no column {missing[0]}")
        return _to_schema(table)
    except FileNotFoundError:  # deleted meanwhile
        return None
    except (pa.ArrowException, OSError, ValueError) as error:
        log.warning("%s is not used: it does not hold results (%s)", file, str(error).splitlines()[0])
        return None


def _to_schema(table: pa.Table) -> pa.Table:
    """Return a table of this version's columns: those that an older version lacks are null, later ones are left out."""
    columns = [
        table[field.name].cast(field.type) if field.name in table.column_names else pa.nulls(len(table), field.type)
        for field in SCHEMA
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def _concatenate(tables: Sequence[pa.Table]) -> pd.DataFrame:
    table = pa.concat_tables(tables) if tables else SCHEMA.empty_table()
    integers = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    return table.to_pandas(types_mapper=integers.get)
