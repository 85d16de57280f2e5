"""Text after a closing quotation mark is refused; every other use of quotation marks is read."""

from __future__ import annotations

import bz2
import gzip
import lzma
from pathlib import Path
from typing import Any

import pytest

from tsfm.store.ingest import ingest
from tsfm.store.read_table import read_table

PACK: dict[str, Any] = {"": lambda data: data, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
HEAD = '"item_id","timestamp","note","target"\n'
ROWS = [f'"a","2024-01-0{day}","x","{day},5"\n' for day in range(1, 9)]
RIGHT = {
    "text in quotes": '"a","2024-01-09","two, ""three""","9,5"\n',
    "a quotation mark in a cell without": 'a,2024-01-09,5" pipe,"9,5"\n',
    "two of them": 'a,2024-01-09,5"x6" pipe,"9,5"\n',
    "a cell of two lines": '"a","2024-01-09","two\nlines","9,5"\n',
    "spaces behind": '"a" ,"2024-01-09","x" ,"9,5"\n',
    "Windows": '"a","2024-01-09","x","9,5"\r\n',
    "empty cells": '"a","2024-01-09","","9,5"\n',
}
WRONG = {
    "a digit behind": '"a","2024-01-09","x","9,5"0\n',
    "a quotation mark inside": '"a","2024-01-09","x","9"9"\n',
    "a quotation mark inside a text": '"a","2024-01-09","five" pipe","9,5"\n',
    "no separator": '"a","2024-01-09","x"("9","1"\n',
}


def write(folder: Path, row: str, pack: str) -> Path:
    path = folder / f"data.csv{pack}"
    path.write_bytes(PACK[pack]((HEAD + "".join(ROWS) + row).encode()))
    return path


@pytest.mark.parametrize("kind", RIGHT)
@pytest.mark.parametrize("pack", PACK)
def test_quotation_marks_where_they_belong_are_read(tmp_path: Path, kind: str, pack: str) -> None:
    path = write(tmp_path, RIGHT[kind], pack)
    assert read_table(path, decimal=",").target.tolist() == [day + 0.5 for day in range(1, 10)]
    assert ingest(path, tmp_path / "s", target="target", progress=False).steps == 9


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("pack", PACK)
def test_text_behind_a_closing_quotation_mark_is_refused(tmp_path: Path, kind: str, pack: str) -> None:
    path = write(tmp_path, WRONG[kind], pack)
    for read in (read_table, lambda source: ingest(source, tmp_path / "s", progress=False)):
        with pytest.raises(ValueError, match="row 10: text follows a closing quotation mark"):
            read(path)
