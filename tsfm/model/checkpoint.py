"""Checkpoints: a model is a directory with model.safetensors, config.json and a generated README.md. No pickle.

`config.json` contains `format`, `tsfm` (version), `model` (the resolved config) and `about` (see `About`).
`tsfm.model.upgrade` converts earlier formats.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from tsfm.files import atomic_folder, recover_folder
from tsfm.messages import did_you_mean
from tsfm.model.card import About, model_card
from tsfm.model.model import Model
from tsfm.model.upgrade import FORMAT, upgrade
from tsfm.version import __version__

__all__ = ["About", "bundled", "find", "load", "save"]

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
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
        If a file has the name of another one, `dtype` is unknown, or a weight does not fit into it.
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
    with atomic_folder(path) as draft:
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
        if dtype is not None:
            tensors = {name: _converted(tensor, dtype, name=name) for name, tensor in tensors.items()}
        try:
            save_file(tensors, draft / WEIGHTS, metadata={"format": "pt"})
        except SafetensorError as error:  # what safetensors raises for a full disk
            raise OSError(str(error)) from None
        config = {"format": FORMAT, "tsfm": __version__, "model": model.spec(), "about": vars(about)}
        (draft / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        (draft / CARD).write_text(card or model_card(model, about), encoding="utf-8")
        for name, content in files.items():
            (draft / name).write_bytes(content)
    return path


def _converted(tensor: Tensor, dtype: str, *, name: str) -> Tensor:
    """Return a floating-point tensor in a type of DTYPES."""
    if not tensor.is_floating_point():
        return tensor
    converted = tensor.to(DTYPES[dtype])
    if not torch.isfinite(converted).all():
        raise ValueError(f"{name} contains values that are not finite in {dtype}; save in full precision")
    return converted


def weights_dir() -> Path:
    """Return the folder of the models that are part of the package."""
    return Path(__file__).resolve().parents[1] / "weights"


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


def build_from_config(path: Path, config: dict[str, Any] | None = None) -> Model:
    """Return the network of a checkpoint directory with random weights; `config` as from `read_config`."""
    config = read_config(path) if config is None else config
    try:
        return Model.from_spec(config["model"])
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{path / CONFIG}, written by tsfm {config.get('tsfm', '?')}, describes a model that this tsfm "
            f"({__version__}) cannot build: {error}"
        ) from None


def load(path: str | Path) -> tuple[Model, About]:
    """Read a checkpoint directory; the model is in evaluation mode. No code from the directory is run.

    Raises
    ------
    FileNotFoundError
        If the directory or one of its files is missing.
    ValueError
        If a file is damaged, the two files do not belong together, or the format is of a newer version.
    """
    path = Path(path)
    config = read_config(path)
    model = build_from_config(path, config)
    try:
        tensors = load_file(path / WEIGHTS)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} has no {WEIGHTS}; copy it to the folder of its {CONFIG}") from None
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path / WEIGHTS} cannot be read ({error}); it may be cut short: copy it again") from None
    expected = model.state_dict()
    missing, extra = sorted(expected.keys() - tensors.keys()), sorted(tensors.keys() - expected.keys())
    if missing or extra:
        raise ValueError(
            f"{path / WEIGHTS} does not belong to its {CONFIG}: missing {missing[:3] or 'none'}, "
            f"unexpected {extra[:3] or 'none'}; copy both files from the same model"
        )
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape:
            raise ValueError(
                f"{path / WEIGHTS}: {name} has shape {tuple(tensor.shape)}; "
                f"{CONFIG} describes {tuple(expected[name].shape)}; copy both files from the same model"
            )
    model.load_state_dict(tensors)
    known = About.__dataclass_fields__
    return model.eval(), About(**{key: value for key, value in config.get("about", {}).items() if key in known})


def read_config(path: Path) -> dict[str, Any]:
    """Return the contents of config.json of a checkpoint directory, upgraded to the current format.

    Raises
    ------
    FileNotFoundError
        If the directory or the file is missing.
    ValueError
        If the file is not a model config, or its format is of a newer version.
    """
    recover_folder(path)
    file = path / CONFIG
    if not path.is_dir():
        raise FileNotFoundError(f"no checkpoint directory at {path}; expected a folder with {CONFIG} and {WEIGHTS}")
    if not file.is_file():
        raise FileNotFoundError(
            f"{path} has no {CONFIG}; found {sorted(file.name for file in path.iterdir())[:8]}: name the folder of "
            "a model, such as <run directory>/model"
        )
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
        number = config["format"]
        if not isinstance(config["model"], dict) or not isinstance(config.get("about", {}), dict):
            raise TypeError("`model` and `about` must be objects with settings by name")
    except (ValueError, KeyError, TypeError) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else error
        raise ValueError(
            f"{file} is not a tsfm model config ({reason}); name a folder that tsfm wrote, or copy it again"
        ) from None
    try:
        return upgrade(config)
    except ValueError:
        raise ValueError(
            f"{file} has checkpoint format {number}, written by tsfm {config.get('tsfm', '?')}; this tsfm "
            f"{__version__} reads formats up to {FORMAT}: install the version that wrote it, or a newer one"
        ) from None
