"""Write files and folders completely or not at all.

A draft is written next to the target, flushed to the disk and renamed, so that an interrupted write leaves the old
content and no reader ever sees half of the new one. Drafts of killed processes are removed a day later, when something
is written next to them.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tsfm.files.drafts import draft_path, remove, remove_old_drafts
from tsfm.files.errors import HINT, explain_write_errors
from tsfm.files.folders import PRIVATE_FILE, give_permissions, make_folder, move_folder, sync, sync_folder


def write_text(path: str | Path, text: str, *, hint: str = HINT) -> None:
    """Write a text file in UTF-8 completely or not at all.

    Bytes of the command line that Python could not decode, as where the locale is C, are written as they were.
    """
    with atomic_file(path, hint=hint) as draft:
        draft.write_text(text, encoding="utf-8", errors="surrogateescape")


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
            make_folder(path.parent)
            remove_old_drafts(path.parent)
            yield draft
            _give_umask(draft)
            sync(draft)
            os.replace(draft, path)
            sync_folder(path.parent)
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
            make_folder(path.parent)
            remove_old_drafts(path.parent)
            draft.mkdir()
            yield draft
            move_folder(draft, path)
        finally:
            remove(draft)


def _give_umask(draft: Path) -> None:
    """Give a file that only its owner may read the permissions that the umask gives a new file."""
    if stat.S_IMODE(draft.stat().st_mode) != PRIVATE_FILE:
        return
    new = draft_path(draft)
    try:
        new.touch(exist_ok=False)
        give_permissions(draft, like=new)
    finally:
        new.unlink(missing_ok=True)
