"""Devices of estimators: fitted models are pickled on the CPU and can be unpickled on any machine."""

from __future__ import annotations

from copy import copy, deepcopy
from typing import Any

import torch
from sklearn.base import BaseEstimator

from tsfm.infer.model_predictor import ModelPredictor
from tsfm.messages import did_you_mean

# device -> Lightning's accelerator
ACCELERATORS = {"auto": "auto", "cpu": "cpu", "cuda": "gpu", "mps": "mps"}


def accelerator(device: str) -> str:
    """Return Lightning's name of the accelerator for a device."""
    if device not in ACCELERATORS:
        raise ValueError(f"device is {device!r}; {did_you_mean(str(device), list(ACCELERATORS))}")
    return ACCELERATORS[device]


def resolve_device(device: str) -> str:
    """Return the device of a fitted model: "auto" takes a GPU if there is one; a missing device is a ValueError."""
    accelerator(device)
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(device, True):
        raise ValueError(f"device is {device!r}, which this machine does not have; use device='auto' or 'cpu'")
    return ("cuda" if available["cuda"] else "cpu") if device == "auto" else device


def move_to_cpu(predictor: ModelPredictor) -> ModelPredictor:
    """Return the predictor if it is on the CPU, else a copy there."""
    if next(predictor.model.parameters()).device.type == "cpu":
        return predictor
    moved = copy(predictor)
    moved.model = deepcopy(predictor.model).to("cpu")
    return moved


class DeviceEstimator(BaseEstimator):
    """An estimator with a `device`, whose fitted models are attributes or lists in attributes."""

    device: str

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        for name, value in state.items():
            if isinstance(value, ModelPredictor):
                state[name] = move_to_cpu(value)
            elif isinstance(value, list) and value and all(isinstance(item, ModelPredictor) for item in value):
                state[name] = [move_to_cpu(item) for item in value]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        device = resolve_device("auto") if self.device == "auto" else self.device
        try:
            resolve_device(device)
        except ValueError:  # fitted on a machine with other devices
            return
        for name, value in vars(self).items():
            if name.endswith("_"):  # set by fit, not a parameter
                for item in value if isinstance(value, list) else [value]:
                    if isinstance(item, ModelPredictor):
                        item.model.to(device)
