"""What a section of a slot gets and leaves: settings, the time that is left, and a JSON file."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Slot:
    """Settings of all sections.

    Attributes
    ----------
    out
        Folder of the results.
    device
        `cuda`, or `cpu` in a dry run.
    dry_run
        Whether sizes are tiny.
    init
        Model directory that pre-training starts from, if any.
    corpus
        The file of `corpus_file.pack`.
    settings
        KEY=VALUE for `tsfm train`.
    """

    out: Path
    device: str
    dry_run: bool
    init: Path | None
    corpus: Path
    settings: tuple[str, ...] = ()


class Recorder:
    """Collect rows until the time of a section is over; each row is in its file at once."""

    def __init__(self, path: Path, *, end: float):
        self.path, self.end = path, end
        self.content: dict[str, Any] = {"complete": False, "rows": []}
        self.start = time.monotonic()

    @property
    def seconds_left(self) -> float:
        """Seconds until the section must end."""
        return self.end - time.monotonic()

    def add(self, **row: Any) -> None:
        """Add a row."""
        self.content["rows"].append(row)
        self.write()

    @contextmanager
    def case(self, **labels: Any) -> Iterator[dict[str, Any]]:
        """Give a dict to fill, and add it as a row with the labels; an exception becomes the row's `error`."""
        row: dict[str, Any] = {}
        try:
            if self.seconds_left < 0:
                raise TimeoutError("the time of this section is over")
            yield row
        except Exception as error:  # noqa: BLE001  one case may not end the others
            row["error"] = f"{type(error).__name__}: {str(error)[:300]}"
        self.add(**labels, **row)

    def write(self) -> None:
        """Write everything so far."""
        self.content["seconds"] = round(time.monotonic() - self.start, 2)
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text(json.dumps(self.content, indent=1) + "\n", encoding="utf-8")
        temporary.replace(self.path)


Section = Callable[[Slot, Recorder], None]


def run_section(name: str, measure: Section, slot: Slot, *, end: float) -> bool:
    """Run a section until `end` (of the monotonic clock) and return whether no row and nothing else failed."""
    record = Recorder(slot.out / f"{name}.json", end=end)
    record.content["device"] = torch.cuda.get_device_name() if slot.device == "cuda" else "cpu"
    record.content["torch"] = torch.__version__
    try:
        measure(slot, record)
        record.content["complete"] = True
    except Exception as error:  # noqa: BLE001  the next section is still worth its time
        record.content["error"] = "".join(traceback.format_exception(error))[-3000:]
    record.write()
    errors = [row for row in record.content["rows"] if "error" in row]
    print(
        f"{name}: {len(record.content['rows'])} rows, {len(errors)} errors, {record.content['seconds']} s", flush=True
    )
    return record.content["complete"] and not errors


def relative_error(value: torch.Tensor, exact: torch.Tensor) -> float:
    """Return the norm of the difference relative to the norm of `exact`; NaN where anything is NaN."""
    value, exact = value.detach().double().cpu(), exact.detach().double().cpu()
    return float((value - exact).norm() / exact.norm().clamp_min(1e-30))
