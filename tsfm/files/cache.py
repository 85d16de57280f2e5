"""The folder of files that can be made again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return the folder of files that can be made again: the value of TSFM_CACHE, else ~/.cache/tsfm."""
    return Path(os.environ.get("TSFM_CACHE") or "~/.cache/tsfm").expanduser()
