"""Digests of the values of series, by which data sets are told apart. C channels, L steps."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float


class Fingerprint:
    """blake2b (16 bytes) of float32 values in time order with one NaN and one zero, then the shape; any chunking."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=16)
        self._shape = [0, 0]

    def update(self, values: Float[np.ndarray, "C L"]) -> Fingerprint:
        steps = np.array(values.T, dtype="<f4", order="C")  # time first: pieces of one series may come one by one
        steps += 0.0  # -0.0 becomes 0.0
        steps[np.isnan(steps)] = np.nan
        self._hash.update(steps.tobytes())
        self._shape = [values.shape[0], self._shape[1] + values.shape[1]]
        return self

    def hexdigest(self) -> str:
        final = self._hash.copy()
        final.update(np.array(self._shape, dtype="<i8").tobytes())
        return final.hexdigest()


def fingerprint(values: Float[np.ndarray, "C L"]) -> str:
    """The fingerprint of one series."""
    return Fingerprint().update(values).hexdigest()


def joint_fingerprint(fingerprints: list[str]) -> str:
    """The fingerprint of a whole store: that of its series' fingerprints in order."""
    return hashlib.blake2b("".join(fingerprints).encode(), digest_size=16).hexdigest()
