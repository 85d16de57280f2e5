"""`tsfm show`: what a config would do, covariates and their visibility included."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tsfm.commands import show
from tsfm.store.series_store import StoreWriter


@pytest.fixture
def store(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    with StoreWriter(tmp_path / "store", channels=["sales", "price", "rain"]) as writer:
        writer.add("s", rng.normal(size=(3, 300)).astype(np.float32), np.datetime64("2024-01-01", "us"), "h")
    return tmp_path / "store"


def describe(store: Path, *settings: str) -> str:
    shape = ["model.context=32", "model.horizon=16", "model.patch=8", "model.stride=8", "model.embed=residual"]
    network = ["head=patch_quantiles", "task.loss=pinball", "backbone=patch_transformer", "backbone.positions=rotary"]
    return show.describe_run(["data=store", f"data.dataset={store}", *shape, *network, *settings])


def test_the_picture_shows_how_far_each_channel_is_visible(store: Path) -> None:
    text = describe(
        store, "backbone.mix_every=1", "data.past=[rain]", "data.known=[price]", "data.time_features=[hour]"
    )
    rows = {line.split()[0]: line for line in text.splitlines() if " .. " in line}
    assert list(rows) == ["sales", "rain", "price", "calendar_hour"]
    cells = {name: line[16 : 16 + 48] for name, line in rows.items()}
    assert cells["sales"][32:] == "?" * 16
    assert cells["rain"][32:] == " " * 16
    assert not set(cells["price"]) & {"?", " "}
    assert not set(cells["calendar_hour"]) & {"?", " "}
    assert "48 steps: 32 visible (bars), 16 wanted (?)" in text
    assert "channels    4, frequency h" in text
    assert "1 target\n            1 past covariate\n            1 known covariate\n            1 time feature" in text


def test_without_covariates_the_picture_counts_channels(store: Path) -> None:
    text = describe(store, "data.known=[price]")  # a backbone that keeps channels apart
    assert [line[:9] for line in text.splitlines() if " .. " in line] == ["channel 0", "channel 1"]
    assert "channels    2, frequency h" in text


@pytest.mark.parametrize("real", [0.5, 0.0])
def test_a_pre_training_run_is_shown_with_its_corpus(store: Path, real: float) -> None:
    small = ["model.context=32", "model.horizon=16", "model.patch=8", "model.stride=8", "task.patch=8"]
    settings = [
        "experiment=pretrain/nano",
        *small,
        "data.lengths=[48,64]",
        "data.length_weights=[0.5,0.5]",
        "data.batch_values=640",
    ]
    text = show.describe_run([*settings, "data.batch_values=640", f"data.sets=[{store}]", f"data.real_rate={real}"])
    assert ("1 series of 1 sets; 50% of the windows are real" if real else "no real series; 0% of the") in text
    assert "50% of 48 steps, 50% of 64 steps; 640 values a batch" in text
    assert f"held out    {3 if real else 0} ends" in text
    assert "wanted (?)" in text
