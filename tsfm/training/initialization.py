"""The first weights of a run, as `init` says: copied from a checkpoint, reset, frozen, adapted."""

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
from tsfm.model.config_file import weights_digest
from tsfm.model.model import Model
from tsfm.nn.lora import add_lora
from tsfm.training.expansion import expand_weights
from tsfm.training.init_config import ALL_BUT_HEAD, LENGTHS, InitConfig, check_architecture, checkpoint_directory

log = logging.getLogger("tsfm")

ADDED = "backbone.mixing"  # layers across channels, which a run may add to those of its checkpoint


@dataclass(frozen=True)
class Initialization:
    """How the weights of a run were initialized.

    Attributes
    ----------
    layer_decay
        Factor of the learning rate from each depth of the network to the one below; None: the same rate everywhere.
    origin
        Of a run that starts from a checkpoint: `from` (its name), `method` (how its weights are used) and
        `fingerprints` (of all series that it was trained on).
    digest
        Of the weights of the checkpoint that the run starts from.
    """

    layer_decay: float | None = None
    origin: dict[str, Any] | None = None
    digest: str | None = None


def initialize(model: Model, config: RunConfig) -> Initialization:
    """Give a new model its first weights, and choose which parameters are trained.

    Parameters
    ----------
    model
        With random weights, changed in place.
    config
        Of the run.

    Raises
    ------
    ValueError
        If the checkpoint has another architecture, a name in `init` does not exist, or nothing is left to train.
    """
    init = InitConfig.of(config.init)
    if init.source is None:
        return Initialization(layer_decay=init.layer_decay)
    path = checkpoint_directory(init)
    saved, about = load(path)
    check_architecture(config, saved.spec(), init)
    _check_names("reset", init.reset, model)
    tensors = expand_weights(saved, model) if init.expand else None
    copy_weights(model, saved, path=path, reset=init.reset, tensors=tensors)
    freeze_parameters(model, init)
    if init.lora is not None:
        _add_adapters(model, init, seed=config.seed)
    if not any(p.requires_grad for p in model.parameters()):
        raise ValueError(
            f"init.freeze=[{','.join(init.freeze)}] leaves nothing to train; freeze less, start a part from random "
            "weights by init.reset=[head], or add init.lora.rank=8"
        )
    log.info("starts from %s (%s); trained: %s", path, init.method, count_trained(model))
    trained = about.trained_on
    fingerprints = {*trained.get("fingerprints", ()), *(trained.get("init") or {}).get("fingerprints", ())}
    origin = {"from": init.source, "method": init.method, "fingerprints": sorted(fingerprints)}
    return Initialization(layer_decay=init.layer_decay, origin=origin, digest=weights_digest(path))


def copy_weights(
    model: Model,
    saved: Model,
    *,
    path: Path,
    reset: Sequence[str],
    tensors: dict[str, torch.Tensor] | None = None,
) -> None:
    """Copy the tensors of `saved`, or those given, into `model`, except for the components that are reset.

    Layers across channels that only `model` has keep their first weights; the log names them.

    Raises
    ------
    ValueError
        If a tensor is missing in one of the two models or has another shape; `path` names the checkpoint.
    """
    own, source = (
        {k: v for k, v in t.items() if not _is_under(k, reset)}
        for t in (model.state_dict(), tensors or saved.state_dict())
    )
    if not own:
        raise ValueError(f"init.reset=[{','.join(reset)}] leaves nothing of {path}; leave init.from out")
    added = [name for name in own if _is_under(name, [ADDED]) and name not in source]
    if added:
        num = sum(own[name].numel() for name in added)
        log.info("not in %s, so with new weights (%d parameters): %s", path, num, ", ".join(added))
        own = {name: tensor for name, tensor in own.items() if name not in added}
    for name in [*own, *source]:
        if name not in own or name not in source or own[name].shape != source[name].shape:
            own_shape, saved_shape = (_shape(tensors.get(name)) for tensors in (own, source))
            raise ValueError(
                f"{name} {own_shape} in this run and {saved_shape} in {path}; {_advice(name, model, saved, reset)}"
            )
    model.load_state_dict(source, strict=False)


def _shape(tensor: torch.Tensor | None) -> str:
    return "does not exist" if tensor is None else f"has shape {tuple(tensor.shape)}"


def _advice(name: str, model: Model, saved: Model, reset: Sequence[str]) -> str:
    """Say what to do about a tensor that does not fit: different lengths are the likeliest reason."""
    lengths = {key: (getattr(model.config, key), getattr(saved.config, key)) for key in LENGTHS}
    differences = [f"model.{key} is {own}, there {other}" for key, (own, other) in lengths.items() if own != other]
    advice = f"start that part from random weights: init.reset=[{','.join([*reset, name.partition('.')[0]])}]"
    return f"{', '.join(differences)}: use the value of the checkpoint, or {advice}" if differences else advice


def freeze_parameters(model: Model, init: InitConfig) -> None:
    """Exclude from training what `init.freeze` names; with adapters and no names, everything from the checkpoint."""
    frozen = [name for name in init.freeze if name != ALL_BUT_HEAD]
    _check_names("freeze", frozen, model)
    if len(frozen) < len(init.freeze):
        frozen += [name.partition(".")[0] for name, _ in model.named_parameters() if not _is_under(name, ["head"])]
    everything = init.lora is not None and not init.freeze
    for name, parameter in model.named_parameters():
        is_reset = _is_under(name, init.reset)
        if _is_under(name, frozen) and is_reset:
            raise ValueError(
                f"{name.partition('.')[0]} is in init.reset and in init.freeze, so it would stay random; leave it out "
                "of one of them"
            )
        if _is_under(name, frozen) or (everything and not is_reset):
            parameter.requires_grad_(False)


def _add_adapters(model: Model, init: InitConfig, *, seed: int) -> None:
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
        if _is_under(name, init.reset):
            raise ValueError(f"init.lora would adapt {name}, which is reset; leave it out of init.reset or of targets")


def _is_under(name: str, prefixes: Sequence[str]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def _check_names(key: str, names: Sequence[str], model: nn.Module) -> None:
    """Each must be the name of a part of the model, or of a parameter."""
    known = {name for name, _ in model.named_modules()} | {name for name, _ in model.named_parameters()}
    for name in names:
        if name in known - {""}:
            continue
        parent = name
        while parent not in known:
            parent = parent.rpartition(".")[0]
        siblings = [other for other in known if other and other.rpartition(".")[0] == parent]
        siblings += [ALL_BUT_HEAD] if key == "freeze" and not parent else []
        raise ValueError(f"init.{key} has {name!r}, which is not a part of the model; {did_you_mean(name, siblings)}")


def count_trained(model: nn.Module) -> str:
    """Return how many parameters are trained of how many, in all and in each component, as text."""

    def count(module: nn.Module) -> str:
        sizes = [(p.numel(), p.requires_grad) for p in module.parameters()]
        return f"{sum(size for size, trained in sizes if trained):,} of {sum(size for size, _ in sizes):,}"

    components = [
        f"{name} {count(module)}" for name, module in model.named_children() if any(True for _ in module.parameters())
    ]
    return f"{count(model)} parameters ({', '.join(components)})"


def set_frozen_to_eval(module: nn.Module, *, parent_frozen: bool = False) -> None:
    """Put modules without a trained parameter into evaluation mode: no dropout, and the statistics of norms stay.

    A module without parameters follows its parent (`parent_frozen`: no parameter of the parent is trained).
    """
    parameters = list(module.parameters())
    frozen = not any(p.requires_grad for p in parameters) if parameters else parent_frozen
    module.training = module.training and not frozen
    for child in module.children():
        set_frozen_to_eval(child, parent_frozen=frozen)
