"""The windows of each batch: pure functions of (seed, epoch, position, rank). n windows, b batches.

Nothing is stored per window: the order of an epoch is a keyed permutation computed where it is needed, so an index of
10^9 windows costs no memory and a run resumes at any batch at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Int, UInt64

ROUNDS = 3  # pairs of Feistel rounds; two already pass the tests of uniformity
SMALL = 2**12  # sizes up to this are permuted by sorting
WORD = 2**64


def mix_bits(numbers: UInt64[np.ndarray, " n"]) -> UInt64[np.ndarray, " n"]:
    """Return a well mixed 64-bit number for each number: the output function of SplitMix64.

    G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014, fig. 16.
    """
    z = numbers + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def random_uint64(*numbers: int, num: int) -> UInt64[np.ndarray, " num"]:
    """Return `num` random 64-bit numbers, which follow from whole numbers such as seed and epoch."""
    state = np.zeros(1, dtype=np.uint64)
    for number in numbers:
        state = mix_bits(state ^ np.uint64(number % WORD))
    return mix_bits(state + np.arange(num, dtype=np.uint64))


def permute(positions: Int[np.ndarray, " n"], size: int, *, key: UInt64[np.ndarray, " K"]) -> Int[np.ndarray, " n"]:
    """Return the elements at `positions` of a pseudo-random order of range(size), which `key` decides.

    Parameters
    ----------
    positions
        Positions in the order, from 0 to size - 1.
    size
        Number of elements.
    key
        2 * `ROUNDS` random 64-bit numbers.

    Notes
    -----
    A Feistel network over pairs (high, low) with size <= highs * 2^bits, low mixed by xor, high by addition modulo
    `highs` (Black & Rogaway 2002, "Ciphers with arbitrary finite domains"); the few results that are outside are
    transformed again, which keeps it a permutation. Small ranges are sorted by random numbers instead: a network over
    a few values deviates from uniform by a few per cent.
    """
    if size <= SMALL:
        return np.argsort(mix_bits(np.arange(size, dtype=np.uint64) + key[0]), kind="stable")[positions]
    x = np.asarray(positions, dtype=np.int64).astype(np.uint64)
    bits = ((size - 1).bit_length() + 1) // 2
    highs = -(-size // 2**bits)
    x = _feistel(x, bits, highs, key)
    outside = np.flatnonzero(x >= np.uint64(size))
    while len(outside):  # fewer than one in 2^bits
        x[outside] = _feistel(x[outside], bits, highs, key)
        outside = outside[x[outside] >= np.uint64(size)]
    return x.astype(np.int64)


def _feistel(
    x: UInt64[np.ndarray, " n"], bits: int, highs: int, key: UInt64[np.ndarray, " K"]
) -> UInt64[np.ndarray, " n"]:
    shift, mask, num, half = np.uint64(bits), np.uint64(2**bits - 1), np.uint64(highs), np.uint64(32)
    high, low = x >> shift, x & mask
    word, spare = np.empty_like(x), np.empty_like(x)

    def scramble(source: np.ndarray, k: np.uint64) -> None:
        """32 well mixed bits of source into `word`, without a new array: this is the inner loop of sampling."""
        np.bitwise_xor(source, k, out=word)
        np.multiply(word, np.uint64(0x9E3779B97F4A7C15), out=word)
        np.right_shift(word, half, out=spare)
        np.bitwise_xor(word, spare, out=word)
        np.multiply(word, np.uint64(0xD6E8FEB86659FD93), out=word)
        np.right_shift(word, half, out=word)

    for k in range(ROUNDS):
        scramble(low, key[2 * k])
        np.multiply(word, num, out=word)  # 32 bits times highs < 2^32: the top half is uniform in [0, highs)
        np.right_shift(word, half, out=word)
        np.add(high, word, out=high)
        np.subtract(high, num, out=word)
        np.minimum(high, word, out=high)  # high - num wraps to something huge unless it is the remainder
        scramble(high, key[2 * k + 1])
        np.bitwise_and(word, mask, out=word)
        np.bitwise_xor(low, word, out=low)
    np.left_shift(high, shift, out=high)
    return np.bitwise_or(high, low, out=high)


class BatchPlan(Protocol):
    """The batches of an epoch, for one process."""

    @property
    def batch_size(self) -> int:
        """The largest number of windows in a batch."""
        ...

    @property
    def seed(self) -> int:
        """The seed that decides the order, where it is random."""
        ...

    def __len__(self) -> int: ...

    def draw(self, epoch: int, first: int, stop: int, /) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " b"]]:
        """Return the windows of batches first..stop-1, one after another, and the bounds of each batch among them."""
        ...


@dataclass(frozen=True)
class InOrder:
    """Every window once, in order: for evaluation.

    Each process gets contiguous windows; the numbers of windows differ by one at most. A process without windows gets
    a batch without any, because Lightning would leave out its whole evaluation, and the others would wait for it.
    With `limit` only that many windows are taken, evenly spread over all.
    """

    num_windows: int
    batch_size: int
    seed: int = 0
    rank: int = 0
    world_size: int = 1
    limit: int | None = None

    @property
    def num_taken(self) -> int:
        """The number of windows of all processes."""
        return self.num_windows if self.limit is None else min(self.num_windows, self.limit)

    @property
    def process_windows(self) -> tuple[int, int]:
        """First and stop of the windows of this process."""
        return self.num_taken * self.rank // self.world_size, self.num_taken * (self.rank + 1) // self.world_size

    def __len__(self) -> int:
        first, stop = self.process_windows
        return max(-(-(stop - first) // self.batch_size), int(self.num_windows > 0))

    def draw(self, _epoch: int, first: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Return windows and bounds of batches first..stop-1; they are the same in every epoch."""
        low, high = self.process_windows
        bounds = np.minimum(low + np.arange(first, stop + 1) * self.batch_size, high)
        windows = np.arange(bounds[0], bounds[-1])
        if self.num_taken < self.num_windows:  # the middle of each of as many equal parts
            windows = (2 * windows + 1) * self.num_windows // (2 * self.num_taken)
        return windows, bounds - bounds[0]


@dataclass(frozen=True)
class Shuffled:
    """Every window once per epoch, in an order of its own each epoch.

    Processes get disjoint batches, all of them equally many. The last batch of an epoch may be smaller: its windows
    are divided among the processes. It is left out with `drop_last`, and where some process would get no window.
    """

    num_windows: int
    batch_size: int
    seed: int = 0
    rank: int = 0
    world_size: int = 1
    drop_last: bool = False

    @property
    def num_full(self) -> int:
        """Full batches of each process."""
        return self.num_windows // (self.batch_size * self.world_size)

    @property
    def remainder(self) -> int:
        """Windows of all processes together that fill no batch."""
        return self.num_windows - self.num_full * self.batch_size * self.world_size

    def __len__(self) -> int:
        return self.num_full + (not self.drop_last and self.remainder >= self.world_size)

    def draw(self, epoch: int, first: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Return windows and bounds of batches first..stop-1 of an epoch."""
        batches = np.arange(first, min(stop, self.num_full))
        starts = (batches * self.world_size + self.rank)[:, None] * self.batch_size
        positions = (starts + np.arange(self.batch_size)).ravel()
        bounds = np.arange(len(batches) + 1) * self.batch_size
        if stop > self.num_full:
            base, rest = self.num_full * self.batch_size * self.world_size, self.remainder
            last = np.arange(
                base + rest * self.rank // self.world_size, base + rest * (self.rank + 1) // self.world_size
            )
            positions, bounds = np.concatenate([positions, last]), np.append(bounds, len(positions) + len(last))
        key = random_uint64(self.seed, epoch, num=2 * ROUNDS)
        return permute(positions, self.num_windows, key=key), bounds


@dataclass(frozen=True)
class WithReplacement:
    """Windows drawn at random: first a series, with the weight (its number of windows) ** temperature.

    Temperature 1 draws every window with the same probability, 0 every series.
    """

    counts: Sequence[int] | np.ndarray  # windows of each series
    batch_size: int
    batches_per_epoch: int
    temperature: float = 0.5
    seed: int = 0
    rank: int = 0
    world_size: int = 1
    _ends: np.ndarray = field(init=False, repr=False, compare=False)  # of the share of each series in [0, 1)
    _firsts: np.ndarray = field(init=False, repr=False, compare=False)  # first window of each series

    def __post_init__(self) -> None:
        counts = np.asarray(self.counts, dtype=np.int64)
        weights = np.where(counts > 0, np.maximum(counts, 1).astype(np.float64) ** self.temperature, 0.0)
        object.__setattr__(self, "counts", counts)
        object.__setattr__(self, "_ends", np.cumsum(weights) / max(weights.sum(), 1e-300))
        object.__setattr__(self, "_firsts", np.cumsum(counts) - counts)

    def __len__(self) -> int:
        return self.batches_per_epoch

    def draw(self, epoch: int, first: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Return windows and bounds of batches first..stop-1 of an epoch; each process draws its own."""
        starts = (np.arange(first, stop) * self.world_size + self.rank)[:, None] * self.batch_size
        numbers = (starts + np.arange(self.batch_size)).ravel().astype(np.uint64)
        series_key, window_key = random_uint64(self.seed, epoch, num=2)
        counts = np.asarray(self.counts)
        share = _uniform(numbers + series_key)
        series = np.minimum(np.searchsorted(self._ends, share, side="right"), np.flatnonzero(counts)[-1])
        within = (_uniform(numbers + window_key) * counts[series]).astype(np.int64)
        return self._firsts[series] + within, np.arange(stop - first + 1) * self.batch_size


def _uniform(numbers: UInt64[np.ndarray, " n"]) -> np.ndarray:
    """Uniform in [0, 1), 53 bits."""
    return (mix_bits(numbers) >> np.uint64(11)) * 2.0**-53
