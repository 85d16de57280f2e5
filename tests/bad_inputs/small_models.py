"""Small untrained models in a workspace, for the cases of `tsfm impute | detect | embed | classify`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.bad_inputs.corruptions import Change, changed_table, combined
from tests.bad_inputs.workspace import Corruption
from tests.infer.small_models import label_model, step_model
from tests.tiny import tiny
from tsfm.model.checkpoint import About, save


def saved_model(name: str, *, labels: bool = False, **settings: Any) -> Corruption:
    """Save a model that predicts steps, or labels of whole series, with other settings of the network."""

    def corrupt(workspace: Path, patch: Any) -> None:
        small = label_model() if labels else step_model(task={"name": "impute"})
        network = type(small.model).from_spec(small.model.spec() | settings)
        save(network, workspace / name, about=small.about)

    return corrupt


def three_channels(workspace: Path, patch: Any) -> None:
    """Save a model that mixes three channels."""
    save(tiny("mixer", "channel_mlp"), workspace / "three", about=About())


STEPS, CLASSES = saved_model("steps"), saved_model("classes", labels=True)
THREE_CHANNELS: Corruption = three_channels


def bad(change: Change, *, with_model: Corruption = STEPS) -> Corruption:
    """Save a model, and write sales.csv, changed, as bad.csv."""
    return combined(with_model, changed_table(change))
