"""Messages of errors when something cannot be written: what, why, and what to do."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HINT = "or choose another place"  # the end of an error message: an alternative for the user
FULL = (errno.ENOSPC, errno.EDQUOT)
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


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
