"""Training batches of the corpus: real windows and synthetic series, mixed, augmented, in random order.

B windows of a batch, R real and S synthetic rows, C channels, T steps of a window, N series.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Optional

import numpy as np
import torch
from torch import Tensor

from tsfm.data.balance import BALANCES, check_factors
from tsfm.data.licences import check_choice
from tsfm.data.loader import as_batch
from tsfm.data.mixup import blend_rows, couple_channels, mix_rows, zscore_rows
from tsfm.data.pool import SeriesPool
from tsfm.data.sampling import random_uint64
from tsfm.data.synthetic_covariates import with_covariates
from tsfm.messages import did_you_mean
from tsfm.model.season_search import find_seasonal_lags
from tsfm.synthetic.augment import Augment, AugmentConfig
from tsfm.synthetic.mixture import GeneratorMixture, GeneratorMixtureConfig
from tsfm.types import NO_TIMESTAMP, Batch

if TYPE_CHECKING:
    from jaxtyping import Float, Int

GROUP_SIZE = 32  # batches whose synthetic series are drawn at once
MIN_WINDOW = 32  # steps
MIN_SEASON_STRENGTH = 0.3  # autocorrelation from which a lag of a synthetic series is its season


# Optional[...], not `X | None`: OmegaConf resolves the hints of structured configs on Python 3.10.
@dataclass
class CorpusConfig:
    """`dataset` names the corpus in results. `sets` are names of the catalog or paths of stores.

    Without `sets` the corpus is every data set to which the manifest of a data root gives the role `corpus`.
    """

    dataset: str = "corpus"
    sets: Optional[list[str]] = None  # noqa: UP045
    licences: str = "any"  # permissive: only sets whose data may be used for anything, see tsfm.data.licences
    real_rate: float = 0.6  # share of real windows; 0: synthetic series alone, 1: real ones alone
    temperature: float = 0.4  # a data set has the weight (its number of values, at most 3 million) ** temperature
    balance: str = "size"  # frequency: equal weight for sub-hourly, hourly, daily, weekly, monthly and slower series
    factors: dict[str, float] = field(default_factory=dict)  # data set -> by which its weight is multiplied
    length_ratio: int = 3  # a window is at most so many times as long as its series, or the series has 512 steps
    resample_rate: float = 0.35  # share of real windows that are read at a coarser resolution
    mix_rate: float = 0.2  # share of real windows that are a weighted mean of up to three
    blend_rate: float = 0.0  # share of real windows that are a weighted mean of the window and a synthetic series
    lengths: list[int] = field(default_factory=lambda: [256, 768, 1792])  # steps of a window; a batch has one of them
    length_weights: list[float] = field(default_factory=lambda: [0.25, 0.45, 0.3])  # how often each length is drawn
    batch_values: int = 49_152  # values of a batch; its number of windows is this over their length
    channels: int = 1  # series of a window, for models that mix channels
    coupling_rate: float = 0.5  # share of windows of several channels in which each also follows another
    covariate_rate: float = 0.0  # share of windows of several channels that get synthesized covariates, see `role`
    univariate_rate: float = 0.0  # share of batches whose windows have one channel, where channels is above 1
    seasons: bool = False  # also give the seasons of each window, for model.known_season
    timestamps: bool = False  # also give the timestamps of real windows, for model.time_features
    batches_per_epoch: int = 500
    eval_batch_size: int = 128
    val_windows: int = 512  # from the held-out ends of the real series
    generators: GeneratorMixtureConfig = field(default_factory=GeneratorMixtureConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def __post_init__(self):
        for name in (
            "real_rate",
            "temperature",
            "resample_rate",
            "mix_rate",
            "blend_rate",
            "coupling_rate",
            "covariate_rate",
            "univariate_rate",
        ):
            if not 0 <= (value := getattr(self, name)) <= 1:
                raise ValueError(f"data.{name} is {value}; expected a number between 0 and 1")
        if self.blend_rate and self.real_rate in (0, 1):
            raise ValueError(
                f"data.blend_rate is {self.blend_rate} and data.real_rate {self.real_rate}; a blend needs real and "
                "synthetic series, so choose a real_rate between 0 and 1"
            )
        if self.balance not in BALANCES:
            raise ValueError(f"data.balance is {self.balance!r}; {did_you_mean(self.balance, list(BALANCES))}")
        check_choice(self.licences)
        check_factors(self.factors)
        lengths, weights = list(self.lengths), list(self.length_weights)
        if len(lengths) != len(weights) or not lengths or min(lengths) < MIN_WINDOW:
            raise ValueError(
                f"data.lengths {lengths} and data.length_weights {weights} belong together; give as many of both, and "
                f"windows of at least {MIN_WINDOW} steps"
            )
        if not all(0 <= weight < float("inf") for weight in weights) or not sum(weights):
            raise ValueError(f"data.length_weights is {weights}; expected weights of at least 0, not all of them 0")
        for name in ("length_ratio", "channels", "batches_per_epoch", "eval_batch_size", "val_windows"):
            if (value := getattr(self, name)) < 1:
                raise ValueError(f"data.{name} is {value}; it must be at least 1")
        if self.covariate_rate and self.channels < 2:
            raise ValueError(
                f"data.covariate_rate is {self.covariate_rate} and data.channels {self.channels}; covariates are "
                "channels beside the target, so set data.channels=2 or more"
            )
        if self.batch_values < (least := max(lengths) * self.channels):
            raise ValueError(
                f"data.batch_values is {self.batch_values}, less than one window of {least} values; give more"
            )


@dataclass(frozen=True)
class CorpusPlan:
    """The plan of an epoch: for each batch three random 64-bit numbers that together decide all of it.

    They are the seed of its group of batches, its index in the group, and a seed of its own.
    """

    num_batches: int
    seed: int = 0
    rank: int = 0
    batch_size: int = 1

    def __len__(self) -> int:
        return self.num_batches

    def draw(self, epoch: int, first: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the random numbers of batches first..stop-1, `[batches, 3]`, and the bounds of each batch."""
        batch = np.arange(first, stop)
        own = random_uint64(self.seed, epoch, self.rank, 0, num=stop)[first:]
        group = random_uint64(self.seed, epoch, self.rank, 1, num=-(-stop // GROUP_SIZE))[batch // GROUP_SIZE]
        columns = [group, (batch % GROUP_SIZE).astype(np.uint64), own]
        return np.stack(columns, axis=1), np.arange(stop - first + 1)


class CorpusBatches:
    """Training batches, each made from its row of a `CorpusPlan`.

    Synthetic series are drawn for a whole group of batches at once: a generator has costs that do not depend on how
    many series it draws.
    """

    num_channels = 1
    skipped: tuple[tuple[str, str], ...] = ()

    def __init__(self, config: CorpusConfig, pool: SeriesPool | None):
        self.config, self.pool = config, pool
        self.generators, self.augment = GeneratorMixture(config.generators), Augment(config.augment)
        self._group: tuple[int, list[Tensor]] = (-1, [])

    def __len__(self) -> int:
        return self.config.batches_per_epoch

    def prepare(self, draws: np.ndarray) -> np.ndarray:
        """Return the random numbers as they are."""
        return draws

    def cut(self, draws: np.ndarray, first: int, _stop: int) -> Batch:
        """Return the batch of draws[first]."""
        group_seed, index, seed = (int(number) for number in draws[first])
        if self._group[0] != group_seed:
            self._group = group_seed, self.draw_synthetic(group_seed)
        return self.make_batch(self._group[1][index], seed)

    def gather(self, draws: np.ndarray) -> Batch:
        """Return the batch of one row of random numbers."""
        return self.cut(draws, 0, len(draws))

    def draw_synthetic(self, seed: int) -> list[Float[Tensor, "_ _"]]:
        """Return the synthetic series of each batch of a group; their length decides that of the batch."""
        config, generator = self.config, torch.Generator().manual_seed(seed % 2**63)
        weights = torch.tensor(config.length_weights)
        kinds = torch.multinomial(weights, GROUP_SIZE, replacement=True, generator=generator).tolist()
        series: dict[int, Iterator[Tensor]] = {}
        for kind in sorted(set(kinds)):
            steps = config.lengths[kind]
            per_batch = self._counts(steps)[1]
            rows = self.generators.draw(per_batch * kinds.count(kind), steps, generator)
            batches = rows.unflatten(0, (kinds.count(kind), per_batch)) if per_batch else None
            series[kind] = iter(rows.expand(GROUP_SIZE, 0, steps) if batches is None else batches)
        return [next(series[kind]) for kind in kinds]

    def _counts(self, steps: int) -> tuple[int, int]:
        """Numbers of real and of synthetic series in a batch."""
        num = self.config.batch_values // (steps * self.config.channels) * self.config.channels
        real = round(self.config.real_rate * num)
        return real, num - real

    def make_batch(self, synthetic: Float[Tensor, "B T"], seed: int) -> Batch:
        """Return these synthetic series and as many real ones as belong to them, augmented, in random order."""
        config, generator, rows = self.config, torch.Generator().manual_seed(seed % 2**63), synthetic
        steps = rows.shape[-1]
        seasons = torch.zeros(len(rows), 2, dtype=torch.long)
        timestamps = torch.full((len(rows), steps), NO_TIMESTAMP) if config.timestamps else None
        if self.pool is not None and (num_real := self._counts(steps)[0]):
            drawn = self.pool.draw(
                num_real, steps, generator, resample=config.resample_rate, timestamps=config.timestamps
            )
            scaled = zscore_rows(drawn.values)
            real = mix_rows(scaled, config.mix_rate, generator)
            rows = torch.cat([blend_rows(real, rows, config.blend_rate, generator), rows])
            seasons = torch.cat([drawn.seasons, seasons])
            if timestamps is not None and drawn.timestamps is not None:
                is_mixed = (real.nan_to_num() != scaled.nan_to_num()).any(dim=-1, keepdim=True)
                known = torch.where(is_mixed, NO_TIMESTAMP, drawn.timestamps)
                timestamps = torch.cat([known, timestamps])
        if timestamps is None:
            rows = self.augment(rows, generator)
        else:
            rows, retimed = self.augment.apply(rows, generator)
            timestamps = torch.where(retimed[:, None], NO_TIMESTAMP, timestamps)
        if config.seasons:
            seasons = self.add_seasons(rows, seasons)
        order = torch.randperm(len(rows), generator=generator)
        rows, seasons = rows[order], seasons[order]
        timestamps = None if timestamps is None else timestamps[order]
        channels = self._draw_channels(generator)
        windows, role = rows.unflatten(0, (-1, channels)), None
        if channels > 1:
            mixed = couple_channels(windows, config.coupling_rate, generator)
            if config.covariate_rate:
                mixed, role = with_covariates(windows, mixed, rate=config.covariate_rate, generator=generator)
            windows = mixed
        batch = as_batch(windows.contiguous(), role=role)
        if timestamps is not None:
            batch = replace(batch, timestamps=timestamps[::channels].contiguous())
        return replace(batch, seasons=seasons[::channels].contiguous()) if config.seasons else batch

    def _draw_channels(self, generator: torch.Generator) -> int:
        """Return the number of channels of the windows of a batch."""
        config = self.config
        if config.univariate_rate and float(torch.rand(1, generator=generator)) < config.univariate_rate:
            return 1
        return config.channels

    def add_seasons(self, rows: Float[Tensor, "B T"], seasons: Int[Tensor, "B 2"]) -> Int[Tensor, "B 2"]:
        """Return the seasons, with those of synthetic series found in the whole window.

        They stand for what is known of a series without its values, such as its frequency.
        """
        observed = ~rows.isnan()
        lags, strength = find_seasonal_lags(torch.where(observed, rows, 0.0), observed)
        measured = torch.where(strength >= MIN_SEASON_STRENGTH, lags, 0).sort(dim=-1).values
        return torch.where((seasons == 0).all(dim=-1, keepdim=True), measured, seasons)
