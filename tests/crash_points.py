"""Kill a command at every file-system event.

An event is a change of the file system below a folder: opening a file for writing, renaming, making or removing a file
or folder, and flushing to the disk. A command runs in a forked process that ends before its k-th event, without any
clean-up, as after SIGKILL. As after a power cut, files may also lose half of what was written since they were flushed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

Command = Callable[[], Any]
CHANGES = ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate", "os.link", "os.symlink")
WRITES = os.O_CREAT | os.O_TRUNC | os.O_APPEND
KILLED, FAILED = 137, 70


class Recorder:
    """Counts the events of this process below a folder, and ends the process before the k-th."""

    def __init__(self, root: Path, *, kill_at: int | None, power_cut: bool):
        self.root, self.kill_at, self.power_cut = os.path.realpath(root), kill_at, power_cut
        self.events: list[str] = []
        self.flushed: dict[int, tuple[int, int]] = {}  # of an inode: size and time when it was flushed
        self.before = {file.stat().st_ino: state(file) for file in files(Path(self.root))}
        self.is_busy = False

    def install(self) -> None:
        flush = os.fsync

        def fsync(number: int) -> None:  # nothing is lost by a kill, so the disk is not waited for
            path = os.readlink(f"/proc/self/fd/{number}")
            self.add("fsync", path)
            self.flushed[os.fstat(number).st_ino] = state(Path(path))

        assert flush is not fsync
        os.fsync = fsync
        sys.addaudithook(self.hook)

    def hook(self, name: str, args: tuple[Any, ...]) -> None:
        if self.is_busy:
            return
        if name == "open" and isinstance(args[2], int) and args[2] & WRITES:
            self.add("open", args[0])
        elif name in CHANGES and changes(name, args[0]):
            self.add(name.removeprefix("os."), args[0])

    def add(self, name: str, path: Any) -> None:
        if not isinstance(path, (str, bytes, os.PathLike)):
            return
        target = os.path.abspath(os.fsdecode(path))
        if target != self.root and not target.startswith(self.root + os.sep):
            return
        if self.kill_at == len(self.events):
            self.is_busy = True
            if self.power_cut:
                self.lose()
            os._exit(KILLED)
        self.events.append(f"{name} {os.path.relpath(target, self.root)}")

    def lose(self) -> None:
        """Cut files whose present content is not on the disk."""
        for file in files(Path(self.root)):
            number = file.stat().st_ino
            known = self.flushed.get(number) or self.before.get(number) or (0, 0)
            if state(file) != known:
                kept = min(known[0], file.stat().st_size)
                os.truncate(file, kept + (file.stat().st_size - kept) // 2)


def changes(name: str, path: Any) -> bool:
    """Whether a call changes something: a folder that exists is not made, and a file that is missing not removed."""
    return not isinstance(path, int) and os.path.lexists(path) == (name != "os.mkdir")


def files(root: Path) -> Iterator[Path]:
    return (path for path in root.rglob("*") if path.is_file() and not path.is_symlink())


def state(file: Path) -> tuple[int, int]:
    return file.stat().st_size, file.stat().st_mtime_ns


def run(command: Command, root: Path, *, kill_at: int | None = None, power_cut: bool = False) -> list[str] | None:
    """Run a command in a forked process; return its events, or None if it was killed.

    Raises
    ------
    AssertionError
        If the command failed; the message is its traceback.
    """
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os.close(reading)
        status = FAILED
        try:
            signal.alarm(120)  # a forked process that waits for ever would make the tests wait for ever
            recorder = Recorder(root, kill_at=kill_at, power_cut=power_cut)
            recorder.install()
            command()
            message, status = json.dumps(recorder.events), 0
        except BaseException:  # noqa: BLE001  reported to the parent
            message = traceback.format_exc()
        recorder.is_busy = True  # type: ignore[possibly-unbound]
        with os.fdopen(writing, "w") as answer:
            answer.write(message)
        os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as answer:
        message = answer.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, KILLED), f"status {status}: {message}"
    return json.loads(message) if status == 0 else None


def every(events: list[str]) -> Iterable[int]:
    return range(len(events))


def some(count: int) -> Callable[[list[str]], Iterable[int]]:
    """So many points, spread over the first event of each kind and file."""

    def choose(events: list[str]) -> Iterable[int]:
        named = [re.sub(r"tsfm-[0-9a-f]{8}", "tsfm-", event) for event in events]
        first = sorted({event: number for number, event in reversed(list(enumerate(named)))}.values())
        step = max(1, len(first) // count)
        return first[step // 2 :: step][:count]

    return choose


def survive(
    name: str,
    command: Command,
    root: Path,
    outcome: Callable[[], Any],
    *,
    at: Callable[[list[str]], Iterable[int]] = every,
    begin: Callable[[], Any] | None = None,
    killed: Callable[[], Any] | None = None,
) -> int:
    """Kill a command at its events, by turns as SIGKILL and as a power cut, and repeat it each time.

    Parameters
    ----------
    name
        Of the command, for the line that is printed.
    command
        Writes below `root`.
    outcome
        Reads what the command left; after a kill and a repetition it is the same as without a kill.
    at
        Chooses the numbers of the events.
    begin
        Brings `root` to its state before the command; None: it does not exist.
    killed
        Checks what a killed command left, before it is repeated.

    Returns
    -------
    int
        How many times the command was killed.
    """
    start = time.perf_counter()

    def begins() -> None:
        shutil.rmtree(root, ignore_errors=True)
        if begin is not None:
            begin()

    begins()
    events = run(command, root)
    assert events is not None
    expected = outcome()
    numbers = list(at(events))
    for number in numbers:
        begins()
        assert run(command, root, kill_at=number, power_cut=number % 2 == 1) is None, f"no event {number}"
        try:
            if killed is not None:
                killed()
            run(command, root)
            compare(outcome(), expected)
        except Exception as error:
            raise AssertionError(f"{name}, killed before event {number}, {events[number]}: {error}") from error
    seconds = time.perf_counter() - start
    print(f"{name}: {len(events)} events, killed and survived at {len(numbers)}, {seconds:.0f} s", flush=True)
    return len(numbers)


def compare(result: Any, expected: Any) -> None:
    if isinstance(expected, dict) and isinstance(result, dict):
        for key in expected:
            assert result.get(key) == expected[key], (
                f"{key} is {str(result.get(key))[:300]}, not {expected[key]!r:.300}"
            )
    assert result == expected, f"{result!r:.300} instead of {expected!r:.300}"
