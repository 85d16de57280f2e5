"""The manifest of a store: names, channels, fingerprints, shards.

A store is a folder: manifest.json (this), part-00000.parquet ... (the values), _series.parquet (a line per series).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
SERIES = "_series.parquet"  # the underscore keeps dataset readers (pandas, Spark) from taking it for a shard


@dataclass
class Shard:
    """A Parquet file of a store."""

    file: str
    rows: list[int]  # rows of each row group


@dataclass
class Manifest:
    """The description of a store, in manifest.json."""

    name: str
    frequency: str  # of all series; without anchor ("W") where anchors differ, "mixed" where steps differ
    channels: list[str]
    num_series: int
    num_steps: int
    fingerprint: str  # of all values in order: independent of item names, chunks and shards
    shards: list[Shard]
    chunk_steps: int  # steps of every chunk but the last of a series
    static: list[str] = field(default_factory=list)
    covariates: list[str] = field(default_factory=list)  # channels that are no targets, unless a run says otherwise
    domain: str | None = None
    licence: str | None = None
    source: str | None = None
    role: str | None = None  # corpus (for training) or benchmark (for evaluation)
    timezone: str | None = None  # starts in steps of a day and more are local times in it, others are in UTC
    notes: list[str] = field(default_factory=list)
    created: str = ""  # UTC, ISO 8601
    tsfm_version: str = ""
    schema_version: int = SCHEMA_VERSION

    def save(self, folder: Path) -> None:
        """Write manifest.json into the folder of a store."""
        (folder / MANIFEST).write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Manifest:
        """Return the manifest of a store; a ValueError says what is wrong with the file."""
        path = folder / MANIFEST
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            version = int(dict(content)["schema_version"])
        except (ValueError, KeyError, TypeError) as error:
            reason = f"it has no {error}" if isinstance(error, KeyError) else error
            raise ValueError(f"{path} is not a store's manifest ({reason}); ingest the data again") from None
        if version > SCHEMA_VERSION:
            raise ValueError(
                f"{path} has schema version {version}, and this tsfm reads up to {SCHEMA_VERSION}; upgrade tsfm, or "
                "ingest the data again with this version"
            )
        known = {entry.name for entry in fields(cls)}
        try:
            shards = [Shard(**shard) for shard in content.pop("shards")]
            return cls(shards=shards, **{key: value for key, value in content.items() if key in known})
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path} is not a complete manifest ({error}); ingest the data again") from None
