"""The metadata of every card are YAML, with the entries that model hubs read."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.tiny import tiny
from tsfm.model.card import About, model_card
from tsfm.model.checkpoint import CARD, CONFIG, bundled, load, weights_dir
from tsfm.model.front_matter import front_matter, replace_front_matter
from tsfm.registry import TASKS


def metadata(card: str) -> dict[str, Any]:
    assert card.startswith("---\n")
    return yaml.safe_load(card.split("---\n")[1])


@pytest.mark.parametrize("name", bundled())
def test_bundled_cards(name: str) -> None:
    about = load(weights_dir() / name)[1]
    content = metadata((weights_dir() / name / CARD).read_text(encoding="utf-8"))
    assert list(content) == ["license", "library_name", "pipeline_tag", "tags", "datasets", "metrics"]
    assert (content["license"], content["library_name"]) == ("apache-2.0", "tsfm")
    assert content["datasets"] == [dataset["name"] for dataset in about.trained_on["corpus"]]
    assert "mase" in content["metrics"]


@pytest.mark.parametrize("task", [*TASKS.names(), None])
def test_a_saved_model_states_no_licence(task: str | None) -> None:
    odd = 'a: "b" # [c] ---\n{x} é\u2028\x07'
    about = About(
        task={"name": task} if task else {},
        trained_on={"dataset": f"/data/{odd.replace('/', '')}"},
        metrics={"val_loss": 0.4, "MSE of: x": 1.0, "val_mse": 2.0},
    )
    content = metadata(model_card(tiny("patch_transformer"), about))
    assert content["license"] == "unknown"
    assert content["library_name"] == "tsfm"
    assert content["tags"][0] == "time-series"
    assert ("pipeline_tag" in content) == (task in ("forecast", "pretrain"))
    assert content["datasets"] == [odd]
    assert content["metrics"] == ["loss", "mse"]


def test_other_metadata_replace_those_of_a_card() -> None:
    lines = front_matter(About(), licence="mit")
    card = replace_front_matter("# Title\n\n---\n", lines)
    assert card.endswith("---\n\n# Title\n\n---\n")
    assert replace_front_matter(card, lines) == card
    assert metadata(card)["license"] == "mit"
    assert CONFIG not in card
