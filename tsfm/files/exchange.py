"""Exchange the names of two folders at once, where the system can do that (Linux, macOS)."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

RENAME_EXCHANGE = 2  # of renameat2(2), Linux
RENAME_SWAP = 2  # of renamex_np(2), macOS
AT_FDCWD = -100  # Linux: paths are relative to the current folder
MISSING = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP)  # the system or the file system cannot do it


def exchange_names(first: Path, second: Path) -> bool:
    """Give each of two paths what the other one named; False if the system cannot do that, and nothing changed.

    Raises
    ------
    OSError
        If one of the paths does not exist or may not be changed.
    """
    function = _system_function()
    if function is None:
        return False
    sys.audit("os.rename", str(first), str(second), -1, -1)  # what os.rename reports
    names = os.fsencode(first), os.fsencode(second)
    if sys.platform == "darwin":
        status = function(*names, RENAME_SWAP)
    else:
        status = function(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE)
    if status == 0:
        return True
    number = ctypes.get_errno()
    if number in MISSING:
        return False
    raise OSError(number, os.strerror(number), str(second))


@lru_cache
def _system_function() -> Any | None:
    """Return the function of the C library; None if there is none."""
    name = {"linux": "renameat2", "darwin": "renamex_np"}.get(sys.platform)
    if name is None:
        return None
    try:
        function = getattr(ctypes.CDLL(None, use_errno=True), name)
    except (OSError, AttributeError):
        return None
    path, number = ctypes.c_char_p, ctypes.c_int
    function.argtypes = (
        [path, path, ctypes.c_uint] if sys.platform == "darwin" else [number, path, number, path, ctypes.c_uint]
    )
    return function
