"""A training run that is killed at any file-system event and resumed ends as an uninterrupted one."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import crash_points
from tsfm.commands.train import train_and_score
from tsfm.config import compose, typed
from tsfm.store.series_store import StoreWriter

# three epochs of six steps; a state is due in the step that also ends an epoch and needs a validation
SETTINGS = [
    "data=store", "data.batch_size=4", "data.sampling=random", "data.batches_per_epoch=6", "model.context=16",
    "model.horizon=4", "model.width=8", "model.patch=4", "model.stride=4", "backbone.heads=1", "backbone.depth=1",
    "backbone.hidden=8", "optim.lr=0.05", "trainer.max_epochs=3", "trainer.patience=null", "trainer.checkpoint_every=6",
    "trainer.progress=false", "trainer.accelerator=cpu",
]  # fmt: skip
VARIANTS = {
    "every 6": [],
    "every 4": ["trainer.checkpoint_every=4", "trainer.ema=0.9", "trainer.patience=1"],
    "last": ["trainer.checkpoint_every=3", "trainer.keep=last", "trainer.max_epochs=-1", "trainer.max_steps=15"],
    "never": ["trainer.val_every=0", "trainer.keep=last", "trainer.checkpoint_every=2", "trainer.max_steps=15"],
    "steps": ["trainer.max_steps=12", "trainer.ema=0.8", "trainer.keep=last"],
    "within": ["trainer.val_every=4", "trainer.accumulate=3", "trainer.checkpoint_every=2"],
}
FAST = {"every 6": 2}  # how many points of a variant the fast tests take
LEFT = re.compile(r"\.tsfm-|^\.lock$")  # drafts are removed a day later, and a lock is released although its file stays
TIMES = ("windows/s", "seconds", "run_dir", "model")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "store"
    values = np.sin(np.arange(120) / 3) + 0.3 * np.random.default_rng(0).normal(size=120)
    with StoreWriter(path, channels=["target"]) as writer:
        writer.add("s", values[None].astype(np.float32), np.datetime64("2024-01-01", "us"), "h")
    return path


def train(store: Path, run_dir: Path, *settings: str) -> None:
    overrides = [*SETTINGS, *settings, f"data.dataset={store}", f"run_dir={run_dir}", "resume=auto"]
    train_and_score(typed(compose("train", overrides)))


def outcome(run_dir: Path) -> dict[str, Any]:
    """Everything of a finished run that does not depend on the time."""
    file = run_dir / "metrics.csv"
    lines = file.read_text().splitlines() if file.exists() else []
    rows = [{k: v for k, v in row.items() if k not in TIMES} for row in csv.DictReader(lines)]
    result = json.loads((run_dir / "result.json").read_text())
    paths = [path.relative_to(run_dir) for path in run_dir.rglob("*")]
    return {
        "result": {key: value for key, value in result.items() if key not in TIMES},
        "metrics": [row for row in rows if any(value for key, value in row.items() if key not in ("step", "epoch"))],
        "weights": (run_dir / "model" / "model.safetensors").read_bytes(),
        "files": sorted(str(path) for path in paths if not any(map(LEFT.search, path.parts))),
    }


def points(variant: str, events: list[str]) -> list[int]:
    """The first event of each kind and file, so many as the fast tests take."""
    first = {event: number for number, event in reversed(list(enumerate(events)))}
    chosen = sorted(first.values())
    step = max(1, len(chosen) // FAST[variant])
    return chosen[step // 2 :: step]


def check(variant: str, store: Path, tmp_path: Path, *, every_point: bool) -> int:
    root, settings = tmp_path / "runs", VARIANTS[variant]
    events = crash_points.run(lambda: train(store, root / "r", *settings), root)
    assert events is not None
    expected = outcome(root / "r")
    numbers = list(range(len(events))) if every_point else points(variant, events)
    for number in numbers:
        shutil.rmtree(root)
        power_cut = number % 2 == 1
        killed = crash_points.run(
            lambda: train(store, root / "r", *settings), root, kill_at=number, power_cut=power_cut
        )
        assert killed is None, f"the run did not come to event {number}"
        crash_points.run(lambda: train(store, root / "r", *settings), root)
        resumed = outcome(root / "r")
        for name, value in expected.items():
            assert resumed[name] == value, f"{name} after a kill before event {number}: {events[number]}"
    return len(numbers)


@pytest.mark.parametrize("variant", FAST)
def test_a_run_killed_at_some_event_ends_as_an_uninterrupted_one(variant: str, store: Path, tmp_path: Path) -> None:
    assert check(variant, store, tmp_path, every_point=False) > 0


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_run_killed_at_any_event_ends_as_an_uninterrupted_one(variant: str, store: Path, tmp_path: Path) -> None:
    assert check(variant, store, tmp_path, every_point=True) > 20
