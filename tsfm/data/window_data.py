"""Windows of a store for training and evaluation: `WindowData`, which the configs of time series in `conf/data` choose.

N series.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from tsfm.data.covariates import ROLE_NAMES, ChannelLayout, announce_copies, make_layout
from tsfm.data.flat import FlatSeries, flatten
from tsfm.data.loader import WindowLoader
from tsfm.data.sampling import BatchPlan, Shuffled, WithReplacement
from tsfm.data.settings import DataConfig
from tsfm.data.splits import EMPTY_SPAN, SPLITS, Spans, split_all
from tsfm.data.standardize import fit_standardizer
from tsfm.data.store_data import StoreData
from tsfm.data.windows import WindowIndex
from tsfm.messages import did_you_mean
from tsfm.registry import DATA_MODULES
from tsfm.timestamps.time_features import TimeFeatures, choose_fields

if TYPE_CHECKING:
    from tsfm.config import RunConfig
    from tsfm.model.model import Model

__all__ = ["DataConfig", "WindowData", "WindowLoader"]

log = logging.getLogger("tsfm")


@DATA_MODULES("data")
class WindowData(StoreData):
    """Windows of `context` steps and the `horizon` steps after them, from the data set that the config names.

    Parameters
    ----------
    config
        Data set, splits, channels and sampling.
    context, horizon
        Steps of a window.
    seed
        Decides the order of the training windows.
    covariates
        Whether windows hold the covariates of the config too; False for models that cannot use them.
    """

    Config = DataConfig

    def __init__(self, config: DataConfig, *, context: int, horizon: int, seed: int = 0, covariates: bool = True):
        super().__init__()
        self.config, self.context, self.horizon, self.seed = config, context, horizon, seed
        self.covariates = covariates
        self._flat: FlatSeries | None = None
        self._time_features: TimeFeatures | None = None
        self._spans: dict[str, Spans] = {}
        self._windows: dict[tuple[str, int], WindowIndex] = {}

    @classmethod
    def from_config(cls, config: DataConfig, *, context: int = 0, horizon: int = 1, seed: int = 0) -> WindowData:
        """Return the windows of a config."""
        return cls(config, context=context, horizon=horizon, seed=seed)

    @override
    def setup(self, stage: str | None = None) -> None:
        """Read the store, split it, fit the standardizer; a second call does nothing."""
        if self._flat is not None:
            return
        config, store = self.config, self.store
        try:
            time_features = choose_fields(config.time_features, store.freqs)
            layout = make_layout(
                store.channels, config, time_features=time_features, covariates=store.manifest.covariates
            )
        except ValueError as error:
            raise ValueError(f"data set {config.dataset!r}: {error}") from None
        self.layout = layout if self.covariates else ChannelLayout(layout.targets)
        self.dropped_covariates = () if self.covariates else layout.covariates
        self._spans = split_all(
            store.lengths,
            config.split,
            lookback=self.context,
            ratios=config.ratios,
            horizon=max(self.horizon, 1),
            windows=config.windows,
        )
        if len(reasons := self._spans["train"].reasons) == len(store):
            raise ValueError(f"data set {config.dataset!r}: {reasons[int(np.argmax(store.lengths))]}")
        flat = flatten(store)
        if config.standardize:
            self._fit_standardizer(flat)
        if self.layout.time_features:
            self._time_features = TimeFeatures(
                self.layout.time_features, starts=store.starts, freqs=store.freqs, lengths=store.lengths
            )
        self._flat = flat

    def _fit_standardizer(self, flat: FlatSeries) -> None:
        name = self.config.dataset
        try:
            self.standardizer = fit_standardizer(flat, self._spans["train"], self.layout.stored)
        except ValueError as error:
            raise ValueError(f"data set {name!r}: {error}") from None
        if constant := self.standardizer.constant:
            log.warning(
                "data set %s: channel %s is constant in the train rows and gets scale 1",
                name,
                ", ".join(map(repr, constant)),
            )

    def setup_for(self, model: Model, config: RunConfig) -> None:
        """Leave out covariates that the model cannot use; refuse channels or splits that do not fit the run."""
        self.covariates = self.covariates and model.mixes_channels
        self.setup()
        assert self._flat is not None
        announce_copies(self.layout, self._flat, self._spans["train"])
        if self.dropped_covariates:
            log.warning(
                "backbone %s does not mix channels, so the covariates %s are left out; set backbone.mix_every to use "
                "them",
                config.backbone.name,
                ", ".join(self.dropped_covariates),
            )
        if self.layout.known and not model.head.reads_window:
            log.warning(
                "head %s reads the context alone, so the known future of %s is not used; use head=patch_quantiles",
                config.head.name,
                ", ".join(self.layout.known),
            )
        self._check_channels(config)
        self._check_splits(config)

    def _check_channels(self, config: RunConfig) -> None:
        name, channels = self.config.dataset, config.model.channels
        if channels not in (None, self.num_channels):
            covariates = self.layout.covariates
            detail = f" with its {len(covariates)} covariates" if covariates else ""
            raise ValueError(
                f"model.channels is {channels}, and data set {name!r} has {self.num_channels}{detail}; set "
                "model.channels to that, or to null for any number"
            )
        if getattr(config.task, "mask", None) == "gaps" and not self.store.has_missing.any():
            raise ValueError(
                f"data set {name!r} has no missing values whose positions task.mask=gaps could take; use points, "
                "blocks or hybrid"
            )

    def _check_splits(self, config: RunConfig) -> None:
        needed = [("train", None), *([("val", None)] if config.trainer.keep == "best" else [])]
        needed += [(config.bench.split, getattr(config.bench, "stride", None))]
        for split, stride in needed:
            if not len(self.windows(split, stride=stride)):
                hint = ", or keep the last weights by trainer.keep=last" if split == "val" else ""
                raise ValueError(
                    f"data set {self.config.dataset!r}: data.split={self.config.split} makes no {split} part; a run "
                    f"needs train, val and {config.bench.split}: choose another data.split or data.ratios{hint}"
                )

    def windows(self, split: str, *, stride: int | None = None) -> WindowIndex:
        """Return the windows of train, val or test; none where the split rule makes no such part.

        Without a stride: that of the config for train, and in evaluation every window, or one per horizon where the
        test part consists of horizons (last_horizon).

        Raises
        ------
        ValueError
            When the part exists and no window fits into it.
        """
        if split not in SPLITS:
            raise ValueError(f"unknown split {split!r}; {did_you_mean(split, list(SPLITS))}")
        self.setup()
        assert self._flat is not None
        if stride is None:
            whole = max(self.horizon, 1) if self.config.split == "last_horizon" else 1
            stride = self.config.stride if split == "train" else whole
        if (split, stride) not in self._windows:
            self._windows[split, stride] = self._index(split, stride, self._flat)
        return self._windows[split, stride]

    def _index(self, split: str, stride: int, flat: FlatSeries) -> WindowIndex:
        config = self.config
        spans = self._spans.get(split) or Spans.from_spans([EMPTY_SPAN] * len(flat))
        index = WindowIndex(
            flat,
            spans,
            context=self.context,
            horizon=self.horizon,
            stride=stride,
            min_context=config.min_context,
            fraction=config.fraction if split == "train" else 1.0,
            channels=self.layout.stored,
            standardizer=self.standardizer,
            role=self.layout.role_tensor(),
            time_features=self._time_features,
        )
        if not len(index) and (spans.stop > spans.target).any():
            lengths = spans.stop - spans.first
            longest = int(np.argmax(lengths))
            reason = dict(index.skipped)[flat.ids[longest]]
            raise ValueError(
                f"data set {config.dataset!r}, split {split!r}: no window of context {index.min_context} and horizon "
                f"{self.horizon} fits; {index.min_context + self.horizon} rows needed, at most {lengths[longest]} "
                f"found (item {flat.ids[longest]!r}: {reason}); use a shorter horizon or context, or another data.split"
            )
        return index

    @property
    @override
    def max_val_windows(self) -> int | None:
        return self.config.val_windows

    def train_dataloader(self) -> WindowLoader:
        """Return the training batches: each window once per epoch, or windows drawn at random."""
        config, windows, (rank, world_size) = self.config, self.windows("train"), self.process()
        common: dict[str, Any] = {"batch_size": config.batch_size, "seed": self.seed}
        common |= {"rank": rank, "world_size": world_size}
        plan: BatchPlan
        if config.sampling == "random":
            num_batches = config.batches_per_epoch or -(-len(windows) // (config.batch_size * world_size))
            counts = windows.count_by_series
            plan = WithReplacement(counts, batches_per_epoch=num_batches, temperature=config.temperature, **common)
        else:
            plan = Shuffled(len(windows), **common)
        if not len(plan):
            raise ValueError(
                f"data set {config.dataset!r}: {len(windows)} train windows are fewer than the {world_size} "
                "processes; train with fewer processes"
            )
        return WindowLoader(windows, plan, prefetch=self.prefetch)

    def describe(self) -> list[str]:
        """Return the number of windows of each split, series without windows, and the channels by role."""
        windows = {split: self.windows(split) for split in SPLITS}
        counts = Counter(self.layout.roles)
        roles = ROLE_NAMES if self.layout.covariates else {}
        return [
            "windows     " + ", ".join(f"{split} {len(index):,}" for split, index in windows.items()),
            *(
                f"left out    {len(index.skipped)} series of {split}: {index.skipped[0]}"
                for split, index in windows.items()
                if index.skipped
            ),
            f"channels    {self.num_channels}, frequency {self.freq}, season {self.season_length}",
            *(f"            {counts[role]} {roles[role]}" for role in roles if counts[role]),
        ]

    @property
    def split_rule(self) -> str:
        """The rule of the config."""
        return self.config.split

    @property
    def num_channels(self) -> int:
        """Channels of a window: targets and covariates."""
        self.setup()
        return len(self.layout.names)

    @property
    def num_targets(self) -> int:
        """Channels of a window that a model predicts."""
        self.setup()
        return len(self.layout.targets)

    @property
    def channel_names(self) -> tuple[str, ...] | None:
        """Names of the channels of a window, where it has covariates; else None."""
        self.setup()
        return self.layout.names if self.layout.covariates else None

    @property
    def resolved_config(self) -> DataConfig:
        """The config with the names of the channels that were found, where it asks for covariates."""
        self.setup()
        if not (self.config.known or self.config.past or self.config.time_features):
            return self.config
        names = {key: list(getattr(self.layout, key)) for key in ("past", "known", "time_features")}
        return replace(self.config, channels=list(self.layout.targets), **names)
