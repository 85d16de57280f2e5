"""Publishing a pre-trained run: a second leg says which experiment it went on from, and that its corpus is known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from scripts.publish import first_leg

CORPUS: Any = SimpleNamespace(fingerprints=["a", "b", "c"])
SKETCH: Any = SimpleNamespace(fingerprint="f" * 8)
INIT = {"from": "/somewhere/run", "method": "full", "fingerprints": ["c", "a"]}


def test_a_second_leg_names_its_first_and_no_folder() -> None:
    assert first_leg(INIT, "pretrain/small", CORPUS, SKETCH) == {
        "from": "pretrain/small",
        "method": "full",
        "sketch": SKETCH.fingerprint,
    }


@pytest.mark.parametrize(
    ("init", "begun", "message"),
    [
        (INIT, None, "name the experiment of that one by --begun"),
        (INIT | {"fingerprints": ["a", "z"]}, "pretrain/small", "saw series that are not in its corpus"),
    ],
)
def test_what_is_not_known_is_not_published(init: dict[str, Any], begun: str | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        first_leg(init, begun, CORPUS, SKETCH)
