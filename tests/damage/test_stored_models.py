"""Stored models with one thing changed: exactly the same forecast, or an error in words; bounded, and no code is run.

    pytest tests/damage -m slow --durations=0

Limits of a mutation: 20 s of CPU time, and 2 GiB of memory beyond what the process has.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from tests.contamination.test_sketch import noisy
from tests.damage import changes
from tests.damage.forked import run_cases
from tests.model.test_checkpoint import reseal
from tests.tiny import tiny
from tsfm.contamination.sketch import SKETCH_FILE, Sketch
from tsfm.contamination.verdict import check_contamination
from tsfm.infer.load import load
from tsfm.model.checkpoint import CARD, CONFIG, WEIGHTS, About, save

NUM_SLOW, NUM_FAST, NUM_HOSTILE = 2000, 60, 400
SERIES = np.sin(np.arange(60) / 5) * 3 + 20
SEEN = noisy(700, np.random.default_rng(0))
FRAME = pd.DataFrame({"item_id": "a", "timestamp": pd.date_range("2024-01-01", periods=60), "target": SERIES})


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with everything that a stored model has."""
    rng = np.random.default_rng(1)
    sketch = Sketch.build([SEEN, noisy(700, rng), noisy(700, rng)], "abc")
    about = About(
        task={"name": "pretrain", "loss": "pinball"},
        trained_on={
            "dataset": "corpus", "seed": 3, "data": {"past": [], "known": [], "time_features": []},
            "fingerprints": ["0" * 32], "sketch": sketch.fingerprint,
            "init": {"from": "x", "method": "full", "sketch": "y"},
        },
        standardize={"target": (17.1, 9.2)}, metrics={"val_loss": 0.4}, command="tsfm train",
    )  # fmt: skip
    torch.manual_seed(0)
    model = tiny("patch_transformer", "quantiles", scaler="none")
    path = tmp_path_factory.mktemp("stored") / "model"
    return save(model, path, about=about, files={SKETCH_FILE: sketch.to_bytes()})


def use(path: Path, expected: dict[str, Any] | None = None) -> dict[str, Any]:
    """What a user gets of a model: a forecast, and what the leak check says."""
    model = load(path)
    forecast = model.predict_df(FRAME, 20)
    result = {"forecast": forecast.iloc[:, 3:].to_numpy(float).tolist(), "tasks": list(model.tasks)}
    if expected is None or result["forecast"] == expected["forecast"]:
        result["verdict"] = str(check_contamination(path, [SEEN * 3 + 1]))
    return result


def header(file: Path) -> int:
    return 8 + int.from_bytes(file.read_bytes()[:8], "little")


def weights_header(file: Path, rng: changes.Rng) -> None:
    changes.changed_bytes(file, rng, last=header(file))


def header_value(file: Path, rng: changes.Rng) -> None:
    content, length = file.read_bytes(), header(file)
    entries = json.loads(content[8:length])
    changes.changed_value(entries, rng)
    text = json.dumps(entries).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + content[length:])


def weights_values(file: Path, rng: changes.Rng) -> None:
    changes.changed_bytes(file, rng, first=header(file))


def kinds(canary: Path) -> list[tuple[str, str, changes.Change]]:
    """Name, file and change; the first ones are drawn most."""
    replaced, archive = (partial(f, canary=canary) for f in (changes.replaced, changes.changed_archive))
    return [
        *[("a value of the config", CONFIG, changes.changed_json)] * 6,
        *[("bytes of the config", CONFIG, changes.changed_bytes)] * 2,
        ("another text as the config", CONFIG, changes.hostile_text),
        *[("bytes of the header", WEIGHTS, weights_header)] * 2,
        *[("a value of the header", WEIGHTS, header_value)] * 2,
        *[("values of the weights", WEIGHTS, weights_values)] * 3,
        *[("bytes of the sketch", SKETCH_FILE, changes.changed_bytes)] * 2,
        ("an entry of the sketch", SKETCH_FILE, archive),
        ("bytes of the card", CARD, changes.changed_bytes),
        *[(f"{name} replaced", name, replaced) for name in (CONFIG, WEIGHTS, SKETCH_FILE, CARD)],
        ("code in the folder", ".", partial(changes.added_code, canary=canary)),
    ]


def mutated(
    stored: Path, work: Path, number: int, *, expected: Any, canary: Path, resealed: bool = False
) -> tuple[str, Callable[[], Any]]:
    """A case: copy the model, change one thing, and use it."""
    rng = np.random.default_rng(number)
    choices = kinds(canary)
    if resealed:
        choices = [choice for choice in choices if choice[1] in (CONFIG, WEIGHTS) and "replaced" not in choice[0]]
    name, file, change = changes.pick(rng, choices)

    def case() -> Any:
        path = changes.copied(stored, work / "case" / "model")
        change(path / file, rng)
        if resealed:
            with suppress(ValueError, RecursionError, TypeError, AttributeError):  # where it is not an object any more
                reseal(path)
        return use(path, expected)

    return f"{number} {name}", case


def run(stored: Path, tmp_path: Path, numbers: range, *, resealed: bool = False) -> Any:
    torch.set_num_threads(1)  # a forked process has none of the threads of its parent
    canary, expected = tmp_path / "canary", use(stored)
    assert expected["verdict"].startswith("not zero-shot: of 1 series it has seen 1")
    cases = [
        mutated(stored, tmp_path, number, expected=expected, canary=canary, resealed=resealed) for number in numbers
    ]
    return run_cases(cases, expected=expected, canary=canary)


def test_a_sample(stored: Path, tmp_path: Path) -> None:
    outcomes = run(stored, tmp_path, range(NUM_FAST))
    assert outcomes.wrong == []
    assert min(outcomes.counts["same"], outcomes.counts["error"]) > 2


@pytest.mark.slow
def test_damage_is_noticed_or_harmless(stored: Path, tmp_path: Path) -> None:
    outcomes = run(stored, tmp_path, range(NUM_SLOW))
    print(dict(outcomes.counts))
    assert outcomes.wrong == []
    assert sum(outcomes.counts.values()) == NUM_SLOW


@pytest.mark.slow
def test_hostile_models_are_bounded_and_run_nothing(stored: Path, tmp_path: Path) -> None:
    """With fitting digests, which a sender can compute: the forecast may be another one, and nothing else."""
    outcomes = run(stored, tmp_path, range(NUM_HOSTILE), resealed=True)
    print(dict(outcomes.counts))
    assert [text for text in outcomes.wrong if not text.startswith("different")] == []
