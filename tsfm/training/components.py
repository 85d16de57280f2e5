"""The components of a run, made from its configuration: data, model, task; and whether they fit together."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import torch

from tsfm.config import RunConfig
from tsfm.data.base import DataModule
from tsfm.model.checkpoint import build_from_config
from tsfm.model.model import Model
from tsfm.registry import DATA_MODULES, TASKS
from tsfm.tasks.base import Task
from tsfm.training.init_config import InitConfig, checkpoint_directory
from tsfm.training.initialization import Initialization, initialize
from tsfm.training.learner import Learner
from tsfm.training.sharding import ShardedLearner

log = logging.getLogger("tsfm")


@dataclass
class RunComponents:
    """What a run is made of.

    Attributes
    ----------
    config
        Of the run, completed by what the data decides (numbers of channels and classes, lengths of cases).
    data, model, task
        Set up for each other.
    initialization
        How the weights of the model were initialized.
    """

    config: RunConfig
    data: DataModule
    model: Model
    task: Task
    initialization: Initialization

    def learner(self) -> Learner:
        """Return the Lightning module that trains the model."""
        config = self.config
        learner_class = ShardedLearner if config.trainer.strategy == "fsdp" else Learner
        return learner_class(
            self.model,
            self.task,
            config.optim,
            seed=config.seed,
            compiled=config.trainer.compile,
            packed=config.trainer.packed,
            layer_decay=self.initialization.layer_decay,
        )


def build_components(config: RunConfig, data: DataModule | None = None) -> RunComponents:
    """Return the components of a run, checked against each other; nothing is written.

    Parameters
    ----------
    config
        Of the run.
    data
        Replaces the data set that the configuration names, for instance by labelled cases in memory.

    Raises
    ------
    ValueError
        If the components do not fit together.
    """
    if config.trainer.strategy == "fsdp" and config.optim.name == "muon":
        raise ValueError("optim.name=muon needs whole matrices, and trainer.strategy=fsdp cuts them; use strategy=ddp")
    if data is None:
        data = build_data(config)
    data.prefetch = config.trainer.prefetch
    config = data.complete_config(config)
    model = build_model(config)
    task = TASKS.build(config.task, horizon=config.model.horizon, counts=data.class_counts)
    data.setup_for(model, config)
    return RunComponents(config, data, model, task, initialize(model, config))


def build_data(config: RunConfig) -> DataModule:
    """Return the data module of a run; it may not have read its data yet."""
    if getattr(config.data, "length", 0) is None:  # cases of the length that a checkpoint needs, if it needs one
        config = replace(config, data=replace(config.data, length=_checkpoint_length(config)))
    return DATA_MODULES.component_of(config.data).for_run(config)


def data_fingerprint(config: RunConfig) -> str:
    """Return the fingerprint of the data of a run, without what training needs of it."""
    return build_data(config).fingerprint


def _checkpoint_length(config: RunConfig) -> int | None:
    """Return the steps that a model from a checkpoint reads, if it reads only windows of one length."""
    init = InitConfig.of(config.init)
    if init.source is None or "backbone" in init.reset:
        return None
    saved = build_from_config(checkpoint_directory(init))
    if not saved.backbone.fixed_length:
        return None
    steps = saved.config.context + (saved.config.horizon if saved.head.reads_window else 0)
    log.info("data.length is %d, the window of %s", steps, init.source)
    return steps


def build_model(config: RunConfig) -> Model:
    """Return the model with random weights, which depend on the seed alone. The global generator is seeded."""
    torch.manual_seed(config.seed)
    return Model(config.model, scaler=config.scaler, backbone=config.backbone, head=config.head)
