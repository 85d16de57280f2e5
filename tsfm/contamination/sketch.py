"""The sketch of a training corpus, stored with the weights of a model: it finds copies of series without the corpus.

A sketch keeps hashes of a few windows of every series (see `patterns`), at several resolutions. A query looks up all
its windows at all its resolutions, so a copy that is longer than the spacing of the kept windows is found, wherever it
begins. Of series with few distinctive windows, such as day and night in turn, it keeps pairs of consecutive windows,
which are distinctive together. C channels, L steps of a series, N hashes.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tsfm.contamination.hash_table import HashTable
from tsfm.contamination.matches import MIN_DISTANCE, MIN_HITS, Match, SearchResult, SearchSize, best_matches
from tsfm.contamination.patterns import (
    MIN_FREE,
    Channel,
    D,
    count_free,
    hash_pairs,
    hash_patterns,
    normalize_channel,
    second_differences,
)
from tsfm.contamination.resolutions import ORIGINAL, PAIRS, QUERY_RESOLUTIONS, RESOLUTIONS, Resolution, select_windows
from tsfm.contamination.sketch_bytes import MAX_BYTES, SketchRecord, read_arrays
from tsfm.field_types import check_types
from tsfm.files import write_bytes
from tsfm.files.bounded import parse_json, read_small

if TYPE_CHECKING:
    from jaxtyping import Int, Integer, Real, Shaped

SKETCH_FILE, FORMAT = "trained_on.npz", 1  # its name next to the weights of a model
BATCH_VALUES, HASH_CHUNK = 2**17, 2**15  # values and windows processed at once: both fit the CPU cache
BYTE_PLANES = (("low", np.uint16, 0), ("middle", np.uint8, 16), ("high", np.uint16, 24))  # of the hashes in the file


class KeptWindows(NamedTuple):
    """Hashes, and for each the index of its source and the index of its resolution in RESOLUTIONS."""

    hashed: Shaped[np.ndarray, " N"]
    source: Integer[np.ndarray, " N"]
    scale: Integer[np.ndarray, " N"]


class Sketch:
    """The kept windows of a corpus, sorted by hash without duplicates.

    `names` are its sources, sorted; `num_series` counts its series.
    """

    def __init__(self, kept: KeptWindows, names: Sequence[str], *, num_series: int):
        self.names, self.num_series = sorted(set(names)), num_series
        name_index = np.searchsorted(self.names, list(names)) if names else np.zeros(0, np.int64)
        source = name_index[kept.source]
        order = np.lexsort((source, kept.scale, kept.hashed))
        hashed = kept.hashed[order]
        order = order[
            hashed > np.concatenate([np.zeros(1, np.uint64), hashed[:-1]])
        ]  # each once; 0 stands for no pattern
        self.kept = KeptWindows(kept.hashed[order], source[order].astype(np.uint32), kept.scale[order].astype(np.uint8))

    def __len__(self) -> int:
        return len(self.kept.hashed)

    @classmethod
    def build(
        cls, series: Iterable[Real[np.ndarray, "... _"]], names: Iterable[str] | None = None, *, spacing: int = 1
    ) -> Sketch:
        """Build the sketch of a corpus.

        Parameters
        ----------
        series
            Arrays [C, L] or [L].
        names
            The source of each series; many may share one.
        spacing
            Factor of the distance between kept windows: 2 keeps half as many, and finds copies that are twice as long.
        """
        if spacing < 1:
            raise ValueError(f"spacing is {spacing}; expected 1 or more, such as 2 for a sketch of half the size")
        labels: dict[str, int] = {}
        owners: list[int] = []
        name_iterator = None if names is None else iter(names)

        def iterate() -> Iterator[np.ndarray]:
            for array in series:
                name = "the corpus" if name_iterator is None else next(name_iterator, None)
                if name is None:
                    raise ValueError(f"names has {len(owners)} entries and there are more series; give one for each")
                owners.append(labels.setdefault(str(name), len(labels)))
                yield array

        chunks: list[KeptWindows] = []
        for channels in channel_batches(iterate()):
            source = np.array([owners[channel.series] for channel in channels])
            for resolution, hashes, channel_index in select_windows(channels, spacing=spacing):
                chunks.append(
                    KeptWindows(hashes, source[channel_index], np.full(len(hashes), RESOLUTIONS.index(resolution)))
                )
        return cls(_joined(chunks), list(labels), num_series=len(owners))

    @staticmethod
    def merge(sketches: Sequence[Sketch]) -> Sketch:
        """Return one sketch of several corpora."""
        names, chunks = [], []
        for sketch in sketches:
            hashes, source, resolution = sketch.kept
            chunks.append(KeptWindows(hashes, source + np.int64(len(names)), resolution))
            names += sketch.names
        return Sketch(_joined(chunks), names, num_series=sum(sketch.num_series for sketch in sketches))

    def find(self, series: Iterable[Real[np.ndarray, "... _"]]) -> list[Match]:
        """Return the parts of [C, L] or [L] arrays that the corpus holds: one match for each channel and source."""
        return self.search(series).matches

    def search(self, series: Iterable[Real[np.ndarray, "... _"]]) -> SearchResult:
        """Return the matches as `find`, the number of series, and which of them no sketch could recognise."""
        matches: list[Match] = []
        distinctive: set[int] = set()
        all_series: set[int] = set()
        for channels in channel_batches(series):
            lookups = [self._hits(channels, index, resolution) for index, resolution in enumerate(QUERY_RESOLUTIONS)]
            hits = np.concatenate([each for each, _ in lookups])
            size = SearchSize(sum(num_windows for _, num_windows in lookups), self._num_hashes)
            source, scale = self.kept.source[hits[:, 3]], self.kept.scale[hits[:, 3]]
            matches += best_matches(channels, hits, source, scale, self.names, size)
            for resolution, _, channel_index in select_windows(channels, ORIGINAL):  # pairs may begin at every step
                min_windows = MIN_DISTANCE + 1 if resolution == PAIRS else MIN_HITS
                distinctive |= {
                    channels[owner].series for owner in np.flatnonzero(np.bincount(channel_index) >= min_windows)
                }
            all_series |= {channel.series for channel in channels}
        return SearchResult(matches, len(all_series), sorted(all_series - distinctive))

    def _hits(
        self, channels: Sequence[Channel], resolution_index: int, resolution: Resolution
    ) -> tuple[Int[np.ndarray, "N 4"], int]:
        """Kept windows among those of the channels: channel, resolution_index, first step, index in the sketch.

        Also the number of windows that were looked up.
        """
        long_enough = [
            index
            for index, channel in enumerate(channels)
            if resolution.windows(len(channel.values)) > resolution.factor
        ]
        out, num_windows = [np.zeros((0, 4), np.int64)], 0
        if long_enough and len(self):
            differences = second_differences(
                [channels[index] for index in long_enough], means=resolution.means, factor=resolution.factor
            )
            slices = [
                slice(first, min(first + HASH_CHUNK, differences.num_windows))
                for first in range(0, differences.num_windows, HASH_CHUNK)
            ]
            single = np.concatenate([hash_patterns(differences.rows(piece)) for piece in slices])
            num_windows = int(np.count_nonzero(single))
            offset = D * resolution.factor
            for hashes, table in zip(
                (single, hash_pairs(single[:-offset], single[offset:])), self._tables, strict=True
            ):
                window, index = table.find(hashes)
                if table is self._tables[0]:
                    is_evidence = count_free(differences.windows(window)) >= MIN_FREE
                    window, index = window[is_evidence], index[is_evidence]
                owner, step = differences.locate(window)
                out.append(
                    np.stack(
                        [np.array(long_enough)[owner], np.full(len(window), resolution_index), step, index], axis=1
                    )
                )
        return np.concatenate(out), num_windows

    @cached_property
    def _num_hashes(self) -> Int[np.ndarray, "S R"]:
        """The number of hashes of each source and resolution."""
        shape = len(self.names), len(RESOLUTIONS)
        index = self.kept.source.astype(np.int64) * shape[1] + self.kept.scale
        return np.bincount(index, minlength=shape[0] * shape[1]).reshape(shape)

    @cached_property
    def _tables(self) -> tuple[HashTable, HashTable]:
        """Tables of single windows and of pairs."""
        pair = self.kept.scale == RESOLUTIONS.index(PAIRS)
        single, both = np.flatnonzero(~pair), np.flatnonzero(pair)
        return HashTable(self.kept.hashed[single], single), HashTable(self.kept.hashed[both], both)

    @property
    def fingerprint(self) -> str:
        """Return the digest of everything that it holds."""
        used = sorted(RESOLUTIONS[index] for index in np.unique(self.kept.scale))
        index = np.array([used.index(resolution) if resolution in used else 0 for resolution in RESOLUTIONS])
        about = json.dumps([FORMAT, self.names, self.num_series, used])
        digest = hashlib.blake2b(about.encode(), digest_size=16)
        arrays = (self.kept.hashed, self.kept.source, index[self.kept.scale])
        for array, kind in zip(arrays, ("<u8", "<u4", "<u1"), strict=True):
            digest.update(array.astype(kind).tobytes())
        return digest.hexdigest()

    def to_bytes(self) -> bytes:
        """Return a compressed .npz that `from_bytes` reads; equal sketches give equal bytes."""
        step = np.diff(self.kept.hashed, prepend=np.uint64(0))
        about = {
            "format": FORMAT,
            "names": self.names,
            "series": self.num_series,
            "scales": [list(s) for s in RESOLUTIONS],
        }
        text = np.frombuffer(json.dumps(about).encode(), np.uint8)
        planes: dict[str, Any] = {name: (step >> np.uint64(shift)).astype(kind) for name, kind, shift in BYTE_PLANES}
        out = io.BytesIO()
        source_type = np.uint8 if len(self.names) < 256 else np.uint32
        np.savez_compressed(
            out, about=text, source=self.kept.source.astype(source_type), scale=self.kept.scale, **planes
        )
        return out.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Sketch:
        """Return the sketch that `to_bytes` wrote; a ValueError says why the bytes are not one."""
        try:
            arrays = read_arrays(data)
            about = parse_json(arrays["about"].tobytes().decode("utf-8"))
            number = about["format"]
            if number == FORMAT:
                step = sum(arrays[name].astype(np.uint64) << np.uint64(shift) for name, _, shift in BYTE_PLANES)
                index = np.array([RESOLUTIONS.index(Resolution(*resolution)) for resolution in about["scales"]])
                kept = KeptWindows(np.cumsum(step, dtype=np.uint64), arrays["source"], index[arrays["scale"]])
                check_types(about, SketchRecord, prefix="about")
                return cls(kept, about["names"], num_series=about["series"])
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise ValueError(f"not a sketch of training data ({error}); copy the file again") from None
        raise ValueError(f"the sketch has format {number}; this tsfm reads format {FORMAT}: install a newer tsfm")

    def save(self, path: str | Path) -> Path:
        """Write the sketch as a file, completely or not at all."""
        write_bytes(path, self.to_bytes())
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> Sketch:
        """Return the sketch that `save` wrote."""
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"there is no sketch {path}; check the path")
        try:
            return cls.from_bytes(read_small(path, max_bytes=MAX_BYTES))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None


def channel_batches(series: Iterable[Real[np.ndarray, "... _"]]) -> Iterator[list[Channel]]:
    """Yield the normalized channels of series, about BATCH_VALUES values at a time."""
    channels: list[Channel] = []
    num_values = 0
    for index, array in enumerate(series):
        array = np.asarray(array)
        if array.ndim not in (1, 2) or array.dtype.kind not in "fiu":
            raise ValueError(
                f"series {index} has shape {array.shape} and type {array.dtype}; give numbers, [C, L] or [L]"
            )
        for channel, values in enumerate(np.atleast_2d(array)):
            channels.append(normalize_channel(values, series=index, channel=channel))
            num_values += len(values)
            if num_values >= BATCH_VALUES:
                yield channels
                channels, num_values = [], 0
    if channels:
        yield channels


def _joined(chunks: Sequence[KeptWindows]) -> KeptWindows:
    empty = KeptWindows(np.zeros(0, np.uint64), np.zeros(0, np.int64), np.zeros(0, np.int64))
    columns = zip(empty, *chunks, strict=True)
    return KeptWindows(*(np.concatenate(column) for column in columns))
