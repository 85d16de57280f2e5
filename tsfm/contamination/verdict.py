"""Whether a model has seen what it is scored on: by the fingerprints and the sketch that lie beside its weights.

C channels, L steps of a series.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tsfm.contamination.resolutions import by_month
from tsfm.contamination.sketch import FILE, Sketch
from tsfm.fingerprint import fingerprint
from tsfm.model.checkpoint import CONFIG, find, read_config

if TYPE_CHECKING:
    from jaxtyping import Float

NAMED = 5  # series that a message names


@dataclass(frozen=True)
class Verdict:
    """What can be said of a model and some series. `zero_shot` None: it can't be told, and `why` says why not."""

    zero_shot: bool | None
    why: str = ""
    seen: tuple[str, ...] = ()  # the series that occur in its training data, each with the reason
    series: int = 0
    plain: int = 0  # series too short, too smooth or too even to be told apart from others

    @property
    def word(self) -> str:
        return {True: "true", False: "false", None: "unknown"}[self.zero_shot]

    def row(self) -> dict[str, Any]:
        """What a result says of it."""
        found: dict[str, Any] = {"zero_shot": self.word}
        if self.plain:
            found["plain_series"] = self.plain
        if self.seen:
            found |= {"seen_series": len(self.seen), "seen": list(self.seen[:NAMED])}
        return found

    def __str__(self) -> str:
        if self.zero_shot is None:
            return f"whether it is zero-shot can't be told: {self.why}"
        if self.zero_shot:
            plain = f" ({self.plain} of {self.series} too short or too plain to tell)" if self.plain else ""
            return f"zero-shot: its training data hold none of the series{plain}"
        more = f"; and {len(self.seen) - NAMED} more" if len(self.seen) > NAMED else ""
        return (
            f"not zero-shot: of {self.series} series it has seen {len(self.seen)}: {'; '.join(self.seen[:NAMED])}{more}"
        )


class Memory(NamedTuple):
    """What a model directory says of its training data: the fingerprints of the series, those of the weights that it
    began from too, and the sketch; `gap` names what the sketch does not hold."""

    place: Path
    fingerprints: frozenset[str]
    sketch: Sketch | None
    gap: str | None

    @property
    def silent(self) -> str | None:
        """Why nothing can be told by it, whatever the series."""
        nothing = self.sketch is None and not self.fingerprints
        return f"{self.place} does not say what it was trained on" if nothing else None


def memory_of(model: str | Path) -> Memory:
    """The memory of a model, named as in `tsfm.load`."""
    place = find(model)
    trained = read_config(place).get("about", {}).get("trained_on") or {}
    init = trained.get("init") or {}
    known = frozenset([*trained.get("fingerprints", ()), *init.get("fingerprints", ())])
    gap = init.get("from", "another model") if init and "sketch" not in init else None
    return Memory(place, known, sketch_of(place, trained), gap)


def check(
    model: str | Path,
    series: Iterable[Float[np.ndarray, "C L"]],
    *,
    names: Sequence[str] | None = None,
    fingerprints: Sequence[str] | None = None,
    stamps: Callable[[int], np.ndarray] | None = None,
) -> Verdict:
    """What a model, named as in `tsfm.load`, has seen of these [C, L] or [L] arrays. `fingerprints` are those of the
    series, where they are known: without a sketch the series are then not read. `stamps` gives those of the steps of a
    series by its number: then months of the calendar are looked up too."""
    memory = memory_of(model)
    if memory.silent is not None:
        return Verdict(None, memory.silent)
    arrays: Iterable[Any] = series
    if fingerprints is None:
        arrays = [np.asarray(array) for array in series]
        fingerprints = [fingerprint(np.atleast_2d(array)) for array in arrays]

    def label(number: int) -> str:
        return repr(str(names[number])) if names is not None else f"series {number}"

    seen = {
        number: f"{label(number)} is one of its training series"
        for number, one in enumerate(fingerprints)
        if one in memory.fingerprints
    }
    count, plain, why = len(fingerprints), 0, f"{memory.place} has no {FILE}, by which copies are recognised"
    if memory.sketch is not None:
        owner, months = [], set()

        def parts() -> Iterator[np.ndarray]:
            for number, array in enumerate(arrays):
                owner.append(number)
                yield array
                if stamps is not None and (coarse := by_month(np.atleast_2d(array), stamps(number))) is not None:
                    months.add(len(owner))
                    owner.append(number)
                    yield coarse

        matches, _, unknown = memory.sketch.search(parts())
        for match in matches:
            number = owner[match.series]
            which = " by months" if match.series in months else f", channel {match.channel}" if match.channel else ""
            seen.setdefault(number, f"{label(number)}{which}: {match}")
        count = len(set(owner))
        plain = len(set(owner) - {owner[place] for place in set(range(len(owner))) - set(unknown)})
        why = "every series is too short or too plain to be recognised" if plain == count else ""
        if not why and memory.gap:
            why = f"it began from {memory.gap}, and {FILE} does not hold the training data of that"
    if seen:
        return Verdict(False, "", tuple(seen[number] for number in sorted(seen)), count, plain)
    return Verdict(None if why else True, why, (), count, plain)


def sketch_of(place: Path, trained_on: dict[str, Any]) -> Sketch | None:
    """The sketch of what the model in a directory was trained on: beside its weights, or one folder up where several
    models share it, known by its fingerprint. None where the model has none."""
    wanted, other = trained_on.get("sketch"), ""
    for file in (place / FILE, place.parent / FILE):
        if not file.is_file() or (file.parent != place and wanted is None):
            continue
        sketch = _read(file, file.stat().st_mtime_ns)
        if wanted in (None, sketch.fingerprint):
            return sketch
        other = other or f"{file} has fingerprint {sketch.fingerprint}, and {place / CONFIG} names {wanted}"
    if other:
        raise ValueError(f"{other}; copy both from the same model")
    if wanted is not None:
        raise FileNotFoundError(f"{place} lacks {FILE}, which its {CONFIG} names; copy it there from the same model")
    return None


@lru_cache(maxsize=2)
def _read(file: Path, changed: int) -> Sketch:
    return Sketch.load(file)
