"""What a run is made of, from its config: data, network and task, and whether they fit."""

from __future__ import annotations

import logging
from dataclasses import dataclass, fields, replace
from typing import Any

import torch

from tsfm.config import RunConfig
from tsfm.data.cases import CaseData, CasesConfig
from tsfm.data.corpus import CorpusConfig, CorpusData
from tsfm.data.module import WindowData
from tsfm.model.checkpoint import find, read_config
from tsfm.model.model import Model
from tsfm.registry import BACKBONES, HEADS, TASKS
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
    data: WindowData | CaseData | CorpusData
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


def build_components(config: RunConfig, data: CaseData | None = None) -> RunComponents:
    """The parts of a run, checked against each other; nothing is written. `data` gives cases from memory."""
    if config.trainer.strategy == "fsdp" and config.optim.name == "muon":
        raise ValueError("optim.name=muon needs whole matrices, and trainer.strategy=fsdp cuts them; use strategy=ddp")
    if isinstance(config.data, CasesConfig):
        if data is None:
            data = CaseData(
                replace(config.data, length=config.data.length or checkpoint_length(config)), seed=config.seed
            )
            split = config.bench.split if config.bench.name == "cases" else "test"
            if not len(data.windows(split)):
                hint = "set data.val" if split == "val" else "give test cases"
                raise ValueError(f"data set {config.data.dataset!r} has no {split} cases to score; {hint}")
        data.setup()
        config = complete_config(config, data)
        counts = list(data.counts) if data.classes else None
        check_labels(config, regresses=data.regresses)
        model = build_model(config)
        return RunComponents(config, data, model, build_task(config, counts=counts), initialize(model, config))
    check_labels(config, regresses=None)
    model, task = build_model(config), build_task(config)
    if isinstance(config.data, CorpusConfig):
        corpus = CorpusData(config.data, seed=config.seed)
        check_corpus(config, model)
        corpus.setup()
        return RunComponents(config, corpus, model, task, initialize(model, config))
    if task.name == "pretrain":
        raise ValueError(f"task=pretrain learns from a corpus; use data=corpus data.sets=[{config.data.dataset}]")
    windows = build_windows(config, model)
    check_windows(config, windows)
    return RunComponents(config, windows, model, task, initialize(model, config))


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


def complete_config(config: RunConfig, data: CaseData) -> RunConfig:
    """The config with what labelled cases decide: the window is a case, and the head answers for its classes."""
    whole = BACKBONES.entry(config.backbone.name).component.whole_window
    concat = getattr(config.head, "channel_pool", "mean") == "concat"
    shape: dict[str, Any] = {"context": data.length, "horizon": 0}
    if whole:
        shape |= {"patch": data.length, "stride": data.length}
    elif config.model.patch > data.length:
        shape |= {"patch": data.length, "stride": min(config.model.stride, data.length)}
        log.info("model.patch is %d, the length of the cases", data.length)
    if concat or config.model.channels is not None:
        shape |= {"channels": data.num_channels}
    head = config.head
    if any(field.name == "outputs" for field in fields(head)):
        head = replace(head, outputs=data.outputs)
    return replace(config, model=replace(config.model, **shape), head=head)


def check_labels(config: RunConfig, *, regresses: bool | None) -> None:
    """Labelled cases and tasks about labels belong together."""
    answers, asks = HEADS.entry(config.head.name).component.predicts, TASKS.entry(config.task.name).component.predicts
    if regresses is None:
        if asks == "window":
            raise ValueError(
                f"task={config.task.name} learns labels, and data set {config.data.dataset!r} is read as series "
                "without any; use data=cases"
            )
        return
    name = config.data.dataset
    if asks != "window":
        raise ValueError(f"data set {name!r} holds labelled cases; use task={'regress' if regresses else 'classify'}")
    if answers == "window" and regresses != (config.task.name == "regress"):
        kind, use = ("numbers", "regress") if regresses else ("classes", "classify")
        raise ValueError(f"the labels of data set {name!r} are {kind}; use task={use}")


def build_windows(config: RunConfig, model: Model) -> WindowData:
    """The data set; its covariates are left out where the model could make nothing of them."""
    mixes = model.mixes_channels
    data = WindowData(
        config.data, context=config.model.context, horizon=config.model.horizon, seed=config.seed, covariates=mixes
    )
    data.setup()
    if data.left:
        log.warning(
            "backbone %s does not mix channels, so the covariates %s are left out; set backbone.mix_every to use them",
            config.backbone.name,
            ", ".join(data.left),
        )
    if data.layout.known and not model.head.reads_window:
        log.warning(
            "head %s reads the context alone, so what is known ahead of %s is not used; use head=patch_quantiles",
            config.head.name,
            ", ".join(data.layout.known),
        )
    return data


def build_model(config: RunConfig) -> Model:
    """The network with its first weights, which follow from the seed alone."""
    torch.manual_seed(config.seed)
    return Model(config.model, scaler=config.scaler, backbone=config.backbone, head=config.head)


def build_task(config: RunConfig, *, counts: list[int] | None = None) -> Task:
    return TASKS.build(config.task, horizon=config.model.horizon, counts=counts)


def check_windows(config: RunConfig, data: WindowData) -> None:
    """Refuse, before anything is written, a run whose parts do not fit: channels, or a split without windows."""
    name, channels = config.data.dataset, config.model.channels
    if channels not in (None, data.num_channels):
        beside = f" with its {len(data.layout.covariates)} covariates" if data.layout.covariates else ""
        raise ValueError(
            f"model.channels is {channels}, and data set {name!r} has {data.num_channels}{beside}; set model.channels "
            "to that, or to null for any number"
        )
    if getattr(config.task, "mask", None) == "gaps" and not data.store.has_missing.any():
        raise ValueError(
            f"data set {name!r} has no missing values whose places task.mask=gaps could take; use points, blocks or "
            "hybrid"
        )
    needed = [("train", None), *([("val", None)] if config.trainer.keep == "best" else [])]
    needed += [(config.bench.split, getattr(config.bench, "stride", None))]
    for split, stride in needed:
        if not len(data.windows(split, stride=stride)):
            without = ", or keep the last weights by trainer.keep=last" if split == "val" else ""
            raise ValueError(
                f"data set {name!r}: data.split={config.data.split} makes no {split} part; a run needs train, val and "
                f"{config.bench.split}: choose another data.split or data.ratios{without}"
            )


def check_corpus(config: RunConfig, model: Model) -> None:
    """Refuse a task or a network that can't use the windows of a corpus, which have several lengths."""
    if config.task.name != "pretrain":
        raise ValueError(f"data=corpus is for task=pretrain; for task={config.task.name} choose a data set")
    if config.model.channels not in (None, config.data.channels):
        raise ValueError(
            f"model.channels is {config.model.channels}, and the windows of the corpus have {config.data.channels} "
            "(data.channels); set it to null"
        )
    window = config.model.context + config.model.horizon
    if model.fixed_length and list(config.data.lengths) != [window]:
        raise ValueError(
            f"backbone {config.backbone.name} reads windows of exactly {window} steps (context + horizon); set "
            f"data.lengths=[{window}] data.shares=[1.0], found {list(config.data.lengths)}"
        )
    if config.trainer.keep == "best" and not config.data.real:
        raise ValueError("made-up series alone have no validation part; set trainer.keep=last")
