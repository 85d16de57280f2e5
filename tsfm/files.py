"""Write files and folders completely or not at all, with error messages that name the path and the next step.

A draft is written next to the target, flushed to the disk and renamed, so that an interrupted write leaves the old
content and no reader ever sees half of the new one.
"""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

HINT = "or choose another place"  # the end of an error message: an alternative for the user
FULL = (errno.ENOSPC, errno.EDQUOT)
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


def cache_folder() -> Path:
    """Return the folder of files that can be made again: the value of TSFM_CACHE, else ~/.cache/tsfm."""
    return Path(os.environ.get("TSFM_CACHE") or "~/.cache/tsfm").expanduser()


def draft_path(path: Path) -> Path:
    """Return a new hidden name in the folder of `path`, with the same suffix, from which a rename is atomic."""
    return path.with_name(f".{path.name}-{uuid.uuid4().hex[:8]}{path.suffix}")


def write_text(path: str | Path, text: str, *, hint: str = HINT) -> None:
    """Write a text file in UTF-8 completely or not at all."""
    with atomic_file(path, hint=hint) as draft:
        draft.write_text(text, encoding="utf-8")


def write_bytes(path: str | Path, content: bytes, *, hint: str = HINT) -> None:
    """Write a binary file completely or not at all."""
    with atomic_file(path, hint=hint) as draft:
        draft.write_bytes(content)


@contextmanager
def atomic_file(path: str | Path, *, hint: str = HINT) -> Iterator[Path]:
    """Give the path of a draft to write, which replaces `path` at the end of the `with` block.

    Folders above are made. After an exception `path` is what it was and the draft is removed.

    Raises
    ------
    OSError
        When the file cannot be written; the message names `path`, the reason and the next step, which ends in `hint`.

    Examples
    --------
    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "numbers.csv"
    >>> with atomic_file(target) as draft:
    ...     written = draft.write_text("1,2")
    >>> target.read_text()
    '1,2'
    """
    path = Path(path)
    draft = draft_path(path)
    with explain_write_errors(path, hint=hint):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield draft
            _sync(draft)
            os.replace(draft, path)
            _sync_folder(path.parent)
        finally:
            with suppress(OSError):
                draft.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | Path, *, hint: str = HINT) -> Iterator[Path]:
    """Give an empty draft folder to fill, which replaces the folder `path` at the end of the `with` block.

    Folders above are made. After an exception `path` is what it was and the draft is removed.

    Raises
    ------
    OSError
        As in `atomic_file`.
    """
    path = Path(path)
    draft = draft_path(path)
    with explain_write_errors(path, hint=hint):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            draft.mkdir()
            yield draft
            move_folder(draft, path)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def move_folder(draft: Path, path: Path, *, replace: bool = True) -> None:
    """Flush the folder `draft` to the disk and rename it to `path`.

    An old folder at `path` is removed after the new one has its name, and keeps its name if that fails.

    Raises
    ------
    FileExistsError
        When `path` is not an empty folder and `replace` is False, also where another process has just made it.
    """
    for file in sorted(draft.rglob("*")):
        _sync_folder(file) if file.is_dir() else _sync(file)
    _sync_folder(draft)
    if not path.exists():
        try:
            os.rename(draft, path)
            return _sync_folder(path.parent)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
    if not path.is_dir():
        raise FileExistsError(f"{path} is a file; name a folder")
    if not replace and any(path.iterdir()):
        raise FileExistsError(f"{path} exists; choose another name")
    old = draft_path(path)
    os.rename(path, old)
    try:
        os.rename(draft, path)
    except BaseException:
        os.rename(old, path)
        raise
    _sync_folder(path.parent)
    shutil.rmtree(old, ignore_errors=True)


def _sync(file: Path) -> None:
    """Wait until the content of a file is on the disk."""
    with open(file, "rb+") as content:
        os.fsync(content.fileno())


def _sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where the system can do that."""
    with suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def check_folder(path: Path) -> None:
    """Refuse a path that cannot become a folder because it, or a folder above it, is a file.

    Raises
    ------
    NotADirectoryError
        When there is such a file; the message names it.
    """
    nearest = next(above for above in (path.absolute(), *path.absolute().parents) if above.exists())
    if not nearest.is_dir():
        raise NotADirectoryError(f"{path} cannot be a folder: {nearest.name} is a file; choose another place")


@contextmanager
def explain_write_errors(target: str | Path, *, hint: str = HINT) -> Iterator[None]:
    """Raise an OSError of the `with` block again with the message of `write_error`."""
    try:
        yield
    except OSError as error:
        if error.errno is None and isinstance(error, (FileExistsError, NotADirectoryError)):
            raise  # a check of our own, whose message says all
        raise write_error(target, error, hint=hint) from None


def write_error(target: str | Path, error: OSError, *, hint: str = HINT) -> OSError:
    """Return an error of the same kind whose message says what cannot be written, why, and what to do.

    Parameters
    ----------
    target
        What cannot be written, such as a path or "store <path>".
    error
        What the system raised, or an error that this function returned for a part of the target.
    hint
        The end of the message: an alternative for the user.
    """
    reason = getattr(error, "reason", None) or error.strerror or str(error)
    number, step = error.errno or errno.EIO, "check that path"
    if number in FULL or "No space left" in reason:
        reason, step = "the disk is full", "free some space there"
    elif number in (errno.EEXIST, errno.ENOTDIR):
        reason, step = "a file has the name of a folder that is needed", "move the file"
    elif number in FORBIDDEN:
        step = "make it writable"
    explained = OSError(number, f"cannot write {target} ({reason}); {step}, {hint}")
    explained.reason = reason  # type: ignore[attr-defined]  # for a caller that names a larger target
    return explained
