"""Registries: from names to classes. A component registers itself once, with its Config, and Hydra gets the schema.

A name is resolved here and nowhere else: no YAML file and no checkpoint holds a dotted path, so loading a model runs
only code that is installed as a component.
"""

from __future__ import annotations

import importlib
import inspect
import logging
import os
import pkgutil
import reprlib
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, is_dataclass, make_dataclass
from functools import lru_cache
from importlib.metadata import EntryPoints
from importlib.metadata import entry_points as read_entry_points
from typing import Any, Generic, TypeVar, cast

from hydra.core.config_store import ConfigStore
from typing_extensions import override

from tsfm.field_types import check_types
from tsfm.messages import did_you_mean

log = logging.getLogger("tsfm")
Component = TypeVar("Component")
ComponentClass = TypeVar("ComponentClass", bound=type)  # a decorated class keeps its type


@dataclass(frozen=True)
class Entry(Generic[Component]):
    """A registered class and its Config, to which the field `name` is added."""

    name: str
    component: type[Component]
    config: type


def schema(group: str, name: str) -> Callable[[type[Component]], type[Component]]:
    """Return a class decorator that stores a config dataclass for Hydra as `<group>/_<name>`, at the key `<group>`."""

    def store(config: type[Component]) -> type[Component]:
        ConfigStore.instance().store(group=group, name=f"_{name}", node=config, package=group)
        return config

    return store


def _origin(component: type) -> tuple[str, str]:
    return component.__module__, component.__qualname__


def _check_name(name: str, *, group: str) -> Callable[[Any], None]:
    """Return a `__post_init__` that refuses another name, then runs the checks of the component's own Config."""

    def post_init(self: Any) -> None:
        if self.name != name:
            raise ValueError(
                f"{group}.name is {self.name!r} on the settings of {name!r}; choose it by {group}={self.name}"
            )
        checks = getattr(super(type(self), self), "__post_init__", None)
        if checks is not None:
            checks()

    return post_init


class Registry(Generic[Component]):
    """All components of one kind.

    Parameters
    ----------
    group
        Hydra's config group, and the folder of the YAML files in `conf`.
    package
        The package of the built-in components; every module in it is imported by `discover`.
    entry_points
        The entry point group by which other packages add components; None for `tsfm.<group>s`.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> colours = Registry("colour", package="tsfm.metrics")
    >>> @colours("red")
    ... class Red:
    ...     @dataclass
    ...     class Config:
    ...         shade: int = 1
    ...
    ...     def __init__(self, config):
    ...         self.config = config
    >>> colours.build(colours.config({"name": "red", "shade": 2})).config.shade
    2
    """

    def __init__(self, group: str, *, package: str, entry_points: str | None = None):
        self.group = group
        self.package = package
        self.entry_points = entry_points or f"tsfm.{group}s"
        self._entries: dict[str, Entry[Component]] = {}

    def __call__(self, name: str) -> Callable[[ComponentClass], ComponentClass]:
        """Return a class decorator that registers a class, as in `@BACKBONES("mixer")`.

        Raises
        ------
        TypeError
            If the class has no nested dataclass called Config.
        ValueError
            If another class has the name.
        """

        def register(component: ComponentClass) -> ComponentClass:
            config = getattr(component, "Config", None)
            if not (inspect.isclass(config) and is_dataclass(config)):
                raise TypeError(f"{component.__name__} needs a nested dataclass Config to be registered as {name!r}")
            known = self._entries.get(name)
            if known is not None and _origin(known.component) != _origin(component):  # the same origin: a reload
                raise ValueError(f"{self.group} {name!r} is taken by {known.component.__module__}; choose another name")
            config = self._complete(config, name=name, component=cast("type[Component]", component))
            self._entries[name] = Entry(name, cast("type[Component]", component), config)
            schema(self.group, name)(config)
            if component.__module__.split(".")[0] != "tsfm":  # without a YAML file in `conf`, the schema is the choice
                ConfigStore.instance().store(group=self.group, name=name, node=config, package=self.group)
            return component

        return register

    def _complete(self, config: type, *, name: str, component: type[Component]) -> type:
        """Return the Config of a component with the field `name` as first setting."""
        methods = {
            "__post_init__": _check_name(name, group=self.group),
            # by name: pickle would look for the class in its module, and find the Config without `name` there
            "__reduce__": lambda config: (_from_pickle, (self.group, asdict(config))),
        }
        fields = [("name", str, field(default=name))]
        completed = make_dataclass(config.__name__, fields, bases=(config,), namespace=methods)
        completed.__module__, completed.__qualname__ = component.__module__, f"{component.__qualname__}.Config"
        return completed

    def discover(self) -> None:
        """Import the built-in components and those of other packages; one that fails is logged and left out."""
        package = importlib.import_module(self.package)
        for module in pkgutil.iter_modules(getattr(package, "__path__", [])):
            importlib.import_module(f"{self.package}.{module.name}")
        for point in entry_points(group=self.entry_points):
            try:
                point.load()
            except (Exception, SystemExit) as error:  # noqa: BLE001  code of others must not disable everything else
                distribution = point.dist.name if point.dist else "an unnamed package"
                reason = "it ends the process by sys.exit" if isinstance(error, SystemExit) else error
                message = "the %s %r of %s cannot be imported and is left out (%s)"
                log.warning(message, self.group, point.name, distribution, reason)

    def entry(self, name: str) -> Entry[Component]:
        """Return the entry of a name.

        Raises
        ------
        ValueError
            If the name is unknown; the message lists the known ones.
        """
        if name not in self._entries:
            self.discover()
        if name not in self._entries:
            raise ValueError(f"unknown {self.group} {name!r}; {did_you_mean(name, list(self._entries))}")
        return self._entries[name]

    def build(self, config: Any, **arguments: Any) -> Component:
        """Return the component that a typed config names, built from the config and the keyword arguments."""
        component: Any = self.entry(config.name).component
        return component(config, **arguments)

    def config(self, values: Mapping[str, Any]) -> Any:
        """Return a typed config from plain values, such as those of a checkpoint.

        Raises
        ------
        ValueError
            If the name or a key is unknown, a value has another type than its field, or the Config refuses it.
        """
        if not isinstance(values, Mapping):
            raise ValueError(f"a {self.group} config is an object with settings by name; found {reprlib.repr(values)}")
        values = dict(values)
        if not isinstance(values.get("name"), str):
            raise ValueError(f"a {self.group} config needs a name; found the keys {sorted(values)}")
        config = self.entry(values["name"]).config
        fields = list(config.__dataclass_fields__)
        for key in values:
            if key not in fields:
                raise ValueError(
                    f"{self.group}.{key} is not a setting of {values['name']!r}; {did_you_mean(key, fields)}"
                )
        check_types(values, config, prefix=self.group)
        return config(**values)

    def names(self) -> list[str]:
        """Return all names, sorted."""
        self.discover()
        return sorted(self._entries)

    def __iter__(self) -> Iterator[Entry[Component]]:
        return iter([self._entries[name] for name in self.names()])


class TypedRegistry(Registry[Component]):
    """Components whose configs have no setting `name`: the class of a config decides which one it configures."""

    @override
    def _complete(self, config: type, *, name: str, component: type[Component]) -> type:
        return config

    def component_of(self, config: Any) -> type[Component]:
        """Return the class that a config configures.

        Raises
        ------
        TypeError
            If no registered class has a config of this type.
        """
        for search in (lambda: None, self.discover):
            search()
            for entry in self._entries.values():
                if entry.config is type(config):
                    return entry.component
        raise TypeError(f"no {self.group} is configured by a {type(config).__name__}; register its class")

    def build(self, config: Any, **arguments: Any) -> Component:
        """Return the component that a config configures, built from the config and the keyword arguments."""
        component: Any = self.component_of(config)
        return component(config, **arguments)


BACKBONES: Registry[Any] = Registry("backbone", package="tsfm.model.backbones")
HEADS: Registry[Any] = Registry("head", package="tsfm.model")
SCALERS: Registry[Any] = Registry("scaler", package="tsfm.model")
TASKS: Registry[Any] = Registry("task", package="tsfm.tasks")
BASELINES: Registry[Any] = Registry("baseline", package="tsfm.bench.baselines")
PROTOCOLS: Registry[Any] = Registry("bench", package="tsfm.bench.protocols", entry_points="tsfm.protocols")
GENERATORS: Registry[Any] = Registry("generator", package="tsfm.synthetic")
DATA_MODULES: TypedRegistry[Any] = TypedRegistry("data", package="tsfm.data", entry_points="tsfm.data_modules")
REGISTRIES = (BACKBONES, HEADS, SCALERS, TASKS, PROTOCOLS)


def entry_points(*, group: str) -> EntryPoints:
    """Return the entry points of a group; the installed packages are read again when a folder of `sys.path` changed."""
    return _installed(group, tuple((path, _changed_at(path)) for path in sys.path))


@lru_cache(maxsize=64)  # reading takes 6 ms, and composing a configuration asks for six groups
def _installed(group: str, folders: tuple[tuple[str, int], ...]) -> EntryPoints:  # noqa: ARG001  part of the key
    return read_entry_points(group=group)


def _changed_at(path: str) -> int:
    try:
        return os.stat(path or ".").st_mtime_ns
    except OSError:
        return 0


def _from_pickle(group: str, values: dict[str, Any]) -> Any:
    """Return a typed config that was pickled."""
    return next(registry for registry in (*REGISTRIES, BASELINES, GENERATORS) if registry.group == group).config(values)


# Modules that store a schema without a registry; imported by name, since a lower layer must not import a higher one.
SCHEMAS = (
    "tsfm.model.model_config",
    "tsfm.training.optim",
    "tsfm.training.trainer",
)


def discover_all() -> None:
    """Import every component and store every config schema for Hydra."""
    for registry in (*REGISTRIES, DATA_MODULES):
        registry.discover()
    for module in SCHEMAS:
        importlib.import_module(module)
