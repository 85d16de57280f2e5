"""How a batch of the corpus is made: real windows and made-up series, mixed, varied, in random order.

B windows of a batch, C channels, T steps of a window, N series.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Optional

import numpy as np
import torch
from torch import Tensor

from tsfm.data.collate import as_batch
from tsfm.data.pool import Pool
from tsfm.data.sampling import keys
from tsfm.synthetic.augment import Augment, AugmentConfig
from tsfm.synthetic.mixture import GeneratorMixture, GeneratorMixtureConfig
from tsfm.types import Batch

if TYPE_CHECKING:
    from jaxtyping import Float

GROUP = 32  # batches whose made-up series are drawn at once


# Optional[...], not `X | None`: OmegaConf resolves the hints of structured configs on Python 3.10.
@dataclass
class CorpusConfig:
    """`dataset` names the corpus in results. `sets` are names of the catalog or paths of stores; null: every set of the
    data root whose manifest gives it the role `corpus`."""

    dataset: str = "corpus"
    sets: Optional[list[str]] = None  # noqa: UP045
    real: float = 0.6  # share of real windows; 0: made-up series alone, 1: real ones alone
    temperature: float = 0.4  # a set weighs (its number of values, at most 3 million) ** temperature
    resample: float = 0.35  # share of real windows that are read at a coarser resolution
    mix: float = 0.2  # share of real windows that are a weighted mean of up to three
    lengths: list[int] = field(default_factory=lambda: [256, 768, 1792])  # steps of a window; a batch has one of them
    shares: list[float] = field(default_factory=lambda: [0.25, 0.45, 0.3])  # of the batches that have each length
    points: int = 49_152  # values of a batch; its number of windows is this over its length
    channels: int = 1  # series of a window, for models that mix channels
    couple: float = 0.5  # share of windows of several channels in which each also follows another, some steps later
    batches_per_epoch: int = 500
    eval_batch_size: int = 128
    val_windows: int = 512  # from the held-out ends of the real series
    universe: GeneratorMixtureConfig = field(default_factory=GeneratorMixtureConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def __post_init__(self):
        for name in ("real", "temperature", "resample", "mix", "couple"):
            if not 0 <= (value := getattr(self, name)) <= 1:
                raise ValueError(f"data.{name} is {value}; expected a share between 0 and 1")
        if len(self.lengths) != len(self.shares) or not self.lengths or min(self.lengths) < 32:
            raise ValueError(
                f"data.lengths {list(self.lengths)} and data.shares {list(self.shares)} belong together; give as many "
                "of both, and windows of at least 32 steps"
            )
        if not all(0 <= share < float("inf") for share in self.shares) or not sum(self.shares):
            raise ValueError(f"data.shares is {list(self.shares)}; expected shares of at least 0, not all of them 0")
        for name in ("channels", "batches_per_epoch", "eval_batch_size", "val_windows"):
            if (value := getattr(self, name)) < 1:
                raise ValueError(f"data.{name} is {value}; it must be at least 1")
        if self.points < (one := max(self.lengths) * self.channels):
            raise ValueError(f"data.points is {self.points}, less than one window of {one} values; give more")


@dataclass(frozen=True)
class Words:
    """The plan of an epoch: of each batch the random word of its group, its place there, and a word of its own, which
    together decide all of it."""

    num_batches: int
    seed: int = 0
    rank: int = 0
    batch_size: int = 1

    def __len__(self) -> int:
        return self.num_batches

    def draw(self, epoch: int, first: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        place = np.arange(first, stop)
        own = keys(self.seed, epoch, self.rank, 0, num=stop)[first:]
        shared = keys(self.seed, epoch, self.rank, 1, num=-(-stop // GROUP))[place // GROUP]
        columns = [shared, (place % GROUP).astype(np.uint64), own]
        return np.stack(columns, axis=1), np.arange(stop - first + 1)


class Drawn:
    """Training batches, each made from its words. Made-up series are drawn for a whole group of batches at once: a
    generator has costs that do not depend on how many it draws."""

    num_channels = 1

    def __init__(self, config: CorpusConfig, pool: Pool | None):
        self.config, self.pool = config, pool
        self.universe, self.augment = GeneratorMixture(self.config.universe), Augment(self.config.augment)
        self._group: tuple[int, list[Tensor]] = (-1, [])

    def __len__(self) -> int:
        return self.config.batches_per_epoch

    def prepare(self, words: np.ndarray) -> np.ndarray:
        return words

    def cut(self, words: np.ndarray, first: int, stop: int) -> Batch:
        shared, place, own = (int(word) for word in words[first])
        if self._group[0] != shared:
            self._group = shared, self.made_up(shared)
        return self.batch(self._group[1][place], own)

    def made_up(self, word: int) -> list[Float[Tensor, "B T"]]:
        """The made-up rows of each batch of a group, which also tell the length of its windows."""
        config, generator = self.config, torch.Generator().manual_seed(word % 2**63)
        kinds = torch.multinomial(torch.tensor(config.shares), GROUP, replacement=True, generator=generator).tolist()
        parts: dict[int, Iterator[Tensor]] = {}
        for kind in sorted(set(kinds)):
            steps = config.lengths[kind]
            each = self._counts(steps)[1]
            rows = self.universe.draw(each * kinds.count(kind), steps, generator)
            parts[kind] = iter(rows.unflatten(0, (kinds.count(kind), each)) if each else rows.expand(GROUP, 0, steps))
        return [next(parts[kind]) for kind in kinds]

    def _counts(self, steps: int) -> tuple[int, int]:
        """How many series of a batch are real, and how many made up."""
        num = self.config.points // (steps * self.config.channels) * self.config.channels
        real = round(self.config.real * num)
        return real, num - real

    def batch(self, rows: Float[Tensor, "B T"], word: int) -> Batch:
        """These made-up rows and as many real ones as belong to them, varied, in random order."""
        config, generator = self.config, torch.Generator().manual_seed(word % 2**63)
        steps = rows.shape[-1]
        if self.pool is not None and (real := self._counts(steps)[0]):
            drawn = scaled(self.pool.draw(real, steps, generator, resample=config.resample))
            rows = torch.cat([mixed(drawn, config.mix, generator), rows])
        rows = self.augment(rows, generator)[torch.randperm(len(rows), generator=generator)]
        windows = rows.unflatten(0, (-1, config.channels))
        if config.channels > 1:
            windows = coupled(windows, config.couple, generator)
        return as_batch(windows.contiguous())


def scaled(rows: Float[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """Each row less its mean over its standard deviation, over what is observed; a constant row becomes 0."""
    seen = ~rows.isnan()
    count = seen.sum(dim=-1, keepdim=True).clamp_min(1)
    wide = torch.where(seen, rows, 0.0).double()
    mean = wide.sum(dim=-1, keepdim=True) / count
    away = torch.where(seen, wide - mean, 0.0)
    std = (away.square().sum(dim=-1, keepdim=True) / count).sqrt()
    return torch.where(seen, away / torch.where(std > 1e-6 * mean.abs(), std, 1.0), torch.nan).float()


def mixed(rows: Float[Tensor, "B T"], share: float, generator: torch.Generator) -> Float[Tensor, "B T"]:
    """A share of the rows becomes a weighted mean of itself and two others (TSMixup, arXiv:2403.07815)."""
    num = len(rows)
    if not share or num < 3:
        return rows
    # Dirichlet(3/2), as there, by normalised gammas: a gamma of shape 3/2 being half a chi-square of three degrees
    normals = torch.randn(num, 3, 3, generator=generator)
    parts = normals.square().sum(dim=-1) / 2
    parts = parts / parts.sum(dim=-1, keepdim=True)
    others = torch.randint(num, (num, 2), generator=generator)
    stack = torch.stack([rows, rows[others[:, 0]], rows[others[:, 1]]], dim=1)
    seen = ~stack.isnan()
    mean = (torch.where(seen, stack, 0.0) * parts[..., None]).sum(dim=1)
    chosen = (torch.rand(num, generator=generator) < share)[:, None] & ~rows.isnan()
    return torch.where(chosen, mean, rows)


def coupled(windows: Float[Tensor, "B C T"], share: float, generator: torch.Generator) -> Float[Tensor, "B C T"]:
    """In a share of the windows every channel also follows one, up to 16 steps later, by a weight between -1 and 1: so
    Chronos-2 makes multivariate series of univariate ones (arXiv:2510.15821, section 4)."""
    num, channels, steps = windows.shape
    whom = torch.randint(channels, (num, channels), generator=generator)
    late = torch.randint(17, (num, channels, 1), generator=generator)
    weight = torch.rand(num, channels, 1, generator=generator) * 2 - 1
    source = windows.gather(1, whom[..., None].expand_as(windows))
    source = source.gather(-1, (torch.arange(steps) - late).clamp_min(0))
    joint = windows + weight * source.nan_to_num(0.0)
    chosen = torch.rand(num, 1, 1, generator=generator) < share
    return torch.where(chosen, joint, windows)
