"""Digests that identify series and data sets by their values. C channels, L steps."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float


class Fingerprint:
    """The digest of one series, computed in chunks of any length.

    It is the blake2b hash (16 bytes) of the float32 values in time order, with a single NaN and a single zero, followed
    by the shape.
    """

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=16)
        self._shape = [0, 0]

    def update(self, values: Float[np.ndarray, "C L"]) -> Fingerprint:
        """Add the next steps, `[channels, time]`, and return the object itself."""
        # time first, so that chunks of a series give the same digest; -0.0 + 0.0 is 0.0
        steps = np.add(values.T, np.float32(0), dtype="<f4", order="C", casting="unsafe")
        missing = np.isnan(steps)
        if missing.any():
            steps[missing] = np.nan
        self._hash.update(steps.reshape(-1))
        self._shape = [values.shape[0], self._shape[1] + values.shape[1]]
        return self

    def hexdigest(self) -> str:
        """Return the digest of all steps added so far, 32 hexadecimal digits."""
        final = self._hash.copy()
        final.update(np.array(self._shape, dtype="<i8").tobytes())
        return final.hexdigest()


def fingerprint(values: Float[np.ndarray, "C L"]) -> str:
    """Return the fingerprint of one series, `[channels, time]`."""
    return Fingerprint().update(values).hexdigest()


def joint_fingerprint(fingerprints: list[str]) -> str:
    """Return the fingerprint of a data set: the hash of the fingerprints of its series, in order."""
    return hashlib.blake2b("".join(fingerprints).encode(), digest_size=16).hexdigest()


def content_digest(content: Any) -> str:
    """Return the SHA-256 of plain values, whatever the order of keys and the spacing of the JSON they are stored in."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def files_digest(files: Sequence[Path]) -> str:
    """Return the digest of the bytes of files, in order; their names do not matter."""
    return joint_fingerprint(
        [_file_digest(file.resolve(), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    )


@lru_cache(maxsize=4096)
def _file_digest(file: Path, size: int, modified: int) -> str:
    """Return the digest of one file; size and time of modification decide whether it is read again."""
    del size, modified
    digest = hashlib.blake2b(digest_size=16)
    with file.open("rb") as opened:
        while block := opened.read(2**20):
            digest.update(block)
    return digest.hexdigest()
