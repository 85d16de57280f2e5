"""Whether a model was trained on the series that it is scored on, by its fingerprints and its sketch.

C channels, L steps of a series.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tsfm.contamination.resolutions import monthly_series
from tsfm.contamination.sketch import SKETCH_FILE, Sketch
from tsfm.contamination.sketch_files import find_sketch
from tsfm.fingerprint import fingerprint
from tsfm.model.checkpoint import find, read_config

if TYPE_CHECKING:
    from jaxtyping import Real

MAX_NAMED = 5  # series that a message names


@dataclass(frozen=True)
class Verdict:
    """The result of the leak check of a model and some series.

    `zero_shot` is None where it is unknown, and `reason` says why.
    """

    zero_shot: bool | None
    reason: str = ""
    seen: tuple[str, ...] = ()  # the series that occur in its training data, with details
    num_series: int = 0
    num_indistinct: int = 0  # series too short, smooth or regular to be recognised

    @property
    def word(self) -> str:
        """Return "true", "false" or "unknown"."""
        return {True: "true", False: "false", None: "unknown"}[self.zero_shot]

    def row(self) -> dict[str, Any]:
        """Return the columns of a result row: zero_shot, and counts where they are not 0."""
        columns: dict[str, Any] = {"zero_shot": self.word}
        if self.num_indistinct:
            columns["indistinct_series"] = self.num_indistinct
        if self.seen:
            columns |= {"seen_series": len(self.seen), "seen": list(self.seen[:MAX_NAMED])}
        return columns

    def __str__(self) -> str:
        if self.zero_shot is None:
            return f"whether it is zero-shot is unknown: {self.reason}"
        if self.zero_shot:
            indistinct = (
                f" ({self.num_indistinct} of {self.num_series} too short, smooth or regular to be recognised)"
                if self.num_indistinct
                else ""
            )
            return f"zero-shot: its training data hold none of the series{indistinct}"
        more = f"; and {len(self.seen) - MAX_NAMED} more" if len(self.seen) > MAX_NAMED else ""
        return (
            f"not zero-shot: of {self.num_series} series it has seen {len(self.seen)}: "
            f"{'; '.join(self.seen[:MAX_NAMED])}{more}"
        )


class TrainingRecord(NamedTuple):
    """What a model directory records of its training data.

    The fingerprints of the series, including those of the weights that training started from, and the sketch; `gap`
    names training data that the sketch does not cover.
    """

    path: Path
    fingerprints: frozenset[str]
    sketch: Sketch | None
    gap: str | None

    @property
    def missing_reason(self) -> str | None:
        """Return why nothing can be decided for any series; None where something can."""
        nothing = self.sketch is None and not self.fingerprints
        return f"{self.path} does not say what it was trained on" if nothing else None


def training_record(model: str | Path) -> TrainingRecord:
    """Return the training record of a model, named as in `tsfm.load`."""
    path = find(model)
    trained = read_config(path).get("about", {}).get("trained_on") or {}
    init = trained.get("init") or {}
    fingerprints = frozenset([*trained.get("fingerprints", ()), *init.get("fingerprints", ())])
    gap = init.get("from", "another model") if init and "sketch" not in init else None
    return TrainingRecord(path, fingerprints, find_sketch(path, trained), gap)


def check_contamination(
    model: str | Path,
    series: Iterable[Real[np.ndarray, "... _"]],
    *,
    names: Sequence[str] | None = None,
    fingerprints: Sequence[str] | None = None,
    timestamps: Callable[[int], np.ndarray] | None = None,
) -> Verdict:
    """Check which series a model has seen in training.

    Parameters
    ----------
    model
        A name or directory, as in `tsfm.load`.
    series
        Arrays [C, L] or [L].
    names
        Of the series, for messages.
    fingerprints
        Of the series, where known: without a sketch the series are then not read.
    timestamps
        A function from the index of a series to the timestamps of its steps; calendar months are then compared too.
    """
    record = training_record(model)
    if record.missing_reason is not None:
        return Verdict(None, record.missing_reason)
    arrays: Iterable[Any] = series
    if fingerprints is None:
        arrays = [np.asarray(array) for array in series]
        fingerprints = [fingerprint(np.atleast_2d(array)) for array in arrays]

    def label(index: int) -> str:
        return repr(str(names[index])) if names is not None else f"series {index}"

    seen = {
        index: f"{label(index)} is one of its training series"
        for index, digest in enumerate(fingerprints)
        if digest in record.fingerprints
    }
    count, num_indistinct, reason = (
        len(fingerprints),
        0,
        f"{record.path} has no {SKETCH_FILE}, which is needed to recognise copies",
    )
    if record.sketch is not None:
        owners: list[int] = []
        months: set[int] = set()
        matches, _, unknown = record.sketch.search(_with_months(arrays, timestamps, owners=owners, months=months))
        for match in matches:
            index = owners[match.series]
            detail = " by months" if match.series in months else f", channel {match.channel}" if match.channel else ""
            seen.setdefault(index, f"{label(index)}{detail}: {match}")
        count = len(set(owners))
        num_indistinct = len(set(owners) - {owners[position] for position in set(range(len(owners))) - set(unknown)})
        reason = "every series is too short, smooth or regular to be recognised" if num_indistinct == count else ""
        if not reason and record.gap:
            reason = f"its training started from {record.gap}, whose training data {SKETCH_FILE} does not cover"
    if seen:
        return Verdict(False, "", tuple(seen[index] for index in sorted(seen)), count, num_indistinct)
    return Verdict(None if reason else True, reason, (), count, num_indistinct)


def _with_months(
    arrays: Iterable[np.ndarray], timestamps: Callable[[int], np.ndarray] | None, *, owners: list[int], months: set[int]
) -> Iterator[np.ndarray]:
    """Each array, then its calendar months; `owners` gets the index of its array, `months` the positions of months."""
    for index, array in enumerate(arrays):
        owners.append(index)
        yield array
        if timestamps is not None and (monthly := monthly_series(np.atleast_2d(array), timestamps(index))) is not None:
            months.add(len(owners))
            owners.append(index)
            yield monthly
