"""Settings and config files that would take unbounded time or memory are refused, and so are odd booleans."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tsfm.config import ConfigError, compose, sweep
from tsfm.files.bounded import check_expanded_yaml, parse_yaml

DATA = ["data=store", "data.dataset=x"]
LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10)
)
FILES = {
    "aliases": (LAUGHS, r"laughs\.yaml: it has more than 200,000 values"),
    "an alias of itself": ("name: &a [*a]\n", "an alias in it refers to itself"),
    "nesting": ("name: " + "[" * 20_000 + "]" * 20_000 + "\n", "nested too deeply"),
    "a number as boolean": ("model: {pad_end: 5}\n", "pad_end is '5'; expected a value of type bool"),
    "not text": ("name: \udcff\n", "not text in UTF-8"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_config_file(case: str, tmp_path: Path) -> None:
    text, message = FILES[case]
    (tmp_path / "experiment").mkdir()
    file = tmp_path / "experiment" / "laughs.yaml"
    file.write_bytes(("# @package _global_\n" + text).encode("utf-8", "surrogateescape"))
    start = time.process_time()
    with pytest.raises(ConfigError, match=message):
        compose("train", [*DATA, "experiment=laughs"], config_dir=str(tmp_path))
    assert time.process_time() - start < 20


def test_a_few_aliases_are_read(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    text = "# @package _global_\ntrainer: {max_epochs: &n 2, patience: *n}\n"
    (tmp_path / "experiment" / "mine.yaml").write_text(text)
    config = compose("train", [*DATA, "experiment=mine"], config_dir=str(tmp_path))
    assert config.trainer.max_epochs == config.trainer.patience == 2


@pytest.mark.parametrize(
    "setting",
    [
        "seed=range(0,100000000)",
        "seed=range(100000000)",
        "seed=range(start=0,stop=1e9)",
        "seed=shuffle(range(0,100000000))",
        "optim.lr=range(0,1,1e-9)",
        "seed=range(0,10,0)",
    ],
)
def test_a_long_range(setting: str) -> None:
    for run in (lambda: compose("train", [*DATA, setting]), lambda: sweep("train", [*DATA, setting], lambda _: None)):
        with pytest.raises(ConfigError, match=f"{setting.partition('=')[0]} has a range of more than 10,000 values"):
            run()


def test_a_sweep_of_too_many_combinations() -> None:
    overrides = [*DATA, *(f"{key}=0,1,2,3,4,5,6,7,8,9" for key in ("seed", "a.b", "c", "d", "e"))]
    with pytest.raises(ConfigError, match=r"more than 10,000 combinations \(seed: 10, "):
        sweep("train", overrides, lambda _: None)


def test_a_range_as_text_is_text() -> None:
    assert compose("train", [*DATA, "name='range(0,100000000)'"]).name == "range(0,100000000)"


@pytest.mark.parametrize("value", ["3", "-1", "'7'", "-0.5", "2.0"])
def test_a_number_is_not_a_boolean(value: str) -> None:
    with pytest.raises(ConfigError, match=r"backbone\.causal is '.*'; expected a value of type bool"):
        compose("train", [*DATA, f"backbone.causal={value}"])


@pytest.mark.parametrize(("value", "expected"), [("true", True), ("yes", True), ("0", False), ("1", True)])
def test_usual_booleans(value: str, expected: bool) -> None:
    assert compose("train", [*DATA, f"backbone.causal={value}"]).backbone.causal is expected


def test_deeply_nested_settings() -> None:
    with pytest.raises(ConfigError, match="nested too deeply"):
        compose("train", [*DATA, f"name={'[' * 3000}{']' * 3000}"])


def test_yaml_of_plain_values() -> None:
    assert parse_yaml("a: &x [1, 2]\nb: *x\n") == {"a": [1, 2], "b": [1, 2]}
    assert parse_yaml("") is None
    check_expanded_yaml("a: [*unknown]")  # left to who reads it
    for text in (LAUGHS, "a: &a [*a]", "[" * 5000, "a: [", "a: !!python/object/apply:os.system [ls]"):
        with pytest.raises(ValueError, match=r"values|itself|nested|YAML"):
            parse_yaml(text)
