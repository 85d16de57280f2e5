"""Run many cases in forked processes with limits on time and memory, and say how each ended."""

from __future__ import annotations

import json
import os
import resource
import signal
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SECONDS, EXTRA_BYTES = 20, 2 * 2**30  # CPU time of a case; memory beyond what the process has when it is forked
BATCH = 50  # cases in one process
EXPLAINED = (ValueError, FileNotFoundError, FloatingPointError, OSError)  # whose message is for the user


class TooSlowError(BaseException):
    """A case took more than its time."""


@dataclass
class Outcomes:
    """How the cases ended: `same`, `error`, or what is wrong, with the names of the cases."""

    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def add(self, name: str, kind: str, detail: str) -> None:
        self.counts[kind] += 1
        if kind not in ("same", "error"):
            self.wrong.append(f"{kind}: {name}: {detail}")


def run_cases(cases: Sequence[tuple[str, Callable[[], Any]]], *, expected: Any, canary: Path) -> Outcomes:
    """Run every case, whose result must be `expected`, or an error in words.

    Parameters
    ----------
    cases
        A name, and a function that returns plain values.
    expected
        The result without damage.
    canary
        A file that hostile content would make if it were run.
    """
    outcomes = Outcomes()
    first = 0
    while first < len(cases):
        done = _run_batch(cases[first : first + BATCH], expected, canary)
        for name, kind, detail in done:
            outcomes.add(name, kind, detail)
        first += len(done)
    return outcomes


def _run_batch(cases: Sequence[tuple[str, Callable[[], Any]]], expected: Any, canary: Path) -> list[tuple]:
    """Run cases in one forked process until all are done or it dies; the case that killed it is the last."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            _limit()
            with os.fdopen(writing, "w") as answers:
                for name, case in cases:
                    answers.write(json.dumps([name, *_outcome(case, expected, canary)]) + "\n")
                    answers.flush()
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answers:
        done = [tuple(json.loads(line)) for line in answers]
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if len(done) < len(cases):
        done.append((cases[len(done)][0], "killed", f"the process ended with status {status}"))
    return done


def _limit() -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + EXTRA_BYTES,) * 2)

    def too_slow(*_: Any) -> None:
        raise TooSlowError

    signal.signal(signal.SIGPROF, too_slow)  # by CPU time: other processes do not count
    signal.signal(signal.SIGALRM, too_slow)  # what waits for ever takes none


def _outcome(case: Callable[[], Any], expected: Any, canary: Path) -> tuple[str, str]:
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.alarm(30 * SECONDS)
    try:
        result = case()
        kind, detail = ("same", "") if result == expected else ("different", repr(result)[:200])
    except TooSlowError:
        kind, detail = "slow", "".join(traceback.format_exc().splitlines()[-3:])
    except MemoryError:
        kind, detail = "memory", ""
    except EXPLAINED as error:
        kind, detail = ("error", "") if in_words(error) else ("wordless", repr(error)[:200])
    except BaseException:  # noqa: BLE001  reported
        kind, detail = "foreign", " / ".join(traceback.format_exc().splitlines()[-6:])
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
    return ("executed", detail) if canary.exists() else (kind, detail)


def in_words(error: BaseException) -> bool:
    """Whether an error was raised by tsfm, which explains what is wrong, and not by a library below it."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{os.sep}tsfm{os.sep}" in frames[-1].filename and " " in str(error)
