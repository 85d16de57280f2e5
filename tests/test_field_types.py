"""Settings have the types of their fields: every component's Config refuses every other kind of value."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, Optional, Union

import pytest

from tsfm.field_types import check_types, describe_type, field_hints
from tsfm.registry import BACKBONES, HEADS, SCALERS, TASKS


@dataclass
class Inner:
    rate: float = 0.5


@dataclass
class Settings:
    flag: bool = False
    count: int = 1
    rate: float = 0.5
    text: str = ""
    choice: Literal["a", 1] = "a"
    optional: Optional[int] = None  # noqa: UP045
    either: Union[str, list[str]] = ""  # noqa: UP007
    numbers: list[float] = field(default_factory=list)
    pair: tuple[float, float] = (0.0, 1.0)
    rest: tuple[int, ...] = ()
    table: dict[str, int] = field(default_factory=dict)
    inner: Inner = field(default_factory=Inner)
    anything: Any = None


FITS: dict[str, list[Any]] = {
    "flag": [True, False],
    "count": [0, -3, 10**30],
    "rate": [0.5, 2, -1e300],
    "text": ["", "x"],
    "choice": ["a", 1],
    "optional": [None, 3],
    "either": ["x", ["x", "y"], []],
    "numbers": [[], [1, 0.5], (1.0,)],
    "pair": [[0, 1], (0.5, 2.5)],
    "rest": [[], [1, 2, 3]],
    "table": [{}, {"a": 1}],
    "inner": [{}, {"rate": 1}, Inner()],
    "anything": [None, object(), [{}]],
}
MISFITS: dict[str, list[Any]] = {
    "flag": [0, 1, -0.5, "true", None, []],
    "count": [True, 1.0, "1", None, [1]],
    "rate": [True, "0.5", None, math.nan, math.inf, -math.inf, 10**400],
    "text": [1, None, True, ["x"]],
    "choice": ["b", True, 1.0, None],
    "optional": [True, 1.5, "3"],
    "either": [1, [1], None],
    "numbers": [[True], ["1"], "12", {"a": 1}, [None], [math.nan]],
    "pair": [[0], [0, 1, 2], ["a", "b"], 0.5],
    "rest": [[1.5], "123"],
    "table": [{"a": "b"}, {1: 1}, [], None],
    "inner": [{"rate": "much"}, 3, []],
}


@pytest.mark.parametrize("name", FITS)
def test_values_of_the_type_pass(name: str) -> None:
    for value in FITS[name]:
        check_types({name: value, "unknown": 3}, Settings, prefix="group")


@pytest.mark.parametrize("name", MISFITS)
def test_other_values_are_refused_with_the_name_and_the_expected_type(name: str) -> None:
    for value in MISFITS[name]:
        with pytest.raises(ValueError, match=rf"^group\.{name} is .*; expected ") as caught:
            check_types({name: value}, Settings, prefix="group")
        assert describe_type(field_hints(Settings)[name]) in str(caught.value)
        assert len(str(caught.value)) < 200


def test_a_long_value_is_cut_in_the_message() -> None:
    nested: Any = 1
    for _ in range(500):
        nested = [nested]
    for value in ("x" * 10**6, nested, list(range(10**5))):
        with pytest.raises(ValueError, match=r"group\.count is ") as caught:
            check_types({"count": value}, Settings, prefix="group")
        assert len(str(caught.value)) < 200


def settings() -> Iterator[tuple[Any, str, str]]:
    for registry in (BACKBONES, HEADS, SCALERS, TASKS):
        for entry in registry:
            yield from ((registry, entry.name, name) for name in entry.config.__dataclass_fields__ if name != "name")


@pytest.mark.parametrize(
    ("registry", "component", "name"), list(settings()), ids=lambda value: getattr(value, "group", value)
)
def test_no_setting_of_a_component_takes_a_value_of_another_type(registry: Any, component: str, name: str) -> None:
    config = registry.entry(component).config
    hint = field_hints(config)[name]
    wrong = {bool: -0.5, int: 1.5, float: "0.5", str: 3}.get(hint, {"not": "it"})
    with pytest.raises(ValueError, match=rf"{registry.group}\.{name} is .*; expected "):
        registry.config({"name": component, name: wrong})


@pytest.mark.parametrize("values", [None, 3, "mixer", ["mixer"], {}, {"name": None}, {"name": ["mixer"]}])
def test_a_config_that_is_no_object_or_has_no_name(values: Any) -> None:
    with pytest.raises(ValueError, match="backbone config"):
        BACKBONES.config(values)
