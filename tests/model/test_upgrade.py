"""Laws of the upgrade of a checkpoint's config: pure, complete, and without any effect on what the model predicts."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch

from tests.golden.test_golden import FOLDER
from tsfm.data.corpus import CorpusConfig
from tsfm.model.checkpoint import CONFIG, load, save, weights_dir
from tsfm.model.upgrade import FORMAT, upgrade
from tsfm.registry import TASKS
from tsfm.synthetic.augment import AugmentConfig
from tsfm.synthetic.mixture import GeneratorMixtureConfig

DIRECTORIES = sorted(file.parent for root in (FOLDER, weights_dir()) for file in root.glob(f"*/{CONFIG}"))
OF_FORMAT = {
    number: [d for d in DIRECTORIES if json.loads((d / CONFIG).read_text())["format"] == number] for number in (1, 2)
}


def contents(folder: Path) -> dict:
    return json.loads((folder / CONFIG).read_text())


def test_there_are_checkpoints_of_every_format() -> None:
    assert len(OF_FORMAT[1]) >= 14
    assert OF_FORMAT[FORMAT]


@pytest.mark.parametrize("folder", DIRECTORIES, ids=lambda folder: folder.name)
def test_upgrade_is_pure_and_idempotent(folder: Path) -> None:
    config = contents(folder)
    before = copy.deepcopy(config)
    upgraded = upgrade(config)
    assert config == before
    assert upgraded["format"] == FORMAT
    assert upgrade(upgraded) == upgraded


@pytest.mark.parametrize("folder", OF_FORMAT[1], ids=lambda folder: folder.name)
def test_format_1_is_saved_as_the_current_format_and_predicts_the_same_bits(folder: Path, tmp_path: Path) -> None:
    model, about = load(folder)
    again, about_again = load(save(model, tmp_path / "model", about=about))
    assert contents(tmp_path / "model")["format"] == FORMAT
    assert (again.spec(), about_again.task, about_again.trained_on) == (model.spec(), about.task, about.trained_on)
    problem = model.example(batch=2)
    with torch.no_grad():
        expected, prediction = model(problem), again(problem)
    assert torch.equal(expected.prediction.nan_to_num(7.0), prediction.prediction.nan_to_num(7.0))
    assert torch.equal(expected.hidden, prediction.hidden)


@pytest.mark.parametrize("folder", OF_FORMAT[1], ids=lambda folder: folder.name)
def test_the_task_of_format_1_is_a_task_of_today(folder: Path) -> None:
    task = upgrade(contents(folder))["about"]["task"]
    if task:
        assert TASKS.config(task).name == task["name"]


@pytest.mark.parametrize("folder", OF_FORMAT[1], ids=lambda folder: folder.name)
def test_the_corpus_of_format_1_has_the_settings_of_today(folder: Path) -> None:
    data = upgrade(contents(folder))["about"]["trained_on"].get("data")
    if data:
        generators, augment = GeneratorMixtureConfig(**data["generators"]), AugmentConfig(**data["augment"])
        config = CorpusConfig(**data | {"generators": generators, "augment": augment})
        assert (config.generators, config.augment, config.dataset) == (generators, augment, data["dataset"])


@pytest.mark.parametrize(
    ("section", "old", "new"),
    [
        (
            "head",
            {"name": "cross_channel", "levels": [0.5], "around": 2},
            {"quantile_levels": [0.5], "neighbour_steps": 2},
        ),
        ("head", {"name": "hierarchy", "levels": [0.5], "span": 4}, {"quantile_levels": [0.5], "horizon_patch": 4}),
        ("head", {"name": "pooled", "channels": "concat"}, {"channel_pool": "concat"}),
        ("head", {"name": "from_outside", "span": 4, "levels": 3}, {"span": 4, "levels": 3}),
        ("task", {"name": "detect", "turns": 3}, {"num_passes": 3}),
        (
            "task",
            {"name": "classify", "weights": "balanced", "smoothing": 0.1, "drop": 0.2},
            {"class_weights": "balanced", "label_smoothing": 0.1, "drop_rate": 0.2},
        ),
        ("task", {"name": "regress", "drop": 0.2}, {"drop_rate": 0.2}),
        ("task", {"name": "impute", "block": 8}, {"block": 8}),
        ("task", {"name": "pretrain", "least": 8, "near": 2.0}, {"min_context_length": 8, "decay_steps": 2.0}),
    ],
)
def test_settings_get_their_new_names(section: str, old: dict, new: dict) -> None:
    config = {"format": 1, "model": {"lags": 1, "fill": "line"}, "about": {"command": "x"}}
    (config["model"] if section == "head" else config["about"])[section] = old
    upgraded = upgrade(config)
    assert (upgraded["model"]["seasonal_lags"], upgraded["model"]["fill"]) == (1, "linear")
    assert upgraded["about"]["command"] == "x"
    assert upgraded["model" if section == "head" else "about"][section] == {"name": old["name"]} | new


@pytest.mark.parametrize("number", [0, FORMAT + 1, "2", None])
def test_an_unknown_format_is_refused(number: object) -> None:
    with pytest.raises(ValueError, match=rf"format .* is unknown; known: 1, {FORMAT}"):
        upgrade({"format": number, "model": {}, "about": {}})
