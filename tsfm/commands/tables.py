"""Read and write the tables of the command line: CSV and Parquet files."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from tsfm.files import atomic_file, check_folder
from tsfm.infer.column_values import is_numeric
from tsfm.infer.columns import ALTERNATIVE_NAMES

READABLE = (".csv", ".parquet", ".gz")
WRITABLE = (".csv", ".parquet")


def read_table(path: Path, *, id_column: str = "item_id") -> pd.DataFrame:
    """Read a CSV or Parquet file; the ids of a CSV file are text, so that "001" stays "001".

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file has another suffix or cannot be read.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}; check the path")
    if path.suffix not in READABLE:
        raise ValueError(f"{path} ends in {path.suffix or 'nothing'}; expected {', '.join(READABLE)}")
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        names = {id_column, ALTERNATIVE_NAMES["item_id"]} if id_column == "item_id" else {id_column}
        # pandas ignores names that the file does not have; round_trip: the floats are exactly those of the text
        exact: dict[str, Any] = {"float_precision": "round_trip"}
        return pd.read_csv(path, dtype=dict.fromkeys(names, str), **exact)
    except Exception as error:  # noqa: BLE001  pandas and pyarrow raise many kinds
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(
            f"{path} cannot be read as {path.suffix[1:]} ({reason}); is it damaged or cut short?"
        ) from None


def match_ids(future: pd.DataFrame, df: pd.DataFrame, *, id_column: str) -> pd.DataFrame:
    """Return `future` with ids of the type that they have in `df`, where they can be converted.

    The ids of a CSV file are text, those of a Parquet file may be numbers.
    """
    for name in {id_column, ALTERNATIVE_NAMES["item_id"]} & set(df.columns) & set(future.columns):
        ids, future_ids = pd.Series(df[name]), pd.Series(future[name])
        if is_numeric(ids) != is_numeric(future_ids) and bool(future_ids.notna().all()):
            with contextlib.suppress(ValueError, TypeError):  # reading both reports ids that differ
                future = future.assign(**{name: future_ids.astype(ids.dtype if is_numeric(ids) else str)})
    return future


def check_outputs(out: str | None, plot: str | None) -> None:
    """Refuse the paths of --out and --plot that cannot be written, before any work.

    Raises
    ------
    ValueError, OSError
        If a suffix is not supported, a path is a folder, or its folder cannot exist.
    """
    if out is not None:
        check_suffix(Path(out))
        check_folder(Path(out).parent)
        if Path(out).is_dir():
            raise IsADirectoryError(f"--out {out} is a folder; name a file for the table")
    if plot is not None:
        from tsfm.infer.plot import check_figure_path  # imports Matplotlib, which takes time

        check_figure_path(Path(plot))


def check_suffix(path: Path) -> None:
    """Raise a ValueError if a table cannot be written under this name."""
    if path.suffix not in WRITABLE:
        raise ValueError(f"--out {path} ends in {path.suffix or 'nothing'}; expected {' or '.join(WRITABLE)}")


def write_table(table: pd.DataFrame, path: Path) -> str:
    """Write a table as CSV or Parquet, by the suffix, completely or not at all; return a line that says so."""
    check_suffix(path)
    with atomic_file(path) as draft:
        if path.suffix == ".csv":
            table.to_csv(draft, index=False)
        else:
            table.to_parquet(draft)
    return f"wrote {len(table):,} rows to {path}"


def column_arguments(target: Sequence[str] | None, *, id_column: str, timestamp_column: str) -> dict[str, Any]:
    """Return the arguments of `predict_df` and its relatives that name columns; a single target is a string."""
    names = list(target or ["target"])
    return {
        "id_column": id_column,
        "timestamp_column": timestamp_column,
        "target": names[0] if len(names) == 1 else names,
    }
