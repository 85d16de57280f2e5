"""Types of settings: values from a file or a caller are compared with the type hints of a dataclass."""

from __future__ import annotations

import math
import reprlib
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from functools import lru_cache, partial
from numbers import Integral, Real
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

NAMES: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a finite number",
    str: "text",
    type(None): "null",
}
UNIONS = (Union, getattr(types, "UnionType", Union))  # Optional[int], and int | None of Python 3.10 and later


def check_types(values: Mapping[str, Any], config: type, *, prefix: str) -> None:
    """Raise a ValueError that names the first setting whose value does not have the type of its field.

    Parameters
    ----------
    values
        Settings by name. Names that are not fields are passed over, and fields may be left out.
    config
        A dataclass. Known hints: bool, int, float (finite; whole numbers fit, too), str, list, tuple, dict, Optional,
        Union, Literal, other dataclasses and Any. A boolean is not a number, and a number is not a boolean.
    prefix
        The part of the full name before the setting, such as `backbone`.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Config:
    ...     causal: bool = False
    >>> check_types({"causal": -0.5}, Config, prefix="backbone")
    Traceback (most recent call last):
    ValueError: backbone.causal is -0.5; expected true or false
    """
    hints = field_hints(config)
    for key, value in values.items():
        if key in hints and not _fits(value, hints[key]):
            name = f"{prefix}.{key}" if prefix else key
            raise ValueError(f"{name} is {reprlib.repr(value)}; expected {describe_type(hints[key])}")


@lru_cache(maxsize=256)
def field_hints(config: type) -> dict[str, Any]:
    """Return the type hints of the fields of a dataclass; empty where one names what its module does not have."""
    try:
        hints = get_type_hints(config)
    except NameError:
        return {}
    return {name: hints[name] for name in config.__dataclass_fields__ if name in hints}


def describe_type(hint: Any) -> str:
    """Return a type hint in words, as the end of `expected ...`.

    Examples
    --------
    >>> describe_type(Union[list[int], None])
    'a list (each item a whole number) or null'
    """
    if hint in NAMES:
        return NAMES[hint]
    origin, arguments = get_origin(hint) or hint, get_args(hint)
    if origin in UNIONS:
        return " or ".join(describe_type(argument) for argument in arguments)
    if origin is Literal:
        return " or ".join(repr(choice) for choice in arguments)
    item = f" (each item {describe_type(arguments[0])})" if arguments else ""
    if origin is tuple:
        return f"a list{item}" if Ellipsis in arguments or not arguments else f"a list of {len(arguments)} items{item}"
    if origin is dict or origin is Mapping:
        return "an object" + (f" (each value {describe_type(arguments[1])})" if len(arguments) > 1 else "")
    if origin is list or origin is Sequence:
        return f"a list{item}"
    return "any value" if hint is Any else "an object" if is_dataclass(hint) else getattr(hint, "__name__", str(hint))


Check = Callable[[Any], bool]


def _fits(value: Any, hint: Any) -> bool:
    check = _check_of(hint)
    return check is None or check(value)


@lru_cache(maxsize=1024)
def _check_of(hint: Any) -> Check | None:
    """Return what decides whether a value has the type of a hint; None where every value has, or it is not known."""
    if hint in _SIMPLE:
        return _SIMPLE[hint]
    origin, arguments = get_origin(hint) or hint, get_args(hint)
    if origin in UNIONS:
        checks = [_check_of(argument) for argument in arguments]
        return None if None in checks else lambda value: any(check(value) for check in checks)  # type: ignore[misc]
    if origin is Literal:
        return lambda value: any(type(value) is type(choice) and value == choice for choice in arguments)
    if origin in (list, Sequence):
        return _all_of(_check_of(arguments[0]) if arguments else None)
    if origin is tuple:
        return _all_of(_check_of(arguments[0])) if Ellipsis in arguments else _each_of(arguments)
    if origin in (dict, Mapping):
        key, value = (_check_of(argument) for argument in arguments or (Any, Any))
        return _mapping_of(key, value)
    return partial(_fits_dataclass, config=hint) if is_dataclass(hint) else None


def _all_of(check: Check | None) -> Check:
    return lambda value: isinstance(value, (list, tuple)) and (check is None or all(map(check, value)))


def _each_of(hints: tuple[Any, ...]) -> Check:
    def fits(value: Any) -> bool:
        return isinstance(value, (list, tuple)) and (
            not hints or (len(value) == len(hints) and all(map(_fits, value, hints)))
        )

    return fits


def _mapping_of(key: Check | None, value: Check | None) -> Check:
    def fits(mapping: Any) -> bool:
        return (
            isinstance(mapping, Mapping)
            and (key is None or all(map(key, mapping)))
            and (value is None or all(map(value, mapping.values())))
        )

    return fits


def _fits_dataclass(value: Any, *, config: Any) -> bool:
    if isinstance(value, config):
        return True
    hints = field_hints(config)
    return isinstance(value, Mapping) and all(_fits(item, hints.get(key, Any)) for key, item in value.items())


def _fits_float(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    return abs(int(value)) <= sys.float_info.max if isinstance(value, Integral) else math.isfinite(value)


_SIMPLE: dict[Any, Check | None] = {
    Any: None,
    bool: lambda value: isinstance(value, bool),
    int: lambda value: isinstance(value, Integral) and not isinstance(value, bool),
    float: _fits_float,
    str: lambda value: isinstance(value, str),
    type(None): lambda value: value is None,
}
