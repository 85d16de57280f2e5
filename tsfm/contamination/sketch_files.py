"""Where the sketch of a model is: next to its weights, or one folder up in files that several models share.

`trained_on.sketch` in config.json holds the fingerprint of the sketch, or a list of those of its parts. Models whose
corpora have data sets in common name the same part, so that its file exists once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from tsfm.contamination.sketch import SKETCH_FILE, Sketch
from tsfm.model.checkpoint import CONFIG

DIGITS = 12  # of the fingerprint, in the name of a shared file


def shared_sketch_file(fingerprint: str) -> str:
    """Return the name of a sketch, or of a part of one, in the folder of the models that share it."""
    return f"{Path(SKETCH_FILE).stem}-{fingerprint[:DIGITS]}{Path(SKETCH_FILE).suffix}"


def part_fingerprints(trained_on: dict[str, Any]) -> list[str]:
    """Return the fingerprints of the parts of the sketch that a training record names; none where it names none."""
    named = trained_on.get("sketch")
    return [] if named is None else [named] if isinstance(named, str) else list(named)


def find_sketch(path: Path, trained_on: dict[str, Any]) -> Sketch | None:
    """Return the sketch of the training data of the model in a directory; None where it has none.

    Parameters
    ----------
    path
        Directory of the model.
    trained_on
        Training record of its config.json.

    Raises
    ------
    FileNotFoundError
        If a part that the record names is missing.
    ValueError
        If a file is damaged or belongs to another model.
    """
    fingerprints = part_fingerprints(trained_on)
    if fingerprints:
        return _merged(tuple(_find_part(path, fingerprint) for fingerprint in fingerprints))
    own = path / SKETCH_FILE
    return _read(own, own.stat().st_mtime_ns) if own.is_file() else None


def _find_part(path: Path, fingerprint: str) -> tuple[Path, int]:
    """Return the file of a part, and when it was written."""
    shared, other = shared_sketch_file(fingerprint), ""
    for file in (path / SKETCH_FILE, path / shared, path.parent / shared, path.parent / SKETCH_FILE):
        if not file.is_file():
            continue
        written = file.stat().st_mtime_ns
        if (actual := _read(file, written).fingerprint) == fingerprint:
            return file, written
        other = other or f"{file} has fingerprint {actual}, and {path / CONFIG} names {fingerprint}"
    if other:
        raise ValueError(f"{other}; copy both from the same model")
    raise FileNotFoundError(
        f"{path} lacks {SKETCH_FILE}, which its {CONFIG} names; copy it there from the same model, or {shared} from "
        "the folder above that model"
    )


@lru_cache(maxsize=2)
def _merged(files: Sequence[tuple[Path, int]]) -> Sketch:
    sketches = [_read(file, written) for file, written in files]
    return sketches[0] if len(sketches) == 1 else Sketch.merge(sketches)


@lru_cache(maxsize=4)
def _read(file: Path, _mtime_ns: int) -> Sketch:
    return Sketch.load(file)
