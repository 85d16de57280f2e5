"""Tiny models of every registered backbone, each in an arrangement that suits it. Random weights from a seed."""

from __future__ import annotations

from typing import Any

import torch

from tsfm.model.model import Model, ModelConfig
from tsfm.registry import BACKBONES, HEADS, SCALERS
from tsfm.types import Batch, Problem

CONTEXT, HORIZON, CHANNELS = 48, 16, 3

# settings that make a backbone small; one that is not named here is built with its defaults
SMALL: dict[str, dict[str, Any]] = {
    "patch_transformer": {"depth": 2, "heads": 2, "hidden": 32, "dropout": 0.1},
}
# backbones that read the whole context as one patch
RAW = {"dlinear": "values_visible", "nlinear": "values"}

ARRANGEMENTS: dict[str, dict[str, Any]] = {
    "flatten": {"head": "flatten", "model": {"stride": 4, "pad_end": True}},
    "quantiles": {
        "head": "patch_quantiles",
        "model": {"embed": "residual"},
        "backbone": {"norm": "rms", "positions": "rotary", "pre_norm": True, "gated": True, "qk_norm": True},
    },
}


def cases() -> list[tuple[str, str]]:
    """(backbone, arrangement) over the registry."""
    return [(name, kind) for name in BACKBONES.names() for kind in ARRANGEMENTS if name not in RAW or kind == "flatten"]


def tiny(backbone: str, kind: str = "flatten", *, scaler: str = "standard", seed: int = 0, **settings: Any) -> Model:
    torch.manual_seed(seed)
    plan = ARRANGEMENTS[kind]
    shape: dict[str, Any] = {"context": CONTEXT, "horizon": HORIZON, "width": 16, "patch": 8, "stride": 8}
    shape |= plan["model"]
    if backbone in RAW:
        shape |= {"patch": CONTEXT, "stride": CONTEXT, "pad_end": False, "embed": RAW[backbone]}
    known = BACKBONES.entry(backbone).config.__dataclass_fields__
    wanted = {key: value for key, value in plan.get("backbone", {}).items() if key in known}
    return Model(
        ModelConfig(**shape),
        scaler=SCALERS.config({"name": scaler}),
        backbone=BACKBONES.config({"name": backbone} | SMALL.get(backbone, {}) | wanted | settings),
        head=HEADS.config({"name": plan["head"]}),
    )


def waves(batch: int = 4, *, steps: int = CONTEXT + HORIZON, channels: int = CHANNELS, seed: int = 0) -> Batch:
    """Noisy sines of different level, scale and period; every step observed."""
    generator = torch.Generator().manual_seed(seed)
    draw = torch.rand(3, batch, channels, 1, generator=generator)
    time = torch.arange(steps)
    values = (1 + 9 * draw[0]) * torch.sin(time / (1 + 3 * draw[1]) + 6 * draw[2]) + 20 * draw[1]
    values = values + 0.1 * torch.randn(values.shape, generator=generator)
    return Batch(values=values, observed=torch.ones_like(values, dtype=torch.bool))


def forecast_problem(batch: Batch, *, horizon: int = HORIZON) -> Problem:
    from tsfm.registry import TASKS

    return TASKS.build(TASKS.config({"name": "forecast"}), horizon=horizon).pose(batch)
