"""Optimizers and learning-rate schedules by name."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Optional

import torch
from torch import nn

from tsfm.messages import check_choice
from tsfm.registry import schema
from tsfm.training.joint_optimizer import JointOptimizer

OPTIMIZERS = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": torch.optim.SGD, "muon": JointOptimizer}
SCHEDULES = ("constant", "linear", "cosine", "onecycle", "wsd", "exponential")
NEED_LAST_STEP = ("linear", "cosine", "onecycle", "wsd")  # depend on the share of steps that is done


# Optional[...], not `X | None`: OmegaConf resolves the hints of structured configs on Python 3.10.
@schema("optim", "optim")
@dataclass
class OptimConfig:
    """Settings of `optim`: the optimizer and the schedule of its learning rate."""

    name: str = "adamw"  # adamw | adam | sgd | muon: Muon for the matrices of the backbone, AdamW for the rest
    lr: float = 1e-3  # highest rate of the schedule
    weight_decay: float = 0.01  # of matrices only: not of biases, norms, positions
    beta1: float = 0.9  # momentum for sgd
    beta2: float = 0.999
    schedule: str = "constant"  # constant | linear | cosine | onecycle | wsd | exponential
    warmup: float = 0.0  # share of all steps during which the rate rises linearly from 0
    decay: float = 0.3  # wsd: share of all steps, at the end, during which the rate falls
    floor: float = 0.0  # last rate, as a share of lr
    gamma: float = 0.9  # exponential: factor per epoch
    hold: int = 0  # exponential: whole epochs at the full rate before it falls
    matrix_lr: Optional[float] = None  # noqa: UP045  muon: highest rate of the matrices; null: lr
    momentum: float = 0.95  # muon: of the matrices
    iterations: int = 5  # muon: Newton-Schulz iterations, which make a step orthogonal

    def __post_init__(self):
        check_choice("optim.name", self.name, OPTIMIZERS)
        check_choice("optim.schedule", self.schedule, SCHEDULES)
        if not self.lr > 0:
            raise ValueError(f"optim.lr is {self.lr}; a learning rate is above 0")
        if not 0 <= self.warmup < 1 or not 0 <= self.decay <= 1 or not 0 <= self.floor <= 1:
            raise ValueError(
                f"optim.warmup {self.warmup}, decay {self.decay} and floor {self.floor} are shares, in [0, 1]"
            )
        if self.schedule == "wsd" and self.warmup + self.decay > 1:
            raise ValueError(f"optim.warmup {self.warmup} and decay {self.decay} overlap; together they are at most 1")
        if not self.gamma > 0 or self.hold < 0:
            raise ValueError(f"optim.gamma is {self.gamma}, hold {self.hold}; expected above 0, and at least 0")
        if self.matrix_lr is not None and self.name != "muon":
            raise ValueError(f"optim.matrix_lr is a setting of optim.name=muon, not of {self.name}; set optim.lr alone")
        if self.matrix_lr is not None and not self.matrix_lr > 0:
            raise ValueError(f"optim.matrix_lr is {self.matrix_lr}; a learning rate is above 0, or null for optim.lr")
        if not 0 <= self.momentum < 1 or not 1 <= self.iterations < 100:
            raise ValueError(
                f"optim.momentum is {self.momentum}, iterations {self.iterations}; expected a momentum in [0, 1), and "
                "1 to 99 iterations"
            )
        if self.name == "muon" and not hasattr(torch.optim, "Muon"):
            raise ValueError(f"optim.name=muon needs torch 2.9 or newer; found {torch.__version__}: use optim=adamw")


def make_optimizer(
    config: OptimConfig, named_parameters: Iterable[tuple[str, nn.Parameter]], *, layer_decay: float | None = None
) -> torch.optim.Optimizer:
    """Return the optimizer over all trainable parameters.

    Parameters
    ----------
    config
        Settings of `optim`.
    named_parameters
        In the order of the model.
    layer_decay
        Factor of the learning rate from each depth of the network to the one below; None: the same rate everywhere.

    Returns
    -------
    Optimizer
        With two groups, with and without weight decay; with `layer_decay` two for each depth.

    Raises
    ------
    ValueError
        If nothing is trained, or Muon has no matrix to train.
    """
    named = list(named_parameters)
    depths = depths_below_head([name for name, _ in named]) if layer_decay is not None else {}
    matrices: dict[tuple[int, bool], dict[str, Any]] = {}  # those of Muon
    others: dict[tuple[int, bool], dict[str, Any]] = {}
    for depth in sorted(set(depths.values()) or {0}):
        for decays in (True, False):
            for groups, lr in ((matrices, config.matrix_lr or config.lr), (others, config.lr)):
                groups[depth, decays] = {"params": [], "weight_decay": config.weight_decay if decays else 0.0}
                if layer_decay is not None:
                    groups[depth, decays]["lr"] = lr * layer_decay**depth
    for name, parameter in named:
        if parameter.requires_grad:
            decays = parameter.ndim >= 2 and not name.endswith("positions")
            groups = matrices if config.name == "muon" and is_hidden_matrix(name, parameter) else others
            groups[depths.get(name, 0), decays]["params"].append(parameter)
    hidden, rest = ([group for group in groups.values() if group["params"]] for groups in (matrices, others))
    if not hidden and not rest:
        raise ValueError("no parameter is trained; freeze less")
    if config.name == "muon":
        return _muon(config, hidden, rest)
    options: dict[str, Any] = {"lr": config.lr}
    if config.name == "sgd":
        options |= {"momentum": config.beta1}
    else:
        options |= {"betas": (config.beta1, config.beta2)}
    return OPTIMIZERS[config.name](rest, **options)


def is_hidden_matrix(name: str, parameter: nn.Parameter) -> bool:
    """Return whether Muon is meant for a parameter: a matrix of the backbone that maps features to features.

    Embeddings, positions, heads, the taps of a convolution over each feature and the factors of an adapter are not.
    """
    inside = name.startswith("backbone.") and not name.endswith("positions")
    return inside and parameter.ndim == 2 and "conv" not in name.split(".") and ".parametrizations." not in name


def _muon(config: OptimConfig, hidden: list[dict[str, Any]], rest: list[dict[str, Any]]) -> JointOptimizer:
    # https://kellerjordan.github.io/posts/muon; "match_rms_adamw" scales a step of a matrix to the size of one of AdamW
    # (arXiv:2502.16982, eq. 4), so that both can have the same rate
    if not hidden:
        raise ValueError(
            "optim.name=muon trains the matrices of a backbone, and none of them is trained here; use optim=adamw"
        )
    muon = torch.optim.Muon(
        hidden,
        lr=config.matrix_lr or config.lr,
        weight_decay=config.weight_decay,
        momentum=config.momentum,
        ns_steps=config.iterations,
        adjust_lr_fn="match_rms_adamw",
    )
    if not rest:
        return JointOptimizer([muon])
    return JointOptimizer([muon, torch.optim.AdamW(rest, lr=config.lr, betas=(config.beta1, config.beta2))])


def depths_below_head(names: Sequence[str]) -> dict[str, int]:
    """Return how many layers each parameter is below the head, as in the layer-wise decay of BEiT (arXiv:2106.08254).

    The blocks of the backbone have their own depths; what comes after them has that of the head, 0, and what comes
    before them that of the embedding, which is the lowest.

    Parameters
    ----------
    names
        Of parameters, in the order of the model.
    """
    heights: dict[str, int | None] = {}  # above the embedding; None: that of the head
    for name in names:
        component, *rest = name.partition(".parametrizations.")[0].split(".")
        number = next((int(token) for token in rest if token.isdigit()), None) if component == "backbone" else None
        if number is not None:
            heights[name] = number + 1
        else:
            after_blocks = component == "backbone" and any(heights.values())
            heights[name] = None if component == "head" or after_blocks else 0
    top = max((height for height in heights.values() if height is not None), default=-1) + 1
    return {name: 0 if height is None else top - height for name, height in heights.items()}


def needs_last_step(config: OptimConfig) -> str | None:
    """Return the setting, as in `optim.schedule=cosine`, by which rates depend on the last step; None if none does."""
    if config.schedule in NEED_LAST_STEP:
        return f"optim.schedule={config.schedule}"
    return f"optim.warmup={config.warmup:g} (a share of all steps)" if config.warmup else None


def learning_rate_factor(config: OptimConfig, *, step: int, steps: int, epoch_steps: int) -> float:
    """Return the learning rate at a step, as a share of `config.lr`.

    Parameters
    ----------
    config
        Settings of `optim`.
    step, steps, epoch_steps
        The step, and the numbers of steps of the run and of an epoch.
    """
    done = min(step / max(steps, 1), 1.0)
    if config.schedule == "onecycle":  # cosine up and down, 0.04 -> 1 -> 0 (Smith & Topin, arXiv:1708.07120)
        peak = config.warmup or 0.3
        if done >= peak:
            return _cosine((done - peak) / (1 - peak), config.floor)
        return 1 - 0.96 * _cosine(done / peak, 0.0)
    if done < config.warmup:
        return min(1.0, (step + 1) / (config.warmup * steps))
    after_warmup = (done - config.warmup) / (1 - config.warmup)
    if config.schedule == "linear":
        return 1 - (1 - config.floor) * after_warmup
    if config.schedule == "cosine":
        return _cosine(after_warmup, config.floor)
    if config.schedule == "wsd":  # warm-up, stable, decay by 1 - sqrt (arXiv:2405.18392, section 4)
        decayed = min(max(0.0, (done - (1 - config.decay)) / config.decay), 1.0) if config.decay else 0.0
        return 1 - (1 - config.floor) * math.sqrt(decayed)
    if config.schedule == "exponential":
        return config.gamma ** max(0, step // max(epoch_steps, 1) - config.hold)
    return 1.0


def _cosine(share: float, floor: float) -> float:
    return floor + (1 - floor) * (1 + math.cos(math.pi * share)) / 2
