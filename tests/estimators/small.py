"""What tests of the estimators share: cases that a small network learns to distinguish, and that network."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.tiny import tiny
from tsfm.estimators.pretrained import Pretrained
from tsfm.model.checkpoint import About

STEPS = ["model.width=16", "backbone.depth=1", "trainer.max_steps=5"]
FEW: dict[str, Any] = {"overrides": STEPS, "device": "cpu"}
ENOUGH: dict[str, Any] = {"overrides": [*STEPS[:2], "trainer.max_steps=60"], "device": "cpu"}


def waves(num: int = 40, *, length: int = 40, channels: int = 2, kinds: int = 2, seed: int = 0) -> Any:
    """Noisy waves [N, C, L] of a period that follows from their class, and the class indices."""
    rng = np.random.default_rng(seed)
    codes = np.arange(num) % kinds
    phase = rng.uniform(0, 6, (num, channels, 1))
    wave = np.sin(np.arange(length) / (1.5 + 2.5 * codes[:, None, None]) + phase)
    return wave + 0.2 * rng.normal(size=wave.shape), codes


def trained(kind: str = "quantiles", *, backbone: str = "patch_transformer") -> Pretrained:
    """A tiny model with random weights that passes for a trained one."""
    about = About(task={"name": "forecast", "loss": "pinball", "units": "scaled"}, trained_on={"fingerprints": ["a"]})
    return Pretrained(tiny(backbone, kind), name=f"tiny_{backbone}", about=about)
