"""Laws of the registry: a name means one component; an error about an unknown name lists the known ones."""

from __future__ import annotations

import os
import pickle
import sys
import textwrap
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.core.config_store import ConfigStore

from tsfm import registry
from tsfm.messages import did_you_mean
from tsfm.metrics import metric
from tsfm.registry import BACKBONES, REGISTRIES, Registry


@pytest.fixture
def toys() -> Registry[Any]:
    """A registry of its own, over a package without built-in parts."""
    return Registry("toy", package="tsfm.metrics")


def add(toys: Registry[Any], name: str = "ball") -> type:
    @toys(name)
    class Ball:
        """A toy."""

        @dataclass
        class Config:
            size: int = 3

            def __post_init__(self):
                if self.size < 1:
                    raise ValueError(f"toy.size is {self.size}")

        def __init__(self, config: Any, *, colour: str):
            self.config, self.colour = config, colour

    return Ball


def test_a_registered_part_is_built_from_its_config(toys: Registry[Any]) -> None:
    component = add(toys)
    assert toys.names() == ["ball"]
    assert [entry.component for entry in toys] == [component]
    ball = toys.build(toys.config({"name": "ball", "size": 5}), colour="red")
    assert type(ball) is component
    assert (ball.config.name, ball.config.size, ball.colour) == ("ball", 5, "red")
    assert toys.entry("ball").config().size == 3
    assert isinstance(ball.config, component.Config)
    with pytest.raises(ValueError, match=r"toy\.size is 0"):  # its own checks run
        toys.config({"name": "ball", "size": 0})


def test_registering_adds_the_schema_to_hydra(toys: Registry[Any]) -> None:
    add(toys)
    node = ConfigStore.instance().load("toy/_ball.yaml")
    assert node.package == "toy"
    assert dict(node.node) == {"name": "ball", "size": 3}


def test_the_config_is_not_changed_by_a_name_of_its_own(toys: Registry[Any]) -> None:
    component = add(toys)
    assert "name" not in component.Config.__dataclass_fields__
    assert toys.entry("ball").config.__module__ == component.__module__


def test_a_name_is_taken_once(toys: Registry[Any]) -> None:
    component = add(toys)

    class Other:
        Config = component.Config

    with pytest.raises(ValueError, match=f"toy 'ball' is taken by {__name__}; choose another name"):
        toys("ball")(Other)
    twin = type(component.__name__, (), {"Config": component.Config, "__module__": "another.plugin"})
    twin.__qualname__ = component.__qualname__  # a class of the same name from elsewhere is another class
    with pytest.raises(ValueError, match="is taken by"):
        toys("ball")(twin)
    assert toys.entry("ball").component is component
    assert add(toys) is toys.entry("ball").component  # the same class made anew, by a reload, takes its own place


@pytest.mark.parametrize("config", [None, 3, dict])
def test_a_part_needs_a_config(toys: Registry[Any], config: Any) -> None:
    with pytest.raises(TypeError, match="Bare needs a nested dataclass Config to be registered as 'bare'"):
        toys("bare")(type("Bare", (), {"Config": config}))


def test_an_unknown_name_lists_the_near_and_the_known_ones(toys: Registry[Any]) -> None:
    add(toys)
    add(toys, "balloon")
    with pytest.raises(ValueError, match=r"unknown toy 'baloon'; did you mean 'balloon'\? known: ball, balloon$"):
        toys.entry("baloon")
    with pytest.raises(ValueError, match=r"unknown toy 'train'; known: ball, balloon$"):
        toys.entry("train")
    assert did_you_mean("x", []) == "known: none"


def test_a_wrong_key_names_itself(toys: Registry[Any]) -> None:
    add(toys)
    with pytest.raises(
        ValueError, match=r"toy\.sise is not a setting of 'ball'; did you mean 'size'\? known: name, size"
    ):
        toys.config({"name": "ball", "sise": 5})
    for values in ({}, {"name": None}, {"name": 3, "size": 1}):
        with pytest.raises(ValueError, match="a toy config needs a name; found the keys"):
            toys.config(values)


PLUGIN = """
    from dataclasses import dataclass
    from tsfm.model.backbone import Backbone
    from tsfm.registry import BACKBONES

    @BACKBONES("from_outside")
    class FromOutside(Backbone):
        @dataclass
        class Config:
            pass

        def __init__(self, config, *, grid):
            super().__init__()

        def forward(self, x, seen):
            return 2 * x
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EntryPoint:
    """The entry point of an installed package with a backbone; forgotten after the test."""
    (tmp_path / "outside_plugin.py").write_text(textwrap.dedent(PLUGIN))
    monkeypatch.syspath_prepend(tmp_path)
    BACKBONES.discover()  # the built-in ones register once, when they are imported: not into the copy
    monkeypatch.setattr(BACKBONES, "_entries", dict(BACKBONES._entries))
    monkeypatch.delitem(sys.modules, "outside_plugin", raising=False)
    point = EntryPoint(name="from_outside", value="outside_plugin", group="tsfm.backbones")
    monkeypatch.setattr(registry, "entry_points", lambda *, group: [point] if group == point.group else [])
    return point


def test_an_outside_package_adds_a_backbone_by_its_entry_point(plugin: EntryPoint) -> None:
    from tests.tiny import forecast_problem, tiny, waves

    assert "from_outside" in BACKBONES.names()
    assert BACKBONES.entry("from_outside").component.__module__ == "outside_plugin"
    problem = forecast_problem(waves())
    assert tiny("from_outside")(problem).prediction.shape[:3] == problem.values.shape


@pytest.mark.parametrize("line", ["import sys; sys.exit(3)", "raise SystemExit", "raise RuntimeError('broken')", "1 +"])
def test_a_package_that_fails_or_exits_when_it_is_imported_is_left_out(
    line: str, plugin: EntryPoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "outside_plugin.py").write_text(line)
    assert "from_outside" not in BACKBONES.names()
    assert "the backbone 'from_outside' of an unnamed package cannot be imported and is left out" in caplog.text
    points = [EntryPoint(name="odd", value="outside_plugin", group="tsfm.metrics")]
    monkeypatch.setattr(metric, "entry_points", lambda **_: points)
    metric.discover_metrics.cache_clear()
    assert metric.better_direction("mase") == "lower"
    assert "the metric 'odd' cannot be imported and is left out" in caplog.text


def test_a_known_name_needs_no_look_at_other_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    BACKBONES.discover()
    monkeypatch.setattr(registry, "entry_points", lambda **_: pytest.fail("looked"))
    assert BACKBONES.entry("patch_transformer").name == "patch_transformer"


def test_a_package_that_is_installed_while_the_process_runs_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    for number, name in enumerate(["first", "second"], start=1):
        info = tmp_path / f"{name}-0.1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1\n")
        (info / "entry_points.txt").write_text(f"[tsfm.no_group]\n{name} = module\n")
        os.utime(tmp_path, (number, number))
        assert len(registry.entry_points(group="tsfm.no_group")) == number


def test_a_typed_config_and_a_model_can_be_pickled() -> None:
    from tests.tiny import forecast_problem, tiny, waves

    for entry in BACKBONES:
        assert pickle.loads(pickle.dumps(entry.config())) == entry.config()
    model, problem = tiny("mamba").eval(), forecast_problem(waves())
    again = pickle.loads(pickle.dumps(model))
    assert torch.equal(again(problem).prediction[..., -1, :], model(problem).prediction[..., -1, :])


def test_every_built_in_part_says_what_it_is() -> None:
    """Docstrings with a source; defaults that pass their own checks; a plain-valued config."""
    for group in REGISTRIES:
        for entry in group:
            assert entry.component.__doc__, entry.name
            assert entry.config().name == entry.name
            assert group.config(vars(entry.config())) == entry.config()
