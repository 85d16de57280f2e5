"""Tiny models of every registered backbone, each in an arrangement that suits it. Random weights from a seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tsfm.model.model import Model
from tsfm.model.model_config import ModelConfig
from tsfm.registry import BACKBONES, HEADS, SCALERS
from tsfm.types import Batch, Problem

CONTEXT, HORIZON, CHANNELS = 48, 16, 3

# settings that make a backbone small; one that is not named here is built with its defaults
SMALL: dict[str, dict[str, Any]] = {
    "patch_transformer": {"depth": 2, "heads": 2, "hidden": 32, "dropout": 0.1},
    "inverted": {"depth": 2, "heads": 2, "hidden": 32},
    "mamba": {"depth": 2, "head": 8, "state": 8, "chunk": 4, "hidden": 32},
    "mixer": {"depth": 2, "dropout": 0.1},
    "dilated_conv": {"hidden": 32},
}
# backbones for which the window is one patch: the embedding with the flatten head, and with one that reads the window
ONE_PATCH: dict[str, dict[str, str]] = {
    "dlinear": {"flatten": "values_visible"},
    "nlinear": {"flatten": "values"},
    "inverted": {"flatten": "linear", "quantiles": "residual"},
}

QUANTILES: dict[str, Any] = {
    "head": "patch_quantiles",
    "model": {"embed": "residual"},
    # those of these settings that a backbone has: its pre-training arrangement, of any length
    "backbone": {
        "norm": "rms",
        "positions": "rotary",
        "pre_norm": True,
        "gated": True,
        "qk_norm": True,
        "max_patches": (CONTEXT + HORIZON) // 8,
    },
}
# the arrangement of the bundled models
LAGS = QUANTILES | {"model": {"embed": "residual", "fill": "linear", "seasonal_lags": 2}, "scaler": {"arcsinh": True}}
ARRANGEMENTS: dict[str, dict[str, Any]] = {
    "flatten": {"head": "flatten", "model": {"stride": 4, "pad_end": True}},
    "quantiles": QUANTILES,
    "line": QUANTILES | {"model": {"embed": "residual", "fill": "linear"}},
    "lag": LAGS
    | {"model": LAGS["model"] | {"seasonal_lags": 1}, "needs": {"positions": "rotary"}},  # of one backbone: time
    "lags": LAGS,
    "conv": QUANTILES | {"model": {"embed": "conv"}},
    "group": QUANTILES | {"needs": {"mix_every": 1, "mix_heads": 2}},
    "bidirectional": QUANTILES | {"needs": {"bidirectional": True}},
    "variates": {"head": "flatten", "model": {"patch": CONTEXT, "stride": CONTEXT}, "needs": {"over": "variates"}},
    "symmetric": QUANTILES | {"needs": {"causal": False, "kernel": 3}},  # of one backbone: dilated_conv
    "channel_mlp": {"head": "flatten", "model": {"channels": CHANNELS}, "needs": {"channel_mlp": True}},
}


def suits(backbone: str, kind: str) -> bool:
    if backbone in ONE_PATCH:
        return kind in ONE_PATCH[backbone]
    known = BACKBONES.entry(backbone).config.__dataclass_fields__
    return all(key in known for key in ARRANGEMENTS[kind].get("needs", {}))


def cases() -> list[tuple[str, str]]:
    """(backbone, arrangement) over the registry."""
    return [(name, kind) for name in BACKBONES.names() for kind in ARRANGEMENTS if suits(name, kind)]


def tiny(backbone: str, kind: str = "flatten", *, scaler: str = "standard", seed: int = 0, **settings: Any) -> Model:
    torch.manual_seed(seed)
    plan = ARRANGEMENTS[kind]
    shape: dict[str, Any] = {"context": CONTEXT, "horizon": HORIZON, "width": 16, "patch": 8, "stride": 8}
    shape |= plan["model"]
    if backbone in ONE_PATCH:
        window = CONTEXT + (HORIZON if kind == "quantiles" else 0)
        shape |= {"patch": window, "stride": window, "pad_end": False, "embed": ONE_PATCH[backbone][kind]}
    known = BACKBONES.entry(backbone).config.__dataclass_fields__
    wanted = {key: value for key, value in plan.get("backbone", {}).items() if key in known} | plan.get("needs", {})
    return Model(
        ModelConfig(**shape),
        scaler=SCALERS.config({"name": scaler} | plan.get("scaler", {})),
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


def steps_to_learn(
    loss: Callable[[], torch.Tensor], optimizer: torch.optim.Optimizer, *, to: float, limit: int
) -> int | None:
    """The number of steps until the loss is below `to` times its first value, None if it is not within `limit`."""
    first = None
    for step in range(limit):
        optimizer.zero_grad()
        value = loss()
        first = value.item() if first is None else first
        if value.item() < to * first:
            return step
        value.backward()
        optimizer.step()
    return None
