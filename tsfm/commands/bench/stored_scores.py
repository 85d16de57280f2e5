"""Scores of a benchmark that stay in files, so that a benchmark continues where it stopped."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tsfm.files import write_text
from tsfm.model.checkpoint import find
from tsfm.model.config_file import weights_digest

log = logging.getLogger("tsfm")
SETTINGS = "settings"  # entry of a file: what its scores depend on


def write_scores(path: Path, scores: Mapping[str, Any], *, settings: Mapping[str, Any]) -> None:
    """Write scores and the settings that they depend on."""
    write_text(path, json.dumps({SETTINGS: settings, **scores}, indent=1) + "\n")


def read_scores(
    path: Path, *, settings: Mapping[str, Any], fingerprint: Callable[[], str], metrics: tuple[str, ...]
) -> dict[str, Any] | None:
    """Return the scores of a file; None if there is no file, or if it is damaged, which the log says.

    Parameters
    ----------
    path
        The file.
    settings
        What the scores depend on, as passed to `write_scores`.
    fingerprint
        Returns the fingerprint of the data; called only where there is a file.
    metrics
        Names of which the scores hold at least one.

    Raises
    ------
    FileExistsError
        If the scores are of other settings or other data.
    """
    if not path.is_file():
        return None
    advice = "choose another --out, or remove the file"
    try:
        scores = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(scores, dict) or not any(is_score(scores.get(name)) for name in metrics):
            raise ValueError(f"it has no {' or '.join(metrics)}")
    except (ValueError, RecursionError) as error:
        log.warning("%s is damaged and will be replaced (%s)", path, error)
        return None
    stored = scores.get(SETTINGS)
    if not isinstance(stored, dict):
        raise FileExistsError(f"{path} does not say by which settings it was scored; {advice}")
    if differing := sorted(key for key in {*stored, *settings} if stored.get(key) != settings.get(key)):
        key = differing[0]
        raise FileExistsError(
            f"{path} has scores of other settings ({key} is {stored.get(key)}, now {settings.get(key)}); {advice}"
        )
    if scores.get("fingerprint") != fingerprint():
        raise FileExistsError(f"{path} has scores of other data under the same name; {advice}")
    return scores


def is_score(value: Any) -> bool:
    """Return whether a value of a file is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def stored_weights(model: str) -> str:
    """Return the digest of the weights of a model, named as in `tsfm.load`."""
    return weights_digest(find(model))


class ScoreCache:
    """Scores by method, settings and file, in one JSON file that is written after every new score."""

    def __init__(self, path: Path):
        self.path = path
        self.rows = read_rows(path)

    def row(self, key: str, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return the row of a key, computed if it is not in the file."""
        if key not in self.rows:
            self.rows[key] = compute()
            write_text(self.path, json.dumps(self.rows, indent=1) + "\n")
        return self.rows[key]


def read_rows(path: Path) -> dict[str, dict[str, Any]]:
    """Return the rows of a file of scores; none if there is no file, or if it is damaged, which the log says."""
    if not path.is_file():
        return {}
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(rows, dict) or not all(
            isinstance(row, dict) and isinstance(row.get("vus_pr"), (int, float)) for row in rows.values()
        ):
            raise ValueError("its entries are no rows with a vus_pr")
    except (ValueError, RecursionError) as error:
        log.warning("%s is damaged and will be replaced (%s)", path, error)
        return {}
    return rows
