"""The state of an `Online` as one file: arrays in the format of NumPy, settings as JSON. No code is loaded from it.

C channels, M members, P pending answers, H horizon, Q quantile levels.
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tsfm.ensemble.combination import GivenAnswer
from tsfm.ensemble.online_weights import WeightsInUse
from tsfm.files.atomic import write_bytes
from tsfm.files.bounded import parse_json, read_small

if TYPE_CHECKING:
    from tsfm.ensemble.online import Online

FORMAT = 1
MAX_BYTES = 2**30
OF_ONLINE, OF_MEMBERS = ("horizon", "season_length", "loss", "rule", "memory"), ("context_length", "quantile_levels")


def write_state(path: str | Path, online: Online) -> None:
    """Write the state of an `Online`; an earlier file is replaced in one step."""
    settings = {"format": FORMAT, "members": online.member_names, **_settings(online)}
    arrays = {"settings": np.frombuffer(json.dumps(settings).encode(), np.uint8)}
    if online.history is not None and online.combination is not None:
        arrays |= {"history": online.history, "num_observed": np.array(online.num_observed)}
        arrays |= {f"weights:{name}": value for name, value in online.combination.weights.state().items()}
        arrays |= _pending_arrays(list(online.combination.pending))
    if online.members.adaptation is not None:
        arrays |= {f"adaptation:{name}": value for name, value in online.members.adaptation.state().items()}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    write_bytes(path, buffer.getvalue())


def read_state(path: str | Path, online: Online) -> None:
    """Give an `Online` the state of a file; it stays as it is when the file does not fit."""
    arrays = _read_arrays(Path(path))
    found = parse_json(arrays["settings"].tobytes().decode())
    expected = {"format": FORMAT, "members": online.member_names, **_settings(online)}
    expected = json.loads(json.dumps(expected))
    for name, value in expected.items():
        if found.get(name) != value:
            raise ValueError(
                f"{path} was saved with {name} {found.get(name)!r}, and this Online has {value!r}; make it with the "
                "same arguments"
            )
    if online.members.adaptation is not None:
        online.members.adaptation.load_state(_under("adaptation:", arrays))
    online.history, online.num_observed, online.combination = None, 0, None
    if "history" not in arrays:
        return
    combination = online.new_combination(len(arrays["history"]))
    combination.weights.load_state(_under("weights:", arrays))
    combination.pending.extend(_pending_answers(arrays))
    online.history, online.num_observed = arrays["history"], int(arrays["num_observed"])
    online.combination = combination


def _settings(online: Online) -> dict[str, Any]:
    own = {name: getattr(online, name) for name in OF_ONLINE}
    return own | {name: getattr(online.members, name) for name in OF_MEMBERS}


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


def _under(prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}


def _pending_arrays(pending: list[GivenAnswer]) -> dict[str, np.ndarray]:
    """Return the answers from which is still to be learned, stacked."""
    if not pending:
        return {}
    arrays = {"pending:origin": np.array([given.origin for given in pending])}
    arrays["pending:members"] = np.stack([given.members for given in pending])
    for name in WeightsInUse._fields:
        arrays[f"pending:{name}"] = np.stack([getattr(given.weights, name) for given in pending])
    return arrays


def _pending_answers(arrays: dict[str, np.ndarray]) -> list[GivenAnswer]:
    origins = arrays.get("pending:origin", np.empty(0, np.int64))
    return [
        GivenAnswer(
            int(origin),
            arrays["pending:members"][i],
            WeightsInUse(*(arrays[f"pending:{name}"][i] for name in WeightsInUse._fields)),
        )
        for i, origin in enumerate(origins)
    ]
