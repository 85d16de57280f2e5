"""The run-level configs, where conf/ is, and compose(): overrides in, checked dataclasses out.

A part's own settings stand beside the part; here is only what a whole run says.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import hydra
import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from tsfm.messages import did_you_mean
from tsfm.registry import REGISTRIES, discover_all

RESUME = ("never", "auto")


class ConfigError(ValueError):
    """A config that cannot be composed, in words for the person who wrote it."""


@dataclass
class Expect:
    """What an experiment claims to reproduce: the published number, and how near counts as reproduced."""

    metric: str = "???"
    value: float = 0.0
    tolerance: float = 0.03  # relative; what is better than the value is within too
    data: Optional[str] = None  # noqa: UP045  the data set it speaks of; on another the claim is not made
    source: str = ""


def default_init() -> dict[str, Any]:
    """The settings of `init` and their defaults: weights from a seed, all of them trained. A dict, not a dataclass:
    `from` can't be the name of a field. tsfm.training.init_config checks the values and says what they mean."""
    return {
        "from": None,  # a model directory, a run directory, or the name of a bundled model
        "freeze": [],  # parts that are not trained: beginnings of the names of parameters, or all_but_head
        "reset": [],  # parts that begin anew
        "lora": {"rank": None, "alpha": None, "targets": None, "dropout": 0.0},
        "layer_decay": None,  # factor of the learning rate from each depth to the one below; of the head it is 1
    }


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
    init: dict[str, Any] = field(default_factory=default_init)
    name: str = "run"  # names the folder below run_root
    seed: int = 0
    run_root: str = "runs"
    run_dir: Optional[str] = None  # noqa: UP045  default: run_root/name/time-seed
    resume: str = "never"  # auto: go on with the newest unfinished run of the same config
    expect: list[Expect] = field(default_factory=list)

    def __post_init__(self):
        if self.resume not in RESUME:
            raise ValueError(f"resume is {self.resume!r}; {did_you_mean(self.resume, list(RESUME))}")


@dataclass
class EvalConfig:
    """`tsfm eval`: a predictor, the data and the protocol it is scored by."""

    predictor: str = "???"  # a model directory, the name of a bundled model, or a baseline
    data: Any = "???"
    bench: Any = "???"
    context: Optional[int] = None  # noqa: UP045  default: the model's own; a baseline needs it told
    horizon: Optional[int] = None  # noqa: UP045
    seed: Optional[int] = None  # noqa: UP045  of the split of labelled cases; null: that of the model's training, else 0
    device: str = "auto"  # of a trained model: cpu, cuda, cuda:1, ...; auto: a GPU if there is one
    zero_shot: bool = False  # refuse a trained model that has seen the data, or of which that can't be told
    name: str = "eval"
    out: Optional[str] = None  # noqa: UP045  folder for result.json
    expect: list[Expect] = field(default_factory=list)

    def __post_init__(self):
        for name in ("context", "horizon"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ValueError(f"{name} is {value}; it is a number of steps, at least 1")


ConfigStore.instance().store(name="_train", node=RunConfig)
ConfigStore.instance().store(name="_eval", node=EvalConfig)


def conf_dir() -> Path:
    """The YAML files: those installed with the package, else the checkout's."""
    here = Path(__file__).resolve().parent
    for folder in (here / "conf", here.parent / "conf"):
        if (folder / "train.yaml").is_file():
            return folder
    raise FileNotFoundError(f"no conf folder beside {here}; reinstall tsfm, or run from a complete checkout")


def compose(
    config_name: str,
    overrides: list[str] | None = None,
    *,
    config_dir: str | None = None,
    beneath: dict[str, Any] | None = None,
) -> DictConfig:
    """Hydra's composition with errors a person can act on: full key, what was found, the likely name. `beneath` are
    settings that stand above the defaults, and below the experiment and the overrides."""
    discover_all()
    overrides = [*(overrides or []), *_search(config_dir)]
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            return hydra_compose(config_name if beneath is None else _with(beneath, config_name), overrides)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(explain(error, groups=_groups(config_name))) from None
    except yaml.YAMLError as error:
        raise ConfigError(f"a config file is not YAML: {_one_line(error)}") from None
    except (ValueError, TypeError) as error:  # Hydra's own checks of a group override
        raise ConfigError(f"{_one_line(error)}; found {' '.join(overrides)}") from None


def _with(beneath: dict[str, Any], config_name: str) -> str:
    """The name of a config like `config_name` that takes in `beneath` right before the experiment."""
    body = yaml.safe_load((conf_dir() / f"{config_name}.yaml").read_text(encoding="utf-8"))
    items, store = body["defaults"], ConfigStore.instance()
    place = next(i for i, item in enumerate(items) if isinstance(item, dict) and "experiment" in item)
    store.store(name="_beneath", node=beneath)
    store.store(name=f"_{config_name}_with", node=body | {"defaults": [*items[:place], "_beneath", *items[place:]]})
    return f"_{config_name}_with"


def sweep(
    config_name: str, overrides: list[str], work: Callable[[DictConfig], None], *, config_dir: str | None = None
) -> None:
    """Hydra's multirun: `work` is called with each combination, by whichever launcher and sweeper are configured."""
    discover_all()
    GlobalHydra.instance().clear()
    argv, sys.argv = sys.argv, ["tsfm", "--multirun", *overrides, *_search(config_dir)]
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # let errors through, instead of printing them and leaving
    try:
        hydra.main(config_path=str(conf_dir()), config_name=config_name, version_base="1.3")(work)()
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(explain(error, groups=_groups(config_name))) from None
    finally:
        sys.argv = argv


def job_overrides() -> list[str]:
    """The settings of the one combination that a sweep runs at the moment."""
    return [str(word) for word in HydraConfig.get().overrides.task]


def _search(config_dir: str | None) -> list[str]:
    if config_dir is None:
        return []
    if not Path(config_dir).is_dir():
        raise ConfigError(f"--config-dir {config_dir} is not a folder; it holds groups such as experiment/mine.yaml")
    return [f"hydra.searchpath=[file://{Path(config_dir).resolve()}]"]


def typed(config: DictConfig) -> Any:
    """The dataclasses a composed config describes; their own checks run here."""
    try:
        for key, known in _strangers(config):  # Hydra lets +key=value by
            raise ConfigError(f"{key} is not a setting; {did_you_mean(key.rpartition('.')[2], known)}")
        missing = sorted(OmegaConf.missing_keys(config))
        if missing:
            raise ConfigError(f"no value for {', '.join(missing)}; give one, for instance {missing[0]}=...")
        return OmegaConf.to_object(config)
    except OmegaConfBaseException as error:
        raise ConfigError(explain(error)) from None


def plain(config: Any) -> dict[str, Any]:
    """A typed config as plain values, for YAML and JSON."""
    return OmegaConf.to_container(OmegaConf.structured(config), resolve=True)  # type: ignore[return-value]


def explain(error: BaseException, *, groups: Sequence[str] = ()) -> str:
    """Hydra's and OmegaConf's messages, chained and over several lines, as one sentence with the key and a hint.
    `groups` are known at the top beside the settings."""
    chain = list(_chain(error))
    text = "\n".join(str(part) for part in chain)
    option = re.search(r"Could not (?:find|load) '([^'/]+)/([^']*)'", text)
    if option and (conf_dir() / option[1]).is_dir():
        listed = re.search(rf"Available options in '{option[1]}':((?:\n\t\S+)*)", text)  # a folder of one's own too
        known = {*options(option[1]), *(name for name in (listed[1] if listed else "").split() if name[0] != "_")}
        return f"unknown {option[1]} {option[2]!r}; {did_you_mean(option[2], sorted(known))}"
    if group := re.search(r"Could not override '([\w/]+)'\.\s+No match in the defaults list", text):
        return f"{group[1]} is not chosen here; {did_you_mean(group[1], list(groups))}" + _place(text)
    if wrong := re.match(r"Error parsing override '(.*)'\s+([^\n]*)", text):
        return f"{wrong[1]!r} can't be read ({wrong[2]}); write settings as key=value, for instance seed=1"
    full = re.search(r"full_key: (\S+)", text)
    if not full:
        return _one_line(error)
    key, override = full[1], re.search(r"(?:merging override |not override ')([\w.]+)", text)
    if override and not key.startswith(override[1]) and not override[1].startswith(key):
        key = f"{override[1]}.{key}"  # OmegaConf counts from the item of a list
    return f"{key} {_fault(chain, full[1], groups)}{_place(text)}"


def _place(text: str) -> str:
    """The file a message is about, where it names one that is not the main config."""
    file = re.search(r"In '(.+/.+)': ", text)
    return f" (in {file[1]}.yaml)" if file else ""


def _fault(chain: list[BaseException], key: str, groups: Sequence[str]) -> str:
    """What is wrong with a key, as the end of a sentence that begins with it."""
    text = "\n".join(str(part) for part in chain)
    if re.search(r"Key '.+' (?:not in|is not in struct)", text):
        if re.search(rf"In '{key}/.*raised", text):  # a file of a group was taken for a setting of that name
            return "is not a setting; begin the file with `# @package _global_`"
        return f"is not a setting; {did_you_mean(key.rpartition('.')[2], _siblings(chain, key, groups))}"
    value = r"Value '(.*?)' (?:of type '\w+' )?(?:could not be converted to|is not a valid) (\w+)"
    if wrong := re.search(value, text, re.DOTALL):
        return f"is {wrong[1]!r}; expected a value of type {wrong[2].lower()}"
    if wrong := re.search(r"(\w+) is not a ListConfig", text):
        return f"has type {wrong[1]}; expected a list, as in {key}=[...]"
    if re.search(r"is not Optional|NoneType is not", text):
        return "is null; it needs a value"
    said = next(str(part).splitlines()[0] for part in chain if "full_key:" in str(part))
    return f"can't be set: {said}"


def _one_line(error: BaseException) -> str:
    return " ".join(line.strip() for line in str(error).splitlines() if line.strip())


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def options(group: str) -> list[str]:
    """The choices of a config group: its YAML files, in folders too, and the parts that outside packages add."""
    root = conf_dir() / group
    files = {str(file.relative_to(root).with_suffix("")) for file in root.rglob("*.yaml")}
    return sorted(files.union(*(registry.names() for registry in REGISTRIES if registry.group == group)))


def _groups(config_name: str) -> list[str]:
    """The groups that a config chooses from, as its defaults list names them."""
    file = conf_dir() / f"{config_name}.yaml"
    items = yaml.safe_load(file.read_text(encoding="utf-8")).get("defaults", []) if file.is_file() else []
    return [key for item in items if isinstance(item, dict) for key in item if not key.startswith("override ")]


def _siblings(chain: list[BaseException], key: str, groups: Sequence[str]) -> list[str]:
    """The settings that stand beside an unknown key, read off the config node the error happened at."""
    for error in chain:
        node = getattr(error, "parent_node", None)
        if node is not None and hasattr(node, "keys"):
            found = {str(name) for name in node.keys()} - {key, "hydra"}  # noqa: SIM118  a DictConfig
            return sorted(found.union(groups) if found.intersection(groups) else found)
    return []


def _strangers(config: DictConfig, path: str = "") -> Iterator[tuple[str, list[str]]]:
    """Full keys that no dataclass has, each with the known ones beside it."""
    known = list(getattr(OmegaConf.get_type(config), "__dataclass_fields__", config))
    for key in config:
        if key not in known:
            yield f"{path}{key}", known
        elif not OmegaConf.is_missing(config, key) and isinstance(config[key], DictConfig):
            yield from _strangers(config[key], f"{path}{key}.")
