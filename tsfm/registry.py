"""Names to classes. A part registers itself once, with a typed Config beside it, and is known to Hydra by that name.

A name is resolved here and nowhere else: no YAML and no checkpoint holds a dotted path, so loading never runs
foreign code.
"""

from __future__ import annotations

import importlib
import inspect
import logging
import pkgutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, is_dataclass, make_dataclass
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from hydra.core.config_store import ConfigStore

from tsfm.messages import did_you_mean

log = logging.getLogger("tsfm")
Part = TypeVar("Part")


@dataclass(frozen=True)
class Entry(Generic[Part]):
    name: str
    component: type[Part]
    config: type  # the part's Config with its `name` added


def schema(group: str, name: str):
    """Class decorator: make a config dataclass known to Hydra as `<group>/_<name>`, found under the key `<group>`."""

    def store(config: type[Part]) -> type[Part]:
        ConfigStore.instance().store(group=group, name=f"_{name}", node=config, package=group)
        return config

    return store


def _place(part: type) -> tuple[str, str]:
    return part.__module__, part.__qualname__


def _named(name: str, *, group: str):
    """A __post_init__ that keeps the name of a part and its other settings together, then runs the part's checks."""

    def post_init(self: Any) -> None:
        if self.name != name:
            raise ValueError(
                f"{group}.name is {self.name!r} on the settings of {name!r}; choose it by {group}={self.name}"
            )
        checks = getattr(super(type(self), self), "__post_init__", None)
        if checks is not None:
            checks()

    return post_init


class Registry(Generic[Part]):
    """All parts of one kind. `group` is the Hydra group and the folder of their YAML files."""

    def __init__(self, group: str, *, package: str, entry_points: str | None = None):
        self.group = group
        self.package = package
        self.entry_points = entry_points or f"tsfm.{group}s"
        self._entries: dict[str, Entry[Part]] = {}

    def __call__(self, name: str):
        """Class decorator: `@BACKBONES("mixer")`. The class must hold a dataclass called Config."""

        def register(part: type[Part]) -> type[Part]:
            config = getattr(part, "Config", None)
            if not (inspect.isclass(config) and is_dataclass(config)):
                raise TypeError(f"{part.__name__} needs a nested dataclass Config to be registered as {name!r}")
            known = self._entries.get(name)
            if known is not None and _place(known.component) != _place(part):  # the same place: a reload
                raise ValueError(f"{self.group} {name!r} is taken by {known.component.__module__}; choose another name")
            typed = self._typed(name, part, config)
            self._entries[name] = Entry(name, part, typed)
            schema(self.group, name)(typed)
            if part.__module__.split(".")[0] != "tsfm":  # no YAML file of ours chooses it: its schema is the choice
                ConfigStore.instance().store(group=self.group, name=name, node=typed, package=self.group)
            return part

        return register

    def _typed(self, name: str, part: type[Part], config: type) -> type:
        """The config with the name of its part as first setting."""
        check = {
            "__post_init__": _named(name, group=self.group),
            # by name: pickle would look for the class in its module, and finds the Config without a name there
            "__reduce__": lambda config: (_again, (self.group, asdict(config))),
        }
        typed = make_dataclass(config.__name__, [("name", str, field(default=name))], bases=(config,), namespace=check)
        typed.__module__, typed.__qualname__ = part.__module__, f"{part.__qualname__}.Config"
        return typed

    def discover(self) -> None:
        """Import the built-in parts and those of the entry point group `tsfm.<group>s`."""
        package = importlib.import_module(self.package)
        for module in pkgutil.iter_modules(getattr(package, "__path__", [])):
            importlib.import_module(f"{self.package}.{module.name}")
        for point in entry_points(group=self.entry_points):
            try:
                point.load()
            except Exception as error:  # foreign code; one broken package must not take everything else with it
                whose = point.dist.name if point.dist else "an unnamed package"
                log.warning(
                    "the %s %r of %s can't be imported and is left out (%s)", self.group, point.name, whose, error
                )

    def entry(self, name: str) -> Entry[Part]:
        if name not in self._entries:
            self.discover()
        if name not in self._entries:
            raise ValueError(f"unknown {self.group} {name!r}; {did_you_mean(name, list(self._entries))}")
        return self._entries[name]

    def build(self, config: Any, **grid: Any) -> Part:
        """The part that a typed config names, built from it."""
        part: Any = self.entry(config.name).component
        return part(config, **grid)

    def config(self, values: dict[str, Any]) -> Any:
        """A typed config from plain values, as read from a checkpoint; a wrong key names itself."""
        values = dict(values)
        if not isinstance(values.get("name"), str):
            raise ValueError(f"a {self.group} config needs a name; found the keys {sorted(values)}")
        typed = self.entry(values["name"]).config
        fields = list(typed.__dataclass_fields__)
        for key in values:
            if key not in fields:
                raise ValueError(
                    f"{self.group}.{key} is not a setting of {values['name']!r}; {did_you_mean(key, fields)}"
                )
        return typed(**values)

    def names(self) -> list[str]:
        self.discover()
        return sorted(self._entries)

    def __iter__(self) -> Iterator[Entry[Part]]:
        return iter([self._entries[name] for name in self.names()])


class TypedRegistry(Registry[Part]):
    """Parts whose configs have no setting `name`: the class of a config decides which part it configures."""

    def _typed(self, name: str, part: type[Part], config: type) -> type:
        return config

    def component_of(self, config: Any) -> type[Part]:
        """Return the class that this config configures.

        Raises
        ------
        TypeError
            When no registered class has a config of this type.
        """
        for search in (lambda: None, self.discover):
            search()
            for entry in self._entries.values():
                if entry.config is type(config):
                    return entry.component
        raise TypeError(f"no {self.group} is configured by a {type(config).__name__}; register its class")

    def build(self, config: Any, **grid: Any) -> Part:
        """Return the part that this config configures, built from it."""
        part: Any = self.component_of(config)
        return part(config, **grid)


BACKBONES: Registry[Any] = Registry("backbone", package="tsfm.model.backbones")
HEADS: Registry[Any] = Registry("head", package="tsfm.model")
SCALERS: Registry[Any] = Registry("scaler", package="tsfm.model")
TASKS: Registry[Any] = Registry("task", package="tsfm.tasks")
BASELINES: Registry[Any] = Registry("baseline", package="tsfm.bench.baselines")
PROTOCOLS: Registry[Any] = Registry("bench", package="tsfm.bench.protocols", entry_points="tsfm.protocols")
GENERATORS: Registry[Any] = Registry("generator", package="tsfm.synthetic")
DATA_MODULES: TypedRegistry[Any] = TypedRegistry("data", package="tsfm.data", entry_points="tsfm.data_modules")
REGISTRIES = (BACKBONES, HEADS, SCALERS, TASKS, PROTOCOLS)


def _again(group: str, values: dict[str, Any]) -> Any:
    """A typed config that was pickled."""
    return next(registry for registry in (*REGISTRIES, BASELINES, GENERATORS) if registry.group == group).config(values)


# Modules that register a schema without being a part of a registry; imported by name so that lower floors need not.
SCHEMAS = (
    "tsfm.model.model",
    "tsfm.training.optim",
    "tsfm.training.trainer",
)


def discover_all() -> None:
    """Make every part and every config schema known to Hydra."""
    for registry in (*REGISTRIES, DATA_MODULES):
        registry.discover()
    for module in SCHEMAS:
        importlib.import_module(module)
