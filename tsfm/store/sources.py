"""Find the tables behind paths, globs, folders, URLs and DataFrames."""

from __future__ import annotations

import glob
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from tsfm.store.dialect import Dialect, TextOptions
from tsfm.store.foreign_frames import read_foreign

CSV = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz", ".csv.bz2", ".csv.xz")
PARQUET, EXCEL, SERIES_FILES = (".parquet", ".pq"), (".xlsx", ".xlsm"), (".ts", ".tsf", ".arff")
KNOWN = (*CSV, *PARQUET, *EXCEL, *SERIES_FILES)
MANIFEST_FILE = "manifest.json"  # of a store
DEFAULT_TEXT = TextOptions()  # nothing is given, all is found
UNREADABLE = (pa.ArrowException, OSError, EOFError, zlib.error, UnicodeError, pd.errors.ParserError)


@dataclass
class Table:
    """One table to read: a file, a folder of Parquet files, or a DataFrame in memory."""

    file: str  # how errors name it
    item: str  # the name of its series if the whole table is one item
    kind: str  # csv, parquet, dataset, excel, frame, ts, tsf, arff or ucr
    data: Any  # its path, or the DataFrame
    text: TextOptions = DEFAULT_TEXT  # how it is written, for csv, as far as the user says
    dialect: Dialect | None = None  # how it is written, for csv, once found
    begun: Any = None  # the first block of a text file and those after it, where reading stopped after the first
    sheet: Any = None  # the worksheet of an Excel file, once it was read


def tables(source: Any, text: TextOptions = DEFAULT_TEXT) -> list[Table]:
    """Return the tables behind a path, a glob, a DataFrame or a list of these, files in the order of their names."""
    sources: list[Table] = []
    for entry in source if isinstance(source, (list, tuple)) else [source]:
        foreign = read_foreign(entry, label="source")
        if foreign is not None or isinstance(entry, pd.DataFrame):
            name = "series" if len(sources) == 0 else f"series{len(sources)}"
            frame = entry if foreign is None else foreign.pandas
            sources.append(Table("DataFrame", name, "frame", frame, text))
        else:
            sources += find_tables(str(entry), text)
    if not sources:
        raise ValueError("the list of sources is empty; give at least one file, glob or DataFrame")
    return sources


def find_tables(entry: str, text: TextOptions) -> list[Table]:
    """Return the tables of a path, a folder, a glob or a URL.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When a folder holds no table, or the ending of a file is not known.
    """
    path = Path(entry)
    if "://" in entry:
        return [_url_table(entry, text)]
    if path.is_file():
        return [_file_table(path, text)]
    if path.is_dir():
        return _folder_tables(path, text)
    if glob.has_magic(entry):
        hits = sorted(Path(hit) for hit in glob.glob(entry, recursive=True) if Path(hit).is_file())
        if not hits:
            raise FileNotFoundError(f"no file matches {entry!r}; check the folder and the ending")
        return [_file_table(hit, text) for hit in hits]
    raise FileNotFoundError(f"there is no file {entry}; check the path")


def _file_table(path: Path, text: TextOptions) -> Table:
    return Table(path.name, _stem(path), kind_of(path), path, text)


def _url_table(url: str, text: TextOptions) -> Table:
    """Return the table of a URL such as s3://bucket/sales.parquet; without a known ending it is a Parquet folder."""
    path = Path(url.rstrip("/"))
    if not path.suffix or path.name.lower().endswith(PARQUET):
        return Table(path.name, _stem(path), "dataset", url, text)
    if (kind := kind_of(path)) != "csv":
        raise ValueError(f"{url}: only CSV and Parquet are read from a URL; download the file first")
    return Table(path.name, _stem(path), kind, url, text)


def _folder_tables(folder: Path, text: TextOptions) -> list[Table]:
    """Return a folder of Parquet files as one table, other known files of a folder as one table each."""
    if (folder / MANIFEST_FILE).is_file():
        raise ValueError(f"{folder} is a store already, for data.dataset={folder}; give the files it was made from")
    if any(path.name.lower().endswith(PARQUET) for path in folder.rglob("*")):
        return [Table(folder.name, folder.name, "dataset", folder, text)]
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name.lower().endswith(KNOWN))
    if not files:
        raise ValueError(
            f"{folder} is a folder; say which files with a glob, for example {folder}/*/*.csv (none of its own files "
            f"ends in {', '.join(KNOWN)})"
        )
    return [_file_table(path, text) for path in files]


def _stem(path: Path) -> str:
    name = path.name
    for suffix in (".gz", ".bz2", ".xz"):
        name = name.removesuffix(suffix)
    return name.rsplit(".", 1)[0]


def kind_of(path: Path) -> str:
    """Return csv, parquet, excel, ts, tsf or arff, by the file's ending."""
    name = path.name.lower()
    for kind, endings in (("csv", CSV), ("parquet", PARQUET), ("excel", EXCEL)):
        if name.endswith(endings):
            return kind
    if name.endswith(SERIES_FILES):
        return name.rsplit(".", 1)[1]
    raise ValueError(f"{path} has an ending tsfm does not read; known: {', '.join(KNOWN)}")


@contextmanager
def readable(table: Table) -> Iterator[None]:
    """Turn damage into an error that names the file."""
    try:
        yield
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no file {table.data}; check the path") from None
    except PermissionError:
        raise PermissionError(f"no permission to read {table.data}") from None
    except UNREADABLE as error:
        message = " ".join(str(error).split())[:200].strip().rstrip(".")
        raise ValueError(f"{table.file} cannot be read: {message}; is it damaged or cut short?") from None
