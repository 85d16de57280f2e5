"""Publishing a pre-trained run: one that started from another run names its experiment, and its corpus is covered."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from scripts.publish import initialization_record

CORPUS: Any = SimpleNamespace(fingerprints=["a", "b", "c"])
SKETCH: Any = SimpleNamespace(fingerprint="f" * 8)
INIT = {"from": "/somewhere/run", "method": "full", "fingerprints": ["c", "a"]}


def test_a_continued_run_names_the_first_experiment_and_no_folder() -> None:
    assert initialization_record(INIT, "pretrain/small", CORPUS, SKETCH) == {
        "from": "pretrain/small",
        "method": "full",
        "sketch": SKETCH.fingerprint,
    }


@pytest.mark.parametrize(
    ("init", "experiment", "message"),
    [
        (INIT, None, "name the experiment of that one by --init-experiment"),
        (INIT | {"fingerprints": ["a", "z"]}, "pretrain/small", "was trained on series that are not in its corpus"),
    ],
)
def test_what_is_not_known_is_not_published(init: dict[str, Any], experiment: str | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        initialization_record(init, experiment, CORPUS, SKETCH)
