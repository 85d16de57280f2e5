"""The sketch of a corpus in parts, which models with the same data sets share."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import repeat
from pathlib import Path

import numpy as np

from tsfm.contamination.sketch import Sketch
from tsfm.contamination.sketch_files import shared_sketch_file
from tsfm.store.series_store import SeriesStore

MANY_SERIES = 3000  # of a set, from which its sketch keeps a fourth of the windows: series of one day need no more
SPACING = 4
MIN_EQUAL = 0.95  # share of the windows of a series that a part must hold; rounding decides over a few


def build_part(stores: Mapping[str, SeriesStore]) -> Sketch:
    """Return the sketch of these data sets; about a second per million values."""
    sketches = []
    for name, store in stores.items():
        series = (store.read(i) for i in range(len(store)))
        spacing = SPACING if len(store) > MANY_SERIES else 1
        sketches.append(Sketch.build(series, repeat(name), spacing=spacing))
    return Sketch.merge(sketches)


def is_current(sketch_part: Sketch, stores: Mapping[str, SeriesStore]) -> bool:
    """Whether a part is that of its data sets as they are now: names, number of series, windows of one series each."""
    if not set(sketch_part.names) <= stores.keys():
        return False
    if sketch_part.num_series != sum(len(stores[name]) for name in sketch_part.names):
        return False
    return all(_holds(sketch_part, stores[name]) for name in sketch_part.names)


def _holds(sketch_part: Sketch, store: SeriesStore) -> bool:
    """Whether a part holds the windows of the first channel of the series of median length."""
    series = store.read(int(np.argsort(store.lengths, kind="stable")[len(store) // 2]))[:1]
    for spacing in (1, SPACING):
        hashes = Sketch.build([series], spacing=spacing).kept.hashed
        if not len(hashes) or np.isin(hashes, sketch_part.kept.hashed).mean() >= MIN_EQUAL:
            return True
    return False


def corpus_parts(
    stores: Mapping[str, SeriesStore], folder: Path, *, permissive: set[str]
) -> tuple[list[Sketch], list[Sketch]]:
    """Return parts that together are the sketch of a corpus: those of the folder that fit, and new ones of the rest.

    Parameters
    ----------
    stores
        The data sets of the corpus by name.
    folder
        Of the models that share parts.
    permissive
        Names of sets with a permissive licence; they get a part of their own, which a model of them alone can share.
    """
    remaining, existing = dict(stores), []
    files = sorted(folder.glob(shared_sketch_file("*")))
    for sketch_part in sorted((Sketch.load(file) for file in files), key=lambda sketch_part: -len(sketch_part.names)):
        if set(sketch_part.names) <= remaining.keys() and is_current(sketch_part, stores):
            existing.append(sketch_part)
            remaining = {name: store for name, store in remaining.items() if name not in sketch_part.names}
    groups = [
        {name: remaining[name] for name in remaining if (name in permissive) == chosen} for chosen in (True, False)
    ]
    return existing, [build_part(group) for group in groups if group]


def unused_parts(folder: Path, used: set[str]) -> list[Path]:
    """Return the files of parts in a folder that no model names by these fingerprints."""
    names = {shared_sketch_file(fingerprint) for fingerprint in used}
    return sorted(file for file in folder.glob(shared_sketch_file("*")) if file.name not in names)
