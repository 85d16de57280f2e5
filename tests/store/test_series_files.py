"""Labelled cases: every format of the archives gives the same store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tsfm.data.case_files import read_cases
from tsfm.store.ingest import ingest
from tsfm.store.series_store import SeriesStore

VALUES = np.array([[1.5, 2, np.nan, 4], [-1, 0.25, 3, 1e-3], [7, 8, 9, 10]], np.float32)
LABELS = ["1", "2", "1"]


def cell(value: float) -> str:
    return "NaN" if np.isnan(value) else repr(float(value))


def ucr(separator: str, label: str = "{}") -> str:
    rows = zip(LABELS, VALUES, strict=True)
    return "".join(separator.join([label.format(name), *map(cell, row)]) + "\n" for name, row in rows)


def arff() -> str:
    attributes = "".join(f"@attribute att{i} numeric\n" for i in range(4))
    rows = "".join(",".join([*map(cell, row), name]) + "\n" for name, row in zip(LABELS, VALUES, strict=True))
    return f"% a comment\n@relation X\n{attributes}@attribute target {{1,2}}\n\n@data\n{rows.replace('NaN', '?')}"


def timed(stamps: list[str]) -> str:
    rows = [",".join(f"({t},{cell(v)})" for t, v in zip(stamps, row, strict=True)) for row in VALUES]
    cases = "".join(f"{row}:{name}\n" for row, name in zip(rows, LABELS, strict=True))
    return f"@timestamps true\n@univariate true\n@classLabel true 1 2\n@data\n{cases}"


FORMATS = {
    "X_TRAIN.tsv": ucr("\t"),
    "X_TRAIN.txt": ucr("  ", "{}.0000000e+00"),
    "X_TRAIN.csv": ucr(","),
    "X_train.tsv": ucr("\t"),
    "X_TRAIN.arff": arff(),
    "X_TRAIN.ts": timed(["2024-01-01 00:00:00", "2024-01-01 01:00:00", "2024-01-01 02:00:00", "2024-01-01 03:00:00"]),
    "Y_TRAIN.ts": timed(["0", "1", "2", "3"]),
    "Z_TRAIN.ts": timed(["0.0", "0.5", "1.0", "1.5"]),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_cases(tmp_path: Path, name: str) -> None:
    text, test = FORMATS[name], name.replace("TRAIN", "TEST").replace("train", "test")
    (tmp_path / name).write_text(text)
    (tmp_path / test).write_text(text)
    ingest([tmp_path / name, tmp_path / test], tmp_path / "s", progress=False)
    store = SeriesStore.open(tmp_path / "s")
    assert store.static["label"].tolist() == LABELS * 2
    assert store.static["split"].tolist() == ["train"] * 3 + ["test"] * 3
    assert all(np.array_equal(store.read(i), VALUES[i % 3][None], equal_nan=True) for i in range(6))
    cases = read_cases(tmp_path / "s")
    assert {split: len(cases[split]) for split in cases} == {"train": 3, "test": 3}


def test_arff_of_several_dimensions(tmp_path: Path) -> None:
    (tmp_path / "m.arff").write_text(
        "@relation m\n@attribute dims relational\n@attribute t1 numeric\n@attribute t2 numeric\n@end dims\n"
        "@attribute 'the class' {a,'b c'}\n@data\n'1,2\\n3,?',a\n\"5,6\\n7,8\",'b c'\n"
    )
    ingest(tmp_path / "m.arff", tmp_path / "s", progress=False)
    store = SeriesStore.open(tmp_path / "s")
    assert np.array_equal(store.read(0), np.array([[1, 2], [3, np.nan]], np.float32), equal_nan=True)
    assert store.read(1).tolist() == [[5, 6], [7, 8]]
    assert store.static["label"].tolist() == ["a", "b c"]


def test_timestamps_of_ts_files_make_a_grid(tmp_path: Path) -> None:
    (tmp_path / "t.ts").write_text(
        "@timestamps true\n@data\n"
        "(2024-01-01,1),(2024-01-02,2),(2024-01-04,4):(2024-01-02,?),(2024-01-03,30),(2024-01-04,40)\n"
    )
    ingest(tmp_path / "t.ts", tmp_path / "s", progress=False)
    store = SeriesStore.open(tmp_path / "s")
    expected = np.array([[1, 2, np.nan, 4], [np.nan, np.nan, 30, 40]], np.float32)
    assert np.array_equal(store.read(0), expected, equal_nan=True)
    assert (store.freqs, str(store.starts[0])) == (["D"], "2024-01-01T00:00:00.000000")


HEAD = "@attribute a numeric\n@attribute class {x,y}\n@data\n"
TIMED = "@timestamps true\n@data\n"
BAD: dict[str, tuple[str, str, str]] = {
    "a label that is not a number": ("X_TRAIN.tsv", "1\t2\t3\nb\t4\t5\n", "row 2: 'b' is not a number"),
    "a label alone": ("X_TRAIN.tsv", "1\t2\n1\n", "row 2: found 1 cell"),
    "cells of an arff row": ("t.arff", HEAD + "1,2,x\n", "t.arff, .*row 4: found 3 cells, expected 2"),
    "a word in an arff row": ("t.arff", HEAD + "one,x\n", "row 4: .*'one'"),
    "a sparse arff row": ("t.arff", HEAD + "{0 1}\n", "row 4: a sparse row"),
    "an arff file without a class": ("t.arff", "@attribute a numeric\n@data\n1\n", "the last attribute, 'a', is not"),
    "an arff file cut short": ("t.arff", "@attribute a numeric\n", "t.arff has no @data line"),
    "an arff file without rows": ("t.arff", HEAD, "t.arff has no series after @data"),
    "text above @data": ("t.arff", "hello\n" + HEAD, "t.arff, row 1: expected an @ line"),
    "a timestamp twice": ("t.ts", TIMED + "(0,1),(0,2)\n", "a timestamp occurs twice"),
    "irregular numbers": ("t.ts", TIMED + "(0,1),(1,2),(2.5,3)\n", "not multiples of one step"),
    "a far timestamp": ("t.ts", TIMED + "(0,1),(1,2),(9999999,3)\n", "3 timestamps would make 10000000 steps"),
    "a date that is none": ("t.ts", TIMED + "(2024-13-01,1),(2024-01-02,2)\n", "row 3: timestamp .*2024-13-01"),
    "a value that is none": ("t.ts", TIMED + "(0,one)\n", "row 3: 'one' is not a number"),
}


@pytest.mark.parametrize("name", BAD)
def test_damage_is_named(tmp_path: Path, name: str) -> None:
    file, content, message = BAD[name]
    (tmp_path / file).write_text(content)
    with pytest.raises(ValueError, match=message):
        ingest(tmp_path / file, tmp_path / "s", progress=False)
    assert [path.name for path in tmp_path.iterdir()] == [file]


def test_a_table_called_train_stays_a_table(tmp_path: Path) -> None:
    (tmp_path / "X_TRAIN.csv").write_text("date,x\n2024-01-01,1\n2024-01-02,2\n2024-01-03,3\n")
    ingest(tmp_path / "X_TRAIN.csv", tmp_path / "s", progress=False)
    assert SeriesStore.open(tmp_path / "s").channels == ["x"]


@pytest.mark.parametrize("suffix", [".ts", ".tsv", ".arff", ".txt"])
def test_a_file_of_cases_is_ingested_first(tmp_path: Path, suffix: str) -> None:
    path: Any = tmp_path / f"X_TRAIN{suffix}"
    path.write_text("1 2\n")
    with pytest.raises(ValueError, match=f"is a {suffix} file; run `tsfm ingest"):
        read_cases(path)


HEADERS = {  # a header that says something else than the cases -> the error
    "dimensions": (["@dimensions 3", "@classLabel true a b"], "has 2 dimension.s., and the header says 3"),
    "dimension": (["@dimension 1", "@classLabel true a b"], "has 2 dimension.s., and the header says 1"),
    "univariate": (["@univariate true", "@classLabel true a b"], "has 2 dimension.s., and the header says 1"),
    "two labels": (["@classLabel true a b", "@targetLabel true"], "@classLabel true and @targetLabel true"),
    "twice": (["@classLabel true a b", "@univariate true", "@univariate false"], "'@univariate true' and"),
    "both": (["@classLabel true a b", "@univariate true", "@dimensions 2"], "@univariate true and 2 dimensions"),
    "no switch": (["@classLabel yes a b"], "'@classlabel yes' is neither true nor false"),
    "no number": (["@dimensions two", "@classLabel true a b"], "'@dimensions two' has no number"),
}
NOTES = {  # what only describes the cases -> the note
    "seriesLength": (["@equalLength true", "@seriesLength 5"], "says @seriesLength 5, and its cases have 3 to 4 steps"),
    "equalLength": (["@equalLength true"], "says @equalLength true, and its cases have 3 to 4 steps"),
    "missing": (["@missing false"], "says @missing false, and values are missing"),
    "right": (["@equalLength false", "@seriesLength 4", "@missing true", "@univariate false", "@dimensions 2"], ""),
}
CASES = "1,2,3:4,5,6:a\n1,2,3,4:4,?,6,7:b\n"


@pytest.mark.parametrize(("header", "error"), HEADERS.values(), ids=HEADERS)
def test_a_header_of_ts_that_contradicts_its_cases_is_refused(tmp_path, header, error):
    path = tmp_path / "x.ts"
    path.write_text("\n".join(["@problemName x", *header, "@data", CASES]))
    with pytest.raises(ValueError, match=error):
        ingest(path, tmp_path / "s", progress=False)


@pytest.mark.parametrize(("header", "note"), NOTES.values(), ids=NOTES)
def test_what_a_header_of_ts_only_describes_is_noted(tmp_path, header, note):
    path = tmp_path / "x.ts"
    path.write_text("\n".join(["@problemName x", *header, "@classLabel true a b", "@data", CASES]))
    report = ingest(path, tmp_path / "s", progress=False, warn=False)
    assert report.steps == 7
    notes = [line for line in report.notes if "the header says" in line]
    assert len(notes) == bool(note)
    assert note in "".join(notes)
