"""The file of a run's state: written completely or not at all, read without running code from it."""

from __future__ import annotations

import math
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins.io import TorchCheckpointIO
from typing_extensions import override

from tsfm.files import atomic_file
from tsfm.files.bounded import open_file

FOLDER, LAST = "checkpoints", "last.ckpt"
STATE_KEY = "RunCheckpoints"  # of the callback in a state
# before version 0.2 two of Lightning's callbacks wrote states, and the best weights were a file of their own
EARLIER_BEST = "best.ckpt"
EARLIER_KEY = "ModelCheckpoint{"


class RunCheckpointIO(TorchCheckpointIO):
    """How Lightning writes and reads the states of a run."""

    @override
    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a state completely or not at all."""
        with atomic_file(path) as draft:
            torch.save(checkpoint, draft)

    @override
    def load_checkpoint(self, path: Any, map_location: Any = "cpu", weights_only: bool | None = True) -> dict[str, Any]:
        """Read a state; `read_state` describes it."""
        return read_state(Path(path))


def read_state(path: Path) -> dict[str, Any]:
    """Return the state of a run in today's format.

    Only tensors, numbers, texts and containers of them are read; a file that asks for anything else is refused.

    Raises
    ------
    ValueError
        If the file is damaged, is a link, or contains more than data.
    """
    state = _read(path)
    if not {"state_dict", "global_step", "loops", "callbacks"} <= state.keys():
        raise ValueError(f"{path} is not the state of a training run; remove it and the run starts again")
    callbacks = state["callbacks"]
    if not isinstance(callbacks, dict) or not isinstance(state["state_dict"], dict):
        raise _damaged(path, "its entries are of another type")
    if not isinstance(callbacks.get(STATE_KEY), dict):
        try:
            callbacks[STATE_KEY] = _earlier_state(path, state)
        except (KeyError, TypeError, AttributeError) as error:
            raise _damaged(path, f"it has no {error}") from None
        for key in [key for key in callbacks if str(key).startswith(EARLIER_KEY)]:
            del callbacks[key]
    return state


def _read(path: Path) -> dict[str, Any]:
    check_own(path.parent)
    check_own(path)
    _check_archive(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = next((line for line in str(error).splitlines() if "GLOBAL" in line or "class" in line), "")
        raise ValueError(
            f"{path} contains more than tensors and numbers, and reading that could run code; nothing was run. Remove "
            f"the file and the run starts again ({reason.strip()[:120] or 'unknown content'})"
        ) from None
    except Exception as error:  # noqa: BLE001  content that no run wrote may fail anywhere
        raise _damaged(path, str(error).splitlines()[0][:120] if str(error) else type(error).__name__) from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} is not the state of a training run; remove it and the run starts again")
    return content


def _check_archive(path: Path) -> None:
    """Compare every entry of a state with its checksum, which torch.load does not do."""
    try:
        with open_file(path) as file, zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            if len({entry.filename for entry in entries}) < len(entries):
                raise ValueError("two entries have one name")
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):  # torch packs nothing
                raise ValueError("an entry is compressed")
            if (name := archive.testzip()) is not None:
                raise ValueError(f"the checksum of {name[:80]} is wrong")
    except FileNotFoundError:
        raise
    except Exception as error:  # noqa: BLE001  a damaged zip file can fail in any of its parts
        raise _damaged(path, str(error) or type(error).__name__) from None


def _damaged(path: Path, reason: str) -> ValueError:
    return ValueError(f"{path} is damaged or cut short; remove it and the run starts again ({reason})")


def check_own(path: Path) -> None:
    """Refuse a file or folder in a run directory that is a link.

    Raises
    ------
    ValueError
        With the link and where it leads.
    """
    if path.is_symlink():
        raise ValueError(f"{path} is a link to {os.readlink(path)}; a run has its own files only: copy it there")


def _earlier_state(path: Path, state: dict[str, Any]) -> dict[str, Any]:
    """Return what RunCheckpoints needs, from a state of version 0.1 and the best weights next to it."""
    best = next(
        (
            content
            for key, content in state["callbacks"].items()
            if str(key).startswith(EARLIER_KEY) and content.get("best_model_score") is not None
        ),
        None,
    )
    file = path.with_name(EARLIER_BEST)
    known = best is not None and best.get("monitor") is not None and file.is_file()
    batches = state["loops"]["fit_loop"]["epoch_loop.batch_progress"]["total"]
    return {
        "best_weights": _read(file)["state_dict"] if known else None,
        "best_score": float(best["best_model_score"]) if known else math.inf,  # type: ignore[index]
        "validation": None,
        "owes_validation": batches["completed"] < batches["processed"],  # written before the validation of its step
    }
