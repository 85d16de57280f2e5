"""Estimators that hold fitted models: pickled on the CPU, whatever they ran on, and read on any machine."""

from __future__ import annotations

from copy import copy, deepcopy
from typing import Any

import torch
from sklearn.base import BaseEstimator

from tsfm.infer.load import ModelPredictor
from tsfm.messages import did_you_mean

# Lightning's word for a device
ACCELERATORS = {"auto": "auto", "cpu": "cpu", "cuda": "gpu", "mps": "mps"}


def accelerator(device: str) -> str:
    """Lightning's word for the device that an estimator is told."""
    if device not in ACCELERATORS:
        raise ValueError(f"device is {device!r}; {did_you_mean(str(device), list(ACCELERATORS))}")
    return ACCELERATORS[device]


def place(device: str) -> str:
    """Where a fitted model answers; auto takes a GPU if there is one."""
    accelerator(device)
    here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not here.get(device, True):
        raise ValueError(f"device is {device!r}, which is not here; use device='auto' or 'cpu'")
    return ("cuda" if here["cuda"] else "cpu") if device == "auto" else device


def on_cpu(predictor: ModelPredictor) -> ModelPredictor:
    """The predictor itself where it is on the CPU, else a copy there."""
    if next(predictor.model.parameters()).device.type == "cpu":
        return predictor
    moved = copy(predictor)
    moved.model = deepcopy(predictor.model).to("cpu")
    return moved


class Portable(BaseEstimator):
    """An estimator with a `device`; models are its attributes, or stand in lists there."""

    device: str

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        for name, value in state.items():
            if isinstance(value, ModelPredictor):
                state[name] = on_cpu(value)
            elif isinstance(value, list) and value and all(isinstance(one, ModelPredictor) for one in value):
                state[name] = [on_cpu(one) for one in value]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        there = place("auto") if self.device == "auto" else self.device
        try:
            place(there)
        except ValueError:  # fitted on a machine that has more
            return
        for name, value in vars(self).items():
            if name.endswith("_"):  # what a fit left, not what the user gave
                for one in value if isinstance(value, list) else [value]:
                    if isinstance(one, ModelPredictor):
                        one.model.to(there)
