"""Labelled cases as Lightning wants them: whole series with a class or a number each, in their archive's own split.

N cases, C channels, L steps of a case. A shorter case is one whose first steps nobody observed; NaN is unobserved too.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Optional

import numpy as np
import pytorch_lightning as pl
import torch

from tsfm.data.case_files import Cases, given_cases, read_cases
from tsfm.data.case_index import CaseIndex, check_cases, fit_cases, pad_cases
from tsfm.data.case_split import hold_out, pick_share
from tsfm.data.loader import WindowLoader
from tsfm.data.sampling import InOrder, Shuffled
from tsfm.data.splits import SPLITS
from tsfm.data.standardize import Standardizer
from tsfm.fingerprint import joint_fingerprint
from tsfm.messages import did_you_mean
from tsfm.registry import schema

log = logging.getLogger("tsfm")
LIMIT_GIB = 1  # of all cases, padded


# Optional[...], not `X | None`: OmegaConf resolves the hints of structured configs on Python 3.10.
@schema("data", "cases")
@dataclass
class CasesConfig:
    """`dataset` is a name such as GunPoint, the path of a Parquet file, or that of a store made of .ts files."""

    dataset: str
    standardize: bool = False  # per channel, fitted on the training cases
    val: float = 0.0  # share of the training cases held out, stratified; 0: no validation, a run keeps its last weights
    fraction: float = 1.0  # of the training cases, stratified, at least one of each class: few-shot training
    batch_size: int = 64  # at most; batches are evened out, so that no last one holds a single case
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


class CaseData(pl.LightningDataModule):
    """Training, validation and test cases of one length, with the face of WindowData.

    The validation cases are taken from the training cases by `seed`; the test cases are the archive's, all of them.
    """

    left: tuple[str, ...] = ()  # covariates left out: cases have none

    def __init__(self, config: CasesConfig, *, seed: int = 0):
        super().__init__()
        self.config, self.seed = config, seed
        self.standardizer: Standardizer | None = None
        self.raw: dict[str, Cases] = {}  # as read, by official split
        self.regresses, self.classes, self.length = False, (), 0
        self.label_unit = (0.0, 1.0)  # loc and scale of a regression's targets, of the training cases
        self._rows: dict[str, np.ndarray] = {}  # places of train, val and test in their official split
        self._indices: dict[str, CaseIndex] = {}

    @classmethod
    def of(
        cls,
        cases: Sequence[np.ndarray] | np.ndarray,
        labels: Sequence[object] | np.ndarray,
        *,
        config: CasesConfig | None = None,
        seed: int = 0,
        regress: bool = False,
        test: tuple[Sequence[np.ndarray] | np.ndarray, Sequence[object] | np.ndarray] | None = None,
    ) -> CaseData:
        """From memory: a list of [C, L] arrays, or an array [N, C, L] or [N, L] (one channel); `test` is a pair."""
        data = cls(config or CasesConfig("the cases given"), seed=seed)
        data.raw = {
            "train": given_cases(cases, labels, regress=regress),
            "test": Cases() if test is None else given_cases(*test, regress=regress, place="the test cases given"),
        }
        return data

    def prepare_data(self) -> None:
        """Nothing to download."""

    def setup(self, stage: str | None = None) -> None:
        """Read, check, split and pad; a second call does nothing."""
        if self._indices:
            return
        config, name = self.config, f"data set {self.config.dataset!r}"
        raw = self.raw or read_cases(config.dataset)
        if empty := [
            split for split in ("train", "test") if not len(raw[split]) and (split == "train" or not self.raw)
        ]:
            raise ValueError(f"{name} has no {' and no '.join(empty)} cases; it needs cases of both splits")
        train, channels = raw["train"], len(raw["train"].series[0])
        for split, cases in raw.items():
            check_cases(cases, channels=channels, place=f"{name}, {split}")
        self.regresses = train.regresses
        self.classes = () if self.regresses else tuple(sorted(set(train.labels.tolist())))
        self._check_labels(train, raw["test"])
        rng = np.random.default_rng([self.seed, 0xCA5E5])
        pool, held = np.arange(len(train)), np.array([], dtype=np.int64)
        if config.fraction < 1:
            pool = pick_share(train.labels, pool, config.fraction, rng=rng)
        if config.val > 0:
            held = hold_out(train.labels, pool, config.val, rng=rng)
        self.length = config.length or max(case.shape[1] for case in train.series)
        self._rows = {"train": np.setdiff1d(pool, held), "val": held, "test": np.arange(len(raw["test"]))}
        self._indices = self._pad(raw, channels)
        self.raw = raw

    def _check_labels(self, train: Cases, test: Cases) -> None:
        name = self.config.dataset
        if len(found := set(train.labels.tolist())) < 2:
            what = f"{'target' if self.regresses else 'class'} {found.pop()!r}"
            raise ValueError(f"data set {name!r}: all {len(train)} training cases have the {what}; give at least two")
        unseen = [] if self.regresses else sorted(set(test.labels.tolist()) - set(self.classes))
        if unseen:
            raise ValueError(
                f"data set {name!r}: test cases have the label {', '.join(map(repr, unseen[:5]))}, which no training "
                f"case has (those have {', '.join(map(repr, self.classes[:10]))}); correct the labels, or leave the "
                "cases out"
            )

    def _pad(self, raw: dict[str, Cases], channels: int) -> dict[str, CaseIndex]:
        """The tensors of train, val and test, standardised where asked for."""
        config, steps, name = self.config, self.length, f"data set {self.config.dataset!r}"
        gigabytes = 4 * sum(map(len, raw.values())) * channels * steps / 2**30
        if gigabytes > LIMIT_GIB:
            raise ValueError(
                f"{name}: its cases padded to {steps} steps take {gigabytes:.1f} GiB, the limit is {LIMIT_GIB}; set "
                "data.length to keep the most recent steps of each case, or resample the cases"
            )
        longer = {split: sum(case.shape[1] > steps for case in cases.series) for split, cases in raw.items()}
        if any(longer.values()):
            told = " and ".join(f"{count} {split} cases" for split, count in longer.items() if count)
            log.warning("%s: %s are longer than %d steps; the most recent are kept", name, told, steps)
        padded = {
            split: pad_cases(cases.series, channels=channels, length=steps, place=f"{name}, {split}")
            for split, cases in raw.items()
        }
        if config.standardize:
            try:
                self.standardizer = fit_cases(padded["train"][self._rows["train"]])
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        if self.regresses:
            numbers = raw["train"].labels[self._rows["train"]]
            self.label_unit = float(numbers.mean()), float(numbers.std()) or 1.0
        official = {"train": "train", "val": "train", "test": "test"}
        return {
            split: self._index(padded[source], raw[source], self._rows[split]) for split, source in official.items()
        }

    def _index(self, padded: np.ndarray, cases: Cases, rows: np.ndarray) -> CaseIndex:
        values = padded[rows]
        if self.standardizer is not None:
            values = (values - self.standardizer.loc[:, None]) / self.standardizer.scale[:, None]
        first = [cases.series[i].shape[1] - self.length for i in rows]
        key = torch.from_numpy(np.stack([rows, np.array(first, dtype=np.int64)], axis=1))
        label = torch.from_numpy(self.encode(cases.labels[rows]))
        return CaseIndex(torch.from_numpy(values.astype(np.float32)), label=label, key=key)

    def encode(self, labels: np.ndarray) -> np.ndarray:
        """Labels as a network learns them: class indices (int64), or numbers in units of the training cases."""
        if self.regresses:
            return ((labels.astype(np.float64) - self.label_unit[0]) / self.label_unit[1]).astype(np.float32)
        return np.searchsorted(np.array(self.classes, dtype=str), labels.astype(str)).astype(np.int64)

    def windows(self, split: str) -> CaseIndex:
        """The cases of train, val (none where data.val is 0) or test."""
        if split not in SPLITS:
            raise ValueError(f"unknown split {split!r}; {did_you_mean(split, list(SPLITS))}")
        self.setup()
        return self._indices[split]

    def cases(self, split: str) -> Cases:
        """The same cases as they were read, for learners that want no padding."""
        self.setup()
        source, rows = self.raw["test" if split == "test" else "train"], self._rows[split]
        return Cases([source.series[i] for i in rows], source.labels[rows])

    def train_dataloader(self) -> WindowLoader:
        index, (rank, world) = self.windows("train"), self._place()
        number = -(-len(index) // (self.config.batch_size * world))  # of batches
        plan = Shuffled(len(index), -(-len(index) // (number * world)), seed=self.seed, rank=rank, world=world)
        if not len(plan):
            raise ValueError(
                f"data set {self.config.dataset!r}: {len(index)} training cases are fewer than the {world} processes; "
                "train with fewer processes"
            )
        return WindowLoader(index, plan)

    def val_dataloader(self) -> WindowLoader | list:
        return self._in_order("val")

    def test_dataloader(self) -> WindowLoader | list:
        return self._in_order("test")

    def _in_order(self, split: str) -> WindowLoader | list:
        index, (rank, world) = self.windows(split), self._place()
        if not len(index):
            return []
        return WindowLoader(index, InOrder(len(index), self.config.eval_batch_size, rank=rank, world=world))

    def _place(self) -> tuple[int, int]:
        """This process among those that train together: rank and world size."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else (0, 1)

    @property
    def num_channels(self) -> int:
        return self.windows("train").num_channels

    @property
    def outputs(self) -> int:
        """Numbers that a network answers per case: a logit for each class, or one number."""
        self.setup()
        return 1 if self.regresses else len(self.classes)

    @property
    def counts(self) -> tuple[int, ...]:
        """Training cases of each class; () for regression."""
        label = self.windows("train").label
        return () if self.regresses else tuple(torch.bincount(label, minlength=len(self.classes)).tolist())

    @property
    def labels(self) -> dict[str, object]:
        """What a model must know to say names or numbers: see About.labels."""
        self.setup()
        loc, scale = self.label_unit
        return {"loc": loc, "scale": scale} if self.regresses else {"classes": list(self.classes)}

    @property
    def fingerprints(self) -> list[str]:
        """Of what a run learns from or chooses by: the official training cases, as one."""
        self.setup()
        return [self.raw["train"].fingerprint()]

    @property
    def fingerprint(self) -> str:
        """Of all cases, test included."""
        self.setup()
        return joint_fingerprint([cases.fingerprint() for cases in self.raw.values()])

    @property
    def settled(self) -> CasesConfig:
        """The config with the length that was found."""
        self.setup()
        return replace(self.config, length=self.length)
