"""Optimisers and learning-rate schedules by name."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from tsfm.registry import closest, schema

OPTIMISERS = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": torch.optim.SGD}
SCHEDULES = ("constant", "linear", "cosine", "onecycle", "wsd", "exponential")
TO_AN_END = ("linear", "cosine", "onecycle", "wsd")  # follow the part of the run that is done


@schema("optim", "optim")
@dataclass
class OptimConfig:
    name: str = "adamw"  # adamw | adam | sgd
    lr: float = 1e-3  # the highest rate of the schedule
    weight_decay: float = 0.01  # on matrices alone: not on biases, norms, positions
    beta1: float = 0.9  # momentum for sgd
    beta2: float = 0.999
    schedule: str = "constant"  # constant | linear | cosine | onecycle | wsd | exponential
    warmup: float = 0.0  # part of all steps during which the rate rises linearly from 0
    decay: float = 0.3  # wsd: part of all steps, at the end, during which the rate falls
    floor: float = 0.0  # the last rate, as a part of lr
    gamma: float = 0.9  # exponential: factor per epoch
    hold: int = 0  # exponential: whole epochs at the full rate before it begins

    def __post_init__(self):
        if self.name not in OPTIMISERS:
            raise ValueError(f"optim.name is {self.name!r}; {closest(self.name, list(OPTIMISERS))}")
        if self.schedule not in SCHEDULES:
            raise ValueError(f"optim.schedule is {self.schedule!r}; {closest(self.schedule, list(SCHEDULES))}")
        if not self.lr > 0:
            raise ValueError(f"optim.lr is {self.lr}; a learning rate is above 0")
        if not 0 <= self.warmup < 1 or not 0 <= self.decay <= 1 or not 0 <= self.floor <= 1:
            raise ValueError(
                f"optim.warmup {self.warmup}, decay {self.decay} and floor {self.floor} are parts of a whole, in [0, 1]"
            )
        if self.schedule == "wsd" and self.warmup + self.decay > 1:
            raise ValueError(f"optim.warmup {self.warmup} and decay {self.decay} overlap; together they are at most 1")
        if not self.gamma > 0 or self.hold < 0:
            raise ValueError(f"optim.gamma is {self.gamma}, hold {self.hold}; expected above 0, and at least 0")


def make_optimizer(
    config: OptimConfig, named: Iterable[tuple[str, nn.Parameter]], *, layer_decay: float | None = None
) -> torch.optim.Optimizer:
    """The named optimiser over all trainable parameters, in two groups: with and without weight decay. With
    `layer_decay`, two for each depth, whose rate falls by that factor from each depth to the one below."""
    named = list(named)
    depth = depths([name for name, _ in named]) if layer_decay is not None else {}
    groups: dict[tuple[int, bool], dict[str, Any]] = {}
    for below in sorted(set(depth.values()) or {0}):
        for decays in (True, False):
            groups[below, decays] = {"params": [], "weight_decay": config.weight_decay if decays else 0.0}
            if layer_decay is not None:
                groups[below, decays]["lr"] = config.lr * layer_decay**below
    for name, parameter in named:
        if parameter.requires_grad:
            decays = parameter.ndim >= 2 and not name.endswith("positions")
            groups[depth.get(name, 0), decays]["params"].append(parameter)
    used = [group for group in groups.values() if group["params"]]
    if not used:
        raise ValueError("no parameter is left to train; freeze less")
    options: dict[str, Any] = {"lr": config.lr}
    if config.name == "sgd":
        options |= {"momentum": config.beta1}
    else:
        options |= {"betas": (config.beta1, config.beta2)}
    return OPTIMISERS[config.name](used, **options)


def depths(names: Sequence[str]) -> dict[str, int]:
    """How far below the head each parameter of a model stands, `names` in the order of the model: the blocks of the
    backbone by their number, what comes after them at 0 beside the head, what comes before them lowest, beside the
    embedding (the layer-wise decay of BEiT, arXiv:2106.08254)."""
    heights: dict[str, int | None] = {}  # None: beside the head
    for name in names:
        part, *rest = name.partition(".parametrizations.")[0].split(".")
        number = next((int(word) for word in rest if word.isdigit()), None) if part == "backbone" else None
        if number is not None:
            heights[name] = number + 1
        else:
            after = part == "backbone" and any(heights.values())
            heights[name] = None if part == "head" or after else 0
    top = max((height for height in heights.values() if height is not None), default=-1) + 1
    return {name: 0 if height is None else top - height for name, height in heights.items()}


def rate(config: OptimConfig, *, step: int, steps: int, epoch_steps: int) -> float:
    """The learning rate at `step` of `steps`, as a part of `config.lr`."""
    done = min(step / max(steps, 1), 1.0)
    if config.schedule == "onecycle":  # cosine up and down, 0.04 -> 1 -> 0 (Smith & Topin, arXiv:1708.07120)
        top = config.warmup or 0.3
        if done >= top:
            return _cosine((done - top) / (1 - top), config.floor)
        return 1 - 0.96 * _cosine(done / top, 0.0)
    if done < config.warmup:
        return min(1.0, (step + 1) / (config.warmup * steps))
    part = (done - config.warmup) / (1 - config.warmup)
    if config.schedule == "linear":
        return 1 - (1 - config.floor) * part
    if config.schedule == "cosine":
        return _cosine(part, config.floor)
    if config.schedule == "wsd":  # warm-up, stable, decay by 1 - sqrt (arXiv:2405.18392, section 4)
        late = min(max(0.0, (done - (1 - config.decay)) / config.decay), 1.0) if config.decay else 0.0
        return 1 - (1 - config.floor) * math.sqrt(late)
    if config.schedule == "exponential":
        return config.gamma ** max(0, step // max(epoch_steps, 1) - config.hold)
    return 1.0


def _cosine(part: float, floor: float) -> float:
    return floor + (1 - floor) * (1 + math.cos(math.pi * part)) / 2
