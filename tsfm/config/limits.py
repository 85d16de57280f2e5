"""Bounds of configurations: the values of a sweep are counted, and YAML is read, before memory and time are spent."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigLoadError, ConfigResult
from omegaconf import BooleanNode, ValidationError
from typing_extensions import override

from tsfm.config.errors import ConfigError
from tsfm.files.bounded import MAX_YAML_BYTES, check_expanded_yaml, read_small

MAX_JOBS = 10_000  # of a sweep
QUOTED = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"")
RANGE = re.compile(r"\brange\(([^()]*)\)")


def check_ranges(overrides: Sequence[str]) -> None:
    """Refuse a setting such as `seed=range(0,100000000)`, whose values would all be made.

    Raises
    ------
    ConfigError
        If a range has more than MAX_JOBS values; the message names the setting.
    """
    for text in overrides:
        for arguments in RANGE.findall(QUOTED.sub("", text)):
            if _range_length(arguments) > MAX_JOBS:
                raise ConfigError(
                    f"{text.partition('=')[0]} has a range of more than {MAX_JOBS:,} values ({arguments}); use fewer"
                )


def _range_length(arguments: str) -> float:
    """Return how many values a range has; 0 where Hydra will say what is wrong with it."""
    values = {"start": 0.0, "stop": 0.0, "step": 1.0}
    parts = [argument.rpartition("=") for argument in arguments.split(",")]
    names = ["stop"] if len(parts) == 1 else list(values)
    try:
        for (name, _, value), default in zip(parts, names, strict=False):
            values[name.strip() or default] = float(value)
    except ValueError:
        return 0
    length = values["stop"] - values["start"]
    return length / values["step"] if values["step"] else math.inf


def check_sweep(overrides: Sequence[str]) -> None:
    """Refuse a sweep of more than MAX_JOBS combinations.

    Raises
    ------
    ConfigError
        With the numbers of values by setting.
    """
    check_ranges(overrides)
    counts: dict[str, int] = {}
    for setting in OverridesParser.create().parse_overrides(list(overrides)):
        if setting.is_sweep_override() and setting.is_discrete_sweep():
            counts[setting.get_key_element()] = len(list(setting.sweep_iterator()))
    if math.prod(counts.values()) > MAX_JOBS:
        listed = ", ".join(f"{name}: {count}" for name, count in counts.items())
        raise ConfigError(f"the sweep has more than {MAX_JOBS:,} combinations ({listed}); use fewer values")


class BoundedFileSource(FileConfigSource):
    """A folder of YAML files whose aliases do not expand without bound."""

    @staticmethod
    @override
    def scheme() -> str:
        return "bounded"

    @override
    def load_config(self, config_path: str) -> ConfigResult:
        file = Path(self.path, self._normalize_file_name(config_path))
        if file.exists():
            try:
                check_expanded_yaml(read_small(file, max_bytes=MAX_YAML_BYTES).decode("utf-8"))
            except UnicodeDecodeError:
                raise ConfigLoadError(f"{file} is not text in UTF-8; save it as UTF-8") from None
            except ValueError as error:
                raise ConfigLoadError(f"{file}: {error}") from None
        return super().load_config(config_path)


def bounded_folder(folder: Path) -> str:
    """Return a folder as an entry of Hydra's search path."""
    Plugins.instance().register(BoundedFileSource)
    return f"{BoundedFileSource.scheme()}://{folder}"


@contextmanager
def strict_booleans() -> Iterator[None]:
    """Refuse numbers other than 0 and 1 as booleans in the `with` block, of which OmegaConf makes true."""
    original = BooleanNode._validate_and_convert_impl  # noqa: SLF001  there is no setting for it

    def convert(node: BooleanNode, value: object) -> bool:
        if re.fullmatch(r"[-+]?\d+", text := str(value).strip()) and int(text) not in (0, 1):
            raise ValidationError(f"Value '{value}' is not a valid bool (type {type(value).__name__})")
        return original(node, value)

    BooleanNode._validate_and_convert_impl = convert  # type: ignore[method-assign]  # noqa: SLF001
    try:
        yield
    finally:
        BooleanNode._validate_and_convert_impl = original  # type: ignore[method-assign]  # noqa: SLF001
