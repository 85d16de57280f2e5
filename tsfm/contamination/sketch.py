"""What a model has seen, small enough to lie beside its weights: a sketch finds copies of a corpus without the corpus.

A sketch keeps hashes of a few windows of every series (see `patterns`), at several resolutions. A query looks up all
its windows at all its resolutions, so a copy that is longer than the way from one kept window to the next is hit,
wherever it begins. Of series that hardly have a telling window, such as days and nights in turn, it keeps pairs of
windows, one after the other, which together tell enough. C channels, L steps of a series, N hashes.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tsfm.contamination.matches import APART, ENOUGH, Match, Search, best_matches
from tsfm.contamination.patterns import BITS, D, Row, bends, hashes, joined, normal
from tsfm.contamination.resolutions import ASKED, FAINT, OWN, SCALES, Scale, keep

if TYPE_CHECKING:
    from jaxtyping import Float, Int, Shaped

FILE, FORMAT = "trained_on.npz", 1  # its name beside the weights of a model
PIECE, CHUNK = 2**17, 2**14  # values of series taken at once, windows hashed at once: both stay in the cache
LEADING = 24  # binary digits, at most, whose table rejects most windows at once
PLANES = (("low", np.uint16, 0), ("middle", np.uint8, 16), ("high", np.uint16, 24))  # of what is saved


class Kept(NamedTuple):
    """Hashes, and of each the number of its source and the place of its resolution in SCALES."""

    hashed: Shaped[np.ndarray, " N"]
    source: Int[np.ndarray, " N"]
    scale: Int[np.ndarray, " N"]


class Lookup:
    """Where hashes stand among sorted ones; `place` says which of a sketch these are."""

    def __init__(self, hashed: Shaped[np.ndarray, " N"], place: Int[np.ndarray, " N"]):
        self.hashed, self.place = hashed, place
        digits = min(len(hashed).bit_length() + 5, LEADING)
        self.shift = np.uint64(BITS - digits)
        self.table = np.zeros(2**digits, bool)
        self.table[hashed >> self.shift] = True

    def find(self, hashed: Shaped[np.ndarray, " N"]) -> tuple[Int[np.ndarray, " N"], Int[np.ndarray, " N"]]:
        """Which of these are there, and where in the sketch."""
        maybe = np.flatnonzero(self.table[hashed >> self.shift])
        if not len(self.hashed):
            return maybe, maybe
        near = np.minimum(np.searchsorted(self.hashed, hashed[maybe]), len(self.hashed) - 1)
        same = self.hashed[near] == hashed[maybe]
        return maybe[same], self.place[near[same]]


class Sketch:
    """The kept windows of a corpus, sorted, each hash once; `names` are its sources, sorted; `series` counts them."""

    def __init__(self, kept: Kept, names: Sequence[str], *, series: int):
        self.names, self.series = sorted(set(names)), series
        place = np.searchsorted(self.names, list(names)) if names else np.zeros(0, np.int64)
        source = place[kept.source]
        order = np.lexsort((source, kept.scale, kept.hashed))
        hashed = kept.hashed[order]
        order = order[hashed > np.concatenate([np.zeros(1, np.uint64), hashed[:-1]])]  # once; 0 stands for no pattern
        self.kept = Kept(kept.hashed[order], source[order].astype(np.uint32), kept.scale[order].astype(np.uint8))

    def __len__(self) -> int:
        return len(self.kept.hashed)

    @classmethod
    def build(
        cls, series: Iterable[Float[np.ndarray, "C L"]], names: Iterable[str] | None = None, *, thin: int = 1
    ) -> Sketch:
        """The sketch of a corpus of [C, L] or [L] arrays. `names` tell where each is from; many may share one. `thin=2`
        keeps half as much, and is sure to find copies that are twice as long."""
        if thin < 1:
            raise ValueError(f"thin is {thin}; expected 1 or more, such as 2 for a sketch of half the size")
        labels: dict[str, int] = {}
        owner: list[int] = []
        told = None if names is None else iter(names)

        def named() -> Iterator[np.ndarray]:
            for array in series:
                name = "the corpus" if told is None else next(told, None)
                if name is None:
                    raise ValueError(f"names has {len(owner)} entries and there are more series; give one for each")
                owner.append(labels.setdefault(str(name), len(labels)))
                yield array

        parts: list[Kept] = []
        for rows in batches(named()):
            source = np.array([owner[row.series] for row in rows])
            for scale, hashed, which in keep(rows, thin=thin):
                parts.append(Kept(hashed, source[which], np.full(len(hashed), SCALES.index(scale))))
        return cls(_joined(parts), list(labels), series=len(owner))

    @staticmethod
    def merge(sketches: Sequence[Sketch]) -> Sketch:
        """One sketch of several corpora."""
        names, parts = [], []
        for sketch in sketches:
            hashed, source, scale = sketch.kept
            parts.append(Kept(hashed, source + np.int64(len(names)), scale))
            names += sketch.names
        return Sketch(_joined(parts), names, series=sum(sketch.series for sketch in sketches))

    def find(self, series: Iterable[Float[np.ndarray, "C L"]]) -> list[Match]:
        """What of these [C, L] or [L] arrays the corpus holds: at most one match for each channel and source."""
        return self.search(series).matches

    def search(self, series: Iterable[Float[np.ndarray, "C L"]]) -> Search:
        """As `find`, and how many series there are, and which of them no sketch could recognise."""
        matches: list[Match] = []
        known: set[int] = set()
        every: set[int] = set()
        for rows in batches(series):
            hits = [self._hits(rows, number, scale) for number, scale in enumerate(ASKED)]
            place = (found := np.concatenate(hits))[:, 3]
            matches += best_matches(rows, found, self.kept.source[place], self.kept.scale[place], self.names)
            for scale, _, which in keep(rows, OWN):  # pairs may begin at every step
                least = APART + 1 if scale == FAINT else ENOUGH
                known |= {rows[place].series for place in np.flatnonzero(np.bincount(which) >= least)}
            every |= {row.series for row in rows}
        return Search(matches, len(every), sorted(every - known))

    def _hits(self, rows: Sequence[Row], number: int, scale: Scale) -> Int[np.ndarray, "N 4"]:
        """The windows of the rows that are kept here: row, place of the resolution in ASKED, first step, place here."""
        long = [place for place, row in enumerate(rows) if scale.windows(len(row.values)) > scale.factor]
        out = [np.zeros((0, 4), np.int64)]
        if long and len(self):
            bent = bends([rows[place] for place in long], means=scale.means, factor=scale.factor)
            parts = [slice(first, min(first + CHUNK, bent.count)) for first in range(0, bent.count, CHUNK)]
            single = np.concatenate([hashes(bent.windows(part)) for part in parts])
            ahead = D * scale.factor
            for hashed, lookup in zip((single, joined(single[:-ahead], single[ahead:])), self._lookups, strict=True):
                at, place = lookup.find(hashed)
                which, step = bent.locate(at)
                out.append(np.stack([np.array(long)[which], np.full(len(at), number), step, place], axis=1))
        return np.concatenate(out)

    @cached_property
    def _lookups(self) -> tuple[Lookup, Lookup]:
        """Of single windows and of pairs."""
        pair = self.kept.scale == SCALES.index(FAINT)
        single, both = np.flatnonzero(~pair), np.flatnonzero(pair)
        return Lookup(self.kept.hashed[single], single), Lookup(self.kept.hashed[both], both)

    @property
    def fingerprint(self) -> str:
        """Of all that it holds."""
        used = sorted(SCALES[place] for place in np.unique(self.kept.scale))
        place = np.array([used.index(scale) if scale in used else 0 for scale in SCALES])
        about = json.dumps([FORMAT, self.names, self.series, used])
        digest = hashlib.blake2b(about.encode(), digest_size=16)
        parts = (self.kept.hashed, self.kept.source, place[self.kept.scale])
        for part, kind in zip(parts, ("<u8", "<u4", "<u1"), strict=True):
            digest.update(part.astype(kind).tobytes())
        return digest.hexdigest()

    def to_bytes(self) -> bytes:
        """What `from_bytes` reads: a compressed .npz; the same sketch gives the same bytes."""
        step = np.diff(self.kept.hashed, prepend=np.uint64(0))
        about = {"format": FORMAT, "names": self.names, "series": self.series, "scales": [list(s) for s in SCALES]}
        text = np.frombuffer(json.dumps(about).encode(), np.uint8)
        planes: dict[str, Any] = {name: (step >> np.uint64(shift)).astype(kind) for name, kind, shift in PLANES}
        out = io.BytesIO()
        few = np.uint8 if len(self.names) < 256 else np.uint32
        np.savez_compressed(out, about=text, source=self.kept.source.astype(few), scale=self.kept.scale, **planes)
        return out.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Sketch:
        """The sketch that `to_bytes` wrote."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as held:
                about = json.loads(held["about"].tobytes())
                number = about["format"]
                if number == FORMAT:
                    step = sum(held[name].astype(np.uint64) << np.uint64(shift) for name, _, shift in PLANES)
                    place = np.array([SCALES.index(Scale(*scale)) for scale in about["scales"]])
                    kept = Kept(np.cumsum(step, dtype=np.uint64), held["source"], place[held["scale"]])
                    return cls(kept, about["names"], series=about["series"])
        except (ValueError, KeyError, TypeError, IndexError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"it is not a sketch of what a model was trained on ({error}); copy it again") from None
        raise ValueError(f"it is a sketch of format {number}; this tsfm reads format {FORMAT}: install a newer one")

    def save(self, path: str | Path) -> Path:
        """Write the sketch in full beside its place, then move it there."""
        path = Path(path)
        draft = path.with_name(f".{path.name}-{os.getpid()}")
        try:
            draft.write_bytes(self.to_bytes())
            os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)
        return path

    @classmethod
    def load(cls, path: str | Path) -> Sketch:
        """The sketch that `save` wrote."""
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"there is no sketch {path}; check the path")
        try:
            return cls.from_bytes(path.read_bytes())
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None


def batches(series: Iterable[Float[np.ndarray, "C L"]]) -> Iterator[list[Row]]:
    """The channels of series as rows, about PIECE values at a time."""
    rows: list[Row] = []
    held = 0
    for number, array in enumerate(series):
        array = np.asarray(array)
        if array.ndim not in (1, 2) or array.dtype.kind not in "fiu":
            raise ValueError(
                f"series {number} has shape {array.shape} and type {array.dtype}; give numbers, [C, L] or [L]"
            )
        for channel, values in enumerate(np.atleast_2d(array)):
            rows.append(normal(values, series=number, channel=channel))
            held += len(values)
        if held >= PIECE:
            yield rows
            rows, held = [], 0
    if rows:
        yield rows


def _joined(parts: Sequence[Kept]) -> Kept:
    empty = Kept(np.zeros(0, np.uint64), np.zeros(0, np.int64), np.zeros(0, np.int64))
    columns = zip(empty, *parts, strict=True)
    return Kept(*(np.concatenate(column) for column in columns))
