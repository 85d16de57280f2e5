"""Python values as settings of the command line: `{"optim": {"lr": 0.01}}` -> `optim.lr=0.01`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tsfm.config.errors import ConfigError


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


def check_overrides(overrides: Sequence[str]) -> list[str]:
    """Return the overrides as a list.

    Raises
    ------
    ConfigError
        If they are not a list of text, for instance one string.
    """
    if isinstance(overrides, str) or not all(isinstance(override, str) for override in overrides):
        raise ConfigError(f"overrides are {overrides!r}; expected a list of settings such as ['optim.lr=1e-3']")
    return list(overrides)


def quote(text: object) -> str:
    """Return a name or a path as the value of a setting, whatever characters it has; `${...}` stays an interpolation.

    Examples
    --------
    >>> quote("it's, here")
    "'it\\\\'s, here'"
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
    """A value in Hydra's grammar."""
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
