"""The folder of YAML files, and the choices of its groups."""

from __future__ import annotations

from pathlib import Path

import yaml

from tsfm.registry import REGISTRIES


def conf_dir() -> Path:
    """Return the folder of YAML files: the one installed with the package, else the checkout's.

    Raises
    ------
    FileNotFoundError
        If the installation is incomplete.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "train.yaml").is_file():
            return folder
    raise FileNotFoundError(
        f"no conf folder in {package} or {package.parent}; reinstall tsfm, or run from a complete checkout"
    )


def options(group: str) -> list[str]:
    """Return the choices of a config group: its YAML files, also in subfolders, and the parts of outside packages.

    Examples
    --------
    >>> options("optim")
    ['adam', 'adamw', 'muon', 'sgd']
    """
    root = conf_dir() / group
    files = {str(file.relative_to(root).with_suffix("")) for file in root.rglob("*.yaml")}
    return sorted(files.union(*(registry.names() for registry in REGISTRIES if registry.group == group)))


def groups_of(config_name: str) -> list[str]:
    """Return the groups that a config (`train`, `eval`) chooses from, as its defaults list names them."""
    file = conf_dir() / f"{config_name}.yaml"
    items = yaml.safe_load(file.read_text(encoding="utf-8")).get("defaults", []) if file.is_file() else []
    return [key for item in items if isinstance(item, dict) for key in item if not key.startswith("override ")]
