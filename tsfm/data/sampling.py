"""Which windows make a batch: pure functions of (seed, epoch, position, rank). n windows, B windows in a batch.

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


def mix(words: UInt64[np.ndarray, " n"]) -> UInt64[np.ndarray, " n"]:
    """A well mixed 64-bit word for each word: SplitMix64's output function (Steele, Lea & Flood 2014, fig. 16)."""
    z = words + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def keys(*parts: int, num: int) -> UInt64[np.ndarray, " num"]:
    """`num` words that follow from whole numbers such as seed and epoch."""
    state = np.zeros(1, dtype=np.uint64)
    for part in parts:
        state = mix(state ^ np.uint64(part % WORD))
    return mix(state + np.arange(num, dtype=np.uint64))


def permute(positions: Int[np.ndarray, " n"], size: int, *, key: UInt64[np.ndarray, " K"]) -> Int[np.ndarray, " n"]:
    """Places of `positions` in a pseudo-random order of range(size), which `key` (2 * ROUNDS words) decides.

    A Feistel network over pairs (high, low) with size <= highs * 2^bits, low mixed by xor, high by addition modulo
    `highs` (Black & Rogaway 2002, "Ciphers with arbitrary finite domains"); the few results that fall outside are
    sent through again, which keeps it a permutation. Small ranges are sorted by random words instead: a network over
    a handful of values is a few per cent off uniform.
    """
    if size <= SMALL:
        return np.argsort(mix(np.arange(size, dtype=np.uint64) + key[0]), kind="stable")[positions]
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


class Plan(Protocol):
    """The batches of an epoch, for one rank."""

    @property
    def batch_size(self) -> int: ...
    @property
    def seed(self) -> int: ...
    def __len__(self) -> int: ...

    def draw(self, epoch: int, first: int, stop: int) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " b"]]:
        """The windows of batches first..stop-1, one after another, and the bounds of each batch among them."""
        ...


@dataclass(frozen=True)
class InOrder:
    """Every window once, in order: for evaluation. Each rank gets a contiguous part, parts differ by one at most."""

    num_windows: int
    batch_size: int
    seed: int = 0
    rank: int = 0
    world_size: int = 1

    @property
    def part(self) -> tuple[int, int]:
        return self.num_windows * self.rank // self.world_size, self.num_windows * (self.rank + 1) // self.world_size

    def __len__(self) -> int:
        first, stop = self.part
        return -(-(stop - first) // self.batch_size)

    def draw(self, epoch: int, first: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        low, high = self.part
        bounds = np.minimum(low + np.arange(first, stop + 1) * self.batch_size, high)
        return np.arange(bounds[0], bounds[-1]), bounds - bounds[0]


@dataclass(frozen=True)
class Shuffled:
    """Every window once an epoch, in an order of its own each epoch. Ranks get disjoint, equally many batches.

    The last, smaller batch is kept unless `drop_last`; with several ranks its windows are shared out, and it is left
    out where there are fewer of them than ranks.
    """

    num_windows: int
    batch_size: int
    seed: int = 0
    rank: int = 0
    world_size: int = 1
    drop_last: bool = False

    @property
    def full(self) -> int:
        return self.num_windows // (self.batch_size * self.world_size)

    @property
    def rest(self) -> int:
        return self.num_windows - self.full * self.batch_size * self.world_size

    def __len__(self) -> int:
        return self.full + (not self.drop_last and self.rest >= self.world_size)

    def draw(self, epoch: int, first: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        whole = np.arange(first, min(stop, self.full))
        places = ((whole * self.world_size + self.rank)[:, None] * self.batch_size + np.arange(self.batch_size)).ravel()
        bounds = np.arange(len(whole) + 1) * self.batch_size
        if stop > self.full:
            base = self.full * self.batch_size * self.world_size
            tail = np.arange(
                base + self.rest * self.rank // self.world_size, base + self.rest * (self.rank + 1) // self.world_size
            )
            places, bounds = np.concatenate([places, tail]), np.append(bounds, len(places) + len(tail))
        return permute(places, self.num_windows, key=keys(self.seed, epoch, num=2 * ROUNDS)), bounds


@dataclass(frozen=True)
class WithReplacement:
    """Windows drawn at random: a series with the weight (its number of windows) ** temperature, then any window of it.

    Temperature 1 draws every window alike, 0 every series alike.
    """

    counts: Sequence[int] | np.ndarray  # windows of each series
    batch_size: int
    batches_per_epoch: int
    temperature: float = 0.5
    seed: int = 0
    rank: int = 0
    world_size: int = 1
    _ends: np.ndarray = field(init=False, repr=False, compare=False)  # of each series' share of [0, 1)
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
        batches = (np.arange(first, stop) * self.world_size + self.rank)[:, None] * self.batch_size
        draws = (batches + np.arange(self.batch_size)).ravel().astype(np.uint64)
        one, two = keys(self.seed, epoch, num=2)
        counts = np.asarray(self.counts)
        share = _unit(draws + one)
        series = np.minimum(np.searchsorted(self._ends, share, side="right"), np.flatnonzero(counts)[-1])
        within = (_unit(draws + two) * counts[series]).astype(np.int64)
        return self._firsts[series] + within, np.arange(stop - first + 1) * self.batch_size


def _unit(words: UInt64[np.ndarray, " n"]) -> np.ndarray:
    """Uniform in [0, 1), 53 bits."""
    return (mix(words) >> np.uint64(11)) * 2.0**-53
