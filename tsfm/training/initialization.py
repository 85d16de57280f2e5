"""The first weights of a run as `init` asks for them: taken from a checkpoint, begun anew, frozen, adapted."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tsfm.config import RunConfig
from tsfm.messages import did_you_mean
from tsfm.model.checkpoint import load
from tsfm.model.model import Model
from tsfm.nn.lora import add_lora
from tsfm.training.init_config import ALL_BUT_HEAD, LENGTHS, InitConfig, check_architecture, checkpoint_directory

log = logging.getLogger("tsfm")


@dataclass(frozen=True)
class Initialization:
    """What the rest of a run has to know of its beginning."""

    layer_decay: float | None = None
    facts: dict[str, Any] | None = None  # of a checkpoint that the run begins from: from, method, fingerprints


def initialize(model: Model, config: RunConfig) -> Initialization:
    """Put the first weights into a new model, and say which of them are trained."""
    init = InitConfig.of(config.init)
    if init.source is None:
        return Initialization(layer_decay=init.layer_decay)
    place = checkpoint_directory(init)
    old, about = load(place)
    check_architecture(config, old.spec(), init)
    _check_names("reset", init.reset, model)
    copy_weights(model, old, place=place, reset=init.reset)
    freeze_parameters(model, init)
    if init.lora is not None:
        _adapt(model, init, seed=config.seed)
    if not any(p.requires_grad for p in model.parameters()):
        raise ValueError(
            f"init.freeze=[{','.join(init.freeze)}] leaves nothing to train; freeze less, begin a part anew by "
            "init.reset=[head], or add init.lora.rank=8"
        )
    log.info("begins from %s (%s); trained: %s", place, init.method, count_trained(model))
    trained = about.trained_on
    seen = {*trained.get("fingerprints", ()), *(trained.get("init") or {}).get("fingerprints", ())}
    return Initialization(
        layer_decay=init.layer_decay,
        facts={"from": init.source, "method": init.method, "fingerprints": sorted(seen)},
    )


def copy_weights(model: Model, old: Model, *, place: Path, reset: Sequence[str]) -> None:
    """Copy every tensor of `old` into `model`, but for the parts that begin anew; each has a place and its shape."""
    ours, theirs = ({k: v for k, v in m.state_dict().items() if not _under(k, reset)} for m in (model, old))
    if not ours:
        raise ValueError(f"init.reset=[{','.join(reset)}] leaves nothing of {place}; leave init.from out")
    for name in [*ours, *theirs]:
        if name not in ours or name not in theirs or ours[name].shape != theirs[name].shape:
            here, there = (_said(part.get(name)) for part in (ours, theirs))
            raise ValueError(
                f"{name} has {here} in this run and {there} in {place}; {_advice(name, model, old, reset)}"
            )
    model.load_state_dict(theirs, strict=False)


def _said(tensor: torch.Tensor | None) -> str:
    return "no place" if tensor is None else f"shape {tuple(tensor.shape)}"


def _advice(name: str, model: Model, old: Model, reset: Sequence[str]) -> str:
    """What to do about a tensor that doesn't fit: the lengths that differ are the likeliest reason."""
    lengths = {key: (getattr(model.config, key), getattr(old.config, key)) for key in LENGTHS}
    differ = [f"model.{key} is {ours}, there {theirs}" for key, (ours, theirs) in lengths.items() if ours != theirs]
    anew = f"begin that part anew: init.reset=[{','.join([*reset, name.partition('.')[0]])}]"
    return f"{', '.join(differ)}: leave it as it is there, or {anew}" if differ else anew


def freeze_parameters(model: Model, init: InitConfig) -> None:
    """Take from training what `init` names; with adapters and nothing named, all that came from the checkpoint."""
    named = [name for name in init.freeze if name != ALL_BUT_HEAD]
    _check_names("freeze", named, model)
    if len(named) < len(init.freeze):
        named += [name.partition(".")[0] for name, _ in model.named_parameters() if not _under(name, ["head"])]
    everything = init.lora is not None and not init.freeze
    for name, parameter in model.named_parameters():
        anew = _under(name, init.reset)
        if _under(name, named) and anew:
            raise ValueError(
                f"{name.partition('.')[0]} is in init.reset and in init.freeze, so it would stay random; leave it out "
                "of one of them"
            )
        if _under(name, named) or (everything and not anew):
            parameter.requires_grad_(False)


def _adapt(model: Model, init: InitConfig, *, seed: int) -> None:
    lora = init.lora
    assert lora is not None
    try:
        adapted = add_lora(
            model,
            rank=lora.rank,
            alpha=lora.alpha,
            targets=lora.targets,
            dropout=lora.dropout,
            generator=torch.Generator().manual_seed(seed),
        )
    except ValueError as error:
        raise ValueError(f"init.lora: {error}") from None
    for name in adapted:
        if _under(name, init.reset):
            raise ValueError(f"init.lora would adapt {name}, which begins anew; leave it out of init.reset or targets")


def _under(name: str, prefixes: Sequence[str]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def _check_names(key: str, prefixes: Sequence[str], model: nn.Module) -> None:
    """Each must be the name of a part of the model, or of a parameter."""
    known = {name for name, _ in model.named_modules()} | {name for name, _ in model.named_parameters()}
    for prefix in prefixes:
        if prefix in known - {""}:
            continue
        parent = prefix
        while parent not in known:
            parent = parent.rpartition(".")[0]
        beside = [name for name in known if name and name.rpartition(".")[0] == parent]
        beside += [ALL_BUT_HEAD] if key == "freeze" and not parent else []
        raise ValueError(
            f"init.{key} has {prefix!r}, and no part of the model is called so; {did_you_mean(prefix, beside)}"
        )


def count_trained(model: nn.Module) -> str:
    """How many parameters are trained, of how many, in all and in each part."""

    def count(part: nn.Module) -> str:
        sizes = [(p.numel(), p.requires_grad) for p in part.parameters()]
        return f"{sum(size for size, trained in sizes if trained):,} of {sum(size for size, _ in sizes):,}"

    parts = [f"{name} {count(part)}" for name, part in model.named_children() if any(True for _ in part.parameters())]
    return f"{count(model)} parameters ({', '.join(parts)})"


def set_frozen_to_eval(module: nn.Module, *, inside: bool = False) -> None:
    """Put into evaluation mode what no step trains: no dropout there, and the statistics of its norms stand still. A
    module without parameters follows the one around it (`inside`: that one is frozen)."""
    parameters = list(module.parameters())
    frozen = not any(p.requires_grad for p in parameters) if parameters else inside
    module.training = module.training and not frozen
    for child in module.children():
        set_frozen_to_eval(child, inside=frozen)
