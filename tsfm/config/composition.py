"""Compose a configuration by Hydra, and turn it into checked dataclasses."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from tsfm.config.errors import ConfigError, explain, one_line
from tsfm.config.folder import conf_dir, groups_of
from tsfm.config.hydra_state import own_hydra, temporary_configs
from tsfm.config.limits import bounded_folder, check_ranges, check_sweep, strict_booleans
from tsfm.messages import did_you_mean
from tsfm.registry import discover_all


def compose(
    config_name: str,
    overrides: list[str] | None = None,
    *,
    config_dir: str | None = None,
    base_settings: dict[str, Any] | None = None,
) -> DictConfig:
    """Return a configuration as Hydra composes it. Hydra's own state is left as it was.

    Parameters
    ----------
    config_name
        `train` or `eval`.
    overrides
        Settings `key=value`.
    config_dir
        A folder of further configs, with groups such as `experiment/mine.yaml`.
    base_settings
        Settings that replace the defaults; the experiment and the overrides come after them.

    Raises
    ------
    ConfigError
        If a key, a choice or a type is wrong. The message has the full key, the value and the nearest known name.
    """
    discover_all()
    check_ranges(overrides or [])
    overrides = [*(overrides or []), *_search_path(config_dir)]
    configs: dict[str, Any] = {}
    if base_settings is not None:
        configs = {"_base": base_settings, f"_{config_name}_with_base": _with_base(config_name)}
    with temporary_configs(configs), own_hydra(), strict_booleans():
        try:
            with initialize_config_dir(str(conf_dir()), version_base="1.3"):
                return hydra_compose(config_name if base_settings is None else f"_{config_name}_with_base", overrides)
        except (HydraException, OmegaConfBaseException) as error:
            raise ConfigError(explain(error, groups=groups_of(config_name))) from None
        except RecursionError:
            raise ConfigError("a setting or a config file is nested too deeply, or refers to itself") from None
        except yaml.YAMLError as error:
            raise ConfigError(f"a config file is not YAML: {one_line(error)}") from None
        except (ValueError, TypeError) as error:  # Hydra's own checks of a group override
            raise ConfigError(f"{one_line(error)}; found {' '.join(overrides)}") from None


def _with_base(config_name: str) -> dict[str, Any]:
    """Return the config `config_name` with `_base` included right before the experiment."""
    body = yaml.safe_load((conf_dir() / f"{config_name}.yaml").read_text(encoding="utf-8"))
    items = body["defaults"]
    index = next(i for i, item in enumerate(items) if isinstance(item, dict) and "experiment" in item)
    return body | {"defaults": [*items[:index], "_base", *items[index:]]}


def sweep(
    config_name: str, overrides: list[str], work: Callable[[DictConfig], Any], *, config_dir: str | None = None
) -> None:
    """Call `work` with each combination of settings (Hydra's multirun), by the configured launcher and sweeper.

    Raises
    ------
    ConfigError
        If a combination cannot be composed.
    """
    discover_all()
    argv = ["tsfm", "--multirun", *overrides, *_search_path(config_dir)]
    with own_hydra(), strict_booleans(), _process_state(argv):
        try:
            check_sweep(overrides)
            hydra.main(config_path=str(conf_dir()), config_name=config_name, version_base="1.3")(work)()
        except (HydraException, OmegaConfBaseException) as error:
            raise ConfigError(explain(error, groups=groups_of(config_name))) from None


@contextmanager
def _process_state(argv: list[str]) -> Iterator[None]:
    """Set what `hydra.main` reads: arguments of the process, and that errors are raised instead of printed."""
    old_argv, old_value = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv = argv
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    try:
        yield
    finally:
        sys.argv = old_argv
        if old_value is None:
            os.environ.pop("HYDRA_FULL_ERROR", None)


def job_overrides() -> list[str]:
    """Return the settings of the combination that a sweep runs at the moment."""
    return [str(override) for override in HydraConfig.get().overrides.task]


def job_number() -> int:
    """Return the number of the combination that a sweep runs at the moment, from 0."""
    return int(HydraConfig.get().job.num)


def count_jobs(overrides: list[str]) -> int | None:
    """Return how many combinations a sweep has; None where its sweeper decides, or Hydra has to expand a pattern."""
    count = 1
    try:
        settings = OverridesParser.create().parse_overrides(overrides)
    except HydraException:  # the sweep will say what is wrong
        return None
    for setting in settings:
        if setting.get_key_element() == "hydra/sweeper":
            return None
        if setting.is_sweep_override():
            if not setting.is_discrete_sweep() or "glob(" in str(setting.input_line):
                return None
            count *= len(list(setting.sweep_iterator()))
    return count


def swept_overrides(overrides: list[str], swept: list[str]) -> list[str]:
    """Return those settings of a combination that have several values in the settings of the sweep, or else all."""
    settings = OverridesParser.create().parse_overrides(swept)
    keys = {setting.get_key_element() for setting in settings if setting.is_sweep_override()}
    return [text for text in overrides if text.partition("=")[0] in keys] or overrides


def _search_path(config_dir: str | None) -> list[str]:
    if config_dir is None:
        return []
    if not Path(config_dir).is_dir():
        raise ConfigError(f"--config-dir {config_dir} is not a folder; it holds groups such as experiment/mine.yaml")
    return [f"hydra.searchpath=[{bounded_folder(Path(config_dir).resolve())}]"]


def typed(config: DictConfig) -> Any:
    """Return the dataclasses that a composed configuration describes; their checks run here.

    Raises
    ------
    ConfigError
        If a setting is unknown or has no value.
    ValueError
        If a value is out of its range.
    """
    try:
        for key, known in _unknown_keys(config):  # Hydra accepts +key=value
            raise ConfigError(f"{key} is not a setting; {did_you_mean(key.rpartition('.')[2], known)}")
        missing = sorted(OmegaConf.missing_keys(config))
        if missing:
            raise ConfigError(f"no value for {', '.join(missing)}; give one, for instance {missing[0]}=...")
        return OmegaConf.to_object(config)
    except OmegaConfBaseException as error:
        raise ConfigError(explain(error)) from None


def plain(config: Any) -> dict[str, Any]:
    """Return a typed configuration as plain values, for YAML and JSON."""
    return OmegaConf.to_container(OmegaConf.structured(config), resolve=True)  # type: ignore[return-value]


def _unknown_keys(config: DictConfig, path: str = "") -> Iterator[tuple[str, list[str]]]:
    """Keys that the dataclass of their node does not have, and those that it has."""
    known = list(getattr(OmegaConf.get_type(config), "__dataclass_fields__", config))
    for key in config:
        if key not in known:
            yield f"{path}{key}", known
        elif not OmegaConf.is_missing(config, key) and isinstance(config[key], DictConfig):
            yield from _unknown_keys(config[key], f"{path}{key}.")
