"""`tsfm show`: what a config would do, covariates and their visibility included."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tsfm.bench import describe
from tsfm.data.store import StoreWriter


@pytest.fixture
def store(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    with StoreWriter(tmp_path / "store", channels=["sales", "price", "rain"]) as writer:
        writer.add("s", rng.normal(size=(3, 300)).astype(np.float32), np.datetime64("2024-01-01", "us"), "h")
    return tmp_path / "store"


def shown(store: Path, *settings: str) -> str:
    shape = ["model.context=32", "model.horizon=16", "model.patch=8", "model.stride=8", "model.embed=residual"]
    network = ["head=patch_quantiles", "task.loss=pinball", "backbone=patch_transformer", "backbone.positions=rotary"]
    return describe.run(["data=store", f"data.dataset={store}", *shape, *network, *settings])


def test_the_picture_shows_how_far_each_channel_is_visible(store: Path) -> None:
    told = shown(store, "backbone.mix_every=1", "data.past=[rain]", "data.known=[price]", "data.calendar=[hour]")
    rows = {line.split()[0]: line for line in told.splitlines() if " .. " in line}
    assert list(rows) == ["sales", "rain", "price", "calendar_hour"]
    cells = {name: line[16 : 16 + 48] for name, line in rows.items()}
    assert cells["sales"][32:] == "?" * 16
    assert cells["rain"][32:] == " " * 16
    assert not set(cells["price"]) & {"?", " "}
    assert not set(cells["calendar_hour"]) & {"?", " "}
    assert "48 steps: 32 visible (bars), 16 wanted (?)" in told
    assert "channels    4, frequency h" in told
    assert "1 target\n            1 past-only\n            1 known ahead\n            1 time mark" in told


def test_without_covariates_the_picture_counts_channels(store: Path) -> None:
    told = shown(store, "data.known=[price]")  # a backbone that keeps channels apart
    assert [line[:9] for line in told.splitlines() if " .. " in line] == ["channel 0", "channel 1"]
    assert "channels    2, frequency h" in told
