"""A loaded model names itself, its tasks and its size."""

from __future__ import annotations

import pytest

from tests.infer.small_models import label_model, step_model
from tests.tiny import CONTEXT, HORIZON, tiny
from tsfm.infer.model_predictor import ModelPredictor


def test_repr_is_one_line_with_name_size_and_tasks() -> None:
    model = step_model()
    size = f"{model.model.num_parameters():,} parameters, context {CONTEXT}, horizon {HORIZON}"
    assert repr(model) == f"<ModelPredictor tiny: {size}, tasks forecast, impute, detect, embed>"
    assert "\n" not in repr(label_model())


@pytest.mark.parametrize(
    ("model", "tasks"),
    [
        (step_model(), ("forecast", "impute", "detect", "embed")),
        (ModelPredictor(tiny("patch_transformer", "flatten"), name="flat"), ("forecast", "embed")),
        (label_model(), ("classify", "embed")),
        (label_model(labels={"loc": 0.0, "scale": 1.0}), ("regress", "embed")),
        (label_model(labels={}), ("embed",)),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_tasks_follow_from_the_head_and_the_training(model: ModelPredictor, tasks: tuple[str, ...]) -> None:
    assert model.tasks == tasks


def test_it_moves_to_a_device() -> None:
    model = step_model()
    assert model.to("cpu") is model
    assert model.device.type == "cpu"
