"""The interface of evaluation protocols.

To add a protocol, write one module in `tsfm.bench.protocols` with a class registered by `@PROTOCOLS("name")`, and
`conf/bench/name.yaml`. `tsfm eval bench=name` then works, with its leak check and its claims.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tsfm.config import EvalConfig
from tsfm.data.base import SourceSeries
from tsfm.messages import did_you_mean
from tsfm.results.rows import Measure
from tsfm.store.catalog import resolve
from tsfm.training.training_run import TrainedRun

COUNTS = ("windows", "cases", "steps_scored", "series")  # entries of scores that count what was scored
REPORTED = ("loss", "mse", "mae", "wql", "accuracy")  # metrics that a task itself reports


class Protocol(ABC):
    """How predictors are scored on data. `evaluate` calls the methods in the order in which they are defined."""

    @dataclass
    class Config:
        """No settings."""

    synthetic: ClassVar[bool] = False  # its series are drawn for the score: no model was trained on them
    metrics: ClassVar[tuple[str, ...]]  # what experiments can expect
    tasks: ClassVar[tuple[str, ...]] = ()  # whose training runs it scores
    default_for: ClassVar[tuple[str, ...]] = ()  # tasks whose runs it scores where bench is left at windows
    uses: ClassVar[tuple[str, ...]] = ()  # of the settings context and horizon of `tsfm eval`
    subset_key: ClassVar[str | None] = None  # entry of `rows` in the scores that names the subset that a row is about

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

    def data_digest(self, config: EvalConfig) -> str:
        """Return a digest of the data that decide a score, without scoring; here that of a series store."""
        return resolve(config.data.dataset).fingerprint

    def measures(self, scores: Mapping[str, Any]) -> list[Measure]:
        """Return the metrics in scores: of the whole, and of each row of `rows` that `subset_key` names."""
        return [
            Measure(metric, scores[metric], windows=_count(scores))
            for metric in dict.fromkeys(self.known_metrics())
            if isinstance(scores.get(metric), (int, float))
        ] + [
            Measure(metric, row[metric], subset=str(row[self.subset_key]), windows=_count(row))
            for row in (scores.get("rows", ()) if self.subset_key else ())
            for metric in dict.fromkeys(self.known_metrics())
            if isinstance(row.get(metric), (int, float))
        ]

    def write_tables(self, scores: dict[str, Any], folder: Path | None) -> None:
        """Log tables, and write them to `folder` if there is one; most protocols have none."""
        del scores, folder

    def score_run(self, run: TrainedRun, *, name: str) -> dict[str, Any]:
        """Return the scores of a training run of one of `tasks`; `name` is that of the model in messages."""
        raise NotImplementedError(f"{type(self).__name__} names {', '.join(self.tasks)} and scores no run ({name})")


def _count(scores: Mapping[str, Any]) -> int | None:
    counts = [scores[name] for name in COUNTS if isinstance(scores.get(name), (int, float))]
    return int(counts[0]) if counts else None
