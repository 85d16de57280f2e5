"""The typed configurations of `tsfm train` and `tsfm eval`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional

from hydra.core.config_store import ConfigStore

from tsfm.messages import did_you_mean

RESUME = ("never", "auto")


@dataclass
class Expect:
    """A published number that an experiment claims to reproduce, and how near counts as reproduced."""

    metric: str = "???"
    value: float = 0.0
    tolerance: float = 0.03  # relative; a better score is within it, too
    data: Optional[str] = None  # noqa: UP045  the data set of the claim; on another the claim is not made
    horizon: Optional[int] = None  # noqa: UP045  the horizon of the claim; with another one it is not made
    source: str = ""


def default_init() -> dict[str, Any]:
    """Return the settings of `init` and their defaults: random weights, all of them trained.

    A dict, not a dataclass: `from` cannot be the name of a field. `tsfm.training.init_config` checks the values.
    """
    return {
        "from": None,  # a model directory, a run directory, or the name of a bundled model
        "freeze": [],  # what is not trained: names of parts or parameters, or all_but_head
        "reset": [],  # parts that start from random weights
        "lora": {"rank": None, "alpha": None, "targets": None, "dropout": 0.0},
        "expand": False,  # whether the model may have more quantile levels, or also the known season
        "layer_decay": None,  # factor of the learning rate from each depth to the one below; the head has factor 1
    }


# Optional[...] in these classes, not `X | None`: OmegaConf resolves the hints of structured configs on Python 3.10.
@dataclass
class RunConfig:
    """`tsfm train`: everything that decides a run."""

    task: Any = "???"
    data: Any = "???"
    model: Any = "???"
    scaler: Any = "???"
    backbone: Any = "???"
    head: Any = "???"
    optim: Any = "???"
    trainer: Any = "???"
    bench: Any = "???"
    init: dict[str, Any] = field(default_factory=default_init)
    name: str = "run"  # of the folder below run_root
    seed: int = 0
    run_root: str = "runs"
    run_dir: Optional[str] = None  # noqa: UP045  default: run_root/name/time-seed
    resume: str = "never"  # auto: continue the newest unfinished run of the same config
    results: Optional[str] = None  # noqa: UP045  results store that gets the scores; a sweep has one by default
    expect: list[Expect] = field(default_factory=list)

    def __post_init__(self):
        if self.resume not in RESUME:
            raise ValueError(f"resume is {self.resume!r}; {did_you_mean(self.resume, list(RESUME))}")


@dataclass
class EvalConfig:
    """`tsfm eval`: a predictor, the data and the protocol that scores it."""

    predictor: str = "???"  # a model directory, the name of a bundled model, or a baseline
    data: Any = "???"
    bench: Any = "???"
    context: Optional[int] = None  # noqa: UP045  default: the model's own; a baseline needs one
    horizon: Optional[int] = None  # noqa: UP045
    seed: Optional[int] = None  # noqa: UP045  of the split of labelled cases; null: that of the model's training, else 0
    device: str = "auto"  # of a trained model: cpu, cuda, cuda:1, ...; auto: a GPU if there is one
    zero_shot: bool = False  # refuse a trained model that has seen the data, or for which that is unknown
    name: str = "eval"
    out: Optional[str] = None  # noqa: UP045  folder for result.json
    results: Optional[str] = None  # noqa: UP045  results store that gets the scores; a sweep has one by default
    expect: list[Expect] = field(default_factory=list)

    def __post_init__(self):
        for name in ("context", "horizon"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ValueError(f"{name} is {value}; it is a number of steps, at least 1")


ConfigStore.instance().store(name="_train", node=RunConfig)
ConfigStore.instance().store(name="_eval", node=EvalConfig)
