"""Read one case through both readers, and judge what came of it."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import shutil
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.fuzz.cases import EITHER, READ, REFUSE, Case
from tests.fuzz.content import Content, Reading, difference, step_times
from tsfm.infer.frames import read_frame
from tsfm.store.ingest import ingest
from tsfm.store.read_table import read_table
from tsfm.store.series_store import SeriesStore

OK, REFUSED, ANNOUNCED, WRONG, FOREIGN, UNREAD, ACCEPTED = (
    "read right", "refused", "read and announced", "SILENTLY WRONG", "FOREIGN ERROR", "REFUSED A GOOD INPUT",
    "ACCEPTED A BAD INPUT",
)  # fmt: skip
FAULTS = (WRONG, FOREIGN, UNREAD, ACCEPTED)
ANNOUNCED_BY = {  # kind of a difference -> the notes that say it
    "from 1": "moved to the|dates are read as|numbers such as",
    "from 2": "moved to the|dates are read as|numbers such as",
    "no step at": "moved to the|dates are read as|numbers such as",
    "frequency": "moved to the|dates are read as|numbers such as",
    "channels": "not used|was ignored|without a timestamp column the rows of each item are numbered",
    "start": "begin in 1970",
    "items": (
        "was taken as item_id|is read as the item id|so all rows are one series|are covariates, because|"
        "is not UTF-8 and was read as|the series are named after their lines|not used, because not numeric"
    ),
    "zone": "read as local days without a zone",
    "labels": "is not UTF-8 and was read as",
    "": r"column '.*': .* is read as",
}
TEXT_OPTIONS, SERIES_FILES = ("sep", "decimal", "encoding"), (".ts", ".tsf", ".arff")


@dataclass
class Outcome:
    """What came of a case at one door."""

    door: str
    verdict: str
    message: str = ""


def run(case: Case, folder: Path) -> list[Outcome]:
    """Read a case with `ingest`, and tables also as the DataFrame verbs and the file verbs do."""
    source = case.source
    if case.name:
        source = folder / case.name
        source.write_bytes(case.source)
    outcomes = [_outcome("ingest", case, lambda: _ingested(source, folder, case))]
    if not case.name.endswith(SERIES_FILES) and not case.kind.startswith("ucr"):
        outcomes.append(_outcome("verbs", case, lambda: _framed(source, case)))
    if case.name:
        source.unlink()
    return outcomes


def _outcome(door: str, case: Case, read: Any) -> Outcome:
    try:
        with _quiet():
            reading = read()
    except ValueError as error:
        if type(error) is not ValueError and not type(error).__module__.startswith(
            "tsfm."
        ):  # a UnicodeError or a JSONDecodeError is not ours
            return Outcome(door, FOREIGN, f"{type(error).__name__}: {error}")
        must_read = case.must == READ
        return Outcome(door, UNREAD if must_read else REFUSED, str(error))
    except Exception as error:  # noqa: BLE001  that is what is searched
        return Outcome(door, FOREIGN, f"{type(error).__name__}: {error}")
    return _judged(door, case, reading)


def _judged(door: str, case: Case, reading: Reading) -> Outcome:
    if case.must == REFUSE:
        return Outcome(door, ACCEPTED, f"notes: {reading.notes}")
    if case.content is None:
        is_announced = any(re.search("|".join(ANNOUNCED_BY.values()), note) for note in reading.notes)
        return Outcome(door, ANNOUNCED if is_announced else WRONG, f"a strict reader refuses it; {reading.notes}")
    content = case.content
    if content.items and next(iter(content.items)).startswith("/"):  # named after the file
        content = Content(
            {name: content.items[key] for name, key in zip(reading.items, content.items, strict=False)},
            None,
            content.labels,
        )
    if not case.has_ids and len(content.items) == len(reading.items) == 1:
        content = Content(dict(zip(reading.items, content.items.values(), strict=True)), content.freq)
    problem = difference(content, reading)
    if problem is None:
        return Outcome(door, OK)
    return Outcome(door, ANNOUNCED if _is_announced(problem, case, reading) else WRONG, f"{problem}; {reading.notes}")


def _is_announced(problem: str, case: Case, reading: Reading) -> bool:
    """Whether a note says what was read in another way than the content says."""
    kind = next((kind for kind in ANNOUNCED_BY if kind in problem), "")
    if case.must != EITHER or (kind == "channels" and "damaged" not in case.kind):
        return False
    return any(re.search(ANNOUNCED_BY[kind], note) for note in reading.notes)


def _ingested(source: Any, folder: Path, case: Case) -> Reading:
    try:
        report = ingest(source, folder / "store", progress=False, overwrite=True, **case.options)
        store = SeriesStore.open(folder / "store")
        reading = Reading(notes=report.notes)
        if "label" in store.static:
            reading.labels = [f"{name:g}" if isinstance(name, float) else str(name) for name in store.static["label"]]
        if any(name.startswith("pytz") for name in [store.manifest.timezone or ""]):
            raise AssertionError(f"no name of a time zone: {store.manifest.timezone}")
        order = _channel_order(store.channels, case)
        for i, name in enumerate(store.ids):
            start, freq = store.starts[i], store.freqs[i]
            zone = store.manifest.timezone
            utc = not freq.isdigit() and _is_short(freq)
            times = step_times(start, freq, int(store.lengths[i]), zone=zone, utc=utc)
            reading.items[name], reading.freqs[name] = (times, store.read(i)[order]), freq
        return reading
    finally:
        shutil.rmtree(folder / "store", ignore_errors=True)


def _is_short(freq: str) -> bool:
    return freq.lstrip("0123456789") in ("h", "min", "s", "ms", "us", "ns", "Hz")


def _channel_order(channels: list[str], case: Case) -> list[int]:
    odd = [name for name in channels if name not in case.names]  # at most one whose name was damaged
    absent = [name for name in case.names if name not in channels]
    if not case.names or len(odd) != len(absent):
        return list(range(len(channels)))
    names = {**dict(zip(absent, odd, strict=True))}
    return [channels.index(names.get(name, name)) for name in case.names]


def _framed(source: Any, case: Case) -> Reading:
    options = dict(case.options)
    notes: list[str] = []
    if isinstance(source, Path):
        source = read_table(source, notes=notes, **{key: options.pop(key) for key in TEXT_OPTIONS if key in options})
    frame = read_frame(source, prediction_length=1, **options)
    reading = Reading(notes=notes + frame.announcements)
    order = _channel_order([*frame.targets, *frame.past_names], case)
    for item, name in zip(frame, frame.ids, strict=True):
        values = np.concatenate([item.original, item.past]).astype(np.float32)[order]
        zone = frame.timestamps.zone
        times = step_times(item.start, item.freq, values.shape[1], zone=zone, utc=item.utc)
        reading.items[str(name)], reading.freqs[str(name)] = (times, values), item.freq
    return reading


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide what is printed, logged and warned."""
    logger = logging.getLogger("tsfm")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


__all__ = ["EITHER", "FAULTS", "Outcome", "replace", "run"]
