"""Checkpoints that were damaged, or made to harm: each is an error in words, in little time and memory."""

from __future__ import annotations

import json
import logging
import os
import struct
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.model.test_checkpoint import ABOUT, reseal, rewrite, spec
from tests.tiny import tiny
from tsfm.files import bounded
from tsfm.model import skeleton, weights_file
from tsfm.model.checkpoint import CONFIG, WEIGHTS, load, save
from tsfm.model.config_file import DIGEST
from tsfm.model.model_config import MAX_STEPS


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return save(tiny("patch_transformer", "quantiles"), tmp_path / "model", about=ABOUT)


def flip_bit(file: Path, position: int) -> None:
    content = bytearray(file.read_bytes())
    content[position] ^= 4
    file.write_bytes(content)


@pytest.mark.parametrize("position", [-1, -1000, -20_000])
def test_a_flipped_bit_of_the_weights_is_noticed(saved: Path, position: int) -> None:
    flip_bit(saved / WEIGHTS, position)
    with pytest.raises(ValueError, match=f"{WEIGHTS} is damaged: it is not the file that was saved with this model"):
        load(saved)


@pytest.mark.parametrize(
    "change",
    [
        lambda f: spec(f, "backbone", causal=True),
        lambda f: spec(f, "head", quantile_levels=[0.11, *(level / 10 for level in range(2, 10))]),
        lambda f: rewrite(f, about={"standardize": {"OT": [17.1, 9.3]}}),
        lambda f: rewrite(f, tsfm="0.1.9"),
    ],
    ids=["setting", "levels", "units", "version"],
)
def test_a_valid_but_changed_config_is_noticed(saved: Path, change: Callable[[Path], None]) -> None:
    change(saved)
    with pytest.raises(ValueError, match=f"{CONFIG} is damaged or was changed: .* remove the entry 'digest'"):
        load(saved)


def test_a_model_without_digest_is_loaded_with_a_note(saved: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = json.loads((saved / CONFIG).read_text())
    before = load(saved)[0].state_dict()
    assert not caplog.records
    (saved / CONFIG).write_text(json.dumps({key: value for key, value in config.items() if key != DIGEST}))
    caplog.set_level(logging.INFO, logger="tsfm")
    after = load(saved)[0].state_dict()
    assert "has no digest" in caplog.text
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_spacing_and_order_of_the_config_do_not_matter(saved: Path) -> None:
    config, before = json.loads((saved / CONFIG).read_text()), load(saved)[0].state_dict()
    (saved / CONFIG).write_text(json.dumps(dict(reversed(config.items())), separators=(" ,", " : ")))
    after = load(saved)[0].state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_weight_that_is_not_finite_is_named(saved: Path, value: float) -> None:
    tensors = load_file(saved / WEIGHTS)
    name = sorted(tensors)[3]
    tensors[name].view(-1)[0] = value
    save_file(tensors, saved / WEIGHTS)
    reseal(saved)
    with pytest.raises(ValueError, match=f"{WEIGHTS}: {name} has values that are not finite"):
        load(saved)
    model = tiny("patch_transformer", "quantiles")
    with torch.no_grad():
        next(model.parameters()).view(-1)[0] = value
    with pytest.raises(ValueError, match="values that are not finite, so the model cannot predict; it is not saved"):
        save(model, saved, about=ABOUT)


def test_large_finite_weights_are_loaded(saved: Path) -> None:
    """Their sum is not finite, and they are."""
    model = tiny("patch_transformer", "quantiles")
    with torch.no_grad():
        next(model.parameters()).fill_(3e38)
    assert (next(load(save(model, saved, about=ABOUT))[0].parameters()) == 3e38).all()


def test_weights_of_another_type_are_refused(saved: Path) -> None:
    tensors = load_file(saved / WEIGHTS)
    name = sorted(tensors)[0]
    save_file(tensors | {name: tensors[name].to(torch.int32)}, saved / WEIGHTS)
    reseal(saved)
    with pytest.raises(ValueError, match=rf"{name} is stored as I32, and the network has torch\.float32"):
        load(saved)


HUGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "width": (lambda f: spec(f, width=100_000), r"more than .* values, and the weights file has"),
    "width of 10^18": (lambda f: spec(f, width=10**18), "cannot build"),
    "depth": (lambda f: spec(f, "backbone", depth=1_000_000), "it has more than .*, and the weights file has"),
    "hidden": (lambda f: spec(f, "head", hidden=10**9), r"more than .* values"),
    "context": (lambda f: spec(f, context=10**12), f"is longer than {MAX_STEPS:,}"),
    "horizon": (lambda f: spec(f, horizon=10**12), f"is longer than {MAX_STEPS:,}"),
    "number of more digits than Python reads": (
        lambda f: (f / CONFIG).write_text((f / CONFIG).read_text().replace('"depth": 2', '"depth": ' + "9" * 5000)),
        CONFIG,
    ),
}


@pytest.mark.parametrize("case", HUGE)
def test_a_huge_network_is_refused_before_it_is_built(saved: Path, case: str) -> None:
    change, message = HUGE[case]
    change(saved)
    if case != "number of more digits than Python reads":
        reseal(saved)
    tracemalloc.start()
    start = time.process_time()
    with pytest.raises(ValueError, match=message):
        load(saved)
    assert time.process_time() - start < 5
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


def test_a_huge_filter_is_refused_before_its_taps_are_listed(tmp_path: Path) -> None:
    saved = save(tiny("dilated_conv", "quantiles"), tmp_path / "model", about=ABOUT)
    spec(saved, "backbone", kernel=10**9 + 1)
    reseal(saved)
    with pytest.raises(ValueError, match=r"more than .* values"):
        load(saved)


def test_the_limit_counts_this_thread_and_ends_with_the_block() -> None:
    import threading

    with skeleton.limited_size(num_tensors=0, num_values=0):
        thread = threading.Thread(target=torch.nn.Linear, args=(2000, 2000))
        thread.start()
        thread.join()
        with pytest.raises(skeleton.TooLargeError, match="values"):
            torch.nn.Linear(2000, 2000)
    torch.nn.Linear(2000, 2000)


TEXTS: dict[str, tuple[str, str]] = {
    "nested": ("[" * 200_000 + "]" * 200_000, "nested too deeply"),
    "nested objects": ('{"a":' * 200_000 + "1" + "}" * 200_000, "nested too deeply"),
    "many lists": ("[" + "[]," * 600_000 + "[]]", "more than 500,000 lists and objects"),
    "not a number": ('{"format": NaN, "model": {}}', "format"),
    "format of another type": ('{"format": true, "model": {}}', "format True"),
    "format is a list": ('{"format": [2], "model": {}}', "checkpoint format"),
}


@pytest.mark.parametrize("case", TEXTS)
def test_a_config_of_hostile_text(saved: Path, case: str) -> None:
    text, message = TEXTS[case]
    (saved / CONFIG).write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        load(saved)
    assert str(saved) in str(caught.value)


def test_a_config_of_more_bytes_than_are_read(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded.read_small, "__kwdefaults__", {"folder": None, "max_bytes": 1000})
    with pytest.raises(ValueError, match="more than 1,000 bytes"):
        load(saved)


ABOUTS: dict[str, Any] = {
    "task": None, "task.name": 3, "trained_on": [], "trained_on.data": [1], "trained_on.data.past": "a",
    "trained_on.data.known": [1], "trained_on.data.time_features": 3, "trained_on.fingerprints": 5,
    "trained_on.sketch": [1], "trained_on.init": "x", "trained_on.init.fingerprints": 1, "trained_on.corpus": {},
    "standardize": {"OT": [1.0]}, "standardize.OT": [0.0, 0.0], "labels": [], "labels.classes": "abc",
    "labels.scale": "1", "metrics": None, "metrics.mase": "0.8", "command": None,
}  # fmt: skip


@pytest.mark.parametrize("entry", ABOUTS)
def test_a_record_with_a_value_of_another_type(saved: Path, entry: str) -> None:
    about: dict[str, Any] = json.loads((saved / CONFIG).read_text())["about"]
    *path, last = entry.split(".")
    values = about
    for key in path:
        values = values.setdefault(key, {})
    values[last] = ABOUTS[entry]
    rewrite(saved, about=about)
    reseal(saved)
    with pytest.raises(ValueError, match=rf"{CONFIG}: about\.{entry.removesuffix('.mase')}"):
        load(saved)


def header_of(file: Path) -> tuple[dict[str, Any], bytes]:
    content = file.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def write_header(file: Path, header: Any, values: bytes) -> None:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + values)


def first(header: dict[str, Any]) -> dict[str, Any]:
    return header[min(key for key in header if key != "__metadata__")]


HEADERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "not JSON": lambda h: b"{" * 10,
    "not text": lambda h: b"\xff\xfe",
    "nested": lambda h: b"[" * 200_000,
    "a list": lambda h: [h],
    "an entry is text": lambda h: h | {"extra": "F32"},
    "an unknown type": lambda h: first(h).update(dtype="F99"),
    "a type that is a list": lambda h: first(h).update(dtype=["F32"]),
    "a negative size": lambda h: first(h).update(shape=[-1, 4]),
    "a size that is true": lambda h: first(h).update(shape=[True]),
    "a huge size": lambda h: first(h).update(shape=[2**61, 2**61]),
    "many axes": lambda h: first(h).update(shape=[1] * 100),
    "offsets beyond the end": lambda h: first(h).update(data_offsets=[0, 2**50]),
    "offsets before the start": lambda h: first(h).update(data_offsets=[-8, 0]),
    "overlapping offsets": lambda h: h | {"extra": first(h)},
}  # fmt: skip


@pytest.mark.parametrize("case", HEADERS)
def test_a_header_that_is_wrong(saved: Path, case: str) -> None:
    header, values = header_of(saved / WEIGHTS)
    changed = HEADERS[case](header)
    write_header(saved / WEIGHTS, header if changed is None else changed, values)
    reseal(saved)
    with pytest.raises(ValueError, match=f"{WEIGHTS} cannot be read .*copy it again"):
        load(saved)


@pytest.mark.parametrize("length", [0, 7, 2**40, 2**63])
def test_the_length_of_the_header(saved: Path, length: int) -> None:
    content = (saved / WEIGHTS).read_bytes()
    (saved / WEIGHTS).write_bytes(struct.pack("<Q", length) + content[8:])
    with pytest.raises(ValueError, match=f"{WEIGHTS} cannot be read"):
        load(saved)


def test_a_file_larger_than_the_memory(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights_file, "physical_memory", lambda: 1000.0)
    with pytest.raises(ValueError, match="GiB of memory, and this machine has"):
        load(saved)


@pytest.mark.parametrize("name", [WEIGHTS, CONFIG])
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "link out", "loop", "dangling"])
def test_a_file_of_another_kind(saved: Path, tmp_path: Path, kind: str, name: str) -> None:
    content = (saved / name).read_bytes()
    (saved / name).unlink()
    if kind == "pipe":
        os.mkfifo(saved / name)
    elif kind == "folder":
        (saved / name).mkdir()
    else:
        (tmp_path / "elsewhere").write_bytes(content)
        target = {"device": "/dev/zero", "link out": tmp_path / "elsewhere", "loop": saved / name}.get(kind, "/nowhere")
        (saved / name).symlink_to(target)
    with pytest.raises((ValueError, FileNotFoundError), match=f"{name}"):
        load(saved)


def test_links_within_the_folder_and_of_a_download_are_followed(saved: Path, tmp_path: Path) -> None:
    before = load(saved)[0].state_dict()
    (saved / WEIGHTS).rename(saved / "weights-1")
    (saved / WEIGHTS).symlink_to("weights-1")
    after = load(saved)[0].state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    repository = tmp_path / "models--org--name"
    snapshot = repository / "snapshots" / "a1"
    snapshot.parent.mkdir(parents=True)
    save(tiny("patch_transformer", "quantiles"), snapshot, about=ABOUT)
    (repository / "blobs").mkdir()
    for name in (WEIGHTS, CONFIG):
        (snapshot / name).rename(repository / "blobs" / name)
        (snapshot / name).symlink_to(Path("..", "..", "blobs", name))
    downloaded = load(snapshot)[0].state_dict()
    stored = load_file(repository / "blobs" / WEIGHTS)
    assert all(torch.equal(downloaded[name], stored[name]) for name in stored)


def test_loading_leaves_the_global_random_generator_alone(saved: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    load(saved)
    assert torch.equal(torch.rand(2), expected)
