"""All or nothing on disk: where the cache is, what may be replaced, how a folder takes its name, what errors mean."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tsfm.store.manifest import MANIFEST


def cache_folder() -> Path:
    """Where stores and flat files made from other files are kept: TSFM_CACHE, else ~/.cache/tsfm."""
    return Path(os.environ.get("TSFM_CACHE") or "~/.cache/tsfm").expanduser()


def check_target(path: Path, *, overwrite: bool) -> None:
    """Refuse to replace a store without `overwrite`, and anything that is not a store at all."""
    above = next((folder for folder in path.parents if folder.exists()), None)
    if above is not None and not above.is_dir():
        raise NotADirectoryError(f"store {path} would lie below {above}, which is a file; choose another folder")
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not (path / MANIFEST).is_file():
        raise FileExistsError(f"{path} exists and is not a store; choose another name, it will not be replaced")
    if not overwrite:
        raise FileExistsError(f"store {path} exists; use overwrite=True (--overwrite) to replace it, or another name")


def beside(path: Path, role: str) -> Path:
    """A hidden name of its own in the same folder, so that a rename stays on one file system."""
    return path.parent / f".{path.name}.{role}-{uuid.uuid4().hex[:8]}"


def put_in_place(temp: Path, path: Path, *, overwrite: bool) -> None:
    """Rename the finished folder `temp` to `path`; an old store there is removed only after the new one stands."""
    check_target(path, overwrite=overwrite)
    if not path.exists():
        try:
            os.rename(temp, path)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        check_target(path, overwrite=overwrite)  # another process has put one there in this moment
    old = beside(path, "old")
    os.rename(path, old)
    try:
        os.rename(temp, path)
    except BaseException:
        os.rename(old, path)
        raise
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def clear_errors(path: Path) -> Iterator[None]:
    """Say what a full disk or a forbidden folder means for the store at `path`."""
    try:
        yield
    except (FileExistsError, NotADirectoryError):
        raise
    except PermissionError as error:
        why = f"{error.strerror}: {error.filename}" if error.filename else error.strerror or error
        raise PermissionError(f"no permission to write store {path} ({why}); choose another folder") from None
    except OSError as error:
        if error.errno == errno.ENOSPC or "No space left" in str(error):
            message = f"the disk is full: store {path} was not written and nothing of it was kept; free some space"
            raise OSError(errno.ENOSPC, f"{message}, or choose another folder") from None
        message = f"store {path} was not written and nothing of it was kept ({error})"
        raise OSError(error.errno or errno.EIO, message) from None
