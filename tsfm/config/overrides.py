"""Python values as settings of the command line: `{"optim": {"lr": 0.01}}` -> `optim.lr=0.01`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tsfm.config.errors import ConfigError
from tsfm.config.folder import options


def as_overrides(settings: Mapping[str, Any]) -> list[str]:
    """Return settings as overrides `key=value`.

    Parameters
    ----------
    settings
        Values by name. A name may be dotted; a dict stands for the settings below its name. Values are numbers, text,
        booleans, None, paths, and lists of these.

    Raises
    ------
    ConfigError
        If a value has another type.

    Examples
    --------
    >>> as_overrides({"seed": 1, "backbone": "mixer", "model": {"context": 96, "channels": None}})
    ['seed=1', "backbone='mixer'", 'model.context=96', 'model.channels=null']
    """
    return [f"{key}={_text(key, value)}" for key, value in _leaves(settings)]


def combine_overrides(
    settings: Mapping[str, Any],
    *,
    experiment: str | None = None,
    data: str | None = None,
    overrides: Sequence[str] = (),
) -> list[str]:
    """Return the arguments of a Python function as overrides, `overrides` last.

    Parameters
    ----------
    settings
        As in `as_overrides`.
    experiment
        Name of an experiment.
    data
        Name of a config of the group `data`. Another name is that of a data set (a store, or its folder): it replaces
        the data set of the experiment, or is read as `data=store` without an experiment.
    overrides
        Settings `key=value`.

    Raises
    ------
    ConfigError
        If `overrides` is not a list of text, or a setting has a value of an unsupported type.

    Examples
    --------
    >>> combine_overrides({"seed": 1}, data="sales", overrides=["optim.lr=0.01"])
    ['data=store', "data.dataset='sales'", 'seed=1', 'optim.lr=0.01']
    """
    if isinstance(overrides, str) or not all(isinstance(override, str) for override in overrides):
        raise ConfigError(f"overrides are {overrides!r}; expected a list of settings such as ['optim.lr=1e-3']")
    chosen = [] if experiment is None else [f"experiment={experiment}"]
    if data in options("data"):
        chosen += [f"data={data}"]
    elif data is not None:
        chosen += ([] if experiment else ["data=store"]) + [f"data.dataset={quote(data)}"]
    return [*chosen, *as_overrides(settings), *overrides]


def quote(text: object) -> str:
    r"""Return a name or a path as the value of a setting, whatever characters it has; `${...}` stays an interpolation.

    Examples
    --------
    >>> quote("it's, here")
    "'it\\'s, here'"
    """
    escaped = re.sub(r"(\\*)('|$)", lambda match: match[1] * 2 + ("\\'" if match[2] else ""), str(text))
    return f"'{escaped}'"


def _leaves(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _text(key: str, value: Any) -> str:
    """Write a value in Hydra's grammar."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{name}:{_text(key, item)}" for name, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(_text(key, item) for item in value) + "]"
    if isinstance(value, (str, bytes)) or hasattr(value, "__fspath__"):
        return quote(value)
    raise ConfigError(f"{key} has type {type(value).__name__}; expected a number, text, a boolean, None or a list")
