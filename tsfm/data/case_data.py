"""Labelled cases for training and evaluation: whole series with a class or a number each, in their official split.

N cases, C channels, L steps of a case. A shorter case is one whose first steps are missing; NaN is missing too.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from typing_extensions import override

from tsfm.data.base import DataModule, SourceSeries
from tsfm.data.case_files import OFFICIAL, Cases, cases_from_arrays, count_repeated, read_cases
from tsfm.data.case_index import CaseIndex, check_cases, fit_cases, pad_cases
from tsfm.data.case_labels import LabelEncoder, select_share, select_validation
from tsfm.data.loader import WindowLoader
from tsfm.data.sampling import Shuffled
from tsfm.data.settings import CasesConfig
from tsfm.data.splits import SPLITS
from tsfm.fingerprint import joint_fingerprint
from tsfm.messages import did_you_mean
from tsfm.registry import BACKBONES, DATA_MODULES, HEADS, TASKS

if TYPE_CHECKING:
    from tsfm.config import RunConfig
    from tsfm.model.model import Model

__all__ = ["CaseData", "CasesConfig"]

log = logging.getLogger("tsfm")
LIMIT_GIB = 1  # of all cases, padded


@DATA_MODULES("cases")
class CaseData(DataModule):
    """Training, validation and test cases of one length.

    The validation cases are taken from the training cases by `seed`; the test cases are the official ones, all of them.
    """

    Config = CasesConfig
    labelled = True

    def __init__(self, config: CasesConfig, *, seed: int = 0):
        super().__init__()
        self.config, self.seed = config, seed
        self.raw: dict[str, Cases] = {}  # as read, by official split
        self.length = 0
        self._encoder = LabelEncoder(False)
        self._selected: dict[str, np.ndarray] = {}  # indices of train, val and test in their official split
        self._indices: dict[str, CaseIndex] = {}

    @classmethod
    def from_arrays(
        cls,
        cases: Sequence[np.ndarray] | np.ndarray,
        labels: Sequence[object] | np.ndarray,
        *,
        config: CasesConfig | None = None,
        seed: int = 0,
        regress: bool = False,
        test: tuple[Sequence[np.ndarray] | np.ndarray, Sequence[object] | np.ndarray] | None = None,
    ) -> CaseData:
        """Return cases in memory: a list of `[C, L]` arrays, or an array `[N, C, L]` or `[N, L]` (one channel).

        `test` is a pair of cases and labels; without it there are no test cases.
        """
        data = cls(config or CasesConfig("the cases given"), seed=seed)
        data.raw = {
            "train": cases_from_arrays(cases, labels, regress=regress),
            "test": Cases()
            if test is None
            else cases_from_arrays(*test, regress=regress, location="the test cases given"),
        }
        return data

    @classmethod
    def for_run(cls, config: RunConfig) -> CaseData:
        """Return the cases of a training run, which needs cases to score."""
        data = cls(config.data, seed=config.seed)
        split = config.bench.split if config.bench.name == "cases" else "test"
        if not len(data.windows(split)):
            hint = "set data.val" if split == "val" else "give test cases"
            raise ValueError(f"data set {config.data.dataset!r} has no {split} cases to score; {hint}")
        return data

    def complete_config(self, config: RunConfig) -> RunConfig:
        """Return the config with a window of one case and a head that predicts its label."""
        self.setup()
        self._check_task(config)
        shape: dict[str, Any] = {"context": self.length, "horizon": 0}
        if BACKBONES.entry(config.backbone.name).component.whole_window:
            shape |= {"patch": self.length, "stride": self.length}
        elif config.model.patch > self.length:
            shape |= {"patch": self.length, "stride": min(config.model.stride, self.length)}
            log.info("model.patch is %d, the length of the cases", self.length)
        if getattr(config.head, "channel_pool", "mean") == "concat" or config.model.channels is not None:
            shape |= {"channels": self.num_channels}
        head = config.head
        if any(field.name == "outputs" for field in fields(head)):
            head = replace(head, outputs=self.encoder.num_outputs)
        return replace(config, model=replace(config.model, **shape), head=head)

    def _check_task(self, config: RunConfig) -> None:
        name, task = config.data.dataset, config.task.name
        if TASKS.entry(task).component.predicts != "window":
            use = "regress" if self.regresses else "classify"
            raise ValueError(f"data set {name!r} holds labelled cases; use task={use}")
        if HEADS.entry(config.head.name).component.predicts == "window" and self.regresses != (task == "regress"):
            kind, use = ("numbers", "regress") if self.regresses else ("classes", "classify")
            raise ValueError(f"the labels of data set {name!r} are {kind}; use task={use}")

    @override
    def setup_for(self, model: Model, config: RunConfig) -> None:
        """Read the cases; the model was made for them by `complete_config`."""
        self.setup()

    @override
    def setup(self, stage: str | None = None) -> None:
        """Read, check, split and pad; a second call does nothing."""
        if self._indices:
            return
        config, name = self.config, f"data set {self.config.dataset!r}"
        raw, needed = (self.raw, ("train",)) if self.raw else (read_cases(config.dataset), OFFICIAL)
        if empty := [split for split in needed if not len(raw[split])]:
            raise ValueError(f"{name} has no {' and no '.join(empty)} cases; it needs cases of both splits")
        train, num_channels = raw["train"], len(raw["train"].series[0])
        for split, cases in raw.items():
            check_cases(cases, channels=num_channels, location=f"{name}, {split}")
        self._check_labels(train, raw["test"])
        rng = np.random.default_rng([self.seed, 0xCA5E5])
        pool, validation = np.arange(len(train)), np.array([], dtype=np.int64)
        if config.fraction < 1:
            pool = select_share(train.labels, pool, config.fraction, rng=rng)
        if config.val > 0:
            validation = select_validation(train.labels, pool, config.val, rng=rng)
        self.length = config.length or max(case.shape[1] for case in train.series)
        self._selected = {
            "train": np.setdiff1d(pool, validation),
            "val": validation,
            "test": np.arange(len(raw["test"])),
        }
        numbers = train.labels[self._selected["train"]] if train.regresses else train.labels
        self._encoder = LabelEncoder.fit(numbers)
        self._indices = self._pad(raw, num_channels)
        self.raw = raw
        if repeated := count_repeated(raw["test"], train):
            log.warning("%s: %d of %d test cases are also training cases", name, repeated, len(raw["test"]))

    def _check_labels(self, train: Cases, test: Cases) -> None:
        name, classes = self.config.dataset, sorted(set(train.labels.tolist()))
        if len(classes) < 2:
            only = f"{'target' if train.regresses else 'class'} {classes[0]!r}"
            raise ValueError(f"data set {name!r}: all {len(train)} training cases have the {only}; give at least two")
        unseen = [] if train.regresses else sorted(set(test.labels.tolist()) - set(classes))
        if unseen:
            raise ValueError(
                f"data set {name!r}: test cases have the label {', '.join(map(repr, unseen[:5]))}, which no training "
                f"case has (those have {', '.join(map(repr, classes[:10]))}); correct the labels, or leave the "
                "cases out"
            )

    def _pad(self, raw: dict[str, Cases], num_channels: int) -> dict[str, CaseIndex]:
        """Return the tensors of train, val and test, standardized where the config says so."""
        config, steps, name = self.config, self.length, f"data set {self.config.dataset!r}"
        gigabytes = 4 * sum(map(len, raw.values())) * num_channels * steps / 2**30
        if gigabytes > LIMIT_GIB:
            raise ValueError(
                f"{name}: its cases padded to {steps} steps take {gigabytes:.1f} GiB, the limit is {LIMIT_GIB}; set "
                "data.length to keep the most recent steps of each case, or resample the cases"
            )
        longer = {split: sum(case.shape[1] > steps for case in cases.series) for split, cases in raw.items()}
        if any(longer.values()):
            counts = " and ".join(f"{count} {split} cases" for split, count in longer.items() if count)
            log.warning("%s: %s are longer than %d steps; the most recent are kept", name, counts, steps)
        padded = {
            split: pad_cases(cases.series, channels=num_channels, length=steps, location=f"{name}, {split}")
            for split, cases in raw.items()
        }
        if config.standardize:
            try:
                self.standardizer = fit_cases(padded["train"][self._selected["train"]])
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        official = {"train": "train", "val": "train", "test": "test"}
        return {
            split: self._index(padded[source], raw[source], self._selected[split]) for split, source in official.items()
        }

    def _index(self, padded: np.ndarray, cases: Cases, selected: np.ndarray) -> CaseIndex:
        values = padded[selected]
        if self.standardizer is not None:
            values = (values - self.standardizer.loc[:, None]) / self.standardizer.scale[:, None]
        first = [cases.series[i].shape[1] - self.length for i in selected]
        key = torch.from_numpy(np.stack([selected, np.array(first, dtype=np.int64)], axis=1))
        label = torch.from_numpy(self._encoder.encode(cases.labels[selected]))
        return CaseIndex(torch.from_numpy(values.astype(np.float32)), label=label, key=key)

    @override
    def windows(self, split: str, *, stride: int | None = None) -> CaseIndex:
        """Return the cases of train, val (none where data.val is 0) or test; a stride does not apply to them."""
        if split not in SPLITS:
            raise ValueError(f"unknown split {split!r}; {did_you_mean(split, list(SPLITS))}")
        self.setup()
        return self._indices[split]

    def cases(self, split: str) -> Cases:
        """Return the same cases as they were read, for learners that need no padding."""
        self.setup()
        source, selected = self.raw["test" if split == "test" else "train"], self._selected[split]
        return Cases([source.series[i] for i in selected], source.labels[selected])

    def train_dataloader(self) -> WindowLoader:
        """Return the training batches of this process, of nearly equal sizes."""
        index, (rank, world_size) = self.windows("train"), self.process()
        num_batches = -(-len(index) // (self.config.batch_size * world_size))
        batch_size = -(-len(index) // (num_batches * world_size))
        plan = Shuffled(len(index), batch_size, seed=self.seed, rank=rank, world_size=world_size)
        if not len(plan):
            raise ValueError(
                f"data set {self.config.dataset!r}: {len(index)} training cases are fewer than the {world_size} "
                "processes; train with fewer processes"
            )
        return WindowLoader(index, plan, prefetch=self.prefetch)

    def describe(self) -> list[str]:
        """Return the number of cases of each split, their lengths and their classes."""
        splits = ", ".join(f"{split} {len(self.windows(split)):,}" for split in SPLITS)
        classes = f"classes     {', '.join(self.classes)}" if self.classes else "labels      numbers"
        return [
            f"cases       {splits}, of at most {self.length} steps and {self.num_channels} channels",
            classes,
        ]

    def source_series(self) -> SourceSeries:
        """Return the training and the test cases as they were read."""
        cases = [(split, case) for split in ("train", "test") for case in self.cases(split).series]
        learnt = self.fingerprints[0]  # of all training cases together
        return SourceSeries(
            [f"{split} case" for split, _ in cases],
            [case for _, case in cases],
            [learnt if split == "train" else "" for split, _ in cases],
        )

    @property
    def encoder(self) -> LabelEncoder:
        """The encoder of labels, fitted on the training cases."""
        self.setup()
        return self._encoder

    @property
    def regresses(self) -> bool:
        """Whether the labels are numbers."""
        return self.encoder.regresses

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes, sorted; () for regression."""
        return self.encoder.classes

    @property
    def num_channels(self) -> int:
        """Channels of a case."""
        return self.windows("train").num_channels

    @property
    def class_counts(self) -> list[int] | None:
        """Training cases of each class; None for regression."""
        label = self.windows("train").label
        return None if self.regresses else torch.bincount(label, minlength=len(self.classes)).tolist()

    @property
    def labels(self) -> dict[str, Any]:
        """Classes, or location and scale of the numbers, as `About.labels` stores them."""
        return self.encoder.as_dict()

    @property
    def fingerprints(self) -> list[str]:
        """The fingerprint of the official training cases together: a run learns from them or chooses by them."""
        self.setup()
        return [self.raw["train"].fingerprint()]

    @property
    def fingerprint(self) -> str:
        """The fingerprint of all cases, test included."""
        self.setup()
        return joint_fingerprint([cases.fingerprint() for cases in self.raw.values()])

    @property
    def resolved_config(self) -> CasesConfig:
        """The config with the length that was found."""
        self.setup()
        return replace(self.config, length=self.length)
