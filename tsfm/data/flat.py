"""All values of a store as one flat float32 array, in memory or memory-mapped: what windows are cut from.

N series, C channels, L steps of a series, V values in all. Series i is values[offsets[i] : offsets[i] + C * L_i], one
channel after another.
"""

from __future__ import annotations

import errno
import mmap
import os
import shutil
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from tsfm.files import atomic_file, cache_folder, explain_write_errors, remove_old_drafts

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from tsfm.store.series_store import SeriesStore

LIMIT_BYTES = 256 * 2**20  # a store up to this size is held in memory
BLOCK_VALUES = 2**20  # values read and written at once
FILE = "values.f32"  # little-endian float32, nothing else: a file of another size is damaged


@dataclass(frozen=True)
class FlatSeries:
    """N series of the same C channels. NaN is a missing step; no value is infinite."""

    values: Float[np.ndarray, " V"]
    offsets: Int[np.ndarray, " N"]
    lengths: Int[np.ndarray, " N"]
    channels: tuple[str, ...]
    has_missing: Bool[np.ndarray, " N"]
    ids: Sequence[str]

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def num_channels(self) -> int:
        """Channels of every series."""
        return len(self.channels)

    def series(self, i: int) -> Float[np.ndarray, "C L"]:
        """Return series i, a view of the values."""
        first, size = int(self.offsets[i]), self.num_channels * int(self.lengths[i])
        return self.values[first : first + size].reshape(self.num_channels, -1)

    def tensor(self) -> torch.Tensor:
        """Return the values as a tensor that shares their memory, and must not be written to."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*not writable.*")  # of a memory-mapped file, as intended
            return torch.from_numpy(self.values)

    @classmethod
    def from_arrays(
        cls,
        arrays: Sequence[Float[np.ndarray, "... _"]],
        *,
        channels: Sequence[str] | None = None,
        ids: Sequence[str] | None = None,
    ) -> FlatSeries:
        """Return series in memory, each `[C, L]` or `[L]`.

        Raises
        ------
        ValueError
            When the series differ in their number of channels, names do not fit, or a value is infinite.
        """
        series = [np.atleast_2d(np.asarray(array, dtype=np.float32)) for array in arrays]
        if not series or len({len(values) for values in series}) > 1:
            num_channels = sorted({len(values) for values in series})
            raise ValueError(
                f"{len(series)} series with {num_channels} channels; give at least one, all with the same channels"
            )
        names = tuple(channels) if channels is not None else tuple(f"c{c}" for c in range(len(series[0])))
        items = list(ids) if ids is not None else [str(i) for i in range(len(series))]
        lengths = np.array([values.shape[1] for values in series], dtype=np.int64)
        if len(names) != len(series[0]) or len(items) != len(series):
            raise ValueError(
                f"{len(names)} channel names and {len(items)} ids for {len(series)} series of {len(series[0])} "
                "channels; give one name per channel and one id per series"
            )
        for values, item in zip(series, items, strict=True):
            _check_finite(values, item=item, first=0, channels=names)
        missing = np.array([bool(np.isnan(values).any()) for values in series])
        flat = np.concatenate([values.ravel() for values in series])
        return cls(flat, _offsets(lengths, len(names)), lengths, names, missing, items)


def flatten(store: SeriesStore, cache_dir: str | Path | None = None, limit_bytes: int = LIMIT_BYTES) -> FlatSeries:
    """Return all values of a store, memory-mapped from a flat file where they take more than `limit_bytes`.

    The flat file is written once, in `cache_dir` (default: the folder of TSFM_CACHE), named by the fingerprint of the
    store. Several processes may do this at the same time.

    Raises
    ------
    OSError
        When the flat file cannot be written.
    """
    lengths = np.asarray(store.lengths, dtype=np.int64)
    channels = tuple(store.channels)
    size = 4 * len(channels) * int(lengths.sum())
    if size <= limit_bytes:
        values = np.empty(size // 4, dtype=np.float32)
        for first, row in _rows(store):
            values[first : first + row.size] = row
    else:
        root = (Path(cache_dir) if cache_dir is not None else cache_folder()) / "flat"
        values = _mapped(_flat_file(store, root, size), size)
    return FlatSeries(values, _offsets(lengths, len(channels)), lengths, channels, store.has_missing, store.ids)


def _offsets(lengths: Int[np.ndarray, " N"], num_channels: int) -> Int[np.ndarray, " N"]:
    return np.concatenate([[0], np.cumsum(lengths * num_channels)[:-1]]).astype(np.int64)


def _rows(store: SeriesStore) -> Iterator[tuple[int, Float[np.ndarray, " _"]]]:
    """(position in the flat array, values) of every channel of every series, long series in blocks."""
    num_channels = len(store.channels)
    step = max(1, BLOCK_VALUES // num_channels)
    offset = 0
    for i, length in enumerate(np.asarray(store.lengths).tolist()):
        for first in range(0, length, step):
            block = store.read(i, first, min(first + step, length))
            _check_finite(block, item=store.ids[i], first=first, channels=store.channels)
            for channel, row in enumerate(block):
                yield offset + channel * length + first, row
        offset += num_channels * length


def _check_finite(block: Float[np.ndarray, "C L"], *, item: str, first: int, channels: Sequence[str]) -> None:
    if np.isinf(block).any():
        channel, step = np.argwhere(np.isinf(block))[0]
        raise ValueError(
            f"item {item!r}, channel {channels[channel]!r}, step {first + step} is infinite; ingest the data again "
            "with a number there, or NaN for a missing value"
        )


def _mapped(file: Path, size: int) -> np.ndarray:
    with file.open("rb") as stream:
        mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    if sys.platform != "win32" and size > os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2:
        # windows are drawn at random: reading ahead would push out what other windows need
        mapped.madvise(mmap.MADV_RANDOM)
    return np.frombuffer(mapped, dtype="<f4")


def _flat_file(store: SeriesStore, root: Path, size: int) -> Path:
    """Return the flat file of a store, written if it is not there in full; several processes may do so at once."""
    file = root / store.fingerprint / FILE
    if file.is_file() and file.stat().st_size == size:
        return file
    advice = "or set TSFM_CACHE to another folder; no part of the file was kept"
    try:
        with explain_write_errors(f"a flat copy of {size / 2**20:,.0f} MiB to {root}", hint=advice):
            file.parent.mkdir(parents=True, exist_ok=True)
            for folder in root.iterdir():
                remove_old_drafts(folder)
            _check_space(root, size)
            with atomic_file(file) as draft:
                _write(store, draft, size)
    except BaseException:
        with suppress(OSError):
            file.parent.rmdir()  # unless it holds the file of another process
        raise
    return file


def _check_space(root: Path, size: int) -> None:
    free = shutil.disk_usage(root).free
    if free < size:
        raise OSError(errno.ENOSPC, f"{free / 2**20:,.0f} MiB are free")


def _write(store: SeriesStore, file: Path, size: int) -> None:
    with open(file, "wb") as out:
        for first, row in _rows(store):
            out.seek(4 * first)
            out.write(np.ascontiguousarray(row, dtype="<f4").data)
        out.truncate(size)
