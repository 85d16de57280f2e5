"""Bad inputs of `tsfm ingest`: files that cannot be read, and folders that cannot be written."""

from __future__ import annotations

import errno

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from tests.bad_inputs.corruptions import (
    changed_cell,
    changed_table,
    item_without_values,
    mixed_time_zones,
    raising,
    truncated_parquet,
    unwritable,
    written,
)
from tests.bad_inputs.workspace import Case
from tsfm.store.series_store import SeriesStore

BAD, GOOD = "tsfm ingest bad.csv --out new", "tsfm ingest sales.csv --out new"


def daily_item(rows: pd.DataFrame) -> None:
    """Make item b daily."""
    rows.loc[120:, "timestamp"] = pd.date_range("2024-01-01", periods=120, freq="D").astype(str)


def stored_in_order() -> bool:
    """Whether the store has the values of the file in the order of their times."""
    expected = pd.read_csv("bad.csv").query("item_id == 'a'").sort_values("timestamp")["target"].to_numpy()
    return bool(np.allclose(SeriesStore.open("new").read(0)[0], expected, equal_nan=True))


def swapped_rows(rows: pd.DataFrame) -> None:
    """Exchange two timestamps."""
    rows.loc[[5, 6], "timestamp"] = rows.loc[[6, 5], "timestamp"].to_numpy()


CASES = [
    Case("no such file", "tsfm ingest nothing.csv --out new", ("there is no file nothing.csv; check the path",)),
    Case("no such files", "tsfm ingest 'raw/*.csv' --out new", ("no file matches 'raw/*.csv'; check the folder",)),
    Case(
        "a folder as a file",
        "tsfm ingest store --out new",
        ("store is a store already", "give the files it was made from"),
    ),
    Case(
        "an unknown suffix",
        "tsfm ingest run/config.yaml --out new",
        ("config.yaml has an ending tsfm does not read; known: .csv",),
    ),
    Case("an empty file", BAD, ("bad.csv is empty; a table needs a header and rows",), written("bad.csv", "")),
    Case(
        "a header without rows",
        BAD,
        ("bad.csv has a header but no rows; leave the file out",),
        written("bad.csv", "item_id,timestamp,target\n"),
    ),
    Case(
        "a binary file under the name of a CSV",
        BAD,
        ("bad.csv is not text in UTF-8", "save it as UTF-8"),
        written("bad.csv", bytes(range(256)) * 9),
    ),
    Case(
        "a row with too many cells",
        BAD,
        ("bad.csv, row 3: found 4 cells, expected 3 as in the header",),
        written("bad.csv", "item_id,timestamp,target\na,2024-01-01,1\na,2024-01-02,1,5\n"),
    ),
    Case(
        "a Parquet file cut short",
        "tsfm ingest bad.parquet --out new",
        ("bad.parquet cannot be read", "is it damaged or cut short?"),
        truncated_parquet(900),
    ),
    Case(
        "no such timestamp column",
        f"{GOOD} --timestamp-column when",
        (
            "sales.csv has no timestamp column 'when'; known: item_id, target, timestamp",
            "Name it with --timestamp-column",
        ),
    ),
    Case(
        "a typo in the target", f"{GOOD} --target taget", ("sales.csv has no column 'taget'; did you mean 'target'?",)
    ),
    Case(
        "an unknown frequency",
        f"{GOOD} --freq fortnight",
        ("frequency 'fortnight' is not known; use an alias such as 15min, h, D",),
    ),
    Case(
        "the same timestamp twice",
        BAD,
        ("bad.csv, item 'a', row 7", "04:00:00 occurs twice (before in row 6)", "drop or average"),
        changed_cell(5, "timestamp", "2024-01-01 04:00:00"),
    ),
    Case(
        "rows out of order",
        f"{BAD} --grid keep",
        ("rows of 1 items (first 'a') were sorted by time",),
        changed_table(swapped_rows),
        may_create=("new",),
        works=stored_in_order,
    ),
    Case(
        "a text that is not a timestamp",
        BAD,
        ("bad.csv, item 'a', row 9", "the timestamp is 'next tuesday', not a timestamp; expected dates"),
        changed_cell(7, "timestamp", "next tuesday"),
    ),
    Case(
        "a row without a timestamp",
        BAD,
        ("bad.csv, item 'a', row 9", "the timestamp is missing (1 such rows); every row needs a timestamp"),
        changed_cell(7, "timestamp", None),
    ),
    Case(
        "mixed frequencies",
        BAD,
        ("bad.csv, item 'b' has a step every D, item 'a' every h", "give --allow-mixed-freq to keep both"),
        changed_table(daily_item),
    ),
    Case(
        "mixed time zones",
        BAD,
        ("bad.csv, item 'a', row 9", "rows with and without a time zone are mixed"),
        changed_table(mixed_time_zones),
    ),
    Case(
        "a decimal comma",
        BAD,
        ("bad.csv, item 'a', row 9", "'12,5', which is not a number; correct it"),
        changed_cell(7, "target", "12,5"),
    ),
    Case(
        "an infinity",
        BAD,
        ("bad.csv, item 'a', row 9", "'target' is infinite; correct the cell"),
        changed_cell(7, "target", np.inf),
    ),
    Case(
        "a number beyond float32",
        BAD,
        ("bad.csv, item 'a', row 9", "1e+300, too large for float32; correct"),
        changed_cell(7, "target", 1e300),
    ),
    Case(
        "a series without a value",
        BAD,
        ("bad.csv, item 'b': all 120 values are missing; leave the item out",),
        changed_table(item_without_values),
    ),
    Case(
        "a series of one step",
        BAD,
        ("bad.csv, item 'a' has 1 different timestamp(s)", "give --freq, for example --freq D"),
        changed_table(lambda rows: rows[:1]),
    ),
    Case(
        "a store that exists",
        "tsfm ingest sales.csv --out store",
        ("store store exists; use --overwrite to replace it",),
    ),
    Case(
        "a folder that is not a store",
        "tsfm ingest sales.csv --out conf",
        ("conf exists and is not a store; choose another name",),
    ),
    Case(
        "a store below a file",
        "tsfm ingest sales.csv --out sales.csv/new",
        ("store sales.csv/new would be below sales.csv, which is a file; choose",),
    ),
    Case(
        "no permission to write",
        "tsfm ingest sales.csv --out locked/new",
        ("cannot write store locked/new (Permission denied); make it writable", "choose another folder"),
        unwritable("locked", errno.EACCES),
    ),
    Case(
        "a disk that fills up",
        GOOD,
        ("cannot write store new (the disk is full); free some space there", "no part of the store was kept"),
        raising(pq.ParquetWriter, "write_table", OSError(errno.ENOSPC, "No space left on device")),
    ),
    Case(
        "a disk that fills up while a store is replaced",
        "tsfm ingest sales.csv --out store --overwrite",
        ("cannot write store store (the disk is full)",),
        raising(pq.ParquetWriter, "write_table", OSError(errno.ENOSPC, "No space left on device")),
    ),
    Case(
        "a disk that fills up, for a caller of Python",
        "ingest(sales, 'new', progress=False)",
        ("cannot write store new (the disk is full)",),
        raising(pq.ParquetWriter, "write_table", OSError(errno.ENOSPC, "No space left on device")),
    ),
]
