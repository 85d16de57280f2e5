"""Kill a command at every file-system event.

An event is a change of the file system below a folder: opening a file for writing, renaming, making or removing a file
or folder, and flushing to the disk. A command runs in a forked process that ends before its k-th event, without any
clean-up, as after SIGKILL. As after a power cut, files may also lose half of what was written since they were flushed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
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
