"""What a model is pre-trained on: windows of many real sets and of made-up series, without end, for Lightning.

N windows, C channels, T steps of a window. Batch i of epoch e is a pure function of (seed, e, i, rank), so a
killed run goes on bit by bit where it stood.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from tsfm.contamination.sketch import Sketch
from tsfm.data.collate import as_batch
from tsfm.data.loader import WindowLoader
from tsfm.data.mixture import CorpusConfig, Drawn, Words
from tsfm.data.pool import Pool, gather
from tsfm.data.sampling import InOrder
from tsfm.data.standardize import Standardizer
from tsfm.fingerprint import joint_fingerprint
from tsfm.messages import did_you_mean
from tsfm.store.catalog import RAW_FOLDER, data_roots, resolve
from tsfm.store.series_store import SeriesStore
from tsfm.types import Batch

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["CorpusConfig", "CorpusData"]

log = logging.getLogger("tsfm")


class CorpusData(pl.LightningDataModule):
    """Batches for pre-training, with the face of WindowData."""

    left: tuple[str, ...] = ()
    standardizer: Standardizer | None = None

    def __init__(self, config: CorpusConfig, *, seed: int = 0):
        super().__init__()
        self.config, self.seed = config, seed

    def prepare_data(self) -> None:
        self.setup()

    def setup(self, stage: str | None = None) -> None:
        """Read the sets; a second call does nothing."""
        if self.config.real:
            self.pool.check(max(self.config.lengths))

    @cached_property
    def stores(self) -> list[SeriesStore]:
        return [resolve(name) for name in self.names] if self.config.real else []

    @cached_property
    def names(self) -> list[str]:
        """The sets that are trained on."""
        if not self.config.real:
            return []
        names = corpus_names() if self.config.sets is None else list(self.config.sets)
        if not names:
            raise ValueError(
                "no set of the role `corpus` was found; set TSFM_DATA to a data root with forecasting/manifest.json, "
                "name sets by data.sets=[...], or train on made-up series alone by data.real=0"
            )
        return names

    @cached_property
    def pool(self) -> Pool:
        pool = gather(self.stores, temperature=self.config.temperature)
        log.info(
            "corpus: %d series of %d sets, %.1f million values", len(pool), len(self.names), len(pool.values) / 1e6
        )
        return pool

    @property
    def num_channels(self) -> int:
        return self.config.channels

    @property
    def settled(self) -> CorpusConfig:
        return self.config

    @property
    def fingerprints(self) -> list[str]:
        """Of every real series."""
        return [one for store in self.stores for one in store.fingerprints]

    @property
    def fingerprint(self) -> str:
        return joint_fingerprint(self.fingerprints)

    @cached_property
    def sketch(self) -> Sketch:
        """By which copies of the real series are recognised; a second for a million values."""
        names = [name for name, store in zip(self.names, self.stores, strict=True) for _ in range(len(store))]
        return Sketch.build((store.read(i) for store in self.stores for i in range(len(store))), names)

    @property
    def sets(self) -> list[dict[str, Any]]:
        """What a card says of each real set: name, numbers of series and values, domain, licence."""
        known = {Path(one["file"]).stem: one for one in _listed()}
        rows = []
        for name, store in zip(self.names, self.stores, strict=True):
            said, manifest = known.get(name, {}), store.manifest
            rows.append(
                {
                    "name": Path(name).name,
                    "series": len(store) * len(store.channels),
                    "values": int(np.sum(store.lengths)) * len(store.channels),
                    "domain": said.get("domain") or manifest.domain,
                    "licence": said.get("licence") or manifest.licence,
                }
            )
        return rows

    def windows(self, split: str, *, stride: int | None = None) -> Drawn | Rows:
        """What batches of train are drawn from; for val and test the held-out ends of real series."""
        if split == "train":
            return Drawn(self.config, self.pool if self.config.real else None)
        if split not in ("val", "test"):
            raise ValueError(f"unknown split {split!r}; {did_you_mean(split, ['train', 'val', 'test'])}")
        return self._ends

    @cached_property
    def _ends(self) -> Rows:
        if not self.config.real:
            return Rows(torch.zeros(0, 1, max(self.config.lengths)))
        steps = sorted(self.config.lengths)[len(self.config.lengths) // 2]
        generator = torch.Generator().manual_seed(self.seed)
        picked = torch.multinomial(self.pool.weight, self.config.val_windows, replacement=True, generator=generator)
        return Rows(self.pool.ends(picked.unique(), steps=steps)[:, None])

    def train_dataloader(self) -> WindowLoader:
        rank, _ = self._place()
        return WindowLoader(self.windows("train"), Words(self.config.batches_per_epoch, seed=self.seed, rank=rank))

    def val_dataloader(self) -> WindowLoader | list:
        windows, (rank, world) = self.windows("val"), self._place()
        if not len(windows):
            return []
        return WindowLoader(windows, InOrder(len(windows), self.config.eval_batch_size, rank=rank, world=world))

    def _place(self) -> tuple[int, int]:
        """This process among those that train together: rank and world size."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else (0, 1)


def _listed() -> list[dict[str, Any]]:
    """What the manifest of the first data root that has one says of its sets."""
    for root in data_roots():
        file = root / RAW_FOLDER / "manifest.json"
        if file.is_file():
            try:
                listed = json.loads(file.read_text(encoding="utf-8"))["datasets"]
                return [{**one, "file": str(one["file"])} for one in listed]
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(
                    f"{file} cannot be read ({error}); it should list files and roles under 'datasets'"
                ) from None
    return []


def corpus_names() -> list[str]:
    """The sets with the role `corpus`."""
    return [Path(one["file"]).stem for one in _listed() if one.get("role") == "corpus"]


@dataclass(frozen=True)
class Rows:
    """Windows in memory, [N, C, T], NaN where nobody observed."""

    values: Float[Tensor, "N C T"]
    num_channels: int = 1
    skipped: tuple[Any, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    def prepare(self, indices: np.ndarray) -> np.ndarray:
        return indices

    def cut(self, located: np.ndarray, first: int, stop: int) -> Batch:
        return self.gather(located[first:stop])

    def gather(self, indices: np.ndarray) -> Batch:
        return as_batch(self.values[torch.from_numpy(indices)].clone())
