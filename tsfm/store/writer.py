"""Write a store: series in, a folder out, all or nothing. C channels, L steps.

A series is cut into chunks of `chunk_steps` steps, however its pieces arrive. Everything goes to a hidden folder beside
the target that takes the target's name at close.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tsfm.files import (
    draft_path,
    explain_write_errors,
    make_folder,
    move_folder,
    recover_folder,
    remove_old_drafts,
)
from tsfm.fingerprint import Fingerprint, joint_fingerprint
from tsfm.store.manifest import MANIFEST, SERIES, Manifest
from tsfm.store.shards import ChunkRow, ShardWriter, plain
from tsfm.timestamps.offsets import base_freq, parse_freq, timestamp_at
from tsfm.version import __version__

if TYPE_CHECKING:
    from jaxtyping import Float

CHUNK_VALUES = 2**18  # values of a chunk and of a row group: 1 MiB is the most that reading one step has to decode
SHARD_BYTES = 64 * 2**20


@dataclass
class _Series:
    """The series being written."""

    item_id: str
    start: np.datetime64
    freq: str
    static: dict[str, Any]
    row: int  # of its first chunk, counted over all shards
    length: int = 0
    written: int = 0  # steps already in chunks
    missing: bool = False
    mark: Fingerprint = field(default_factory=Fingerprint)
    fingerprint: str = ""  # once all steps are there
    pieces: list[np.ndarray] = field(default_factory=list)  # steps not yet in a chunk


class StoreWriter:
    """`with StoreWriter(path, channels=[...]) as writer: writer.add(...)`; on any exception nothing is left behind."""

    def __init__(
        self,
        path: str | Path,
        *,
        channels: Sequence[str],
        name: str | None = None,
        domain: str | None = None,
        licence: str | None = None,
        source: str | None = None,
        role: str | None = None,
        overwrite: bool = False,
        chunk_values: int = CHUNK_VALUES,
        shard_bytes: int = SHARD_BYTES,
    ):
        self.path, self.channels, self.overwrite = Path(path), [str(channel) for channel in channels], overwrite
        if not self.channels or len(set(self.channels)) < len(self.channels):
            raise ValueError(f"channels are {self.channels}; a store needs at least one, each with its own name")
        self.notes: list[str] = []
        self.timezone: str | None = None
        self.covariates: list[str] = []
        self.labels: dict[str, Any] = {"domain": domain, "licence": licence, "source": source, "role": role}
        self.labels["name"] = name or self.path.name
        self.chunk_steps = max(1, chunk_values // len(self.channels))
        self.folder = draft_path(self.path)  # hidden, until close
        self._ids: set[str] = set()
        self._done: list[_Series] = []
        self._current: _Series | None = None
        self._shards = ShardWriter(self.folder, group_values=chunk_values, shard_values=shard_bytes // 4)
        with writing_store(self.path):
            check_target(self.path, overwrite=overwrite)
            make_folder(self.path.parent)
            remove_old_drafts(self.path.parent)
            recover_folder(self.path)
            self.folder.mkdir()

    def add(
        self,
        item_id: str,
        values: Float[np.ndarray, "C L"],
        start: Any,
        freq: str,
        static: Mapping[str, Any] | None = None,
    ) -> None:
        """Begin a series whose first step is at `start`; NaN is a missing step. `append` continues it."""
        self._finish_series()
        item_id, first = str(item_id), np.datetime64(start).astype("datetime64[us]")
        static = {str(key): plain(value) for key, value in (static or {}).items()}
        if item_id in self._ids:
            raise ValueError(f"item {item_id!r} is already in store {self.path}; give every series its own item_id")
        if np.isnat(first):
            raise ValueError(f"item {item_id!r} has no start stamp; give the stamp of its first step")
        before = self._done[0].static if self._done else static
        if set(static) != set(before):
            raise ValueError(
                f"item {item_id!r} has the static columns {sorted(static)}, those before {sorted(before)}; "
                "give every series the same ones, None where unknown"
            )
        self._current = _Series(item_id, first, str(parse_freq(freq)), static, row=self._shards.num_rows)
        try:
            self.append(values)
        except ValueError:
            self._current = None  # the store goes on without it
            raise
        self._ids.add(item_id)

    def append(self, values: Float[np.ndarray, "C L"]) -> None:
        """More steps of the series that `add` began."""
        series = self._current
        if series is None:
            raise ValueError("append continues a series; call add first")
        with np.errstate(over="ignore"):
            values = np.array(values, dtype=np.float32)
        if values.ndim != 2 or len(values) != len(self.channels) or not values.shape[1]:
            raise ValueError(
                f"item {series.item_id!r} has values of shape {values.shape}; expected [{len(self.channels)} channels, "
                "steps] with at least one step"
            )
        finite = np.isfinite(values).all()
        if not finite and np.isinf(values).any():
            channel, step = np.argwhere(np.isinf(values))[0]
            raise ValueError(
                f"item {series.item_id!r}, channel {self.channels[channel]!r}, step {series.length + step} is infinite "
                "(or too large for float32); replace it, or use NaN for a missing value"
            )
        series.mark.update(values)
        series.missing = series.missing or not finite
        series.length += values.shape[1]
        series.pieces.append(values)
        if series.length - series.written >= self.chunk_steps:
            self._cut(series, at_least=self.chunk_steps)

    def _cut(self, series: _Series, *, at_least: int) -> None:
        """Turn gathered steps into rows of chunk_steps, the last perhaps shorter; fewer than `at_least` steps wait."""
        values = series.pieces[0] if len(series.pieces) == 1 else np.concatenate(series.pieces, axis=1)
        first = 0
        while values.shape[1] - first >= at_least:
            chunk = values[:, first : first + self.chunk_steps]
            start = (
                timestamp_at(series.start, series.freq, np.int64(series.written)) if series.written else series.start
            )
            with writing_store(self.path):
                self._shards.add(ChunkRow(series.item_id, series.written, start, series.freq, chunk, series.static))
            first += chunk.shape[1]
            series.written += chunk.shape[1]
        series.pieces = [values[:, first:]] if values.shape[1] > first else []

    def _finish_series(self) -> None:
        if self._current is not None:
            if self._current.pieces:
                self._cut(self._current, at_least=1)
            self._current.fingerprint = self._current.mark.hexdigest()
            self._done.append(self._current)
            self._current = None

    def close(self) -> Manifest:
        """Finish the store: everything is on disk under its final name, or an exception says why not."""
        try:
            self._finish_series()
            if not self._done:
                raise ValueError(f"no series were added to store {self.path}; nothing is written")
            with writing_store(self.path):
                self._shards.flush()
                self._shards.close()
                self._write_series()
                manifest = self._manifest()
                manifest.save(self.folder)
                self._move_into_place()
        except BaseException:
            self.abort()
            raise
        return manifest

    def _move_into_place(self) -> None:
        check_target(self.path, overwrite=self.overwrite)
        try:
            move_folder(self.folder, self.path, replace=self.overwrite)
        except FileExistsError:  # another process has made this store since
            check_target(self.path, overwrite=self.overwrite)
            raise

    def _write_series(self) -> None:
        done, ids = self._done, [series.item_id for series in self._done]
        columns: dict[str, Any] = {
            "item_id": pa.array(ids, pa.string()),
            "length": pa.array([series.length for series in done], pa.int64()),
            "start": pa.array(np.array([series.start for series in done], dtype="datetime64[us]")),
            "freq": pa.array([series.freq for series in done], pa.string()),
            "fingerprint": pa.array([series.fingerprint for series in done], pa.string()),
            "has_missing": pa.array([series.missing for series in done], pa.bool_()),
            "row": pa.array([series.row for series in done], pa.int64()),
            **self._shards.static_columns(ids, [series.static for series in done]),
        }
        pq.write_table(pa.table(columns), self.folder / SERIES, compression="zstd")

    def _manifest(self) -> Manifest:
        return Manifest(
            frequency=common_frequency({series.freq for series in self._done}),
            channels=self.channels,
            num_series=len(self._done),
            num_steps=sum(series.length for series in self._done),
            fingerprint=joint_fingerprint([series.fingerprint for series in self._done]),
            shards=self._shards.shards,
            chunk_steps=self.chunk_steps,
            static=list(self._done[0].static),
            covariates=self.covariates,
            timezone=self.timezone,
            notes=self.notes,
            created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            tsfm_version=__version__,
            **self.labels,
        )

    def abort(self) -> None:
        """Leave nothing behind."""
        self._shards.abandon()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()


def check_target(path: Path, *, overwrite: bool) -> None:
    """Refuse to replace a store without `overwrite`, and anything that is not a store at all.

    Raises
    ------
    FileExistsError
        When there is something at `path` that would be replaced.
    NotADirectoryError
        When a folder above `path` is a file.
    """
    above = next((folder for folder in path.parents if folder.exists()), None)
    if above is not None and not above.is_dir():
        raise NotADirectoryError(f"store {path} would be below {above}, which is a file; choose another folder")
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not (path / MANIFEST).is_file():
        raise FileExistsError(f"{path} exists and is not a store; choose another name, it will not be replaced")
    if not overwrite:
        raise FileExistsError(f"store {path} exists; use overwrite=True to replace it, or another name")


def writing_store(path: Path) -> AbstractContextManager[None]:
    """Return a context that explains a full disk or a missing permission for the store at `path`."""
    return explain_write_errors(f"store {path}", hint="or choose another folder; no part of the store was kept")


def common_frequency(freqs: set[str]) -> str:
    """One word for the frequencies of a store: without anchor where only anchors differ, else "mixed"."""
    if len(freqs) == 1:
        return next(iter(freqs))
    base_freqs = {base_freq(freq) for freq in freqs}
    return base_freqs.pop() if len(base_freqs) == 1 else "mixed"
