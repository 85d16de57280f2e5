"""The data of pre-training: windows of many real data sets and of synthetic series, without end.

N windows, C channels, T steps of a window. Batch i of epoch e is a pure function of (seed, e, i, rank), so an
interrupted run continues with the same bits.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from tsfm.contamination.sketch import Sketch
from tsfm.data.balance import set_factors
from tsfm.data.base import DataModule, SourceSeries
from tsfm.data.licences import is_allowed, licence_group
from tsfm.data.loader import WindowLoader, as_batch
from tsfm.data.mixture import CorpusBatches, CorpusConfig, CorpusPlan
from tsfm.data.pool import SeriesPool, build_pool
from tsfm.fingerprint import joint_fingerprint
from tsfm.messages import did_you_mean
from tsfm.registry import DATA_MODULES
from tsfm.store.catalog import RAW_FOLDER, data_roots, resolve
from tsfm.store.series_store import SeriesStore
from tsfm.types import Batch

if TYPE_CHECKING:
    from jaxtyping import Float

    from tsfm.config import RunConfig
    from tsfm.model.model import Model

__all__ = ["CorpusConfig", "CorpusData"]

log = logging.getLogger("tsfm")


@DATA_MODULES("corpus")
class CorpusData(DataModule):
    """Batches for pre-training, and the held-out ends of the real series for validation."""

    Config = CorpusConfig
    pretraining = True
    memory_setting = "batch_values"

    def __init__(self, config: CorpusConfig, *, seed: int = 0):
        super().__init__()
        self.config, self.seed = config, seed

    def complete_config(self, config: RunConfig) -> RunConfig:
        """Return the config; the task must be pretrain."""
        config = super().complete_config(config)
        if config.task.name != "pretrain":
            raise ValueError(f"data=corpus is for task=pretrain; for task={config.task.name} choose a data set")
        return config

    def setup_for(self, model: Model, config: RunConfig) -> None:
        """Read the sets; refuse a model that cannot use windows of several lengths."""
        own = self.config
        if config.model.channels not in (None, own.channels):
            raise ValueError(
                f"model.channels is {config.model.channels}, and the windows of the corpus have {own.channels} "
                "(data.channels); set it to null"
            )
        window = config.model.context + config.model.horizon
        if model.fixed_length and list(own.lengths) != [window]:
            raise ValueError(
                f"backbone {config.backbone.name} reads windows of exactly {window} steps (context + horizon); set "
                f"data.lengths=[{window}] data.length_weights=[1.0], found {list(own.lengths)}"
            )
        if config.trainer.keep == "best" and not own.real_rate:
            raise ValueError("synthetic series alone have no validation part; set trainer.keep=last")
        self.setup()

    @override
    def setup(self, stage: str | None = None) -> None:
        """Read the sets; a second call does nothing."""
        if self.config.real_rate:
            self.pool.check_length(max(self.config.lengths))

    @cached_property
    def stores(self) -> list[SeriesStore]:
        """The stores of the real data sets."""
        return [resolve(name) for name in self.names] if self.config.real_rate else []

    @cached_property
    def names(self) -> list[str]:
        """Names of the real data sets.

        Raises
        ------
        ValueError
            When the config names none and the data roots list none, or none has a licence that it allows.
        """
        if not self.config.real_rate:
            return []
        names = corpus_names() if self.config.sets is None else list(self.config.sets)
        if not names:
            raise ValueError(
                "no data set of the role `corpus` was found; set TSFM_DATA to a data root with "
                "forecasting/manifest.json, name sets by data.sets=[...], or train on synthetic series alone by "
                "data.real_rate=0"
            )
        return self._licensed(names)

    def _licensed(self, names: list[str]) -> list[str]:
        """Return those of the sets that data.licences admits."""
        choice, listed = self.config.licences, {Path(entry["file"]).stem: entry for entry in _listed()}
        if choice == "any":
            return names
        entries = {name: listed.get(name) or {"licence": resolve(name).manifest.licence} for name in names}
        allowed = [name for name, entry in entries.items() if is_allowed(choice, entry)]
        if not allowed:
            raise ValueError(
                f"data.licences={choice} admits none of {len(names)} data sets, such as {names[0]}; set it to any, or "
                "state licences in the manifest of the data"
            )
        return allowed

    @cached_property
    def pool(self) -> SeriesPool:
        """The trainable parts of all real series."""
        config = self.config
        factors, unused = set_factors([Path(name).name for name in self.names], config.factors)
        if unused:
            log.warning("data.factors names no set of this corpus with %s", ", ".join(unused))
        pool = build_pool(
            self.stores,
            temperature=config.temperature,
            balance=config.balance,
            factors=factors,
            length_ratio=config.length_ratio,
        )
        log.info(
            "corpus: %d series of %d sets, %.1f million values", len(pool), len(self.names), len(pool.values) / 1e6
        )
        return pool

    @override
    def windows(self, split: str, *, stride: int | None = None) -> CorpusBatches | InMemoryWindows:
        """Return what training batches are drawn from; for val and test the held-out ends of real series."""
        if split == "train":
            return CorpusBatches(self.config, self.pool if self.config.real_rate else None)
        if split not in ("val", "test"):
            raise ValueError(f"unknown split {split!r}; {did_you_mean(split, ['train', 'val', 'test'])}")
        return self._ends

    @cached_property
    def _ends(self) -> InMemoryWindows:
        if not self.config.real_rate:
            return InMemoryWindows(torch.zeros(0, 1, max(self.config.lengths)))
        steps = sorted(self.config.lengths)[len(self.config.lengths) // 2]
        generator = torch.Generator().manual_seed(self.seed)
        picked = torch.multinomial(self.pool.weight, self.config.val_windows, replacement=True, generator=generator)
        return InMemoryWindows(self.pool.last_windows(picked.unique(), steps=steps)[:, None])

    def train_dataloader(self) -> WindowLoader:
        """Return the training batches of this process."""
        rank, _ = self.process()
        plan = CorpusPlan(self.config.batches_per_epoch, seed=self.seed, rank=rank)
        return WindowLoader(cast("Any", self.windows("train")), plan, prefetch=self.prefetch)

    def first_batch(self) -> Batch:
        """Return the first training batch."""
        return next(iter(self.train_dataloader()))

    def describe(self) -> list[str]:
        """Return the number of real series, the lengths of windows and the number of validation windows."""
        config = self.config
        sets = f"{len(self.fingerprints):,} series of {len(self.names)} sets" if config.real_rate else "no real series"
        shares = zip(config.lengths, config.length_weights, strict=True)
        lengths = ", ".join(f"{share:.0%} of {steps} steps" for steps, share in shares)
        return [
            f"corpus      {sets}; {config.real_rate:.0%} of the windows are real, the others synthetic",
            f"windows     {lengths}; {config.batch_values:,} values a batch, {config.batches_per_epoch:,} batches an "
            "epoch",
            f"held out    {len(self.windows('val')):,} ends of real series",
        ]

    def source_series(self) -> SourceSeries:
        """Return every real series."""
        names = [name for name, store in zip(self.names, self.stores, strict=True) for _ in range(len(store))]
        series = (store.read(i) for store in self.stores for i in range(len(store)))
        return SourceSeries(names, series, self.fingerprints)

    @property
    def num_channels(self) -> int:
        """Channels of a window."""
        return self.config.channels

    @property
    def fingerprints(self) -> list[str]:
        """The fingerprint of every real series."""
        return [fingerprint for store in self.stores for fingerprint in store.fingerprints]

    @property
    def fingerprint(self) -> str:
        """The fingerprint of all real series."""
        return joint_fingerprint(self.fingerprints)

    @cached_property
    def sketch(self) -> Sketch:
        """The sketch that recognises copies of the real series; it takes about a second per million values."""
        names, series, *_ = self.source_series()
        return Sketch.build(series, names)

    @property
    def sets(self) -> list[dict[str, Any]]:
        """What a model card says of each real data set: name, numbers of series and values, domain, licences."""
        listed = {Path(entry["file"]).stem: entry for entry in _listed()}
        rows = []
        for name, store in zip(self.names, self.stores, strict=True):
            entry, manifest = listed.get(name, {}), store.manifest
            rows.append(
                {
                    "name": Path(name).name,
                    "series": len(store) * len(store.channels),
                    "values": int(np.sum(store.lengths)) * len(store.channels),
                    "domain": entry.get("domain") or manifest.domain,
                    "licence": (licence := entry.get("licence") or manifest.licence),
                    "original": (original := entry.get("licence_original_unverified")),
                    "group": licence_group(licence, original),
                }
            )
        return rows


def _listed() -> list[dict[str, Any]]:
    """Return the entries of the manifest of the first data root that has one."""
    for root in data_roots():
        file = root / RAW_FOLDER / "manifest.json"
        if file.is_file():
            try:
                listed = json.loads(file.read_text(encoding="utf-8"))["datasets"]
                return [{**entry, "file": str(entry["file"])} for entry in listed]
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(
                    f"{file} cannot be read ({error}); it should list files and roles under 'datasets'"
                ) from None
    return []


def corpus_names() -> list[str]:
    """Return the names of the data sets with the role `corpus`."""
    return [Path(entry["file"]).stem for entry in _listed() if entry.get("role") == "corpus"]


@dataclass(frozen=True)
class InMemoryWindows:
    """Windows in memory, `[N, C, T]`, NaN where missing."""

    values: Float[Tensor, "N C T"]
    num_channels: int = 1
    skipped: tuple[Any, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    def prepare(self, indices: np.ndarray) -> np.ndarray:
        """Return the indices as they are."""
        return indices

    def cut(self, prepared: np.ndarray, first: int, stop: int) -> Batch:
        """Return one batch of prepared windows."""
        return self.gather(prepared[first:stop])

    def gather(self, indices: np.ndarray) -> Batch:
        """Return the windows of these indices, in this order."""
        return as_batch(self.values[torch.from_numpy(indices)].clone())
