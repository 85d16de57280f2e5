"""Checkpoints: a model is a directory with model.safetensors, config.json and a generated README.md. No pickle.

`config.json` contains `format`, `tsfm` (version), `model` (the resolved config), `about` (see `About`) and `digest`, by
which damage is noticed: the SHA-256 of the weights file, and of the other entries. `tsfm.model.upgrade` converts
earlier formats.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from tsfm.files import atomic_folder, recover_folder
from tsfm.messages import did_you_mean
from tsfm.model.card import About, model_card
from tsfm.model.config_file import (
    CONFIG,
    WEIGHTS,
    check_digest,
    own_folder,
    read_config,
    weights_dir,
    with_digest,
    writer,
)
from tsfm.model.model import Model
from tsfm.model.record_checks import check_about, make_about
from tsfm.model.skeleton import build_skeleton, has_values, uses_plugins
from tsfm.model.upgrade import FORMAT, upgrade
from tsfm.model.weights_file import WeightsHeader, check_tensors, read_header, read_tensors
from tsfm.version import __version__

__all__ = ["CONFIG", "WEIGHTS", "About", "bundled", "find", "load", "read_config", "save", "weights_dir"]

CARD = "README.md"
DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16}  # in which weights may be stored


def save(
    model: Model,
    path: str | Path,
    *,
    about: About,
    dtype: str | None = None,
    card: str | None = None,
    files: Mapping[str, bytes] | None = None,
) -> Path:
    """Write a checkpoint directory completely or not at all, and return its path.

    Parameters
    ----------
    model
        Not changed.
    path
        The directory; an existing one is replaced.
    about
        What is known about the model.
    dtype
        Type in which weights are stored, `float16` or `bfloat16`; `load` converts both to float32. None: as they are.
    card
        Text of README.md; None for the one of `model_card`.
    files
        Contents of additional files by name.

    Raises
    ------
    ValueError
        If a file has the name of another one, `dtype` is unknown or a weight does not fit into it, a weight is not
        finite, or a value of `about` has the wrong type.
    OSError
        If the directory cannot be written.
    """
    path, files = Path(path), files or {}
    reserved = (WEIGHTS, CONFIG, CARD)
    for name in files:
        if name in reserved or Path(name).name != name:
            raise ValueError(
                f"an additional file of the checkpoint is called {name!r}; expected a name without a folder, other "
                f"than {', '.join(reserved)}"
            )
    if dtype is not None and dtype not in DTYPES:
        raise ValueError(f"dtype is {dtype!r}; {did_you_mean(dtype, list(DTYPES))}")
    check_about(vars(about))
    with atomic_folder(path) as draft:
        tensors = {name: _stored(tensor, dtype, name=name) for name, tensor in model.state_dict().items()}
        try:
            save_file(tensors, draft / WEIGHTS, metadata={"format": "pt"})
        except SafetensorError as error:  # what safetensors raises for a full disk
            raise OSError(str(error)) from None
        config = {"format": FORMAT, "tsfm": __version__, "model": model.spec(), "about": vars(about)}
        config = with_digest(config, draft / WEIGHTS)
        (draft / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        (draft / CARD).write_text(card or model_card(model, about), encoding="utf-8")
        for name, content in files.items():
            (draft / name).write_bytes(content)
    return path


def _stored(tensor: Tensor, dtype: str | None, *, name: str) -> Tensor:
    """Return a tensor as it is stored: floating-point numbers in a type of DTYPES, or as they are."""
    tensor = tensor.detach().cpu().contiguous()
    if not tensor.is_floating_point():
        return tensor
    converted = tensor if dtype is None else tensor.to(DTYPES[dtype])
    if not torch.isfinite(converted).all():
        if torch.isfinite(tensor).all():
            raise ValueError(f"{name} contains values that are not finite in {dtype}; save in full precision")
        raise ValueError(f"{name} contains values that are not finite, so the model cannot predict; it is not saved")
    return converted


def bundled() -> list[str]:
    """Return the names of the models that are part of the package."""
    folder = weights_dir()
    return sorted(file.parent.name for file in folder.glob(f"*/{CONFIG}")) if folder.is_dir() else []


def find(name_or_path: str | Path) -> Path:
    """Return a checkpoint directory.

    Parameters
    ----------
    name_or_path
        The name of a bundled model, a run directory, or the checkpoint directory itself.

    Raises
    ------
    FileNotFoundError
        If there is no such model; the message lists the bundled ones.
    """
    path = Path(name_or_path)
    recover_folder(path)
    recover_folder(path / "model")
    if str(name_or_path) in bundled():
        return weights_dir() / str(name_or_path)
    if (path / "model" / CONFIG).is_file():
        return path / "model"
    if not path.exists():
        raise FileNotFoundError(
            f"no model {str(name_or_path)!r}: neither a folder nor a bundled model "
            f"({did_you_mean(str(name_or_path), bundled())})"
        )
    return path


def build_from_config(path: Path) -> Model:
    """Return the network of a checkpoint directory without values, on the meta device; errors as in `load`."""
    config = read_config(path, verify=False)
    model, _ = _build(path, config)
    check_digest(path, config)
    return model


def _build(path: Path, config: dict[str, Any]) -> tuple[Model, WeightsHeader]:
    """Return the network that a config describes, compared with the header of the weights file, and the header."""
    file = path / WEIGHTS
    try:
        header = read_header(file, folder=own_folder(path))
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} has no {WEIGHTS}; copy it to the folder of its {CONFIG}") from None
    try:
        model = build_skeleton(upgrade(config)["model"], num_tensors=len(header.tensors), num_values=header.num_values)
    except Exception as error:  # noqa: BLE001  settings that no run wrote may make any part of a network fail
        raise ValueError(
            f"{path / CONFIG}, written by tsfm {writer(config)}, describes a model that this tsfm ({__version__}) "
            f"cannot build: {' '.join(str(error).split())[:500] or type(error).__name__}"
        ) from None
    check_tensors(header, model.state_dict(), config_name=CONFIG)
    return model, header


def load(path: str | Path) -> tuple[Model, About]:
    """Read a checkpoint directory; the model is in evaluation mode. No code from the directory is run.

    The network is built without memory for its weights and compared with the header of the weights file first. Damage
    is noticed by the digests in config.json, where a version of tsfm that writes them saved the model. The global
    random generators are not used.

    Raises
    ------
    FileNotFoundError
        If the directory or one of its files is missing.
    ValueError
        If a file is damaged or not a regular file, the two files do not belong together, a setting has the wrong type,
        a weight is not finite, or the format is of a newer version.
    """
    path = Path(path)
    config = read_config(path, verify=False)
    model, header = _build(path, config)
    digest = check_digest(path, config)
    tensors = read_tensors(header, model.state_dict(), digest=digest)
    spec = upgrade(config)["model"]
    if uses_plugins(spec) and not has_values(model):
        model = Model.from_spec(spec)
    model.load_state_dict(tensors, assign=not has_values(model))
    return model.eval(), make_about(upgrade(config).get("about", {}))
