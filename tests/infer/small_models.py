"""Small models for the verbs: random ones that predict steps or labels, and one trained briefly on noisy sines."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import torch

from tests.tiny import QUANTILES, SMALL, tiny
from tsfm.infer.inference_config import InferenceConfig
from tsfm.infer.model_predictor import ModelPredictor
from tsfm.model.checkpoint import About
from tsfm.model.model import Model
from tsfm.model.model_config import ModelConfig
from tsfm.registry import BACKBONES, HEADS, SCALERS, TASKS
from tsfm.types import Batch

WINDOW = 64  # of every model here
CLASSES = ["calm", "odd", "wild"]


def step_model(
    backbone: str = "patch_transformer", *, config: InferenceConfig | None = None, **about: Any
) -> ModelPredictor:
    """A model of random weights that predicts every step."""
    return ModelPredictor(tiny(backbone, "quantiles"), name="tiny", about=About(**about), config=config)


def label_model(
    *, labels: dict[str, Any] | None = None, scaler: str = "standard", standardize: dict[str, Any] | None = None
) -> ModelPredictor:
    """A model of random weights that predicts a label of the whole window."""
    torch.manual_seed(0)
    labels = {"classes": CLASSES} if labels is None else labels
    known = BACKBONES.entry("patch_transformer").config.__dataclass_fields__
    free = {name: value for name, value in QUANTILES["backbone"].items() if name in known}
    model = Model(
        ModelConfig(context=WINDOW, horizon=0, width=16, patch=8, stride=8, embed="residual"),
        scaler=SCALERS.config({"name": scaler}),
        backbone=BACKBONES.config({"name": "patch_transformer"} | free | SMALL["patch_transformer"]),
        head=HEADS.config({"name": "pooled", "outputs": len(labels.get("classes", [0]))}),
    )
    task = {"name": "classify" if "classes" in labels else "regress"}
    return ModelPredictor(model, name="tiny", about=About(task=task, labels=labels, standardize=standardize or {}))


def noisy_sines(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Sines of 12 steps with random level, size and phase, and noise of a tenth of the size."""
    generator = np.random.default_rng(seed)
    level, size, phase = generator.random((3, *shape[:-1], 1))
    wave = np.sin(np.arange(shape[-1]) * 2 * np.pi / 12 + 7 * phase) + 0.1 * generator.normal(size=shape)
    return 20 * level + (1 + 9 * size) * wave


@cache
def trained_model(task: str, *, steps: int = 100) -> ModelPredictor:
    """A model that was trained on such sines."""
    model = tiny("patch_transformer", "quantiles")
    config = {"name": task, "loss": "pinball", "units": "scaled"}
    posed = TASKS.build(TASKS.config(config), horizon=16)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    generator = torch.Generator().manual_seed(0)
    model.train()
    for step in range(steps):
        values = torch.from_numpy(noisy_sines((32, 1, WINDOW), seed=step).astype(np.float32))
        problem = posed.pose(Batch(values, torch.ones_like(values, dtype=torch.bool)), generator)
        loss = posed.loss(model(problem), problem)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return ModelPredictor(model, name="sines", about=About(task=config))


def sines(length: int = 300, *, channels: int | None = None, seed: int = 0, missing: float = 0.0) -> np.ndarray:
    """Noisy sines, [L] or [C, L]; where `missing` is not 0, with single missing steps and a gap."""
    values = noisy_sines((channels or 1, length), seed=seed + 10**6)
    generator = np.random.default_rng(seed)
    if missing:
        values[generator.random(values.shape) < missing] = np.nan
        values[:, length // 2 : length // 2 + 9] = np.nan
    return values if channels else values[0]


def sales(items: int = 3, rows: int = 80) -> pd.DataFrame:
    """Hourly noise around a level of each item."""
    generator = np.random.default_rng(0)
    times = pd.date_range("2024-01-01", periods=rows, freq="h")
    parts = [
        pd.DataFrame({"item_id": f"shop {i}", "timestamp": times, "target": generator.normal(10 * i, 1, rows)})
        for i in range(items)
    ]
    return pd.concat(parts, ignore_index=True)
