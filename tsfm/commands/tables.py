"""Read and write the tables of the command line."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pandas as pd

from tsfm.bench.report import as_markdown
from tsfm.files import atomic_file, check_folder
from tsfm.infer.figure_parts import check_figure_path
from tsfm.store.column_names import ITEM, ITEM_NAMES
from tsfm.store.numbers import is_numeric
from tsfm.store.read_options import FileOptions, ReadOptions, frame_options, read_settings
from tsfm.store.read_table import read_table

WRITABLE = (".csv", ".parquet")


def read_file(path: str | Path, options: FileOptions) -> pd.DataFrame:
    """Read a file of rows; ids are text, so that "001" stays "001". What was assumed is logged."""
    settings = read_settings(options, files=True)
    return read_table(
        path, sep=settings.sep, decimal=settings.decimal, encoding=settings.encoding, text_columns=[settings.id_column]
    )


def match_ids(future: pd.DataFrame, df: pd.DataFrame, options: FileOptions) -> pd.DataFrame:
    """Return `future` with ids of the type that they have in `df`, where they can be converted.

    The ids of a CSV file are text, those of a Parquet file may be numbers.
    """
    for name in {options.get("id_column", ITEM), *ITEM_NAMES} & set(df.columns) & set(future.columns):
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


def table_text(table: pd.DataFrame) -> str:
    """Return a table with its index as Markdown; missing values are empty."""
    flat = table.reset_index()
    flat.columns = [" ".join(map(str, name)).strip() if isinstance(name, tuple) else str(name) for name in flat.columns]
    return as_markdown(flat.astype(object).where(flat.notna(), None).to_dict("records")).rstrip("\n")  # type: ignore[arg-type]


def frame_arguments(options: FileOptions) -> ReadOptions:
    """Return how `predict_df` and its relatives are to read the rows of a file; a single target is a name."""
    arguments = frame_options(options)
    names = arguments.get("target") or "target"
    arguments["target"] = names[0] if not isinstance(names, str) and len(names) == 1 else names
    return arguments
