"""Read one case through both readers, and judge what came of it."""

from __future__ import annotations

import contextlib
import io
import logging
import shutil
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.fuzz.announced import announced
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
    contents = [_with_names(content, case, reading) for content in (case.content, *case.others) if content is not None]
    if case.content is not None and difference(contents[0], reading) is None and not contents[0].notes:
        return Outcome(door, OK)
    problem = announced(contents, reading)
    if problem is None and case.must == EITHER:
        return Outcome(door, ANNOUNCED, f"{reading.notes}")
    return Outcome(door, WRONG, f"{problem}; {reading.notes}")


def _with_names(content: Content, case: Case, reading: Reading) -> Content:
    """Return the content with the names of items that an input does not have, as the reading has them."""
    is_single = len(content.items) == len(reading.items) == 1
    one_series = any("so all rows are one series" in note for note in reading.notes)
    if content.items and next(iter(content.items)).startswith("/"):  # named after the file
        names = zip(reading.items, content.items, strict=False)
        return replace(content, items={name: content.items[key] for name, key in names})
    if is_single and (not case.has_ids or one_series):
        return replace(content, items=dict(zip(reading.items, content.items.values(), strict=True)))
    return content


def _ingested(source: Any, folder: Path, case: Case) -> Reading:
    try:
        report = ingest(source, folder / "store", progress=False, overwrite=True, **case.options)
        store = SeriesStore.open(folder / "store")
        reading = Reading(notes=report.notes)
        reading.zoned = store.manifest.timezone is not None
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
    if case.names and not odd:  # a covariate that is not used
        return [channels.index(name) for name in case.names if name in channels]
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
    reading = Reading(notes=notes + frame.announcements, zoned=frame.timestamps.zone is not None)
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
