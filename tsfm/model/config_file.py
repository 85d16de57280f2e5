"""The file config.json of a checkpoint: read within bounds, checked, and compared with its digest."""

from __future__ import annotations

import hashlib
import json
import logging
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tsfm.files import recover_folder
from tsfm.files.bounded import check_inside, open_file, parse_json, read_small
from tsfm.fingerprint import content_digest
from tsfm.model.record_checks import check_about
from tsfm.model.upgrade import FORMAT, upgrade
from tsfm.version import __version__

log = logging.getLogger("tsfm")

WEIGHTS, CONFIG = "model.safetensors", "config.json"
DIGEST = "digest"  # entry of config.json: {"weights": ..., "config": ...}


def weights_dir() -> Path:
    """Return the folder of the models that are part of the package."""
    return Path(__file__).resolve().parents[1] / "weights"


def with_digest(config: Mapping[str, Any], weights: Path) -> dict[str, Any]:
    """Return the content of config.json with the digests of the weights file and of its other entries."""
    content = {key: value for key, value in json.loads(json.dumps(config)).items() if key != DIGEST}
    digest = {"weights": weights_digest(weights.parent), "config": content_digest(content)}
    return content | {DIGEST: digest}


def weights_digest(path: Path) -> str:
    """Return the SHA-256 of the weights file of a checkpoint directory."""
    digest = hashlib.sha256()
    with open_file(path / WEIGHTS) as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def check_digest(path: Path, config: Mapping[str, Any]) -> str | None:
    """Compare the content of config.json with its digest, and return that of the weights.

    Parameters
    ----------
    path
        The checkpoint directory, for messages.
    config
        The content of the file as it is stored.

    Returns
    -------
    str or None
        None for a model of an earlier version of tsfm, which has no digests; the log says so.

    Raises
    ------
    ValueError
        If the content is not the one that was saved.
    """
    if DIGEST not in config:
        log.info(
            "%s has no digest (it was saved by tsfm %s), so damage to it would not be noticed; save the model again to "
            "add one", path / CONFIG, writer(config),
        )  # fmt: skip
        return None
    digest = config[DIGEST]
    content = {key: value for key, value in config.items() if key != DIGEST}
    if not isinstance(digest, dict) or digest.get("config") != content_digest(content):
        raise ValueError(
            f"{path / CONFIG} is damaged or was changed: it is not the one that was saved with this model. Copy it "
            f"again; to use a change that was made on purpose, remove the entry {DIGEST!r}"
        )
    if not isinstance(digest.get("weights"), str):
        raise ValueError(f"{path / CONFIG} has no digest of {WEIGHTS}; copy it again")
    return digest["weights"]


def writer(config: Mapping[str, Any]) -> str:
    """Return the version of tsfm that wrote a config.json, as it says, for messages."""
    version = config.get("tsfm", "?")
    return version[:20] if isinstance(version, str) else reprlib.repr(version)


def own_folder(path: Path) -> Path | None:
    """Return the folder that the files of a checkpoint may not lead out of; None for the models of the package.

    Some installers fill the folder of a package with links to their store.
    """
    return None if path.parent.resolve() == weights_dir() else path


def read_config(path: Path, *, verify: bool = True) -> dict[str, Any]:
    """Return the contents of config.json of a checkpoint directory.

    Parameters
    ----------
    path
        The directory.
    verify
        Whether the digest is checked and the content is upgraded to the current format; else it is returned as stored.

    Raises
    ------
    FileNotFoundError
        If the directory or the file is missing.
    ValueError
        If the file is not a model config, is damaged, or its format is of a newer version.
    """
    recover_folder(path)
    file = path / CONFIG
    if not path.is_dir():
        raise FileNotFoundError(f"no checkpoint directory at {path}; expected a folder with {CONFIG} and {WEIGHTS}")
    if (folder := own_folder(path)) is not None:
        check_inside(file, folder)
    if not file.is_file():
        raise FileNotFoundError(
            f"{path} has no {CONFIG}; found {sorted(file.name for file in path.iterdir())[:8]}: name the folder of "
            "a model, such as <run directory>/model"
        )
    content = read_small(file, folder=folder)
    try:
        config = parse_json(content.decode("utf-8"))
        if not isinstance(config, dict):
            raise TypeError("it is not an object")
        number = config["format"]
        if not isinstance(config["model"], dict) or not isinstance(config.get("about", {}), dict):
            raise TypeError("`model` and `about` must be objects with settings by name")
    except (ValueError, KeyError, TypeError) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else error
        raise ValueError(
            f"{file} is not a tsfm model config ({reason}); name a folder that tsfm wrote, or copy it again"
        ) from None
    if type(number) is not int or number > FORMAT or number < 1:
        raise ValueError(
            f"{file} has checkpoint format {reprlib.repr(number)}, written by tsfm {writer(config)}; this tsfm "
            f"{__version__} reads formats up to {FORMAT}: install the version that wrote it, or a newer one"
        )
    try:
        check_about(upgrade(config).get("about", {}))
    except ValueError as error:
        raise ValueError(f"{file}: {error}; copy it again") from None
    if not verify:
        return config
    check_digest(path, config)
    return upgrade(config)
