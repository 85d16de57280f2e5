"""The interface of evaluation protocols.

To add a protocol, write one module in `tsfm.bench.protocols` with a class registered by `@PROTOCOLS("name")`, and
`conf/bench/name.yaml`. `tsfm eval bench=name` then works, with its leak check and its claims.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tsfm.config import EvalConfig
from tsfm.data.base import SourceSeries
from tsfm.messages import did_you_mean
from tsfm.training.training_run import TrainedRun

REPORTED = ("loss", "mse", "mae", "wql", "accuracy")  # metrics that a task itself reports


class Protocol(ABC):
    """How predictors are scored on data. `evaluate` calls the methods in the order in which they are defined."""

    @dataclass
    class Config:
        """No settings."""

    metrics: ClassVar[tuple[str, ...]]  # what experiments can expect
    tasks: ClassVar[tuple[str, ...]] = ()  # whose training runs it scores
    default_for: ClassVar[tuple[str, ...]] = ()  # tasks whose runs it scores where bench is left at windows
    uses: ClassVar[tuple[str, ...]] = ()  # of the settings context and horizon of `tsfm eval`

    def __init__(self, config: Any):
        self.config = config

    def known_metrics(self) -> list[str]:
        """Return the metrics that a claim can name."""
        return [*self.metrics, *REPORTED]

    def check_metric(self, name: str) -> None:
        """Raise a ValueError if the protocol does not measure a metric."""
        if name not in (known := self.known_metrics()):
            raise ValueError(f"expect.metric is {name!r}; {did_you_mean(name, known)}")

    def check(self, config: EvalConfig) -> None:
        """Raise a ValueError for settings of `tsfm eval` that the protocol does not use."""
        for name in ("context", "horizon"):
            if name not in self.uses and (value := getattr(config, name)) is not None:
                raise ValueError(f"bench={self.config.name} has no {name}; leave {name}={value} out")

    @abstractmethod
    def load_predictor(self, config: EvalConfig) -> Any:
        """Return what `config.predictor` names, ready to be scored."""

    @abstractmethod
    def load_data(self, config: EvalConfig, predictor: Any) -> Any:
        """Return the data that the predictor is scored on."""

    @abstractmethod
    def scored_series(self, data: Any) -> SourceSeries:
        """Return the whole series, with the past of what is scored, for the leak check."""

    @abstractmethod
    def score(self, predictor: Any, data: Any) -> dict[str, Any]:
        """Return the metrics and everything that decides them."""

    def data_name(self, config: EvalConfig) -> str:
        """Return the name of the data in results."""
        return config.data.dataset

    def write_tables(self, scores: dict[str, Any], folder: Path | None) -> None:
        """Log tables, and write them to `folder` if there is one; most protocols have none."""
        del scores, folder

    def score_run(self, run: TrainedRun, *, name: str) -> dict[str, Any]:
        """Return the scores of a training run of one of `tasks`; `name` is that of the model in messages."""
        raise NotImplementedError(f"{type(self).__name__} names {', '.join(self.tasks)} and scores no run ({name})")
