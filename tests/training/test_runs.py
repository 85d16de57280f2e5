"""Lists, comparisons and deletions of training runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

import tsfm
from tsfm.commands.cli import main
from tsfm.config import compose, plain, typed
from tsfm.files.locks import is_locked, locked
from tsfm.training.run_record import write_result
from tsfm.training.runs import compare_runs, find_runs, list_runs


def make_run(folder: Path, *settings: str, result: dict[str, object] | None = None) -> Path:
    """Write the records of a run, as one that has ended leaves them."""
    folder.mkdir(parents=True)
    config = plain(typed(compose("train", ["data=etth1", *settings])))
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    if result is not None:
        write_result(folder, {"run_dir": str(folder), "model": str(folder / "model"), **result})
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four runs: two finished, one unfinished, one whose result is damaged."""
    make_run(tmp_path / "demo/a", "seed=0", "optim.lr=0.01", result={"mse": 0.5, "val_loss": 0.25, "seconds": 3.0})
    make_run(tmp_path / "demo/b", "seed=1", "optim.lr=0.02", result={"mse": 0.75, "val_loss": 0.125})
    make_run(tmp_path / "ltsf/x/c", "seed=0")
    damaged = make_run(tmp_path / "ltsf/x/d", "seed=0")
    (damaged / "result.json").write_text(json.dumps({"mse": 1}))
    return tmp_path


def test_runs_are_listed_with_their_status(root: Path) -> None:
    frame = list_runs(root).set_index("run")
    assert frame["status"].to_dict() == {
        "demo/a": "finished", "demo/b": "finished", "ltsf/x/c": "unfinished", "ltsf/x/d": "damaged",
    }  # fmt: skip
    assert frame.loc["demo/a", ["mse", "val_loss", "seconds"]].tolist() == [0.5, 0.25, 3.0]
    assert set(frame["data"]) == {"etth1"}
    assert list_runs(root, pattern="ltsf/*")["run"].tolist() == ["ltsf/x/c", "ltsf/x/d"]
    assert list_runs(root, seed=0, optim__lr=0.01)["run"].tolist() == ["demo/a"]
    assert tsfm.list_runs(root, pattern="none").empty
    with pytest.raises(FileNotFoundError, match="is not a folder; runs are written below run_root"):
        list_runs(root / "none")


def test_a_run_in_use_is_running_and_is_not_deleted(root: Path, capsys: pytest.CaptureFixture) -> None:
    with locked(root / "ltsf/x/c"):
        assert list_runs(root, pattern="ltsf/x/c")["status"].tolist() == ["running"]
        assert main(["runs", "delete", "ltsf/x/*", "--root", str(root), "--yes"]) == 0
    assert (root / "ltsf/x/c").is_dir()
    assert not (root / "ltsf/x/d").exists()
    assert capsys.readouterr().out == f"deleted {root / 'ltsf/x/d'}\n"
    assert not is_locked(root / "ltsf/x/c")


def test_nothing_is_deleted_without_yes(root: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["runs", "delete", "demo/*", "--root", str(root)]) == 0
    assert "2 runs would be deleted; --yes deletes them" in capsys.readouterr().out
    assert len(find_runs(root, ["demo/*"])) == 2
    assert main(["runs", "delete", "--root", str(root), "--yes"]) == 2
    assert len(find_runs(root, ["*"])) == 4


def test_a_comparison_has_what_differs(root: Path, capsys: pytest.CaptureFixture) -> None:
    table = compare_runs([root / "demo/a", root / "demo/b"])
    assert table.index.tolist() == ["optim.lr", "seed", "mse", "val_loss", "seconds"]
    assert table.loc["optim.lr"].tolist() == [0.01, 0.02]
    assert main(["runs", "compare", "demo/a", "demo/b", "--root", str(root)]) == 0
    assert "| optim.lr | 0.01" in capsys.readouterr().out
    assert main(["runs", "compare", "demo/*", "--root", str(root)]) == 0
    assert main(["runs", "compare", "demo/z", "--root", str(root)]) == 2
    assert "no run matches 'demo/z'" in capsys.readouterr().err
    with pytest.raises(ValueError, match="expected at least two runs"):
        compare_runs([root / "demo/a"])


def test_the_command_lists_the_runs(root: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["runs", "--root", str(root)]) == 0
    assert capsys.readouterr().out.count("\n") == 6
    assert main(["runs", "list", "--root", str(root), "--where", "seed=1", "--out", str(root / "runs.csv")]) == 0
    assert "demo/b" in (root / "runs.csv").read_text()
    assert main(["runs", "list", "--root", str(root), "--where", "seed"]) == 2
    assert "expected NAME=VALUE" in capsys.readouterr().err
