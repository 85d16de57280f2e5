"""The interface of every data module: what training, evaluation and the command line ask of a data set.

B windows, C channels, T steps of a window, L steps of a series.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import pytorch_lightning as pl

from tsfm.data.loader import WindowLoader
from tsfm.data.sampling import InOrder
from tsfm.registry import TASKS

if TYPE_CHECKING:
    from jaxtyping import Float
    from typing_extensions import Self

    from tsfm.config import RunConfig
    from tsfm.contamination.sketch import Sketch
    from tsfm.data.loader import WindowSource
    from tsfm.data.standardize import Standardizer
    from tsfm.model.model import Model
    from tsfm.types import Batch


class SourceSeries(NamedTuple):
    """Whole series behind the windows of a data set, in one order, for the leak check."""

    names: Sequence[str]
    series: Iterable[Float[np.ndarray, "C _"]]
    fingerprints: Sequence[str] | None = None  # "" where a series has none
    timestamps: Callable[[int], np.ndarray] | None = None  # of the steps of series i, `[steps]` datetime64


class DataModule(pl.LightningDataModule, ABC):
    """Windows of three splits (train, val, test), their loaders, and what a run must remember of its data.

    A subclass registers itself with `DATA_MODULES` and names its config dataclass `Config`. Everything that a caller
    needs is a method or a property here, so that no caller distinguishes between classes of data modules.

    Attributes
    ----------
    labelled
        Whether each window has a label (a class or a number): tasks that classify or regress need it.
    pretraining
        Whether the windows are for task=pretrain alone.
    memory_setting
        The setting of the config to lower when a batch does not fit into memory.
    """

    Config: ClassVar[type]
    labelled: ClassVar[bool] = False
    pretraining: ClassVar[bool] = False
    memory_setting: ClassVar[str] = "batch_size"

    config: Any
    seed: int
    standardizer: Standardizer | None = None  # units of the windows; None: the units of the data
    dropped_covariates: tuple[str, ...] = ()  # channels that the model of a run cannot use
    prefetch: int = 0  # training batches that a second process makes ahead, as in `WindowLoader`
    sketch: Sketch | None = None  # recognises copies of the training series; of a corpus only

    @classmethod
    def from_config(cls, config: Any, *, context: int = 0, horizon: int = 1, seed: int = 0) -> Self:
        """Return the data of a config; window lengths are used where the config does not decide them."""
        del context, horizon
        return cls(config, seed=seed)

    @classmethod
    def for_run(cls, config: RunConfig) -> Self:
        """Return the data of a training run; nothing is read yet where that can wait for `setup`."""
        return cls.from_config(
            config.data, context=config.model.context, horizon=config.model.horizon, seed=config.seed
        )

    def complete_config(self, config: RunConfig) -> RunConfig:
        """Return the config of a run with everything that the data decides.

        Raises
        ------
        ValueError
            When the task cannot be learnt from this data.
        """
        name, task = config.data.dataset, config.task.name
        if TASKS.entry(task).component.predicts == "window":
            raise ValueError(
                f"task={task} learns labels, and data set {name!r} is read as series without any; use data=cases"
            )
        if task == "pretrain" and not self.pretraining:
            raise ValueError(f"task=pretrain learns from a corpus; use data=corpus data.sets=[{name}]")
        return config

    @abstractmethod
    def setup_for(self, model: Model, config: RunConfig) -> None:
        """Read the data as this model can use it, and refuse a run whose parts do not fit together.

        Raises
        ------
        ValueError
            When channels, window lengths or splits do not fit the model, the task or the protocol.
        """

    def prepare_data(self) -> None:
        """Read the data in one process of a machine first, so that it writes the caches that the others use."""
        self.setup()

    @abstractmethod
    def setup(self, stage: str | None = None) -> None:
        """Read the data; a second call does nothing."""

    @abstractmethod
    def windows(self, split: str, *, stride: int | None = None) -> WindowSource:
        """Return the windows of train, val or test; none where there is no such split.

        `stride` is the number of steps between windows (default: that of the config), where windows are cut from
        longer series.
        """

    @abstractmethod
    def train_dataloader(self) -> WindowLoader:
        """Return the training batches of this process."""

    def val_dataloader(self) -> WindowLoader | list:
        """Return the batches of the validation windows of this process, in order."""
        return self._in_order("val", limit=self.max_val_windows)

    def test_dataloader(self) -> WindowLoader | list:
        """Return the batches of the test windows of this process, in order."""
        return self._in_order("test")

    def predict_dataloader(self) -> WindowLoader | list:
        """Return the batches of the test windows of this process, in order."""
        return self.test_dataloader()

    @property
    def max_val_windows(self) -> int | None:
        """How many windows validate at most, evenly spread over all of them; None: all."""
        return None

    def _in_order(self, split: str, *, limit: int | None = None) -> WindowLoader | list:
        windows, (rank, world_size) = self.windows(split), self.process()
        if not len(windows):
            return []
        plan = InOrder(len(windows), self.config.eval_batch_size, rank=rank, world_size=world_size, limit=limit)
        return WindowLoader(windows, plan)

    def process(self) -> tuple[int, int]:
        """Return the rank of this process among those that train together, and their number."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else (0, 1)

    def first_batch(self) -> Batch:
        """Return a batch that begins with the first training window, for a description of the run."""
        return self.windows("train").gather(np.arange(1))

    @abstractmethod
    def describe(self) -> list[str]:
        """Return lines for `tsfm show`: splits, lengths, channels."""

    @abstractmethod
    def source_series(self) -> SourceSeries:
        """Return the whole series that are scored, with everything that precedes the scored part."""

    @property
    @abstractmethod
    def num_channels(self) -> int:
        """Channels of a window: targets and covariates."""

    @property
    def num_targets(self) -> int:
        """Channels of a window that a model predicts; they come first."""
        return self.num_channels

    @property
    def channel_names(self) -> tuple[str, ...] | None:
        """Names of the channels of a window, where it has covariates; else None."""
        return None

    @property
    @abstractmethod
    def fingerprints(self) -> list[str]:
        """Fingerprints of everything that a run learns from, as a checkpoint stores them."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """One fingerprint of the whole data set."""

    @property
    def split_rule(self) -> str:
        """The name of the rule that makes the splits."""
        return "official"

    @property
    def resolved_config(self) -> Any:
        """The config with what was found in the data: what a model must know of the data it learnt from."""
        return self.config

    @property
    def labels(self) -> dict[str, Any]:
        """Classes, or location and scale of the numbers, as `About.labels` stores them; empty without labels."""
        return {}

    @property
    def class_counts(self) -> list[int] | None:
        """Training windows of each class; None where windows have no classes."""
        return None
