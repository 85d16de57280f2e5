"""A table that finds few known hashes among many. N hashes, M of them found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tsfm.contamination.patterns import BITS

if TYPE_CHECKING:
    from jaxtyping import Int, Shaped

MAX_TABLE_BITS = 24  # of the tables that reject nearly all windows at once, by the highest and the lowest bits
LOW_BITS = np.uint64(2**MAX_TABLE_BITS - 1)


class HashTable:
    """Finds hashes among sorted ones; `index` holds their indices in a sketch."""

    def __init__(self, hashed: Shaped[np.ndarray, " N"], index: Int[np.ndarray, " N"]):
        self.hashed, self.index = hashed, index
        num_bits = min(len(hashed).bit_length() + 5, MAX_TABLE_BITS)
        self.shift = np.uint64(BITS - num_bits)
        self.table = np.zeros(2**num_bits, bool)
        self.table[hashed >> self.shift] = True
        self.low_bits = np.zeros(2**MAX_TABLE_BITS, bool)
        self.low_bits[hashed & LOW_BITS] = True

    def find(self, hashed: Shaped[np.ndarray, " N"]) -> tuple[Int[np.ndarray, " M"], Int[np.ndarray, " M"]]:
        """Return the indices of the M given hashes that are in the table, and their indices in the sketch."""
        if not len(self.hashed):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        candidates = np.flatnonzero(self.table.take((hashed >> self.shift).view(np.int64)))
        candidates = candidates[self.low_bits.take((hashed[candidates] & LOW_BITS).view(np.int64))]
        positions = np.minimum(np.searchsorted(self.hashed, hashed[candidates]), len(self.hashed) - 1)
        equal = self.hashed[positions] == hashed[candidates]
        return candidates[equal], self.index[positions[equal]]
