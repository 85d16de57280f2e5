"""The state of an `Online` as one file: arrays in the format of NumPy, settings as JSON. No code is loaded from it.

C channels, M members, P pending answers, H horizon, Q quantile levels.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from tsfm.ensemble.combination import GivenAnswer
from tsfm.ensemble.online_weights import WeightsInUse
from tsfm.files.atomic import write_bytes
from tsfm.files.bounded import parse_json, read_small

FORMAT = 1
MAX_BYTES = 2**30


def write_state(path: str | Path, settings: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Write settings and arrays; an earlier file is replaced in one step."""
    text = json.dumps({"format": FORMAT, **settings})
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, settings=np.frombuffer(text.encode(), np.uint8), **arrays)
    write_bytes(path, buffer.getvalue())


def read_state(path: str | Path, settings: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return the arrays that `write_state` wrote with the same settings.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the file is not a state, or one with other settings.
    """
    arrays = _read_arrays(Path(path))
    saved = parse_json(arrays.pop("settings").tobytes().decode())
    for name, value in json.loads(json.dumps({"format": FORMAT, **settings})).items():
        if saved.get(name) != value:
            raise ValueError(
                f"{path} was saved with {name} {saved.get(name)!r}, and this Online has {value!r}; make it with the "
                "same arguments"
            )
    return arrays


def with_prefix(prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return arrays with a prefix before each name."""
    return {f"{prefix}:{name}": value for name, value in arrays.items()}


def without_prefix(prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the arrays whose names have a prefix, by the rest of the name."""
    start = f"{prefix}:"
    return {name.removeprefix(start): value for name, value in arrays.items() if name.startswith(start)}


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    content = read_small(path, max_bytes=MAX_BYTES)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is not a state that Online.save wrote ({error}); save it again") from None
    if "settings" not in arrays:
        raise ValueError(f"{path} is not a state that Online.save wrote: it holds no settings; save it again")
    return arrays


def pending_arrays(answers: Iterable[GivenAnswer]) -> dict[str, np.ndarray]:
    """Return the answers from which is still to be learned, stacked."""
    pending = list(answers)
    if not pending:
        return {}
    arrays = {"origin": np.array([answer.origin for answer in pending])}
    arrays["members"] = np.stack([answer.members for answer in pending])
    for name in WeightsInUse._fields:
        arrays[name] = np.stack([getattr(answer.weights, name) for answer in pending])
    return arrays


def pending_answers(arrays: dict[str, np.ndarray]) -> list[GivenAnswer]:
    """Return the answers of `pending_arrays`."""
    return [
        GivenAnswer(
            int(origin), arrays["members"][i], WeightsInUse(*(arrays[name][i] for name in WeightsInUse._fields))
        )
        for i, origin in enumerate(arrays.get("origin", ()))
    ]
