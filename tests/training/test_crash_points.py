"""A training run that is killed at any file-system event and resumed ends as an uninterrupted one."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import crash_points
from tsfm.commands.train import train_and_score
from tsfm.config import RunConfig, compose, typed
from tsfm.model.checkpoint import find, load
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
At = Callable[[list[str]], Iterable[int]]
FAST = {"every 6": 3, "every 4": 2}  # how many points of a variant the fast tests take
LEFT = re.compile(r"\.tsfm-|^\.lock$")  # drafts are removed a day later, and a lock is released although its file stays
POINTS = [crash_points.some(2), pytest.param(crash_points.every, marks=pytest.mark.slow)]
TIMES = ("windows/s", "seconds", "run_dir", "model", "digest")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "store"
    values = np.sin(np.arange(120) / 3) + 0.3 * np.random.default_rng(0).normal(size=120)
    with StoreWriter(path, channels=["target"]) as writer:
        writer.add("s", values[None].astype(np.float32), np.datetime64("2024-01-01", "us"), "h")
    return path


def configure(store: Path, *settings: str) -> RunConfig:
    return typed(compose("train", [*SETTINGS, *settings, f"data.dataset={store}", "resume=auto"]))


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


def check(variant: str, store: Path, tmp_path: Path, at: At) -> int:
    root, run_dir = tmp_path / "runs", tmp_path / "runs" / "r"
    config = configure(store, f"run_dir={run_dir}", *VARIANTS[variant])
    train_and_score(config)  # forked processes have what it imports
    whole = outcome(run_dir)

    def killed() -> None:
        """What can be read is whole: the result, and the model, which is written before it."""
        if (run_dir / "result.json").exists():
            assert outcome(run_dir) == whole
        if (run_dir / "model").exists():
            assert (run_dir / "model" / "model.safetensors").read_bytes() == whole["weights"]
            load(find(run_dir))

    command = partial(train_and_score, config)
    return crash_points.survive(f"train, {variant}", command, root, lambda: outcome(run_dir), at=at, killed=killed)


@pytest.mark.parametrize("variant", FAST)
def test_a_run_killed_at_some_event_ends_as_an_uninterrupted_one(variant: str, store: Path, tmp_path: Path) -> None:
    assert check(variant, store, tmp_path, crash_points.some(FAST[variant])) == FAST[variant]


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_run_killed_at_any_event_ends_as_an_uninterrupted_one(variant: str, store: Path, tmp_path: Path) -> None:
    assert check(variant, store, tmp_path, crash_points.every) > 20


@pytest.mark.parametrize("at", POINTS)
def test_a_run_that_is_made_longer_and_killed_ends_as_one_that_was_long(at: At, store: Path, tmp_path: Path) -> None:
    """The shorter run is there, finished; a kill leaves its result or none."""
    root, kept = tmp_path / "runs", tmp_path / "short"
    target = f"run_dir={root / 'r'}"
    train_and_score(configure(store, target))
    short = outcome(root / "r")
    root.rename(kept)
    config = configure(store, target, "trainer.max_epochs=5")
    train_and_score(config)
    long = outcome(root / "r")
    shutil.rmtree(root)

    def killed() -> None:
        if (root / "r" / "result.json").exists():
            assert outcome(root / "r")["result"] in (short["result"], long["result"])
        assert (root / "r" / "model" / "model.safetensors").read_bytes() in (short["weights"], long["weights"])

    def outcome_of_long() -> dict[str, Any]:
        result = outcome(root / "r")
        assert result == long
        return result

    crash_points.survive(
        "train, made longer", partial(train_and_score, config), root, outcome_of_long, at=at, killed=killed,
        begin=lambda: shutil.copytree(kept, root),
    )  # fmt: skip


@pytest.mark.parametrize("at", POINTS)
def test_a_run_in_a_folder_with_a_chosen_name_is_killed_and_leaves_no_other(
    at: At, store: Path, tmp_path: Path
) -> None:
    """A folder that was made before its config.yaml was written is removed by the next run."""
    root = tmp_path / "runs"

    def result() -> dict[str, Any]:
        folders = [path for path in (root / "run").iterdir() if path.name != ".lock"]
        assert len(folders) == 1
        return outcome(folders[0])

    config = configure(store, f"run_root={root}", "trainer.max_epochs=1")
    train_and_score(config)
    crash_points.survive("train, chosen folder", partial(train_and_score, config), root, result, at=at)
