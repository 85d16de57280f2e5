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
MAX_YAML_BYTES = 2**20  # YAML is parsed in Python, about 100 kB a second
MAX_YAML_NODES = 200_000  # values of a YAML file, each alias counted as what it stands for

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


def parse_yaml(text: str) -> Any:
    """Return the content of a YAML text of plain values.

    Raises
    ------
    ValueError
        If it is not YAML, is nested too deeply, refers to itself or has too many values; the file is not named.
    """
    import yaml

    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            _check_size(node)
            return None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except yaml.YAMLError as error:
        raise ValueError(f"it is not YAML: {' '.join(str(error).split())}") from None


def check_expanded_yaml(text: str) -> None:
    """Refuse a YAML text whose aliases stand for too many values (of a few lines, for billions).

    Raises
    ------
    ValueError
        As in `parse_yaml`; other errors are left to who reads it.
    """
    import yaml

    if "*" not in text:  # it has no alias
        return
    try:
        _check_size(yaml.compose(text, Loader=yaml.SafeLoader))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except yaml.YAMLError:
        return


def _check_size(node: Any) -> None:
    """Raise a ValueError if a node of YAML has more than MAX_YAML_NODES nodes, or itself among them."""
    import yaml

    sizes: dict[int, int | None] = {}  # by the identity of a node; None while it is counted

    def count(node: Any) -> int:
        key = id(node)
        if key not in sizes:
            sizes[key] = None
            children = node.value if isinstance(node, yaml.CollectionNode) else []
            if isinstance(node, yaml.MappingNode):
                children = [child for pair in children for child in pair]
            sizes[key] = 1 + sum(count(child) for child in children)
        size = sizes[key]
        if size is None:
            raise ValueError("an alias in it refers to itself")
        if size > MAX_YAML_NODES:
            raise ValueError(f"it has more than {MAX_YAML_NODES:,} values, with what its aliases stand for")
        return size

    if node is not None:
        count(node)
