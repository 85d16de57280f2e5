"""A lock on a folder that a living process holds, and that ends with the process however it ends."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tsfm.files.folders import make_folder

log = logging.getLogger("tsfm")

LOCK = ".lock"
ATTEMPTS = 100
_held: set[int] = set()  # descriptors of this process; a forked child closes its copies


class FolderInUseError(ValueError):
    """Another process holds the lock of a folder."""


@contextmanager
def locked(folder: Path, *, wait: bool = False, advice: str = "") -> Iterator[bool]:
    """Hold the lock of a folder, which must exist, during the `with` block.

    The lock is a lock of the system on the file `.lock` in the folder (`flock`), which is removed afterwards. A process
    that is killed leaves the file, and no lock.

    Parameters
    ----------
    folder
        Existing folder.
    wait
        Whether to wait until another process releases the lock.
    advice
        The end of the error message: what to do instead.

    Yields
    ------
    bool
        False where the file system has no locks, so that another process may have the folder as well.

    Raises
    ------
    FolderInUseError
        If another process, or another block of this one, holds the lock; the message names it.
    """
    file = folder / LOCK
    descriptor, is_alone = _acquire(file, wait=wait)
    if descriptor is None:
        owner = _owner(file)
        raise FolderInUseError(f"{folder} is in use by {owner}; wait until it has ended{advice}")
    _held.add(descriptor)
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode())
        yield is_alone
    finally:
        with suppress(OSError):
            file.unlink()  # before it is released: who waits for it opens the path again
        _held.discard(descriptor)
        os.close(descriptor)


def is_locked(folder: Path) -> bool:
    """Return whether a living process holds the lock of a folder; nothing is changed."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return False
    try:
        return _lock(descriptor, wait=False) is False
    finally:
        os.close(descriptor)


@contextmanager
def claimed_folder(folder: Path, *, advice: str = "") -> Iterator[None]:
    """Hold the lock of a folder, which is made if need be; it is removed again if it is empty afterwards.

    Raises
    ------
    FolderInUseError
        As in `locked`.
    """
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        with ExitStack() as stack:
            enter_lock(stack, folder, make=lambda: make_folder(folder), advice=advice)
            yield
    finally:
        for path in new:
            with suppress(OSError):
                path.rmdir()


def enter_lock(
    stack: ExitStack, folder: Path, *, make: Callable[[], None], wait: bool = False, advice: str = ""
) -> bool:
    """Make a folder and hold its lock until the stack is closed, as `locked` does.

    Another process that made the folder may remove it at any moment, as long as no process has the lock; then it is
    made again.

    Parameters
    ----------
    make
        Makes the folder if it does not exist.
    """
    for _ in range(ATTEMPTS):
        with suppress(FileNotFoundError):
            make()
            return stack.enter_context(locked(folder, wait=wait, advice=advice))
    raise FileNotFoundError(f"{folder} is removed again and again by another process; choose another folder")


def _acquire(file: Path, *, wait: bool) -> tuple[int | None, bool]:
    """Return a descriptor of the locked file, or None if another process holds the lock; and whether it has a lock."""
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        try:
            has_lock = _lock(descriptor, wait=wait)
            if has_lock is False:
                os.close(descriptor)
                return None, True
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), os.stat(file)):
                    return descriptor, has_lock is True
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its owner has removed the file meanwhile


def _lock(descriptor: int, *, wait: bool) -> bool | None:
    """Return whether the process has the lock; None, with a warning, where the file system has no locks."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        log.warning("the file system has no locks (%s): nothing prevents that two processes share a folder", error)
        return None
    return True


def _owner(file: Path) -> str:
    with suppress(OSError):
        if text := file.read_text(encoding="utf-8", errors="replace").strip():
            return text[:100]
    return "another process"


def _release_in_child() -> None:
    """Close the copies that a forked child has: they would keep the lock after its process has ended."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_release_in_child)
