"""Publishing a pre-trained run: one that started from another run names its experiment, and its corpus is covered."""

from __future__ import annotations

from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

import pytest

from scripts.publish import corpus_of, initialization_record
from tsfm.data.corpus import CorpusConfig

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


def test_the_corpus_of_a_run_is_made_from_its_settings() -> None:
    config = CorpusConfig(real_rate=0.0, lengths=[64, 128], length_weights=[0.5, 0.5])
    trained_on = {"dataset": "corpus", "data": asdict(config), "fingerprints": []}
    assert corpus_of(trained_on).config == config
    with pytest.raises(ValueError, match="is not the one of this run"):
        corpus_of(trained_on | {"fingerprints": ["a"]})
    with pytest.raises(ValueError, match="was not pre-trained on a corpus"):
        corpus_of({"dataset": "etth1", "data": {"dataset": "etth1"}})
