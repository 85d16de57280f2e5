"""Saving a model and ingesting a data set, killed at any file-system event: the old or the new is there, and whole."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests import crash_points
from tests.tiny import tiny
from tsfm.files import folders
from tsfm.model.checkpoint import About, find, load, save
from tsfm.store.ingest import ingest
from tsfm.store.series_store import SeriesStore

At = Callable[[list[str]], Iterable[int]]


def save_model(folder: Path, seed: int) -> None:
    save(tiny("nlinear", seed=seed), folder / "model", about=About())


def read_model(folder: Path) -> Any:
    """The weights of the model; None if there is none."""
    try:
        model, _ = load(find(folder / "model"))
    except FileNotFoundError:
        return None
    return {name: tensor.tolist() for name, tensor in model.state_dict().items()}


def ingest_rows(folder: Path, seed: int) -> None:
    stamps = pd.date_range("2024-01-01", periods=40, freq="h")
    rows = pd.DataFrame({"item_id": "a", "timestamp": stamps, "target": np.arange(40.0) * (seed + 1)})
    ingest(rows, folder / "store", overwrite=True, progress=False)


def read_store(folder: Path) -> Any:
    """The values of the store; None if there is none."""
    try:
        return SeriesStore.open(folder / "store").read(0).tolist()
    except FileNotFoundError:
        return None


COMMANDS: dict[str, tuple[Callable[[Path, int], None], Callable[[Path], Any]]] = {
    "save": (save_model, read_model),
    "ingest": (ingest_rows, read_store),
}


@pytest.mark.parametrize("at", [crash_points.some(4), pytest.param(crash_points.every, marks=pytest.mark.slow)])
@pytest.mark.parametrize("can_exchange", [True, False], ids=["exchange", "two renames"])
@pytest.mark.parametrize("replaces", [False, True], ids=["new", "over an old one"])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_folder_is_old_or_new_after_a_kill(
    name: str, replaces: bool, can_exchange: bool, at: At, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, read = COMMANDS[name]
    root = tmp_path / "root"
    if not can_exchange:
        monkeypatch.setattr(folders, "exchange_names", lambda *names: False)

    def begin() -> Any:
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        if replaces:
            write(root, 0)
        return read(root)

    old = begin()
    write(root, 1)
    new = read(root)
    assert new is not None
    assert new != old

    def killed() -> None:
        assert read(root) in (old, new)

    title = f"{name}, {'over an old one' if replaces else 'new'}, {'exchange' if can_exchange else 'two renames'}"
    crash_points.survive(title, lambda: write(root, 1), root, lambda: read(root), at=at, begin=begin, killed=killed)
