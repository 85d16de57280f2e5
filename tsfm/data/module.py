"""A data set as Lightning wants it: windows of each split, loaders, and what a run must remember of its data."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import numpy as np
import pytorch_lightning as pl

from tsfm.data.covariates import Layout, lay_out
from tsfm.data.flat import FlatSeries, flatten
from tsfm.data.loader import WindowLoader
from tsfm.data.sampling import InOrder, Plan, Shuffled, WithReplacement
from tsfm.data.settings import DataConfig
from tsfm.data.splits import EMPTY, SPLITS, Spans, table
from tsfm.data.standardize import Standardizer, fit
from tsfm.data.windows import WindowIndex
from tsfm.messages import did_you_mean
from tsfm.store.catalog import resolve
from tsfm.store.series_store import SeriesStore
from tsfm.timestamps.frequency import season_length
from tsfm.timestamps.time_features import TimeFeatures, choose_fields

__all__ = ["DataConfig", "WindowData", "WindowLoader"]

log = logging.getLogger("tsfm")


class WindowData(pl.LightningDataModule):
    """Windows of `context` steps and the `horizon` after them, from the data set that the config names; of targets
    alone where `covariates` is False, for models that can't use others."""

    def __init__(self, config: DataConfig, *, context: int, horizon: int, seed: int = 0, covariates: bool = True):
        super().__init__()
        self.config, self.context, self.horizon, self.seed = config, context, horizon, seed
        self.covariates = covariates
        self.standardizer: Standardizer | None = None
        self._store: SeriesStore | None = None
        self._flat: FlatSeries | None = None
        self._calendar: TimeFeatures | None = None
        self._spans: dict[str, Spans] = {}
        self._windows: dict[tuple[str, int], WindowIndex] = {}

    def prepare_data(self) -> None:
        self.setup()  # one process of a machine writes the flat file of a large store before the others look for it

    def setup(self, stage: str | None = None) -> None:
        """Read the store, split it, fit the standardiser; a second call does nothing."""
        if self._flat is not None:
            return
        config = self.config
        store = resolve(config.dataset)
        try:
            calendar = choose_fields(config.calendar, store.freqs)
            layout = lay_out(store.channels, config, calendar=calendar)
            self.layout = layout if self.covariates else Layout(layout.targets)
            self.left = () if self.covariates else layout.covariates
        except ValueError as error:
            raise ValueError(f"data set {config.dataset!r}: {error}") from None
        self._spans = table(
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
            try:
                self.standardizer = fit(flat, self._spans["train"], self.layout.stored)
            except ValueError as error:
                raise ValueError(f"data set {config.dataset!r}: {error}") from None
            if constant := self.standardizer.constant:
                log.warning(
                    "data set %s: channel %s is constant in the train rows and gets scale 1",
                    config.dataset,
                    ", ".join(map(repr, constant)),
                )
        if self.layout.calendar:
            self._calendar = TimeFeatures(
                self.layout.calendar, starts=store.starts, freqs=store.freqs, lengths=store.lengths
            )
        self._store, self._flat = store, flat

    def windows(self, split: str, *, stride: int | None = None) -> WindowIndex:
        """The windows of train, val or test; none where the split rule makes no such part.

        Without a stride: the config's for train, and in evaluation every window, or horizon after horizon where the
        test part is made of horizons (last_horizon).
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
        spans = self._spans.get(split) or Spans.of([EMPTY] * len(flat))
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
            role=self.layout.role(),
            calendar=self._calendar,
        )
        if not len(index) and self._exists(split):
            longest = int(np.argmax(spans.stop - spans.first))
            found, needed = int((spans.stop - spans.first)[longest]), index.least + self.horizon
            reason = dict(index.skipped)[flat.ids[longest]]
            raise ValueError(
                f"data set {config.dataset!r}, split {split!r}: no window of context {index.least} and horizon "
                f"{self.horizon} fits; {needed} rows needed, at most {found} found (item {flat.ids[longest]!r}: "
                f"{reason}); use a shorter horizon or context, or another data.split"
            )
        return index

    def _exists(self, split: str) -> bool:
        """Whether the split rule makes this part at all."""
        spans = self._spans.get(split)
        return spans is not None and bool((spans.stop > spans.target).any())

    def train_dataloader(self) -> WindowLoader:
        config, windows, (rank, world) = self.config, self.windows("train"), self._place()
        kwargs: dict[str, Any] = {"batch_size": config.batch_size, "seed": self.seed, "rank": rank, "world": world}
        plan: Plan
        if config.sampling == "random":
            number = config.batches_per_epoch or -(-len(windows) // (config.batch_size * world))
            counts = windows.count_by_series
            plan = WithReplacement(counts, batches_per_epoch=number, temperature=config.temperature, **kwargs)
        else:
            plan = Shuffled(len(windows), **kwargs)
        if not len(plan):
            raise ValueError(
                f"data set {config.dataset!r}: {len(windows)} train windows are fewer than the {world} processes; "
                "train with fewer processes"
            )
        return WindowLoader(windows, plan)

    def val_dataloader(self) -> WindowLoader | list:
        return self._in_order("val")

    def test_dataloader(self) -> WindowLoader | list:
        return self._in_order("test")

    def _in_order(self, split: str) -> WindowLoader | list:
        windows, (rank, world) = self.windows(split), self._place()
        if not self._exists(split):
            return []
        return WindowLoader(windows, InOrder(len(windows), self.config.eval_batch_size, rank=rank, world=world))

    def _place(self) -> tuple[int, int]:
        """This process among those that train together: rank and world size."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else (0, 1)

    @property
    def store(self) -> SeriesStore:
        self.setup()
        assert self._store is not None
        return self._store

    @property
    def fingerprints(self) -> list[str]:
        """Of every series."""
        return self.store.fingerprints

    @property
    def fingerprint(self) -> str:
        """Of the whole store."""
        return self.store.fingerprint

    @property
    def num_channels(self) -> int:
        """Of a window: targets and covariates."""
        self.setup()
        return len(self.layout.names)

    @property
    def settled(self) -> DataConfig:
        """The config with the channels named as they were found: what a model must know of the data it learnt from."""
        self.setup()
        if not (self.config.known or self.config.past or self.config.calendar):
            return self.config
        found = {key: list(getattr(self.layout, key)) for key in ("past", "known", "calendar")}
        return replace(self.config, channels=list(self.layout.targets), **found)

    @property
    def freq(self) -> str:
        """The frequency of all series; "mixed" where they differ."""
        freqs = set(self.store.freqs)
        return freqs.pop() if len(freqs) == 1 else "mixed"

    @property
    def season(self) -> int:
        """Steps in a season: the config's, else the natural one of the frequency."""
        if self.config.season is not None:
            return self.config.season
        seasons = {season_length(freq) for freq in set(self.store.freqs)}
        if len(seasons) > 1:
            raise ValueError(
                f"data set {self.config.dataset!r} mixes frequencies with the seasons {sorted(seasons)}; "
                "give data.season"
            )
        return seasons.pop()
