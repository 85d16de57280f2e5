"""Whether a model has seen what it is scored on: by the fingerprints and the sketch that lie beside its weights.

C channels, L steps of a series.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tsfm.bench.anomaly import AnomalyConfig, choose
from tsfm.bench.gift import GiftBench, chosen
from tsfm.config import EvalConfig
from tsfm.data.cases import CaseData, CasesConfig
from tsfm.data.catalog import resolve
from tsfm.data.leakage import FILE, Sketch
from tsfm.data.manifest import fingerprint
from tsfm.data.resolutions import tells
from tsfm.model.checkpoint import CONFIG, find, read_config
from tsfm.registry import BASELINES

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

log = logging.getLogger("tsfm")
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
        return f"not zero-shot: of {self.series} series it has seen {len(self.seen)}: {'; '.join(self.seen[:NAMED])}{more}"


def check(
    model: str | Path,
    series: Iterable[Float[np.ndarray, "C L"]],
    *,
    names: Sequence[str] | None = None,
    fingerprints: Sequence[str] | None = None,
) -> Verdict:
    """What a model, named as in `tsfm.load`, has seen of these [C, L] or [L] arrays. `fingerprints` are those of the
    series, where they are known: without a sketch the series are then not read."""
    place = find(model)
    trained = read_config(place).get("about", {}).get("trained_on") or {}
    known = {*trained.get("fingerprints", ()), *(trained.get("init") or {}).get("fingerprints", ())}
    sketch = sketch_of(place, trained)
    told = list(fingerprints) if fingerprints is not None else []
    arrays: Iterable[Any] = series
    if fingerprints is None:
        arrays = list(series)
        told = [fingerprint(array if array.ndim == 2 else array[None]) for array in arrays]

    def label(number: int) -> str:
        return repr(str(names[number])) if names is not None else f"series {number}"

    seen = {number: f"{label(number)} is one of its training series" for number, one in enumerate(told) if one in known}
    if sketch is None:
        why = f"{place} has no {FILE}, so copies of its training data can't be recognised" if known else (
            f"{place} does not say what it was trained on"
        )
        return Verdict(False if seen else None, why, tuple(seen.values()), len(told))
    count, plain = 0, 0

    def counted() -> Iterator[Any]:
        nonlocal count, plain
        for array in arrays:
            count, plain = count + 1, plain + (not tells(array))
            yield array

    for match in sketch.find(counted()):
        channel = f", channel {match.channel}" if match.channel else ""
        seen.setdefault(match.series, f"{label(match.series)}{channel}: {match}")
    reasons = tuple(seen[number] for number in sorted(seen))
    if not seen and plain == count:
        return Verdict(None, "every series is too short or too plain to be recognised", (), count, plain)
    return Verdict(not seen, "", reasons, count, plain)


def sketch_of(place: Path, trained_on: dict[str, Any]) -> Sketch | None:
    """The sketch of what the model in a directory was trained on: beside its weights, or one folder up where several
    models share it, known by its fingerprint. None where the model has none."""
    wanted = trained_on.get("sketch")
    for file in (place / FILE, place.parent / FILE):
        if not file.is_file() or (file.parent != place and wanted is None):
            continue
        sketch = _read(file, file.stat().st_mtime_ns)
        if wanted in (None, sketch.fingerprint):
            return sketch
        if file.parent == place:
            raise ValueError(
                f"{file} has fingerprint {sketch.fingerprint}, and {CONFIG} beside it names {wanted}; copy both from "
                "the same model"
            )
    if wanted is not None:
        raise FileNotFoundError(f"{place} lacks {FILE}, which its {CONFIG} names; copy it there from the same model")
    return None


@lru_cache(maxsize=2)
def _read(file: Path, changed: int) -> Sketch:
    return Sketch.load(file)


def judge(config: EvalConfig) -> Verdict | None:
    """The verdict on what `tsfm eval` is about to score, told in the log; None for a baseline, which saw nothing. What
    was asked to be zero-shot and is not is refused."""
    if config.predictor in BASELINES.names():
        return None
    try:
        find(config.predictor)
    except FileNotFoundError:
        return None  # the bench names what there is
    names, fingerprints, series = scored(config)
    verdict = check(config.predictor, series, names=names, fingerprints=fingerprints)
    if config.zero_shot and verdict.zero_shot is not True:
        advice = (
            "choose other data, or leave zero_shot out to score it all the same"
            if verdict.zero_shot is False
            else "leave zero_shot out to score it all the same, or train it again: tsfm then keeps a sketch"
        )
        raise ValueError(f"zero_shot=true asks for series that {config.predictor} has never seen; {verdict}; {advice}")
    log.info("%s", verdict)
    return verdict


def scored(config: EvalConfig) -> tuple[Sequence[str] | None, Sequence[str] | None, Iterable[Any]]:
    """What an evaluation scores: the names of its series, their fingerprints where they are known, and their values."""
    bench, data = config.bench, config.data
    if isinstance(bench, AnomalyConfig):
        picked = choose(bench)
        return [one.item_id for one in picked], None, [one.values for one in picked]
    if isinstance(bench, GiftBench):
        read = [(entry.name, entry.read()) for entry in chosen(bench.configs)]
        return [name for name, some in read for _ in some], None, [one for _, some in read for one in some]
    if isinstance(data, CasesConfig):
        cases = CaseData(data, seed=config.seed or 0)
        cases.setup()
        split = [(name, each) for name, held in cases.raw.items() for each in held.series]
        return [f"{name} case" for name, _ in split], None, [each for _, each in split]
    store = resolve(data.dataset)
    return store.ids, store.fingerprints, (store.read(i) for i in range(len(store)))
