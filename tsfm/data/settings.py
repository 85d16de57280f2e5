"""Settings of the config group `data` for stores and labelled cases, without importing torch or Lightning."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional

from tsfm.data.splits import DEFAULT_RATIOS, check_split_rule
from tsfm.messages import did_you_mean
from tsfm.timestamps.time_features import check_fields

SAMPLINGS = ("epoch", "random")


# Optional[...], not `X | None`: OmegaConf resolves the hints of structured configs on Python 3.10.
@dataclass
class DataConfig:
    """Windows of one store; `dataset` is a name of the catalog or the path of the store."""

    dataset: str
    split: str = "ratio"  # ett_hour | ett_minute | ratio | last_horizon | all
    ratios: list[float] = field(default_factory=lambda: list(DEFAULT_RATIOS))  # shares of train, val, test, for ratio
    windows: int = 1  # horizons in the test part, for last_horizon
    channels: Optional[list[str]] = None  # noqa: UP045  the targets; null: all channels that are not covariates
    past: Optional[list[str]] = None  # noqa: UP045  covariates known up to the forecast origin
    known: Optional[list[str]] = None  # noqa: UP045  covariates known through the horizon
    time_features: Any = False  # as known covariates: true, or a list such as [hour, day_of_week]
    standardize: bool = True  # per channel, fitted on the train rows, as long-horizon benchmarks do
    sampling: str = "epoch"  # epoch: each window once; random: with replacement, batches_per_epoch times
    temperature: float = 0.5  # random: a series has the weight (its number of windows) ** temperature
    batches_per_epoch: Optional[int] = None  # noqa: UP045  random; null: as many as all windows fill
    batch_size: int = 128
    eval_batch_size: int = 512
    val_windows: Optional[int] = None  # noqa: UP045  at most, evenly spread, validate while training; null: all
    stride: int = 1  # steps from one training window to the next; evaluation has every window
    min_context: Optional[int] = None  # noqa: UP045  context steps that must be in the series; null: all
    fraction: float = 1.0  # of the train windows, the most recent of each series: few-shot training
    season: Optional[int] = None  # noqa: UP045  steps; null: from the frequency

    def __post_init__(self):
        check_split_rule(self.split, self.ratios, horizon=1, windows=self.windows)
        if self.sampling not in SAMPLINGS:
            raise ValueError(f"data.sampling is {self.sampling!r}; {did_you_mean(self.sampling, list(SAMPLINGS))}")
        if self.sampling == "epoch" and self.batches_per_epoch is not None:
            raise ValueError(
                f"data.batches_per_epoch is {self.batches_per_epoch}, but sampling=epoch draws every window once; use "
                "sampling=random, or leave batches_per_epoch out"
            )
        least = {"batch_size": 1, "eval_batch_size": 1, "stride": 1, "windows": 1, "season": 1, "batches_per_epoch": 1}
        least |= {"val_windows": 1}
        for name, low in (least | {"min_context": 0}).items():
            if (value := getattr(self, name)) is not None and value < low:
                raise ValueError(f"data.{name} is {value}; it must be at least {low}")
        self._check_covariates()
        if not 0 < self.fraction <= 1:
            raise ValueError(
                f"data.fraction is {self.fraction}; expected a share of the train windows, 0 < fraction <= 1"
            )
        if not 0 <= self.temperature <= 1:
            raise ValueError(
                f"data.temperature is {self.temperature}; expected 0 (each series is drawn equally often) to 1 (each "
                "window is)"
            )

    def _check_covariates(self) -> None:
        check_fields(self.time_features)
        named: dict[str, str] = {}
        for key in ("channels", "past", "known"):
            for name in getattr(self, key) or ():
                if name in named:
                    where = "twice in" if named[name] == key else f"in data.{named[name]} and in"
                    raise ValueError(
                        f"channel {name!r} is named {where} data.{key}; a channel is a target, a past covariate or a "
                        "known covariate: name it once"
                    )
                named[name] = key


@dataclass
class CasesConfig:
    """Labelled cases; `dataset` is a name such as GunPoint, the path of a Parquet file, or of a store."""

    dataset: str
    standardize: bool = False  # per channel, fitted on the training cases
    val: float = 0.0  # share of the training cases for validation, stratified; 0: none, a run keeps its last weights
    fraction: float = 1.0  # of the training cases, stratified, at least one of each class: few-shot training
    batch_size: int = 64  # at most; batches have nearly equal sizes, so that the last one is never a single case
    eval_batch_size: int = 512
    length: Optional[int] = None  # noqa: UP045  steps; null: the longest training case; longer ones keep their last steps

    def __post_init__(self):
        for name in ("batch_size", "eval_batch_size", "length"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ValueError(f"data.{name} is {value}; it must be at least 1")
        if not 0 <= self.val < 1:
            raise ValueError(f"data.val is {self.val}; expected a share of the training cases, 0 <= val < 1")
        if not 0 < self.fraction <= 1:
            raise ValueError(f"data.fraction is {self.fraction}; expected a share of the cases, 0 < fraction <= 1")
