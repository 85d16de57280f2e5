"""Which runs are the same: first weights and data are compared by content; folders of killed runs are no runs."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.training.test_crash_points import SETTINGS, outcome, store
from tests.training.test_run_directory import claim, configure
from tsfm.commands.train import train_and_score
from tsfm.config import compose, typed
from tsfm.files import locks
from tsfm.model.checkpoint import About, save
from tsfm.store.series_store import StoreWriter
from tsfm.training.components import build_model
from tsfm.training.init_config import compose_with_checkpoint

assert store  # a fixture
TRAINING = [*SETTINGS, "trainer.max_epochs=1"]
CHANGED = r"the weights of init\.from changed since"


def train(store: Path, *settings: str) -> dict[str, Any]:
    texts = [*TRAINING, f"data.dataset={store}", "resume=auto", *settings]
    return train_and_score(typed(compose_with_checkpoint(texts)))


def source(path: Path, seed: int) -> str:
    model = build_model(typed(compose("train", [*SETTINGS, "data.dataset=none", f"seed={seed}"])))
    save(model, path, about=About())
    return f"init.from={path}"


@pytest.mark.parametrize("finished", [pytest.param(True, marks=pytest.mark.slow), False])
def test_a_run_from_other_weights_under_the_same_name_is_another_run(
    finished: bool, store: Path, tmp_path: Path
) -> None:
    init = source(tmp_path / "a", 0)
    named, chosen = f"run_dir={tmp_path / 'r'}", f"run_root={tmp_path / 'runs'}"
    first = [train(store, init, target) for target in (named, chosen)]
    if not finished:
        for result in first:
            Path(result["run_dir"], "result.json").unlink()
    source(tmp_path / "a", 1)
    with pytest.raises(ValueError, match=CHANGED):
        train(store, init, named)
    other = train(store, init, chosen)
    assert other["run_dir"] != first[1]["run_dir"]
    assert other["mse"] != first[1]["mse"]
    source(tmp_path / "a", 0)
    assert [train(store, init, target)["mse"] for target in (named, chosen)] == [row["mse"] for row in first]
    assert len(list((tmp_path / "runs" / "run").iterdir())) == 2


def test_a_run_from_the_same_weights_under_another_name_is_the_same(store: Path, tmp_path: Path) -> None:
    """Also of a finished run, and of one whose record is of a version without a digest of the first weights."""
    init, target = source(tmp_path / "a", 0), f"run_dir={tmp_path / 'r'}"
    first = train(store, init, target)
    (tmp_path / "a").rename(tmp_path / "b")
    init = f"init.from={tmp_path / 'b'}"
    assert train(store, init, target) == first
    expected = outcome(tmp_path / "r")
    (tmp_path / "r" / "result.json").unlink()
    train(store, init, target)
    assert outcome(tmp_path / "r") == expected
    record = tmp_path / "r" / "fingerprint.json"
    content = json.loads(record.read_text())
    record.write_text(json.dumps({"fingerprint": content["fingerprint"]}))
    with pytest.raises(ValueError, match=r"differs in: init\.from: .*a, now .*b"):
        train(store, init, target)
    (tmp_path / "r" / "result.json").unlink()
    train(store, source(tmp_path / "a", 0), target)
    assert json.loads(record.read_text()) == content


def test_a_longer_run_that_is_refused_leaves_the_finished_one(store: Path, tmp_path: Path) -> None:
    data, target = tmp_path / "store", f"run_dir={tmp_path / 'r'}"
    shutil.copytree(store, data)
    train(data, target)
    before = outcome(tmp_path / "r")
    shutil.rmtree(data)
    with StoreWriter(data, channels=["target"]) as writer:
        writer.add("s", np.arange(120.0, dtype=np.float32)[None], np.datetime64("2024-01-01", "us"), "h")
    with pytest.raises(ValueError, match=r"the data changed since the run"):
        train(data, target, "trainer.max_epochs=2")
    assert outcome(tmp_path / "r") == before
    shutil.rmtree(data)
    shutil.copytree(store, data)
    train(data, target)
    assert outcome(tmp_path / "r") == before


def killed_early(folder: Path, *files: str) -> Path:
    folder.mkdir(parents=True)
    for name in files:
        (folder / name).write_text("a")
    return folder


@pytest.mark.parametrize("resume", ["auto", "never"])
def test_folders_of_runs_that_were_killed_before_they_began_are_removed(resume: str, tmp_path: Path) -> None:
    """Not those of living processes, with other files, or with names that tsfm does not choose."""
    root, time = tmp_path / "run", "2024-01-01_00-00-00-seed"
    killed_early(root / f"{time}0")
    killed_early(root / f"{time}1-1", "command.txt", ".lock")
    killed_early(root / f"{time}-2", "command.txt", "environment.json", ".config.yaml.tsfm-0123abcd.yaml")
    kept = [
        killed_early(root / f"{time}3", "command.txt", "notes.txt"),
        killed_early(root / "mine", "command.txt"),
        killed_early(root / f"{time}4", "command.txt"),
    ]
    with locks.locked(kept[-1]):
        run_dir = claim(configure(f"run_root={tmp_path}", f"resume={resume}"))
    assert {path.name for path in root.iterdir()} == {path.name for path in [*kept, Path(run_dir)]}


def test_nothing_is_removed_where_the_file_system_has_no_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    young = killed_early(tmp_path / "run" / "2024-01-01_00-00-00-seed0", "command.txt")
    assert Path(claim(configure(f"run_root={tmp_path}"))).is_dir()
    assert young.is_dir()
