"""Read files that others may have written: kind, size, nesting and number of values are bounded before memory is taken.

The limits are far above what tsfm writes. A file within them takes at most about 1 GiB of memory while it is parsed.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

MAX_TEXT_BYTES = 64 * 2**20  # of a JSON or YAML file; the fingerprints of a million training series have 35 MB
MAX_CONTAINERS = 500_000  # lists and objects in a JSON file

KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


def open_file(path: Path, *, folder: Path | None = None) -> BinaryIO:
    """Open a file to read its bytes, without waiting for a pipe or reading from a device.

    Parameters
    ----------
    path
        The file.
    folder
        The folder that it belongs to: a link that leads out of it is refused. None: links are followed.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If it is not a regular file, or a link out of its folder.
    """
    if folder is not None:
        check_inside(path, folder)
    _check_kind(path, os.stat(path).st_mode)
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        _check_kind(path, os.fstat(descriptor).st_mode)  # again: it may have been replaced since
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _check_kind(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = KINDS.get(stat.S_IFMT(mode), "not a regular file")
        raise ValueError(f"{path} is {kind}; expected a file: copy it again")


def check_inside(path: Path, folder: Path) -> None:
    """Refuse a link that leads out of the folder it belongs to.

    A download of a model hub is a folder of links to the files of the same repository, `snapshots/<revision>/<name>` to
    `blobs/<digest>`; those are followed.

    Raises
    ------
    ValueError
        With the link and where it leads.
    """
    if not path.is_symlink():
        return
    try:
        target, root = path.resolve(), folder.resolve()
    except (OSError, RuntimeError):  # a loop of links
        raise ValueError(f"{path} is a link to itself; copy the file again") from None
    if root.parent.name == "snapshots":
        root = root.parent.parent
    if not target.is_relative_to(root):
        raise ValueError(f"{path} is a link out of its folder, to {target}; copy the file there instead")


def read_small(path: Path, *, folder: Path | None = None, max_bytes: int = MAX_TEXT_BYTES) -> bytes:
    """Return the bytes of a file; arguments and errors as in `open_file`.

    Raises
    ------
    ValueError
        If it has more than `max_bytes`.
    """
    with open_file(path, folder=folder) as file:
        content = file.read(min(os.fstat(file.fileno()).st_size, max_bytes) + 1)  # a buffer of that size is made
    if len(content) > max_bytes:
        raise ValueError(f"{path} has more than {max_bytes:,} bytes, which tsfm never writes; copy it again")
    return content


def parse_json(text: str) -> Any:
    """Return the content of a JSON text.

    Raises
    ------
    ValueError
        If it is not JSON, is nested too deeply or has too many lists and objects; the message does not name the file.
    """
    if text.count("[") + text.count("{") > MAX_CONTAINERS:  # those within texts count, too
        raise ValueError(f"it has more than {MAX_CONTAINERS:,} lists and objects")
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
