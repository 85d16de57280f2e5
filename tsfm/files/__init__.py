"""Files and folders that are written completely or not at all, and locks on folders."""

from tsfm.files.atomic import atomic_file, atomic_folder, write_bytes, write_text
from tsfm.files.cache import cache_folder
from tsfm.files.drafts import draft_path, is_draft, remove_old_drafts
from tsfm.files.errors import HINT, check_folder, explain_write_errors, write_error
from tsfm.files.folders import make_folder, move_folder, recover_folder

__all__ = [
    "HINT",
    "atomic_file",
    "atomic_folder",
    "cache_folder",
    "check_folder",
    "draft_path",
    "explain_write_errors",
    "is_draft",
    "make_folder",
    "move_folder",
    "recover_folder",
    "remove_old_drafts",
    "write_bytes",
    "write_error",
    "write_text",
]
