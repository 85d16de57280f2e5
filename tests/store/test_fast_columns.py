"""Text files are read in columns by C++ where it can; the readers of single cells define the store."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest

from tests.timestamps.forms import FORMS
from tsfm.store import number_text, table_kinds
from tsfm.store.ingest import ingest
from tsfm.store.read_table import read_table
from tsfm.store.series_store import SeriesStore
from tsfm.timestamps import parsing

HOURS = [f"2024-01-31 {hour:02d}:00:00" for hour in range(24)]
NUMBERS = {
    "plain": [f"{k / 8}" for k in range(24)],
    "missing": ["", "NA", "nan", " ? ", "NULL", *[f" {k}" for k in range(19)]],
    "exponents": [f"{k}e-3" for k in range(24)],
    "thousands": [f'"1,{k:03d}.5"' for k in range(24)],
    "decimal comma": [f'"{k},25"' for k in range(24)],
    "signs": [f"{'+-'[k % 2]}{k}" for k in range(24)],
    "text": [*map(str, range(23)), "many"],
    "infinite": [*map(str, range(23)), "inf"],
    "too large": [*map(str, range(23)), "1e300"],
    "truth values": ["True", "false"] * 12,
    "constant": ["7"] * 24,
}


def table(stamps, values, *, items=("a", "b"), label="static"):
    rows = [f"{item},{stamp},{value},{label}" for item in items for stamp, value in zip(stamps, values, strict=True)]
    return "item_id,timestamp,target,label\n" + "\n".join(rows) + "\n"


BY_TIME = [f"{item},{stamp},{k},x" for k, stamp in enumerate(HOURS) for item in ("a", "b")]
CONTENTS = {
    **{f"numbers: {name}": table(HOURS, cells) for name, cells in NUMBERS.items()},
    **{
        f"stamps: {name}": table([f'"{cell}"' for cell in form.cells], range(len(form.cells)))
        for name, form in FORMS.items()
        if not form.options and all(isinstance(cell, str) for cell in form.cells)
    },
    "numbered items": table(HOURS, range(24), items=("007", "08", " 9 ", "a b")),
    "no items": "timestamp,target\n" + "\n".join(f"{stamp},1" for stamp in HOURS),
    "a missing item": table(HOURS, range(24), items=("a", "")),
    "rows of commas": table(HOURS, range(24)).replace("\nb", "\n,,,\nb", 1),
    "a missing timestamp": table([*HOURS[:5], "", *HOURS[6:]], range(24)),
    "not in order": table(HOURS[::-1], range(24)),
    "gaps": table([*HOURS[:9], *HOURS[15:]], range(18)),
    "sorted by time": "item_id,timestamp,target,label\n" + "\n".join(BY_TIME),
    "labels that change": table(HOURS, range(24)).replace(
        "b,2024-01-31 03:00:00,3,static", "b,2024-01-31 03:00:00,3,x"
    ),
    "no labels": table(HOURS, range(24), label=""),
    "spaces": table([f"{stamp} " for stamp in HOURS], range(24)),
    "NUL in an item": table(HOURS, range(24), items=("a", "b\0c")),
}


@contextlib.contextmanager
def single_cells():
    """Read every cell by itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parsing, "text_array", lambda series: None)
        patch.setattr(number_text, "plain_numbers", lambda cells: None)
        patch.setattr(table_kinds, "text_column", table_kinds.text_cells)
        yield


def outcome(read, path):
    try:
        return read(path)
    except ValueError as error:
        return str(error)


def stored(path: Path):
    """Return all that a store holds and reports."""
    report = ingest(path, path.parent / "store", static="label" if "label" in path.read_text()[:99] else None,
                    progress=False, overwrite=True)  # fmt: skip
    store = SeriesStore.open(path.parent / "store")
    static = store.static.to_dict("list")
    return report.notes, report.missing, store.ids, store.starts.tolist(), store.freqs, store.fingerprints, static


def frame(path: Path):
    """Return the notes and the DataFrame as text and dtypes."""
    notes: list[str] = []
    read = read_table(path, notes=notes)
    return notes, [str(dtype) for dtype in read.dtypes], read.to_csv()


@pytest.mark.parametrize("name", CONTENTS)
def test_columns_are_read_as_their_cells_are(tmp_path, name):
    path = tmp_path / "t.csv"
    path.write_text(CONTENTS[name], newline="")
    for read in (stored, frame):
        got = outcome(read, path)
        with single_cells():
            assert got == outcome(read, path)


@pytest.mark.parametrize("cells", [10, 2**20])
def test_blocks_of_any_size_give_the_store_of_single_cells(tmp_path, monkeypatch, cells):
    rng = np.random.default_rng(0)
    names = [f"item {k}" for k in range(50)]
    content = "item_id,timestamp,target\n" + "".join(
        f"{name},{stamp},{'NA' if rng.random() < 0.1 else round(rng.normal(), 4)}\n"
        for name in names
        for stamp in HOURS
    )
    (tmp_path / "t.csv").write_text(content)
    monkeypatch.setattr(table_kinds, "BLOCK_CELLS", cells)
    monkeypatch.setattr(table_kinds, "MIN_ROWS", 5)
    got = stored(tmp_path / "t.csv")
    with single_cells():
        assert got == stored(tmp_path / "t.csv")
