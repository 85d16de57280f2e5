"""What a store says of itself, and the fingerprints of its values. C channels, L steps.

A store is a folder: manifest.json (this), part-00000.parquet ... (the values), _series.parquet (a line per series).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
SERIES = "_series.parquet"  # the underscore keeps dataset readers (pandas, Spark) from taking it for a shard


@dataclass
class Shard:
    file: str
    rows: list[int]  # rows of each row group


@dataclass
class Manifest:
    name: str
    frequency: str  # of all series; without anchor ("W") where anchors differ, "mixed" where steps differ
    channels: list[str]
    num_series: int
    num_steps: int
    fingerprint: str  # of all values in order: independent of item names, chunks and shards
    shards: list[Shard]
    chunk_steps: int  # steps of every chunk but the last of a series
    static: list[str] = field(default_factory=list)
    domain: str | None = None
    licence: str | None = None
    source: str | None = None
    role: str | None = None  # corpus (for training) or benchmark (for evaluation)
    notes: list[str] = field(default_factory=list)
    created: str = ""  # UTC, ISO 8601
    tsfm_version: str = ""
    schema_version: int = SCHEMA_VERSION

    def save(self, folder: Path) -> None:
        (folder / MANIFEST).write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Manifest:
        path = folder / MANIFEST
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            version = int(dict(found)["schema_version"])
        except (ValueError, KeyError, TypeError) as error:
            why = f"it has no {error}" if isinstance(error, KeyError) else error
            raise ValueError(f"{path} is not a store's manifest ({why}); ingest the data again") from None
        if version > SCHEMA_VERSION:
            raise ValueError(
                f"{path} has schema version {version}, and this tsfm reads up to {SCHEMA_VERSION}; upgrade tsfm, or "
                "ingest the data again with this version"
            )
        known = {entry.name for entry in fields(cls)}
        try:
            shards = [Shard(**shard) for shard in found.pop("shards")]
            return cls(shards=shards, **{key: value for key, value in found.items() if key in known})
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path} is not a complete manifest ({error}); ingest the data again") from None


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
