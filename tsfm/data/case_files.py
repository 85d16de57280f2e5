"""Read labelled cases: a Parquet file of an archive, or a store made of .ts files. C channels, L steps.

Parquet: a row is a case, with the columns `split` (train or test), `series` (channels x steps, NaN where missing) and
either `label` (a class, any type, read as text) or `y` (a number). A store keeps `label` and `split` as static labels.
"""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tsfm.fingerprint import files_digest, fingerprint, joint_fingerprint
from tsfm.messages import did_you_mean
from tsfm.store.catalog import data_roots
from tsfm.store.manifest import MANIFEST
from tsfm.store.series_store import SeriesStore

FOLDERS = ("classification", "regression")  # of a data root
OFFICIAL = ("train", "test")
TEXT_FORMATS = (".ts", ".arff", ".tsv", ".txt", ".csv")
_compute: Any = pc  # the stubs of pyarrow lack most functions


@dataclass(frozen=True)
class Cases:
    """Cases: `[C, L]` float32 arrays of any lengths, with a class (text) or a number (float64) each."""

    series: list[np.ndarray] = field(default_factory=list)
    labels: np.ndarray = field(default_factory=lambda: np.array([], dtype=object))

    def __len__(self) -> int:
        return len(self.series)

    @property
    def regresses(self) -> bool:
        """Whether the labels are numbers."""
        return self.labels.dtype.kind == "f"

    def fingerprint(self) -> str:
        """Return the fingerprint of the values in order."""
        return joint_fingerprint([fingerprint(case) for case in self.series])


def available_cases() -> dict[str, Path]:
    """Return lower-case name -> file of every data root; the first root and classification have precedence."""
    files: dict[str, Path] = {}
    for root in data_roots():
        for folder in FOLDERS:
            for path in sorted((root / folder).glob("*.parquet")):
                files.setdefault(path.stem.lower(), path)
    return files


def find_cases(name_or_path: str | Path) -> Path:
    """Return the Parquet file or the store of a name or path.

    Raises
    ------
    FileNotFoundError
        When there is nothing at a path.
    ValueError
        When a name is not known; the message lists similar ones.
    """
    name, path = str(name_or_path), Path(name_or_path)
    if path.is_file():
        if (suffix := path.suffix.lower()) in TEXT_FORMATS:
            raise ValueError(
                f"{path} is a {suffix} file; run `tsfm ingest <train and test {suffix}> --out data/{path.stem}` first"
            )
        return path
    if (path / MANIFEST).is_file():
        return path
    if isinstance(name_or_path, Path) or os.sep in name:
        problem = "is a folder without a manifest.json" if path.is_dir() else "does not exist"
        raise FileNotFoundError(
            f"{path} {problem}; give a Parquet file of cases, or a store that `tsfm ingest` made of .ts files"
        )
    available = available_cases()
    if name.lower() in available:
        return available[name.lower()]
    for folder in (Path("data") / name, Path("data") / name.lower()):
        if (folder / MANIFEST).is_file():
            return folder
    if not available:
        raise ValueError(
            f"no labelled cases {name!r}: no data root holds classification/*.parquet or regression/*.parquet; set "
            "TSFM_DATA to one that does, or give the path of a file"
        )
    near = difflib.get_close_matches(name.lower(), available, n=8, cutoff=0.4) or list(available)[:10]
    raise ValueError(f"no labelled cases {name!r}; {did_you_mean(name, [available[key].stem for key in near])}")


def cases_digest(name_or_path: str | Path) -> str:
    """Return a digest of the cases of a name or path: of the bytes of a file, or of the values of a store."""
    path = find_cases(name_or_path)
    return SeriesStore.open(path).fingerprint if path.is_dir() else files_digest([path])


def read_cases(name_or_path: str | Path) -> dict[str, Cases]:
    """Return the cases of train and of test, in the official split of their archive.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When a column is missing or holds something else than expected.
    """
    path = find_cases(name_or_path)
    series, labels, splits = _from_store(path) if path.is_dir() else _from_parquet(path)
    unknown = sorted({str(split) for split in splits} - set(OFFICIAL))
    if unknown:
        raise ValueError(f"{path.name}: split holds {', '.join(map(repr, unknown[:5]))}; expected train or test")
    selected = {split: np.flatnonzero(np.asarray(splits, dtype=object) == split) for split in OFFICIAL}
    return {split: Cases([series[i] for i in rows], labels[rows]) for split, rows in selected.items()}


def _from_parquet(path: Path) -> tuple[list[np.ndarray], np.ndarray, list[str]]:
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} cannot be read as Parquet ({error}); give a Parquet file of cases") from None
    names = table.column_names
    for column in ("series", "split"):
        if column not in names:
            raise ValueError(
                f"{path.name} has no column {column!r}, only {names}; cases need split, series and a label"
            )
    if ("label" in names) == ("y" in names):
        problem = "both a label and a y column" if "y" in names else f"no label column, only {names}"
        raise ValueError(f"{path.name} has {problem}; give `label` for classes, or `y` for numbers")
    column = table.column("y" if "y" in names else "label")
    labels = clean_labels(column.to_pylist(), regress="y" in names, location=path.name)
    return _arrays(table.column("series"), path.name), labels, table.column("split").to_pylist()


def _arrays(column: pa.ChunkedArray, location: str) -> list[np.ndarray]:
    """One [C, L] float32 array per row of lists of lists of numbers; lists of numbers are one channel.

    Lists may be of any kind: plain, large, of a fixed size, or views.
    """
    rows = pa.concat_arrays(column.chunks) if column.num_chunks != 1 else column.chunk(0)
    nested = _is_list(rows.type) and _is_list(rows.type.value_type)
    kind = rows.type.value_type.value_type if nested else rows.type.value_type if _is_list(rows.type) else rows.type
    if not _is_list(rows.type) or not _is_number(kind) or rows.null_count:
        raise ValueError(
            f"{location}: series has the type {rows.type}, {rows.null_count} missing rows; expected channels x steps "
            "of numbers in every row, or steps of numbers"
        )
    steps = _compute.list_flatten(rows) if nested else rows
    if steps.null_count:
        raise ValueError(f"{location}: {steps.null_count} channels are missing; give every channel a list of numbers")
    channels = _list_lengths(rows) if nested else np.ones(len(rows), np.int64)
    lengths = _list_lengths(steps)
    values = np.asarray(_compute.cast(_compute.list_flatten(steps), pa.float64()).to_numpy(zero_copy_only=False))
    bounds, firsts = np.append(0, np.cumsum(lengths)), np.append(0, np.cumsum(channels))
    arrays = []
    for number, (first, stop) in enumerate(pairwise(firsts)):
        if not stop > first or len(set(lengths[first:stop].tolist())) > 1:
            raise ValueError(
                f"{location}, row {number}: the channels have {lengths[first:stop].tolist()} steps; all channels of a "
                "case need the same number, NaN where missing"
            )
        arrays.append(_float32(values[bounds[first] : bounds[stop]].reshape(stop - first, -1)))
    return arrays


def _is_list(kind: pa.DataType) -> bool:
    types = pa.types
    checks = (
        types.is_list,
        types.is_large_list,
        types.is_fixed_size_list,
        types.is_list_view,
        types.is_large_list_view,
    )
    return any(check(kind) for check in checks)


def _is_number(kind: pa.DataType) -> bool:
    types = pa.types
    return any(check(kind) for check in (types.is_floating, types.is_integer, types.is_decimal, types.is_boolean))


def _list_lengths(lists: pa.Array) -> np.ndarray:
    return np.asarray(_compute.list_value_length(lists), dtype=np.int64)


def _from_store(path: Path) -> tuple[list[np.ndarray], np.ndarray, list[str]]:
    store = SeriesStore.open(path)
    for name in ("label", "split"):
        if name not in store.static:
            raise ValueError(
                f"store {path} has no static {name!r}, only {list(store.static)}; ingest .ts files that hold labels "
                "and are called <name>_TRAIN.ts and <name>_TEST.ts"
            )
    labels = clean_labels(
        store.static["label"].tolist(), regress=store.static["label"].dtype.kind == "f", location=path.name
    )
    return [store.read(i) for i in range(len(store))], labels, store.static["split"].tolist()


def _float32(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # a number that is too large becomes infinite, which `check_cases` refuses
        return np.ascontiguousarray(values, dtype=np.float32)


def clean_labels(labels: object, *, regress: bool, location: str) -> np.ndarray:
    """Return labels as text, or as finite numbers in float64.

    Raises
    ------
    ValueError
        When a case has no label, or a number is expected and not found.
    """
    values = labels.tolist() if isinstance(labels, np.ndarray) else list(labels)  # type: ignore[call-overload]
    missing = [i for i, label in enumerate(values) if label is None or (isinstance(label, float) and np.isnan(label))]
    if missing:
        raise ValueError(
            f"{location}: {len(missing)} of {len(values)} cases have no label, the first is case {missing[0]}; leave "
            "them out"
        )
    if not regress:
        return np.array([str(label) for label in values], dtype=object)
    try:
        numbers = np.array([float(label) for label in values], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{location}: {error}; the targets of a regression are numbers") from None
    if not np.isfinite(numbers).all():
        raise ValueError(
            f"{location}: the target of case {int(np.argmin(np.isfinite(numbers)))} is infinite; correct it"
        )
    return numbers


def cases_from_arrays(series: object, labels: object, *, regress: bool, location: str = "the cases given") -> Cases:
    """Return cases in memory: a list of `[C, L]` or `[L]` arrays, or an array `[N, C, L]` or `[N, L]` (one channel).

    Raises
    ------
    ValueError
        When a case has another shape, or the number of labels is not that of cases.
    """
    rows = list(series)  # type: ignore[call-overload]
    arrays = [_float32(np.asarray(row)[None] if np.ndim(row) == 1 else np.asarray(row)) for row in rows]
    wrong = next((i for i, array in enumerate(arrays) if array.ndim != 2), None)
    if wrong is not None:
        raise ValueError(
            f"{location}: case {wrong} has shape {np.shape(rows[wrong])}; expected [channels, steps] or [steps]"
        )
    cleaned = clean_labels(labels, regress=regress, location=location)
    if len(cleaned) != len(arrays):
        raise ValueError(f"{location}: {len(arrays)} cases and {len(cleaned)} labels; give one label for each case")
    return Cases(arrays, cleaned)


def count_repeated(cases: Cases, known: Cases) -> int:
    """Return how many cases are, value for value, among others: a score on those does not measure new cases."""
    seen = {fingerprint(case) for case in known.series}
    return sum(fingerprint(case) in seen for case in cases.series)
