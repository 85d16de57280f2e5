"""What a run is made of, from its config: data, network and task, and whether they fit."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import torch

from tsfm.config import RunConfig
from tsfm.data.base import DataModule
from tsfm.model.checkpoint import find, read_config
from tsfm.model.model import Model
from tsfm.registry import DATA_MODULES, TASKS
from tsfm.tasks.base import Task
from tsfm.training.init_config import InitConfig
from tsfm.training.initialization import Initialization, initialize
from tsfm.training.learner import Learner
from tsfm.training.sharding import ShardedLearner

log = logging.getLogger("tsfm")


@dataclass
class RunComponents:
    """`config` is the one asked for, completed by what the data decides."""

    config: RunConfig
    data: DataModule
    model: Model
    task: Task
    begin: Initialization

    def learner(self) -> Learner:
        config = self.config
        kind = ShardedLearner if config.trainer.strategy == "fsdp" else Learner
        return kind(
            self.model,
            self.task,
            config.optim,
            seed=config.seed,
            compiled=config.trainer.compile,
            layer_decay=self.begin.layer_decay,
        )


def build_components(config: RunConfig, data: DataModule | None = None) -> RunComponents:
    """Return the parts of a run, checked against each other; nothing is written.

    `data` replaces the data set that the config names, such as labelled cases in memory.
    """
    if config.trainer.strategy == "fsdp" and config.optim.name == "muon":
        raise ValueError("optim.name=muon needs whole matrices, and trainer.strategy=fsdp cuts them; use strategy=ddp")
    if data is None:
        data = DATA_MODULES.component_of(config.data).for_run(with_checkpoint_length(config))
    config = data.complete_config(config)
    model = build_model(config)
    task = build_task(config, counts=data.class_counts)
    data.setup_for(model, config)
    return RunComponents(config, data, model, task, initialize(model, config))


def with_checkpoint_length(config: RunConfig) -> RunConfig:
    """Return the config with the length of a case where the data leaves it open and a checkpoint fixes it."""
    if getattr(config.data, "length", 0) is not None:
        return config
    return replace(config, data=replace(config.data, length=checkpoint_length(config)))


def checkpoint_length(config: RunConfig) -> int | None:
    """The steps that a network from a checkpoint reads, where they are fixed: cases are padded or cut to them."""
    init = InitConfig.of(config.init)
    if init.source is None or "backbone" in init.reset:
        return None
    old = Model.from_spec(read_config(find(init.source))["model"])
    if not old.backbone.fixed_length:
        return None
    steps = old.config.context + (old.config.horizon if old.head.reads_window else 0)
    log.info("data.length is %d, the window of %s", steps, init.source)
    return steps


def build_model(config: RunConfig) -> Model:
    """The network with its first weights, which follow from the seed alone."""
    torch.manual_seed(config.seed)
    return Model(config.model, scaler=config.scaler, backbone=config.backbone, head=config.head)


def build_task(config: RunConfig, *, counts: list[int] | None = None) -> Task:
    return TASKS.build(config.task, horizon=config.model.horizon, counts=counts)
