"""How inputs are spoilt: each function gives a Spoil, which is called with the desk and a MonkeyPatch."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from tests.bad_inputs.desk import Spoil, quiet, refuse
from tsfm.store.ingest import ingest


def table(change: Callable[[pd.DataFrame], pd.DataFrame | None], *, file: str = "bad.csv") -> Spoil:
    """sales.csv, changed, as another CSV; a change in place gives None."""

    def spoil(desk: Path, patch: Any) -> None:
        rows = pd.read_csv(desk / "sales.csv").astype(object)
        changed = change(rows)
        (rows if changed is None else changed).to_csv(desk / file, index=False)

    return spoil


def cell(row: int, column: str, value: Any) -> Spoil:
    """One cell changed; `row` counts from 0, so it is row + 2 of the file as an editor counts."""

    def change(rows: pd.DataFrame) -> None:
        rows.loc[row, column] = value

    return table(change)


def text(file: str, content: str | bytes) -> Spoil:
    return lambda desk, patch: (desk / file).write_bytes(content.encode() if isinstance(content, str) else content)


def cut(file: str, size: int) -> Spoil:
    return lambda desk, patch: os.truncate(desk / file, size)


def gone(name: str) -> Spoil:
    def spoil(desk: Path, patch: Any) -> None:
        path = desk / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return spoil


def copied(name: str, to: str) -> Spoil:
    return lambda desk, patch: shutil.copytree(desk / name, desk / to)


def parquet(size: int) -> Spoil:
    """sales.csv as Parquet, cut to `size` bytes."""

    def spoil(desk: Path, patch: Any) -> None:
        pd.read_csv(desk / "sales.csv").to_parquet(desk / "bad.parquet")
        os.truncate(desk / "bad.parquet", size)

    return spoil


def settings(file: str, **changes: Any) -> Spoil:
    """A JSON file with other values; `model__width` stands for the key width in model."""

    def spoil(desk: Path, patch: Any) -> None:
        found = json.loads((desk / file).read_text())
        for key, value in changes.items():
            *path, last = key.split("__")
            place = found
            for step in path:
                place = place[step]
            place[last] = value
        (desk / file).write_text(json.dumps(found))

    return spoil


def store(change: Callable[[pd.DataFrame], pd.DataFrame | None]) -> Spoil:
    """A store called odd, of sales.csv changed."""

    def spoil(desk: Path, patch: Any) -> None:
        table(change)(desk, patch)
        with quiet():
            ingest(desk / "bad.csv", desk / "odd", progress=False)
        (desk / "bad.csv").unlink()

    return spoil


def forbidden(place: str, number: int) -> Spoil:
    """Nothing can be written where `place` is in the path."""
    return lambda desk, patch: refuse(patch, place, number)


def breaks(owner: Any, name: str, error: BaseException) -> Spoil:
    """A function that raises."""

    def spoil(desk: Path, patch: Any) -> None:
        def broken(*args: Any, **kwargs: Any) -> None:
            raise error

        patch.setattr(owner, name, broken)

    return spoil


def both(*spoils: Spoil) -> Spoil:
    def spoil(desk: Path, patch: Any) -> None:
        for one in spoils:
            one(desk, patch)

    return spoil
