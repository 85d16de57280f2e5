"""Read a store: a folder of Parquet shards with a manifest. C channels, L steps.

    store = SeriesStore.open("data/etth1")
    store.read(0, 100, 200)    # [C, 100] float32, NaN where missing

Opening reads the manifest and one line per series; `read` decodes only the row groups that hold the steps asked for.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tsfm.files import recover_folder
from tsfm.fingerprint import fingerprint
from tsfm.store.manifest import MANIFEST, SERIES, Manifest
from tsfm.store.writer import StoreWriter
from tsfm.timestamps.offsets import format_timestamp, timestamp_at

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["Manifest", "SeriesStore", "StoreWriter", "fingerprint"]

CACHED_GROUPS = 4  # decoded row groups kept, about 1 MiB each: neighbours of a series just read are free


class _Group(NamedTuple):
    """A decoded row group: row r of it is flat[bounds[r]:bounds[r + 1]], channel by channel."""

    flat: np.ndarray
    bounds: np.ndarray


class SeriesStore:
    """Series with their stamps and values, in the order in which they were written. Use `SeriesStore.open(path)`."""

    def __init__(self, path: Path, manifest: Manifest, lines: pd.DataFrame):
        self.path, self.manifest = path, manifest
        self.ids: list[str] = lines["item_id"].astype(str).tolist()
        self.lengths: np.ndarray = lines["length"].to_numpy(np.int64)
        self.starts: np.ndarray = lines["start"].to_numpy("datetime64[us]")
        self.freqs: list[str] = lines["freq"].astype(str).tolist()
        self.fingerprints: list[str] = lines["fingerprint"].astype(str).tolist()
        self.has_missing: np.ndarray = lines["has_missing"].to_numpy(bool)
        static = lines[[f"static_{name}" for name in manifest.static]]
        self.static = static.set_axis(manifest.static, axis=1).set_index(pd.Index(self.ids, name="item_id"))
        self._rows: np.ndarray = lines["row"].to_numpy(np.int64)
        groups = [(shard.file, g, rows) for shard in manifest.shards for g, rows in enumerate(shard.rows)]
        self._groups = [(file, g) for file, g, _ in groups]
        self._first_row = np.append(0, np.cumsum([rows for *_, rows in groups]))  # of each row group
        self._cache: OrderedDict[int, _Group] = OrderedDict()
        self._files: OrderedDict[str, pq.ParquetFile] = OrderedDict()

    @classmethod
    def open(cls, path: str | Path) -> SeriesStore:
        """Open the store in folder `path`; an error names a missing or foreign part."""
        path = Path(path)
        recover_folder(path)
        if not (path / MANIFEST).is_file():
            problem = "does not exist" if not path.exists() else f"is not a store: it has no {MANIFEST}"
            raise FileNotFoundError(f"{path} {problem}; make a store with `tsfm ingest <files> --out <folder>`")
        manifest = Manifest.load(path)
        for file in (SERIES, *(shard.file for shard in manifest.shards)):
            if not (path / file).is_file():
                raise FileNotFoundError(f"store {path} lacks {file}; copy the whole folder, or ingest the data again")
        try:
            store = cls(path, manifest, pq.read_table(path / SERIES).to_pandas())
        except (pa.ArrowException, OSError, KeyError) as error:
            raise ValueError(f"{path / SERIES} cannot be read ({error}); ingest the data again") from None
        if len(store) != manifest.num_series or store._first_row[-1] <= store._rows.max(initial=-1):
            raise ValueError(
                f"{path / SERIES} lists {len(store)} series that {MANIFEST} does not describe; copy the whole folder, "
                "or ingest the data again"
            )
        return store

    @property
    def channels(self) -> list[str]:
        """Channels of every series."""
        return self.manifest.channels

    @property
    def fingerprint(self) -> str:
        """Of all values in order, independent of item names, chunks and shards."""
        return self.manifest.fingerprint

    def __len__(self) -> int:
        return len(self.ids)

    def __reduce__(self):
        return SeriesStore.open, (self.path,)  # a worker process opens its own files

    def index(self, item_id: str) -> int:
        """Return the number of a series."""
        try:
            return self.ids.index(item_id)
        except ValueError:
            raise ValueError(f"store {self.path} has no item {item_id!r}; its first are {self.ids[:5]}") from None

    def read(self, i: int, start: int = 0, stop: int | None = None) -> Float[np.ndarray, "C L"]:
        """Return a copy of steps start to stop (excluded) of series i, float32, NaN where missing."""
        if not 0 <= i < len(self.ids):
            raise ValueError(f"store {self.path} has series 0 to {len(self) - 1}; series {i} was asked for")
        length, size = int(self.lengths[i]), self.manifest.chunk_steps
        stop = length if stop is None else stop
        if not 0 <= start <= stop <= length:
            raise ValueError(f"item {self.ids[i]!r} has {length} steps; steps {start} to {stop} were asked for")
        out = np.empty((len(self.channels), stop - start), dtype=np.float32)
        for chunk in range(start // size, -(-stop // size)) if stop > start else ():
            values = self._chunk(int(self._rows[i]) + chunk)
            first = chunk * size
            low, high = max(start, first), min(stop, first + values.shape[1])
            out[:, low - start : high - start] = values[:, low - first : high - first]
        return out

    def _chunk(self, row: int) -> np.ndarray:
        """Return a view of one row's values [C, steps]."""
        number = int(np.searchsorted(self._first_row, row, side="right")) - 1
        group = self._cache.get(number) or self._decode(number)
        self._cache[number] = group
        self._cache.move_to_end(number)
        if len(self._cache) > CACHED_GROUPS:
            self._cache.popitem(last=False)
        at = row - int(self._first_row[number])
        return group.flat[group.bounds[at] : group.bounds[at + 1]].reshape(len(self.channels), -1)

    def _decode(self, number: int) -> _Group:
        file, group = self._groups[number]
        try:
            if file not in self._files:
                self._files[file] = pq.ParquetFile(self.path / file, memory_map=True)
                if len(self._files) > CACHED_GROUPS:
                    self._files.popitem(last=False)[1].close()
            table = self._files[file].read_row_group(group, columns=["values"], use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise ValueError(f"{self.path / file} is damaged ({error}); copy it or ingest the data again") from None
        rows = table.column("values").combine_chunks()
        rows = rows.chunk(0) if isinstance(rows, pa.ChunkedArray) else rows
        steps = rows.values
        widths = np.unique(np.diff(rows.offsets.to_numpy()))
        if widths.tolist() != [len(self.channels)]:
            raise ValueError(
                f"{self.path / file} has rows of {widths.tolist()} channels, its {MANIFEST} names "
                f"{len(self.channels)}; copy the whole folder, or ingest the data again"
            )
        bounds = steps.offsets.to_numpy()[rows.offsets.to_numpy()]
        return _Group(steps.values.to_numpy(zero_copy_only=False), bounds)

    def verify(self) -> None:
        """Read everything and compare it with the fingerprints; the first series that differs is named."""
        for i, expected in enumerate(self.fingerprints):
            if fingerprint(self.read(i)) != expected:
                raise ValueError(f"store {self.path}, item {self.ids[i]!r}: values changed since ingest; ingest again")

    def describe(self) -> str:
        """Return a few lines for a person."""
        about, lengths = self.manifest, np.sort(self.lengths)
        span = f"{lengths[0]:,} to {lengths[-1]:,} (median {int(np.median(lengths)):,})"
        names = ", ".join(self.channels[:8]) + (f" ... (+{len(self.channels) - 8})" if len(self.channels) > 8 else "")
        first, last = format_timestamp(np.min(self.starts)), f"to {format_timestamp(np.max(self.starts))}"
        if len(self) == 1:
            last = f"(ends {format_timestamp(timestamp_at(self.starts[0], self.freqs[0], self.lengths[0] - 1))})"
        labels = [f"{key} {value}" for key in ("role", "domain", "licence") if (value := getattr(about, key))]
        lines = [
            f"{about.name}: {len(self):,} series, {about.num_steps:,} steps, {len(self.channels)} channel(s), "
            f"every {about.frequency}",
            f"  steps      {span if lengths[0] != lengths[-1] else f'{lengths[0]:,}'}",
            f"  starts     {first} {last}",
            f"  channels   {names}",
            f"  missing    {int(self.has_missing.sum()):,} series have unobserved steps",
            *([f"  static     {', '.join(about.static)}"] if about.static else []),
            *([f"  labels     {'; '.join(labels)}"] if labels else []),
            *(f"  note       {note}" for note in about.notes),
            f"  values     {about.fingerprint} in {len(about.shards)} shard(s), {self.path}",
        ]
        return "\n".join(lines)

    __str__ = describe

    def __repr__(self) -> str:
        return f"SeriesStore({str(self.path)!r}, {len(self)} series)"
