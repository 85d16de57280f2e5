"""The network that a config describes, without its weights: built on the meta device, and no larger than it should be.

A config.json that was not written by tsfm may describe a network of any size. Its parts are counted while they are
made, so that building ends soon after there are more of them than the weights file has.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)

from tsfm.model.model import Model
from tsfm.registry import BACKBONES, HEADS, SCALERS

# a component may make a tensor and replace it, and share one between modules: what is made may be more than is stored
SPARE_TENSORS, SPARE_VALUES, SPARE_MODULES, FACTOR, MODULES_PER_TENSOR = 200, 2**20, 2000, 2, 20


class TooLargeError(ValueError):
    """A network has more than it may have."""


def build_skeleton(spec: dict[str, Any], *, num_tensors: int, num_values: int) -> Model:
    """Return the network of a config on the meta device: shapes and types, no values.

    A component of another package that cannot be built there is built with random values.

    Parameters
    ----------
    spec
        As `Model.spec` returns it.
    num_tensors, num_values
        Of its weights file.

    Raises
    ------
    ValueError
        If a setting is not valid, or the network is larger than the file by far.
    """
    with limited_size(num_tensors=num_tensors, num_values=num_values):
        try:
            with torch.device("meta"):
                return Model.from_spec(spec)
        except RuntimeError:
            if uses_plugins(spec):  # one that reads values of tensors while it is built
                return Model.from_spec(spec)
            raise


def uses_plugins(spec: dict[str, Any]) -> bool:
    """Return whether a component is of another package, which may keep tensors elsewhere than in its state."""
    kinds = {"scaler": SCALERS, "backbone": BACKBONES, "head": HEADS}
    modules = [registry.entry(spec[kind]["name"]).component.__module__ for kind, registry in kinds.items()]
    return any(module.split(".")[0] != "tsfm" for module in modules)


def has_values(model: Model) -> bool:
    """Return whether every tensor of a network has values: none is on the meta device."""
    return not any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers()))


@contextmanager
def limited_size(*, num_tensors: int, num_values: int) -> Iterator[None]:
    """Raise TooLargeError when this thread registers far more modules, tensors or values than these numbers."""
    owner, made = threading.get_ident(), {"modules": 0, "tensors": 0, "values": 0}
    limits = {
        "modules": SPARE_MODULES + MODULES_PER_TENSOR * num_tensors,
        "tensors": SPARE_TENSORS + FACTOR * num_tensors,
        "values": SPARE_VALUES + FACTOR * num_values,
    }

    def count(_: nn.Module, __: str, value: Any) -> None:
        if threading.get_ident() != owner or value is None:
            return
        made["tensors" if isinstance(value, Tensor) else "modules"] += 1
        made["values"] += value.numel() if isinstance(value, Tensor) else 0
        for kind, limit in limits.items():
            if made[kind] > limit:
                raise TooLargeError(
                    f"it has more than {limit:,} {kind}, and the weights file has {num_tensors:,} tensors of together "
                    f"{num_values:,} values; copy both files from the same model"
                )

    handles = [
        register(count)
        for register in (
            register_module_module_registration_hook,
            register_module_parameter_registration_hook,
            register_module_buffer_registration_hook,
        )
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
