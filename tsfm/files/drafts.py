"""Drafts: hidden files and folders next to the target of a write, whose rename completes it."""

from __future__ import annotations

import os
import re
import shutil
import time
import uuid
from contextlib import suppress
from pathlib import Path

DAY = 86_400.0
DRAFT = re.compile(r"\..+\.tsfm-[0-9a-f]{8}(\.[^.]*)?")


def draft_path(path: Path) -> Path:
    """Return a new hidden name in the folder of `path`, with the same suffix, from which a rename is atomic."""
    return path.with_name(f".{path.name}.tsfm-{uuid.uuid4().hex[:8]}{path.suffix}")


def is_draft(path: Path) -> bool:
    """Whether a path has the name of a draft."""
    return DRAFT.fullmatch(path.name) is not None


def remove_old_drafts(folder: Path, *, seconds: float = DAY) -> list[Path]:
    """Remove the drafts in a folder in which nothing was written for some seconds, and return them.

    Parameters
    ----------
    folder
        Its own entries are looked at, not those of folders below.
    seconds
        By default a day, so that a draft of a living process stays.
    """
    removed = []
    with suppress(OSError), os.scandir(folder) as entries:
        for draft in [Path(entry.path) for entry in entries if DRAFT.fullmatch(entry.name)]:
            with suppress(OSError):
                entries_below = [draft, *(draft.rglob("*") if draft.is_dir() and not draft.is_symlink() else ())]
                if time.time() - max(entry.lstat().st_mtime for entry in entries_below) > seconds:
                    remove(draft)
                    removed.append(draft)
    return removed


def remove(path: Path) -> None:
    """Remove a file, a link or a folder; what cannot be removed stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)
