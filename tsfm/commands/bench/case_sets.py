"""The data sets of `tsfm bench cases`: manifest, published accuracies, and the names that --sets takes."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tsfm.data.case_files import available_cases, find_cases

FULL_WINDOW, LEARNED_WINDOW, EUCLIDEAN = "1NN-DTW (full window)", "1NN-DTW (learned window)", "1NN-ED"
REQUIRED = ("InceptionTime", "MiniROCKET", "ROCKET", FULL_WINDOW)  # published methods of the thirty sets
NUM_SETS, MAX_CASES, MAX_VALUES = 30, 1000, 100_000
Published = Mapping[tuple[str, str], float]  # (set, method) -> accuracy


class SetInfo(NamedTuple):
    """A line of MANIFEST.md."""

    name: str
    archive: str
    train: int  # cases
    longest: int  # steps


def classification_root() -> Path:
    """Return the data root that holds classification sets."""
    paths = available_cases().values()
    root = next((path.parents[1] for path in paths if path.parent.name == "classification"), None)
    if root is None:
        raise FileNotFoundError("no classification/*.parquet in any data root; set TSFM_DATA to a folder that has them")
    return root


def read_manifest(root: Path) -> list[SetInfo]:
    """Read every data set that classification/MANIFEST.md lists."""
    lines = (root / "classification" / "MANIFEST.md").read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")]
    head = next(row for row in cells if row[0] == "file")
    rows = [dict(zip(head, row, strict=False)) for row in cells if row[0].endswith(".parquet")]
    return [
        SetInfo(Path(row["file"]).stem, row["archive"], int(row["train"]), int(row["length"].split("-")[-1]))
        for row in rows
    ]


def read_published(file: Path) -> dict[tuple[str, str], float]:
    """Read the published accuracies on the archive's split, (set, method) -> accuracy.

    Where sources differ, it is their mean. Values of altered versions of a set (the source names them in brackets) are
    left out.
    """
    values: dict[tuple[str, str], list[float]] = {}
    with open(file, encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            altered = row["source"].rstrip(")").endswith(("_eq", "_nmv"))
            if row["protocol"] == "default_split" and not altered:
                values.setdefault((row["dataset"], row["method"]), []).append(float(row["accuracy"]))
    return {key: float(np.mean(accuracies)) for key, accuracies in values.items()}


def thirty(sets: Iterable[SetInfo], published: Published) -> list[str]:
    """Return the sets on which networks are compared, fixed before any run.

    Of the UCR-2018 sets in the manifest that have published default-split accuracies of InceptionTime, MiniROCKET,
    ROCKET and 1NN-DTW, with at most 1,000 training cases and at most 100,000 training values (cases x longest length),
    sorted by name, 30 spread evenly (index floor(i * n / 30)).
    """
    small = sorted(
        info.name
        for info in sets
        if info.archive == "UCR-2018"
        and all((info.name, method) in published for method in REQUIRED)
        and info.train <= MAX_CASES
        and info.train * info.longest <= MAX_VALUES
    )
    return [small[i * len(small) // NUM_SETS] for i in range(NUM_SETS)]


def choose_sets(names: Sequence[str], *, published: Published) -> list[str]:
    """Return the data sets that --sets means: `thirty`, `ucr` and `all` stand for several.

    Raises
    ------
    FileNotFoundError
        If there is no data set of a name, or if `thirty` is chosen without published accuracies.
    """
    chosen: list[str] = []
    for name in names:
        if name == "all":
            chosen += [path.stem for path in available_cases().values() if path.parent.name == "classification"]
        elif name == "ucr":
            infos = read_manifest(classification_root())
            chosen += sorted(info.name for info in infos if info.archive == "UCR-2018")
        elif name == "thirty":
            if not published:
                raise FileNotFoundError(
                    "--sets thirty is chosen by classification_published.csv, which was not found; give its folder by "
                    "--anchors"
                )
            chosen += thirty(read_manifest(classification_root()), published)
        else:
            find_cases(name)
            chosen.append(name)
    return list(dict.fromkeys(chosen))
