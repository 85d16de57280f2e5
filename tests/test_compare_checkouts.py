"""The comparison of two checkouts reports every changed bit, name and failed check, and keeps clean results only."""

from __future__ import annotations

import importlib
import json
import subprocess
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tests.conftest import ROOT

WEIGHTS = {"training/mixer: names": np.array(["a", "b"]), "training/mixer: weights a": np.arange(6.0).reshape(2, 3)}


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("compare_checkouts")


@pytest.fixture
def measure(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("checkouts.measure")


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clean commit that holds a package of the name tsfm."""
    folder = tmp_path / "checkout"
    (folder / "tsfm").mkdir(parents=True)
    (folder / "tsfm" / "__init__.py").touch()
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "start")
    return folder


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (np.float32([1, np.nan]), np.float32([1, np.nan]), None),
        (np.array(["a", "b"]), np.array(["a", "b"]), None),
        (np.array(2.5), np.array(2.5), None),
        (np.array([0.0]), np.array([-0.0]), "1 of 1 values, largest difference 0"),
        (np.float32([1, 2, 3]), np.nextafter(np.float32([1, 2, 3]), np.float32([9, 2, 3])), "1 of 3 values"),
        (np.array([1.0, np.nan]), np.array([1.0, 2.0]), "1 of 2 values"),
        (np.array([True, False]), np.array([True, True]), "1 of 2 values"),
        (np.float32([1]), np.float64([1]), "float32 [1] -> float64 [1]"),
        (np.zeros((2, 3)), np.zeros((3, 2)), "float64 [2, 3] -> float64 [3, 2]"),
        (np.array(0.1), np.array(0.1 + 2**-55), "0.1 -> 0.10000000000000003"),
        (np.array(["a", "b"]), np.array(["a", "cc"]), "'a b' -> 'a cc'"),
        (np.array(["a", "b"]), np.array(["a"]), "'a b' -> 'a'"),
    ],
)
def test_any_bit_that_differs_is_reported(script: ModuleType, old: np.ndarray, new: np.ndarray, reason: str) -> None:
    result = script.difference(old, new)
    assert result is None if reason is None else result.startswith(reason)


def test_missing_arrays_and_renamed_weights_differ_and_added_arrays_do_not(script: ModuleType) -> None:
    old = script.Results(WEIGHTS, {})
    assert script.differences(old, script.Results(WEIGHTS | {"golden/new: predictions": np.zeros(3)}, {})) == {}
    names = np.array(["a", "c"])
    renamed = {"training/mixer: names": names, "training/mixer: weights c": WEIGHTS["training/mixer: weights a"]}
    lines = script.differences(old, script.Results(renamed, {}))
    assert lines == {"training/mixer: names": "'a b' -> 'a c'", "training/mixer: weights a": "missing in NEW"}
    text = script.table(old, script.Results(renamed, {}), lines)
    assert text.splitlines()[1].split()[:4] == ["training/mixer", "2", "2", "1"]


@pytest.mark.parametrize("side", ["OLD", "NEW"])
def test_a_failed_check_is_a_difference_even_if_it_failed_in_both(script: ModuleType, side: str) -> None:
    failed = script.Results({}, {"training/mixer": "Traceback\nValueError: width"})
    whole = script.Results(WEIGHTS, {})
    pair = (failed, whole) if side == "OLD" else (whole, failed)
    lines = script.differences(*pair)
    assert lines == {f"training/mixer: failed in {side}": "ValueError: width"}
    assert "ValueError: width" in script.table(*pair, lines)
    assert len(script.differences(failed, failed)) == 2


def test_only_a_clean_commit_counts_as_one(script: ModuleType, checkout: Path) -> None:
    commit = script.clean_commit(checkout)
    assert len(commit) == 40
    assert script.clean_commit(checkout / "tsfm") is None  # a folder inside a checkout
    (checkout / "new.py").touch()
    assert script.clean_commit(checkout) is None
    git(checkout, "add", ".")
    git(checkout, "commit", "-q", "-m", "next")
    assert script.clean_commit(checkout) not in (None, commit)


def test_results_of_a_clean_commit_are_measured_once_and_failed_ones_again(
    script: ModuleType, checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[list[str]] = []

    def run(checkout: Path, sections: list[str], folder: Path) -> dict[str, str]:
        measured.append(sections)
        for name in sections:
            np.savez(folder / f"{name}.npz", **{f"{name}/a: x": np.arange(3)})
        return {"verbs/b": "ValueError"} if len(measured) == 1 else {}

    monkeypatch.setattr(script, "measure_apart", run)
    for expected in (["golden", "verbs"], ["verbs"], None):
        count = len(measured)
        results = script.results_of(checkout, ["golden", "verbs"], tmp_path / "out")
        assert measured[count:] == ([expected] if expected else [])
        assert set(results.arrays) == {"golden/a: x", "verbs/a: x"}
        assert bool(results.failures) == (expected == ["golden", "verbs"])
    (checkout / "changed.py").touch()
    script.results_of(checkout, ["golden"], tmp_path / "out")
    assert len(measured) == 3
    assert len(list((tmp_path / "out").iterdir())) == 1


def test_the_exit_status_says_whether_anything_differs(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays = {"old": WEIGHTS, "new": WEIGHTS | {"training/mixer: weights a": np.zeros((2, 3))}}
    monkeypatch.setattr(script, "results_of", lambda path, sections, out: script.Results(arrays[path.name], {}))
    options = ["--out", str(tmp_path), "--only", "training"]
    assert script.main(["old", "old", *options]) == 0
    assert "EQUAL: 2 arrays" in capsys.readouterr().out
    assert script.main(["old", "new", *options]) == 1
    assert "5 of 6 values, largest difference 5" in capsys.readouterr().out
    assert "training/mixer: weights a" in (tmp_path / "differences.txt").read_text()
    with pytest.raises(SystemExit):
        script.main(["old", "new", "--only", "goldens"])
    assert "goldens; the sections are golden, bundled" in capsys.readouterr().err


def test_older_names_of_arguments_and_settings_are_used_where_the_checkout_has_them(measure: ModuleType) -> None:
    def older(series: int, *, season: int) -> tuple[int, int]:
        return series, season

    def current(series: int, *, season_length: int) -> tuple[int, int]:
        return series, season_length

    for function in (older, current):
        assert measure.call(function, 1, season_length=24) == (1, 24)
    assert measure.older_setting("task.max_tail_patches=4") == "task.longest=4"
    assert measure.older_setting("model.width=16") == "model.width=16"


def test_durations_and_paths_of_a_result_are_not_compared(measure: ModuleType, tmp_path: Path) -> None:
    result = {"mse": 0.5, "season": 24, "seconds": 3.1, "run_dir": "a", "fingerprint": "f", "levels": [0.5]}
    (tmp_path / "result.json").write_text(json.dumps(result))
    expected = {"metric mse": 0.5, "metric season_length": 24, "metric fingerprint": "f"}
    assert measure.metrics(tmp_path) == expected


def test_the_sections_of_both_scripts_are_the_same_and_name_every_backbone(
    script: ModuleType, measure: ModuleType
) -> None:
    assert tuple(measure.SECTIONS) == script.SECTIONS
    assert {file.stem for file in (ROOT / "conf" / "backbone").glob("*.yaml")} <= set(measure.TRAININGS)
    assert {file.parent.name for file in (ROOT / "tsfm" / "weights").glob("*/config.json")} == set(measure.BUNDLED)
