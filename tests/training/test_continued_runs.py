"""Runs that are continued: copied and renamed ones, finished ones, longer ones, and hostile ones."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.test_crash_points import SETTINGS, outcome, store
from tsfm.commands.cli import main
from tsfm.commands.train import train_and_score
from tsfm.config import compose, plain, typed
from tsfm.training import training_run
from tsfm.training.checkpoint_file import STATE_KEY, read_state
from tsfm.training.learner import Learner
from tsfm.training.optim import SCHEDULES, OptimConfig, learning_rate_factor, needs_last_step
from tsfm.training.run_identity import ABSENT, changed_settings

assert store  # a fixture


def train(store: Path, *settings: str) -> dict[str, Any]:
    return train_and_score(typed(compose("train", [*SETTINGS, f"data.dataset={store}", "resume=auto", *settings])))


def killed(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, when: Callable[..., bool], call: Callable) -> None:
    """Run a training that ends like a killed one at a call of a function."""
    function = getattr(owner, name)

    def ends(*args: Any, **kwargs: Any) -> Any:
        if when(*args):
            raise KeyboardInterrupt
        return function(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, ends)
        with pytest.raises(KeyboardInterrupt):
            call()


def test_copied_and_renamed_runs_go_on_with_the_same_numbers(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best epoch is the second; a run that forgot it would take the third."""
    settings = ["trainer.max_epochs=4", "trainer.checkpoint_every=1"]
    whole = train(store, *settings, f"run_dir={tmp_path / 'whole'}")
    first = [*settings, f"run_dir={tmp_path / 'a'}"]
    killed(monkeypatch, Learner, "training_step", lambda self, *_: self.global_step == 14, lambda: train(store, *first))
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert train(store, *first)["val_loss"] == whole["val_loss"]
    (tmp_path / "b").rename(tmp_path / "c")
    last = [*settings, f"run_dir={tmp_path / 'c'}"]
    killed(monkeypatch, training_run, "load_best_weights", lambda *_: True, lambda: train(store, *last))
    (tmp_path / "c").rename(tmp_path / "d")
    shutil.rmtree(tmp_path / "a")
    assert train(store, *settings, f"run_dir={tmp_path / 'd'}")["val_loss"] == whole["val_loss"]
    expected = outcome(tmp_path / "whole")
    assert outcome(tmp_path / "d") == expected
    (tmp_path / "d").rename(tmp_path / "e")
    again = train(store, *settings, f"run_dir={tmp_path / 'e'}")
    assert again["mse"] == whole["mse"]
    assert (again["run_dir"], again["model"]) == (str(tmp_path / "e"), str(tmp_path / "e" / "model"))


def test_a_finished_run_gives_its_result(store: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Without a second training; not where its settings, data or version are others, or its result is damaged."""
    target = f"run_root={tmp_path / 'runs'}"
    first = train(store, target)
    assert train(store, target) == first
    assert train(store, target, "optim.lr=0.01")["run_dir"] != first["run_dir"]
    result, record = Path(first["run_dir"], "result.json"), Path(first["run_dir"], "environment.json")
    text, versions = result.read_text(), record.read_text()
    record.write_text(re.sub(r'"tsfm": "[^"]*"', '"tsfm": "0.0.1"', versions))
    with caplog.at_level("INFO", logger="tsfm"):
        assert train(store, target)["run_dir"] != first["run_dir"]
    assert "was trained by tsfm 0.0.1" in caplog.text
    record.write_text(versions)
    for damaged in ("5", "[]", "", "{"):
        result.write_text(damaged)
        assert train(store, f"run_dir={first['run_dir']}")["val_loss"] == first["val_loss"]
        assert f"{result} is damaged and not used" in caplog.text
        assert json_of(result) == json_of(text)
        caplog.clear()


def test_a_sweep_that_is_repeated_trains_only_what_is_not_finished(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = [*SETTINGS, f"data.dataset={store}", "resume=auto", "trainer.max_epochs=1"]

    def results(*rates: str) -> list[tuple[Any, bool]]:
        assert main(["train", "-m", *settings, f"optim.lr={','.join(rates)}"]) == 0
        lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("RESULT ")]
        results_of_jobs = [json.loads(line.removeprefix("RESULT ")) for line in lines]
        return [(result["mse"], result.get("reused", False)) for result in results_of_jobs]

    first = results("0.01")
    again = results("0.01", "0.02")
    assert again[0] == (first[0][0], True)
    assert not again[1][1]
    with monkeypatch.context() as patch:
        patch.setattr(Learner, "training_step", None)  # no step is made
        assert results("0.02", "0.01") == [(again[1][0], True), (again[0][0], True)]
    assert len(list(tmp_path.rglob("config.yaml"))) == 2


def json_of(text: str | Path) -> dict[str, Any]:
    content = json.loads(text.read_text() if isinstance(text, Path) else text)
    return {key: value for key, value in content.items() if key not in ("seconds", "digest")}


@pytest.mark.parametrize("settings", [["trainer.max_epochs=2"], ["trainer.max_epochs=-1", "trainer.max_steps=8"]])
def test_a_run_that_is_made_longer_ends_as_one_that_was_long_from_the_start(
    settings: list[str], store: Path, tmp_path: Path
) -> None:
    longer = [text.replace("epochs=2", "epochs=4").replace("steps=8", "steps=21") for text in settings]
    train(store, *longer, f"run_dir={tmp_path / 'long'}")
    train(store, *settings, f"run_dir={tmp_path / 'short'}")
    train(store, *longer, f"run_dir={tmp_path / 'short'}")
    assert outcome(tmp_path / "short") == outcome(tmp_path / "long")


@pytest.mark.parametrize(
    ("settings", "later", "message"),
    [
        (["optim.schedule=cosine"], "trainer.max_epochs=4", r"optim\.schedule=cosine depends on the last step"),
        (["optim.warmup=0.1"], "trainer.max_epochs=4", r"optim\.warmup=0\.1 .* depends on the last step"),
        ([], "trainer.max_epochs=2", r"trainer\.max_epochs=3, and it cannot become shorter"),
        ([], "optim.lr=0.5", r"differs in: optim\.lr: 0\.05, now 0\.5\)"),
    ],
)
def test_a_run_that_cannot_be_continued_says_which_setting_differs(
    settings: list[str], later: str, message: str, store: Path, tmp_path: Path
) -> None:
    target = f"run_dir={tmp_path / 'r'}"
    train(store, *settings, target)
    with pytest.raises(ValueError, match=message):
        train(store, *settings, target, later)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_schedule_is_extended_only_where_earlier_rates_stay_the_same(schedule: str) -> None:
    config = OptimConfig(schedule=schedule)

    def rates(steps: int) -> list[float]:
        return [learning_rate_factor(config, step=step, steps=steps, epoch_steps=4) for step in range(12)]

    assert (rates(12) == rates(24)) == (needs_last_step(config) is None)


@pytest.mark.parametrize(
    "schedule", [pytest.param(name, marks=[] if name == "exponential" else pytest.mark.slow) for name in SCHEDULES]
)
def test_each_schedule_is_extended_bit_equal_or_refused(schedule: str, store: Path, tmp_path: Path) -> None:
    settings = [f"optim.schedule={schedule}", "data.batches_per_epoch=3"]
    lengths = [f"trainer.max_epochs={epochs}" for epochs in (1, 2)]
    train(store, *settings, lengths[0], f"run_dir={tmp_path / 'r'}")
    before = outcome(tmp_path / "r")
    if needs_last_step(OptimConfig(schedule=schedule)):
        with pytest.raises(ValueError, match=rf"because optim\.schedule={schedule} depends on the last step"):
            train(store, *settings, lengths[1], f"run_dir={tmp_path / 'r'}")
        assert outcome(tmp_path / "r") == before
    else:
        train(store, *settings, lengths[1], f"run_dir={tmp_path / 'r'}")
        train(store, *settings, lengths[1], f"run_dir={tmp_path / 'long'}")
        assert outcome(tmp_path / "r") == outcome(tmp_path / "long") != before


def test_a_copied_run_takes_its_own_best_weights(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run is killed before its best weights are loaded, copied, and the best weights of the original change."""
    train(store, "trainer.max_epochs=1", f"run_dir={tmp_path / 'whole'}")
    first = ["trainer.max_epochs=1", f"run_dir={tmp_path / 'a'}"]
    killed(monkeypatch, training_run, "load_best_weights", lambda *_: True, lambda: train(store, *first))
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    file = tmp_path / "a" / "checkpoints" / "last.ckpt"
    state = torch.load(file, weights_only=True)
    best = state["callbacks"][STATE_KEY]["best_weights"]
    for tensor in best.values():
        tensor.mul_(2)
    torch.save(state, file)
    train(store, "trainer.max_epochs=1", f"run_dir={tmp_path / 'b'}")
    assert outcome(tmp_path / "b") == outcome(tmp_path / "whole")
    train(store, *first)
    assert outcome(tmp_path / "a")["weights"] != outcome(tmp_path / "whole")["weights"]


def test_a_setting_of_a_newer_version_does_not_differ_at_its_default() -> None:
    config = typed(compose("train", ["data=etth1", "trainer.accumulate=1"]))
    old = plain(config)
    del old["trainer"]["accumulate"], old["optim"]["hold"]
    assert changed_settings(old, config) == {}
    config = typed(compose("train", ["data=etth1", "trainer.accumulate=2"]))
    assert changed_settings(old, config) == {"trainer.accumulate": (ABSENT, 2)}


class Hostile:
    def __init__(self, file: Path):
        self.file = file

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.file}",)


def test_resuming_runs_no_code_and_follows_no_link(store: Path, tmp_path: Path) -> None:
    target, sign = f"run_dir={tmp_path / 'r'}", tmp_path / "executed"
    train(store, target)
    last = tmp_path / "r" / "checkpoints" / "last.ckpt"
    (tmp_path / "r" / "result.json").unlink()
    good = last.read_bytes()
    state = read_state(last)
    for key in ("extra", "callbacks"):
        torch.save(state | {key: Hostile(sign)}, last)
        with pytest.raises(ValueError, match=r"last\.ckpt contains more than tensors and numbers, .* nothing was run"):
            train(store, target)
    (tmp_path / "elsewhere.ckpt").write_bytes(good)
    last.unlink()
    last.symlink_to(tmp_path / "elsewhere.ckpt")
    with pytest.raises(ValueError, match=r"last\.ckpt is a link to .*elsewhere\.ckpt"):
        train(store, target)
    last.unlink()
    for damaged in (b"", b"PK", good[: len(good) // 2]):
        last.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"last\.ckpt is damaged or cut short; remove it"):
            train(store, target)
    torch.save({"a": 1}, last)
    with pytest.raises(ValueError, match=r"is not the state of a training run"):
        train(store, target)
    assert not sign.exists()


def test_a_state_of_version_0_1_is_read(store: Path, tmp_path: Path) -> None:
    """Two of Lightning's callbacks wrote it, and best.ckpt next to it; a validation that was due had not been run."""
    target = f"run_dir={tmp_path / 'r'}"
    train(store, target)
    expected = outcome(tmp_path / "r")
    last = tmp_path / "r" / "checkpoints" / "last.ckpt"
    state = read_state(last)
    own = state["callbacks"].pop(STATE_KEY)
    old = {
        "monitor": "val/loss",
        "best_model_score": torch.tensor(own["best_score"]),
        "best_model_path": "/gone/best.ckpt",
    }
    state["callbacks"]["ModelCheckpoint{'monitor': 'val/loss'}"] = old
    state["callbacks"]["ModelCheckpoint{'monitor': None}"] = {"monitor": None, "best_model_score": None}
    torch.save(state, last)
    torch.save({"state_dict": own["best_weights"], "global_step": 12}, last.with_name("best.ckpt"))
    for name in ("result.json", "fingerprint.json"):
        (tmp_path / "r" / name).unlink()
    train(store, target)
    resumed = outcome(tmp_path / "r")
    resumed["files"].remove("checkpoints/best.ckpt")
    assert resumed == expected
