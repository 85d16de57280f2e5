"""The files that describe a run: what it was begun with, and its result."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tsfm.config import RunConfig, plain
from tsfm.files import write_text
from tsfm.files.bounded import MAX_YAML_BYTES, parse_json, parse_yaml, read_small
from tsfm.fingerprint import content_digest
from tsfm.training.checkpoint_file import check_own
from tsfm.training.run_identity import source_digest
from tsfm.version import __version__

log = logging.getLogger("tsfm")

COMMAND, CONFIG, ENVIRONMENT = "command.txt", "config.yaml", "environment.json"
RESULT, DATA = "result.json", "fingerprint.json"
DIGEST = "digest"  # key in result.json
CUT_SHORT = "cut_short"  # key in the result of a run that trainer.max_time ended early: how far it came


def read_config(file: Path) -> dict[str, Any]:
    """Return the content of a YAML or JSON file of an earlier run; empty if there is none or it cannot be read."""
    try:
        check_own(file)
        content = parse_yaml(read_small(file, max_bytes=MAX_YAML_BYTES).decode("utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def read_result(run_dir: Path) -> dict[str, Any] | None:
    """Return the result of a finished run; None for a run that is unfinished, was cut short, or has a damaged result.

    A damaged file is named in a warning.
    """
    file = run_dir / RESULT
    if not file.is_file():
        return None
    try:
        check_own(file)
        result = parse_json(read_small(file).decode("utf-8"))
        if not isinstance(result, dict) or not {"run_dir", "model"} <= result.keys():
            raise ValueError("it has no result of a run")
        digest = result.pop(DIGEST, None)  # version 0.1.0 wrote none
        if digest is not None and digest != content_digest(result):
            raise ValueError("it is not the one that was written")
    except (ValueError, OSError) as error:
        log.warning("%s is damaged and not used (%s); the run is taken as unfinished", file, error)
        return None
    return None if CUT_SHORT in result else result


def read_init_digest(run_dir: Path) -> str | None:
    """Return the digest of the weights that a run started from; None if they were random or it is not recorded."""
    digest = read_config(run_dir / DATA).get("init")
    return digest if isinstance(digest, str) else None


def why_not_begun(run_dir: Path, config: RunConfig) -> str | None:
    """Return why a run of the same settings did not begin as a new run would; None if it did.

    The model that `init.from` names may be another one by now.
    """
    recorded = read_init_digest(run_dir)
    if recorded is None or recorded == source_digest(config):
        return None
    return "the weights of init.from changed since; use another run_dir to train from the new ones"


def write_result(run_dir: Path, result: dict[str, Any]) -> None:
    """Write result.json, with a digest by which damage is noticed."""
    content = json.loads(json.dumps(result))
    write_text(run_dir / RESULT, json.dumps(content | {DIGEST: content_digest(content)}, indent=2) + "\n")


def begun_by(run_dir: Path) -> str:
    """Return the version of tsfm that began a run; this one where that is unknown."""
    versions = read_config(run_dir / ENVIRONMENT).get("versions")
    return str(versions.get("tsfm", __version__)) if isinstance(versions, dict) else __version__


def why_not_repeated(run_dir: Path, config: RunConfig, fingerprint: Callable[[], str]) -> str | None:
    """Return why the result of a finished run of the same settings is not that of a new run; None if it is."""
    old = read_config(run_dir / CONFIG)
    if any(old.get(key) != plain(config)[key] for key in ("bench", "expect")):
        return f"was scored by another bench or expect; score its model again by tsfm eval predictor={run_dir} ..."
    version = begun_by(run_dir)
    if version != __version__:
        return f"was trained by tsfm {version} (this is {__version__}); use another run_dir to train it again"
    recorded = read_config(run_dir / DATA).get("fingerprint")
    if recorded is not None and recorded != fingerprint():
        return "the data changed since; use another run_dir to train on the new data"
    return why_not_begun(run_dir, config)
