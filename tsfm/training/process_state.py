"""What a run changes in its process for a while: random generators, warnings, log levels. All of it is restored."""

from __future__ import annotations

import logging
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

# Hints of Lightning and torch that do not apply to our runs
IRRELEVANT_WARNINGS = (
    "does not have many workers",
    "LeafSpec",
    "exists and is not empty",
    "transfer_batch_to",
    "logging interval",
    "could not find the monitored key",
    "Mismatch dtype between input and weight",
    "in eval mode at the start",
    "across ranks is zero",
    "returned a view tensor",
)


@contextmanager
def restored_random_state() -> Iterator[None]:
    """Restore the global generators of torch (CPU and CUDA), numpy and random afterwards.

    If CUDA is first used inside, its generators are seeded afterwards as torch would have seeded them: with the seed of
    the CPU generator.
    """
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002  the caller's generator
    seed = torch.initial_seed()
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002
        if torch.cuda.is_initialized() and not devices:
            torch.cuda.manual_seed_all(seed)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Hide Lightning's information messages, and warnings that do not apply to our runs."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for text in IRRELEVANT_WARNINGS:
                warnings.filterwarnings("ignore", f".*{text}.*")
            yield
    finally:
        logger.setLevel(level)
