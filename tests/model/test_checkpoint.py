"""Laws of checkpoints: a saved model is loaded bit by bit; a broken directory is explained."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.tiny import cases, forecast_problem, tiny, waves
from tsfm.files import folders
from tsfm.model import checkpoint
from tsfm.model.checkpoint import CARD, CONFIG, FORMAT, WEIGHTS, About, load, model_card, save
from tsfm.model.config_file import with_digest
from tsfm.model.model import Model
from tsfm.registry import TASKS

ABOUT = About(
    task={"name": "forecast", "loss": "mse"},
    trained_on={"dataset": "etth1", "split": "ett_hour", "fingerprints": {"OT": "12ab"}},
    standardize={"OT": (17.1, 9.2)},
    metrics={"val_loss": 0.4321},
    command="tsfm train seed=7",
)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return save(tiny("patch_transformer", "quantiles"), tmp_path / "model", about=ABOUT)


def rewrite(folder: Path, **changes: Any) -> None:
    """Change entries of config.json; a key with dots goes into `model`."""
    config = json.loads((folder / CONFIG).read_text())
    for key, value in changes.items():
        config[key] = value
    (folder / CONFIG).write_text(json.dumps(config))


def spec(folder: Path, component: str | None = None, **changes: Any) -> None:
    """Change settings of the model, or of one of its components, in config.json."""
    model = json.loads((folder / CONFIG).read_text())["model"]
    (model if component is None else model[component]).update(changes)
    rewrite(folder, model=model)


def reseal(folder: Path) -> None:
    """Give a changed config.json and weights file their digests, as a hostile sender can."""
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(with_digest(config, folder / WEIGHTS)))


@pytest.mark.parametrize(("name", "kind"), cases(), ids=lambda value: value)
def test_a_round_trip_changes_no_bit(name: str, kind: str, tmp_path: Path) -> None:
    model = tiny(name, kind).train()
    model(forecast_problem(waves()))  # batch norm has statistics
    again, about = load(save(model, tmp_path / "deep" / "model", about=ABOUT))
    assert again.spec() == model.spec()
    assert not again.training
    state = again.state_dict()
    assert list(state) == list(model.state_dict())
    assert all(torch.equal(tensor, state[key]) for key, tensor in model.state_dict().items())
    assert json.dumps(vars(about)) == json.dumps(vars(ABOUT))


def test_a_save_does_not_change_the_model_and_leaves_no_drafts(tmp_path: Path) -> None:
    model = tiny("patch_transformer").train()
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    for _ in range(2):  # the second replaces the first
        save(model, tmp_path / "model", about=ABOUT)
    assert model.training
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
    assert sorted(p.name for p in (tmp_path / "model").iterdir()) == sorted([CARD, CONFIG, WEIGHTS])
    assert (tmp_path / "model").stat().st_mode & 0o055 == 0o055  # others may read it


def fail(*args: Any, **kwargs: Any) -> None:
    raise OSError(28, "No space left on device")


def cut_off(*, at: int) -> Callable[..., None]:
    """An os.rename that is interrupted at its `at`-th call."""
    rename, calls = os.rename, iter(range(1, 100))

    def renamed(source: Any, target: Any) -> None:
        if next(calls) == at:
            raise KeyboardInterrupt
        rename(source, target)

    return renamed


@pytest.mark.parametrize(
    ("module", "name", "stand_in"),
    [
        (checkpoint, "save_file", fail),
        (checkpoint, "model_card", fail),
        (folders, "exchange_names", fail),
        (os, "rename", cut_off(at=1)),
        (os, "rename", cut_off(at=2)),
    ],
    ids=["weights", "card", "exchange", "first rename", "second rename"],
)
def test_an_interrupted_save_leaves_the_old_one(
    module: Any, name: str, stand_in: Any, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer, before = tiny("patch_transformer", "quantiles", seed=9), load(saved)[0].state_dict()
    if module is os:
        monkeypatch.setattr(folders, "exchange_names", lambda *names: False)  # as where two names cannot be exchanged
    monkeypatch.setattr(module, name, stand_in)
    with pytest.raises((OSError, KeyboardInterrupt)):
        save(newer, saved, about=ABOUT)
    monkeypatch.undo()
    after = load(saved)[0].state_dict()
    assert all(torch.equal(tensor, after[key]) for key, tensor in before.items())
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]


def test_a_full_disk_is_an_oserror(saved: Path) -> None:
    """safetensors has an error of its own for it; users get the usual one."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
        with pytest.raises(OSError, match=r"cannot write .* choose another place"):
            save(tiny("patch_transformer", "quantiles", seed=9), saved, about=ABOUT)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    load(saved)
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]


def test_a_folder_without_permission_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> str:
        raise PermissionError(13, "Permission denied", str(tmp_path))

    monkeypatch.setattr(Path, "mkdir", refuse)  # root may write anywhere, so the error is simulated
    with pytest.raises(PermissionError, match=re.escape(str(tmp_path))):
        save(tiny("nlinear"), tmp_path / "model", about=ABOUT)


BROKEN: dict[str, tuple[Any, type[Exception], list[str]]] = {
    "truncated weights": (
        lambda f: os.truncate(f / WEIGHTS, 5000),
        ValueError,
        [WEIGHTS, "cannot be read", "copy it again"],
    ),
    "empty weights": (lambda f: os.truncate(f / WEIGHTS, 0), ValueError, [WEIGHTS, "cannot be read"]),
    "no weights": (lambda f: (f / WEIGHTS).unlink(), FileNotFoundError, [f"has no {WEIGHTS}", CONFIG]),
    "no config": (lambda f: (f / CONFIG).unlink(), FileNotFoundError, [f"has no {CONFIG}", WEIGHTS]),
    "cut config": (lambda f: os.truncate(f / CONFIG, 100), ValueError, [CONFIG, "not a tsfm model config"]),
    "another json": (lambda f: (f / CONFIG).write_text('{"a": 1}'), ValueError, ["not a tsfm model config", "format"]),
    "a json list": (lambda f: (f / CONFIG).write_text("[1, 2]"), ValueError, ["not a tsfm model config"]),
    "binary config": (lambda f: (f / CONFIG).write_bytes(b"\xff\xfe\x00"), ValueError, ["not a tsfm model config"]),
    "a future format": (
        lambda f: rewrite(f, format=FORMAT + 1, tsfm="9.0"),
        ValueError,
        [f"format {FORMAT + 1}", "tsfm 9.0", f"reads formats up to {FORMAT}"],
    ),
    "no model": (lambda f: rewrite(f, model=None), ValueError, ["not a tsfm model config"]),
    "model is a list": (lambda f: rewrite(f, model=[1]), ValueError, ["not a tsfm model config"]),
    "about is text": (lambda f: rewrite(f, about="nothing"), ValueError, ["not a tsfm model config"]),
    "unknown backbone": (
        lambda f: spec(f, "backbone", name="patch_transfomer"),
        ValueError,
        [CONFIG, "unknown backbone 'patch_transfomer'", "did you mean 'patch_transformer'"],
    ),
    "unknown head": (lambda f: spec(f, "head", name="flat"), ValueError, ["unknown head 'flat'", "flatten"]),
    "unknown scaler": (lambda f: spec(f, "scaler", name="zz"), ValueError, ["unknown scaler 'zz'", "standard"]),
    "nameless backbone": (lambda f: spec(f, "backbone", name=None), ValueError, [CONFIG, "backbone"]),
    "no head": (lambda f: rewrite(f, model={"context": 48}), ValueError, ["has no scaler, backbone, head"]),
    "head is a number": (lambda f: spec(f, head=3), ValueError, [CONFIG]),
    "unknown key": (lambda f: spec(f, contxt=48), ValueError, ["model.contxt", "did you mean 'context'"]),
    "unknown part key": (
        lambda f: spec(f, "backbone", dept=2),
        ValueError,
        ["backbone.dept is not a setting of 'patch_transformer'", "did you mean 'depth'"],
    ),
    "wrong type": (lambda f: spec(f, context="long"), ValueError, [CONFIG]),
    "wrong part type": (lambda f: spec(f, "backbone", depth="deep"), ValueError, [CONFIG]),
    "wrong value": (lambda f: spec(f, patch=-1), ValueError, ["model.patch is -1"]),
    "another shape": (lambda f: spec(f, width=32), ValueError, [WEIGHTS, "has shape", "describes"]),
    "another depth": (lambda f: spec(f, "backbone", depth=1), ValueError, [WEIGHTS, "unexpected ['backbone.blocks.1."]),
    "missing tensors": (
        lambda f: save_file({k: v for k, v in load_file(f / WEIGHTS).items() if "norm" not in k}, f / WEIGHTS),
        ValueError,
        [WEIGHTS, "missing ['backbone.blocks.0.", "unexpected none"],
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_checkpoint_is_explained(case: str, saved: Path) -> None:
    breaks, error, fragments = BROKEN[case]
    breaks(saved)
    with pytest.raises(error) as caught:
        load(saved)
    message = str(caught.value)
    assert str(saved) in message
    assert [fragment for fragment in fragments if fragment not in message] == []
    assert type(caught.value) is error
    assert "\n" not in message


def test_no_folder_and_a_file_instead_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for name in ("nowhere", "file"):
        with pytest.raises(
            FileNotFoundError, match=f"no checkpoint directory at .*{name}; expected a folder with {CONFIG}"
        ):
            load(tmp_path / name)


def test_loading_imports_nothing_by_name(saved: Path) -> None:
    """Names are looked up in the registry: a dotted path is an unknown name."""
    spec(saved, "backbone", name="os.system")
    with pytest.raises(ValueError, match=r"unknown backbone 'os\.system'"):
        load(saved)


def test_unknown_entries_of_about_are_ignored(saved: Path) -> None:
    about = json.loads((saved / CONFIG).read_text())["about"]
    rewrite(saved, about=about | {"later": 1})
    reseal(saved)
    assert load(saved)[1].command == ABOUT.command


def test_the_card_follows_from_what_was_saved(saved: Path) -> None:
    """The card contains nothing that is not in the directory: written again from there, it is the same."""
    model, about = load(saved)
    assert model_card(model, about) == (saved / CARD).read_text()
    config = json.dumps(json.loads((saved / CONFIG).read_text()))
    card = re.sub(r"```.*?```", "", (saved / CARD).read_text(), flags=re.DOTALL)
    numbers = set(re.findall(r"\d+(?:\.\d+)?", card.replace(",", ""))) - {str(model.num_parameters())}
    assert {number for number in numbers if number not in config} == set()
    for fact in ("patch_transformer", "patch_quantiles", "standard", "context 48", "0.4321", "etth1", ABOUT.command):
        assert fact in card
    assert "12ab" not in card  # fingerprints are not listed


@pytest.mark.parametrize("task", [*TASKS.names(), "from_outside", None])
def test_the_card_lists_the_calls_of_the_training_task_and_no_others(task: str | None) -> None:
    card = model_card(tiny("patch_transformer"), About(task={"name": task} if task else {}))
    calls = re.findall(r"^model\.(\w+)\(", card, re.MULTILINE)
    expected = {
        "pretrain": ["predict_df", "impute_df", "detect_df", "embed_df"],
        "impute": ["impute_df"],
        "detect": ["detect_df"],
        "classify": ["classify_df"],
        "regress": ["classify_df"],
        "from_outside": [],  # a task that is not installed here
    }
    assert calls == expected.get(task or "forecast", ["predict_df"])


def test_from_spec_is_the_inverse_of_spec() -> None:
    for name, kind in cases():
        model = tiny(name, kind)
        assert Model.from_spec(json.loads(json.dumps(model.spec()))).spec() == model.spec()
