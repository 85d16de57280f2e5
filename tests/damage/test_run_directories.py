"""Run directories with one thing changed: a resumed run ends with the same weights, or an error in words says why not.

    pytest tests/damage -m slow --durations=0

Limits of a mutation: 20 s of CPU time, and 2 GiB of memory beyond what the process has.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from tests.damage import changes
from tests.damage.forked import run_cases
from tests.training.test_resume import SETTINGS
from tsfm.commands.train import train_and_score
from tsfm.config import RunConfig, compose, typed
from tsfm.store.series_store import StoreWriter
from tsfm.training.checkpoint_file import RunCheckpointIO

NUM_SLOW, NUM_FAST = 500, 12
LAST = "checkpoints/last.ckpt"
TINY = ["trainer.max_epochs=2", "trainer.checkpoint_every=2", "data.batch_size=32", "bench.batch_size=64"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A finished run, the same run as it was before its end, its config, and what it gives."""
    root = tmp_path_factory.mktemp("damaged")
    with StoreWriter(root / "store", channels=["target"]) as writer:
        values = np.sin(np.arange(180) / 3) + 0.1 * np.random.default_rng(0).normal(size=180)
        writer.add("s", values[None].astype(np.float32), np.datetime64("2024-01-01", "us"), "h")
    settings = [text for text in [*SETTINGS, *TINY[:3]] if "onecycle" not in text]
    config = typed(compose("train", [*settings, f"data.dataset={root / 'store'}", f"run_dir={root / 'x' / 'run'}"]))
    original, count = RunCheckpointIO.save_checkpoint, iter(range(1000))

    def keep_second(self: Any, checkpoint: Any, path: Any, **options: Any) -> None:
        original(self, checkpoint, path, **options)
        if next(count) == 1:
            shutil.copytree(Path(path).parents[1], root / "unfinished")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunCheckpointIO, "save_checkpoint", keep_second)
        expected = outcome(config)
    (root / "unfinished" / ".lock").unlink(missing_ok=True)
    shutil.copytree(root / "x" / "run", root / "finished")
    assert not (root / "unfinished" / "result.json").exists()
    return {"root": root, "config": replace(config, resume="auto"), "expected": expected}


def outcome(config: RunConfig) -> dict[str, Any]:
    """What a run gives, without how long it took: the result, and the digest of the weights."""
    result = train_and_score(config)
    weights = Path(config.run_dir or "") / "model" / "model.safetensors"
    kept = {key: value for key, value in result.items() if key not in ("seconds", "run_dir", "model")}
    return json.loads(json.dumps(kept)) | {"weights": hashlib.sha256(weights.read_bytes()).hexdigest()}


def changed_yaml(file: Path, rng: changes.Rng) -> None:
    content = yaml.safe_load(file.read_text())
    changes.changed_value(content, rng)
    file.write_text(yaml.safe_dump(content, sort_keys=False))


def laughing_yaml(file: Path, rng: changes.Rng) -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    file.write_text(file.read_text() + "\n".join([*rows, ""]))


def added_lock(folder: Path, rng: changes.Rng) -> None:
    """A lock file that a killed process left, or something else instead of it."""
    file = folder / ".lock"
    file.write_bytes(changes.pick(rng, [b"", b"process 1 on x", rng.bytes(1000), b"\x00" * 10**6]))
    if rng.random() < 0.5:
        changes.replaced(file, rng, canary=folder / "no canary")


def kinds(canary: Path) -> list[tuple[str, str, changes.Change]]:
    replaced, archive = (partial(f, canary=canary) for f in (changes.replaced, changes.changed_archive))
    files = ("config.yaml", LAST, "metrics.csv", "result.json", "environment.json", "fingerprint.json")
    return [
        *[("a value of the config", "config.yaml", changed_yaml)] * 4,
        ("bytes of the config", "config.yaml", changes.changed_bytes),
        ("another text as the config", "config.yaml", changes.hostile_text),
        ("aliases in the config", "config.yaml", laughing_yaml),
        *[("bytes of the state", LAST, changes.changed_bytes)] * 3,
        ("an entry of the state", LAST, archive),
        *[("bytes of the metrics", "metrics.csv", changes.changed_bytes)] * 2,
        *[("a value of the result", "result.json", changes.changed_json)] * 2,
        ("bytes of the result", "result.json", changes.changed_bytes),
        ("another text as the result", "result.json", changes.hostile_text),
        ("a value of the environment", "environment.json", changes.changed_json),
        ("another text as the environment", "environment.json", changes.hostile_text),
        ("a value of the fingerprint", "fingerprint.json", changes.changed_json),
        ("bytes of the fingerprint", "fingerprint.json", changes.changed_bytes),
        ("a lock", ".", added_lock),
        ("code in the folder", ".", partial(changes.added_code, canary=canary)),
        *[(f"{name} replaced", name, replaced) for name in files],
    ]


def mutated(runs: dict[str, Any], number: int, *, canary: Path) -> tuple[str, Callable[[], Any]]:
    """A case: copy the run, change one thing, and ask for the run again."""
    rng = np.random.default_rng(number)
    name, file, change = changes.pick(rng, kinds(canary))
    needs_result = file == "result.json"
    source = "finished" if needs_result or rng.random() < 0.3 else "unfinished"

    def case() -> Any:
        logging.disable(logging.CRITICAL)
        path = changes.copied(runs["root"] / source, Path(runs["config"].run_dir))
        change(path / file, rng)
        return outcome(runs["config"])

    return f"{number} {name} ({source})", case


def run(runs: dict[str, Any], tmp_path: Path, numbers: range) -> Any:
    torch.set_num_threads(1)  # a forked process has none of the threads of its parent
    canary = tmp_path / "canary"
    cases = [mutated(runs, number, canary=canary) for number in numbers]
    return run_cases(cases, expected=runs["expected"], canary=canary)


def test_a_sample(runs: dict[str, Any], tmp_path: Path) -> None:
    outcomes = run(runs, tmp_path, range(NUM_FAST))
    assert outcomes.wrong == []
    assert outcomes.counts["same"] > 1


@pytest.mark.slow
def test_damage_is_noticed_or_harmless(runs: dict[str, Any], tmp_path: Path) -> None:
    outcomes = run(runs, tmp_path, range(NUM_SLOW))
    print(dict(outcomes.counts))
    assert outcomes.wrong == []
    assert sum(outcomes.counts.values()) == NUM_SLOW
