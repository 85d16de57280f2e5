"""Ways to make an input bad: each function returns a `Corruption`, which changes a workspace."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.bad_inputs.workspace import Corruption, captured_output, fail_writes
from tsfm.store.ingest import ingest

Change = Callable[[pd.DataFrame], pd.DataFrame | None]  # of a DataFrame; None if it was changed in place


def changed_table(change: Change, *, file: str = "bad.csv") -> Corruption:
    """Write sales.csv, changed, to another CSV file."""

    def corrupt(workspace: Path, patch: Any) -> None:
        rows = pd.read_csv(workspace / "sales.csv").astype(object)
        changed = change(rows)
        (rows if changed is None else changed).to_csv(workspace / file, index=False)

    return corrupt


def changed_cell(row: int, column: str, value: Any) -> Corruption:
    """Change one cell; `row` counts from 0, which is row + 2 of the file as an editor counts."""

    def change(rows: pd.DataFrame) -> None:
        rows.loc[row, column] = value

    return changed_table(change)


def written(file: str, content: str | bytes) -> Corruption:
    """Write a file."""
    data = content.encode() if isinstance(content, str) else content
    return lambda workspace, patch: (workspace / file).write_bytes(data)


def truncated(file: str, size: int) -> Corruption:
    """Cut a file to `size` bytes."""
    return lambda workspace, patch: os.truncate(workspace / file, size)


def truncated_parquet(size: int) -> Corruption:
    """Write sales.csv as bad.parquet, cut to `size` bytes."""

    def corrupt(workspace: Path, patch: Any) -> None:
        pd.read_csv(workspace / "sales.csv").to_parquet(workspace / "bad.parquet")
        os.truncate(workspace / "bad.parquet", size)

    return corrupt


def replaced_text(file: str, old: str, new: str) -> Corruption:
    """Replace a part of a text file."""

    def corrupt(workspace: Path, patch: Any) -> None:
        text = (workspace / file).read_text()
        assert old in text
        (workspace / file).write_text(text.replace(old, new))

    return corrupt


def flipped_bit(file: str, position: int) -> Corruption:
    """Change one bit of a file."""

    def corrupt(workspace: Path, patch: Any) -> None:
        content = bytearray((workspace / file).read_bytes())
        content[position] ^= 1
        (workspace / file).write_bytes(content)

    return corrupt


def removed(name: str) -> Corruption:
    """Remove a file or a folder."""

    def corrupt(workspace: Path, patch: Any) -> None:
        path = workspace / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return corrupt


def copied(name: str, to: str) -> Corruption:
    """Copy a folder."""
    return lambda workspace, patch: shutil.copytree(workspace / name, workspace / to)


def changed_json(file: str, **changes: Any) -> Corruption:
    """Change values of a JSON file; `model__width` stands for the key width in model.

    A checkpoint loses its digest, as if it had been changed on purpose.
    """

    def corrupt(workspace: Path, patch: Any) -> None:
        content = json.loads((workspace / file).read_text())
        for key, value in changes.items():
            *path, last = key.split("__")
            values = content
            for step in path:
                values = values[step]
            values[last] = value
        content.pop("digest", None)
        (workspace / file).write_text(json.dumps(content))

    return corrupt


def changed_store(change: Change) -> Corruption:
    """Make a store named odd of sales.csv, changed."""

    def corrupt(workspace: Path, patch: Any) -> None:
        changed_table(change)(workspace, patch)
        with captured_output():
            channels = [
                name for name in pd.read_csv(workspace / "bad.csv", nrows=0) if name not in ("item_id", "timestamp")
            ]
            ingest(workspace / "bad.csv", workspace / "odd", target=channels, progress=False)
        (workspace / "bad.csv").unlink()

    return corrupt


def unwritable(name: str, number: int) -> Corruption:
    """Let writing fail with an errno where `name` is part of the path: a full or read-only disk."""
    return lambda workspace, patch: fail_writes(patch, name, number)


def raising(owner: Any, name: str, error: BaseException) -> Corruption:
    """Replace a function by one that raises an error."""

    def corrupt(workspace: Path, patch: Any) -> None:
        def raise_error(*args: Any, **kwargs: Any) -> None:
            raise error

        patch.setattr(owner, name, raise_error)

    return corrupt


def combined(*corruptions: Corruption) -> Corruption:
    """Apply several corruptions, one after another."""

    def corrupt(workspace: Path, patch: Any) -> None:
        for corruption in corruptions:
            corruption(workspace, patch)

    return corrupt


def item_without_values(rows: pd.DataFrame) -> None:
    """Remove every value of item b."""
    rows.loc[120:, "target"] = np.nan


def mixed_time_zones(rows: pd.DataFrame) -> None:
    """Give one timestamp no time zone."""
    rows["timestamp"] = rows["timestamp"].astype(str) + "+01:00"
    rows.loc[7, "timestamp"] = "2024-01-01 07:00:00"
