"""The run-level configs, where conf/ is, and compose(): overrides in, checked dataclasses out.

A part's own settings stand beside the part; here is only what a whole run says.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import hydra
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from tsfm.registry import closest, discover_all

RESUME = ("never", "auto")


class ConfigError(ValueError):
    """A config that cannot be composed, in words for the person who wrote it."""


@dataclass
class Expect:
    """What an experiment claims to reproduce: the published number, and how near counts as reproduced."""

    metric: str = "???"
    value: float = 0.0
    tolerance: float = 0.03  # relative; better than the value is always within
    source: str = ""


# Optional[...] in these classes, not `X | None`: OmegaConf resolves the hints of structured configs on Python 3.10.
@dataclass
class RunConfig:
    """`tsfm train`: everything that decides a run."""

    task: Any = "???"
    data: Any = "???"
    model: Any = "???"
    scaler: Any = "???"
    backbone: Any = "???"
    head: Any = "???"
    optim: Any = "???"
    trainer: Any = "???"
    bench: Any = "???"
    name: str = "run"  # names the folder below run_root
    seed: int = 0
    run_root: str = "runs"
    run_dir: Optional[str] = None  # noqa: UP045  default: run_root/name/time-seed
    resume: str = "never"  # auto: go on with the newest unfinished run of the same config
    expect: list[Expect] = field(default_factory=list)

    def __post_init__(self):
        if self.resume not in RESUME:
            raise ValueError(f"resume is {self.resume!r}; {closest(self.resume, list(RESUME))}")


@dataclass
class EvalConfig:
    """`tsfm eval`: a predictor, the data and the protocol it is scored by."""

    predictor: str = "???"  # a model directory, the name of a bundled model, or a baseline
    data: Any = "???"
    bench: Any = "???"
    context: Optional[int] = None  # noqa: UP045  default: the model's own; a baseline needs it told
    horizon: Optional[int] = None  # noqa: UP045
    name: str = "eval"
    out: Optional[str] = None  # noqa: UP045  folder for result.json
    expect: list[Expect] = field(default_factory=list)


ConfigStore.instance().store(name="_train", node=RunConfig)
ConfigStore.instance().store(name="_eval", node=EvalConfig)


def conf_dir() -> Path:
    """The YAML files: those installed with the package, else the checkout's."""
    here = Path(__file__).resolve().parent
    for folder in (here / "conf", here.parent / "conf"):
        if (folder / "train.yaml").is_file():
            return folder
    raise FileNotFoundError(f"no conf folder beside {here}; reinstall tsfm, or run from a complete checkout")


def compose(config_name: str, overrides: list[str] | None = None, *, config_dir: str | None = None) -> DictConfig:
    """Hydra's composition with errors a person can act on: full key, what was found, the likely name."""
    discover_all()
    overrides = [*(overrides or []), *_search(config_dir)]
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            return hydra_compose(config_name, overrides)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(explain(error)) from None


def sweep(
    config_name: str, overrides: list[str], work: Callable[[DictConfig], None], *, config_dir: str | None = None
) -> None:
    """Hydra's multirun: `work` is called with each combination, by whichever launcher and sweeper are configured."""
    discover_all()
    GlobalHydra.instance().clear()
    argv, sys.argv = sys.argv, ["tsfm", "--multirun", *overrides, *_search(config_dir)]
    try:
        hydra.main(config_path=str(conf_dir()), config_name=config_name, version_base="1.3")(work)()
    finally:
        sys.argv = argv


def _search(config_dir: str | None) -> list[str]:
    if config_dir is None:
        return []
    if not Path(config_dir).is_dir():
        raise ConfigError(f"--config-dir {config_dir} is not a folder; it holds groups such as experiment/mine.yaml")
    return [f"hydra.searchpath=[file://{Path(config_dir).resolve()}]"]


def typed(config: DictConfig) -> Any:
    """The dataclasses a composed config describes; their own checks run here."""
    try:
        missing = sorted(OmegaConf.missing_keys(config))
        if missing:
            raise ConfigError(f"no value for {', '.join(missing)}; give one, for instance {missing[0]}=...")
        return OmegaConf.to_object(config)
    except OmegaConfBaseException as error:
        raise ConfigError(explain(error)) from None


def plain(config: Any) -> dict[str, Any]:
    """A typed config as plain values, for YAML and JSON."""
    return OmegaConf.to_container(OmegaConf.structured(config), resolve=True)  # type: ignore[return-value]


def explain(error: BaseException) -> str:
    """Hydra's and OmegaConf's messages, chained and over several lines, as one sentence with the key and a hint."""
    texts = []
    seen: BaseException | None = error
    while seen is not None:
        texts.append(str(seen))
        seen = seen.__cause__ or seen.__context__
    text = "\n".join(texts)
    key = re.search(r"full_key: (\S+)", text)
    unknown = re.search(r"Key '([^']+)' (?:not in|is not in struct)", text)
    if unknown and key:
        return f"{key[1]} is not a setting; {closest(unknown[1], _siblings(error, unknown[1]))}"
    option = re.search(r"Could not find '([^']+)/([^'/]+)'", text) or re.search(r"Could not load '([^']+)/(.+)'", text)
    if option:
        group, name = option[1], option[2]
        return f"unknown {group} {name!r}; {closest(name, options(group))}"
    value = re.search(r"Value '(.*)' of type '(\w+)' (?:could not be converted|is not .*?) to (\w+)", text, re.DOTALL)
    if value and key:
        return f"{key[1]} is {value[1]!r}; expected a value of type {value[3].lower()}"
    first = texts[0].strip().splitlines()
    return " ".join(line.strip() for line in first if line.strip())


def options(group: str) -> list[str]:
    """The choices of a config group: its YAML files, in folders too."""
    root = conf_dir() / group
    return sorted(str(file.relative_to(root).with_suffix("")) for file in root.rglob("*.yaml"))


def _siblings(error: BaseException, key: str) -> list[str]:
    """The settings that stand beside an unknown key, read off the config node the error happened at."""
    seen: BaseException | None = error
    while seen is not None:
        node = getattr(seen, "parent_node", None)
        if node is not None and hasattr(node, "keys"):
            return [str(name) for name in node.keys() if name != key]  # noqa: SIM118  a DictConfig node
        seen = seen.__cause__ or seen.__context__
    return []
