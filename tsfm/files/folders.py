"""Make and replace folders so that a crash leaves the old or the new one, under its name."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

from tsfm.files.drafts import remove
from tsfm.files.exchange import exchange_names

OLD = ".{}.tsfm-replaced"  # name of a folder while another takes its place, where two names cannot be exchanged
PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700  # permissions of temporary files and folders


def make_folder(folder: Path) -> None:
    """Make a folder and those above, and flush the new names to the disk."""
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in new:
        sync_folder(path.parent)


def move_folder(draft: Path, path: Path, *, replace: bool = True) -> None:
    """Flush the folder `draft` to the disk and rename it to `path`.

    What only its owner may read in the draft gets the permissions of the draft, see `give_permissions`.

    An old folder at `path` is removed after the new one has its name, and keeps its name if that fails.

    Raises
    ------
    FileExistsError
        When `path` is not an empty folder and `replace` is False, also where another process has just made it.
    """
    for file in sorted(draft.rglob("*")):
        give_permissions(file, like=draft)
        sync_folder(file) if file.is_dir() else sync(file)
    sync_folder(draft)
    recover_folder(path)
    if not path.exists():
        try:
            os.rename(draft, path)
            return sync_folder(path.parent)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
    if not path.is_dir():
        raise FileExistsError(f"{path} is a file; name a folder")
    if not replace and any(path.iterdir()):
        raise FileExistsError(f"{path} exists; choose another name")
    if exchange_names(draft, path):
        old = draft
    else:
        old = path.with_name(OLD.format(path.name))
        _rename_twice(draft, path, old)
    sync_folder(path.parent)
    remove(old)


def _rename_twice(draft: Path, path: Path, old: Path) -> None:
    """Put a draft in the place of a folder; a kill between the renames is repaired by `recover_folder`."""
    remove(old)
    os.rename(path, old)
    try:
        os.rename(draft, path)
    except BaseException:
        os.rename(old, path)
        raise


def recover_folder(path: Path) -> None:
    """Give a folder its name back if a process was killed while it replaced the folder.

    Readers of folders that `atomic_folder` writes call it. It does nothing where the folder exists, and is needed only
    on systems that cannot exchange two names at once.
    """
    old = path.with_name(OLD.format(path.name)) if path.name else path
    if not path.exists() and old.is_dir():
        with suppress(OSError):
            os.rename(old, path)


def give_permissions(path: Path, *, like: Path) -> None:
    """Give a file or folder that only its owner may read the permissions of `like`, which was made with the umask.

    Libraries that write to a temporary file of their own leave such files (`tempfile.mkstemp`).
    """
    mode = stat.S_IMODE(path.lstat().st_mode)
    if mode == (PRIVATE_FOLDER if path.is_dir() else PRIVATE_FILE) and not path.is_symlink():
        path.chmod(stat.S_IMODE(like.stat().st_mode) & (0o777 if path.is_dir() else 0o666))


def sync(file: Path) -> None:
    """Wait until the content of a file is on the disk."""
    with open(file, "rb+") as content:
        os.fsync(content.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where the system can do that."""
    with suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
