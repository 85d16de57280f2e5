"""What a kernel package wants of a GPU, replaced so that Triton's interpreter runs its kernels on CPU tensors.

The environment variable TRITON_INTERPRET=1 must be set before Triton is imported.
"""

from __future__ import annotations

import contextlib
import os
import sys
import types
from pathlib import Path
from typing import Any

import torch


def replace_gpu() -> None:
    """Make every CUDA device a no-op with one multiprocessor, and let the autotuner take its first configuration."""
    assert os.environ.get("TRITON_INTERPRET") == "1", "set TRITON_INTERPRET=1 before Triton is imported"
    from triton.runtime.autotuner import Autotuner

    torch.cuda.device = contextlib.nullcontext  # type: ignore[misc, assignment]
    torch.cuda.get_device_properties = lambda device=None: types.SimpleNamespace(multi_processor_count=1)
    prepare = Autotuner.__init__

    def prepare_first(self: Autotuner, *args: Any, **options: Any) -> None:
        prepare(self, *args, **options)
        self.configs = self.configs[:1]

    Autotuner.__init__ = prepare_first


def add_packages(folder: Path, *names: str) -> None:
    """Register packages without their `__init__`, which can want compiled extensions; their modules are in `folder`."""
    for name in names:
        package = types.ModuleType(name)
        package.__path__ = [str(folder.joinpath(*name.split(".")))]
        sys.modules[name] = package
