"""Laws of the leak check in `tsfm eval`: series that a model has seen are reported, and not scored as zero-shot."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.contamination.test_sketch import means, moved, noisy
from tests.tiny import tiny
from tsfm.commands.cli import main
from tsfm.contamination.sketch import SKETCH_FILE, Sketch
from tsfm.contamination.verdict import Verdict, check_contamination
from tsfm.infer.load import bundled
from tsfm.model.checkpoint import CONFIG, About, load, save
from tsfm.store.series_store import SeriesStore, StoreWriter

RNG = np.random.default_rng(0)
SEEN, OTHER, NEW = noisy(1600, RNG), noisy(1600, RNG), noisy(500, RNG)


def store(path: Path, arrays: dict[str, np.ndarray]) -> SeriesStore:
    with StoreWriter(path, channels=["load"]) as writer:
        for name, values in arrays.items():
            writer.add(name, values[None].astype(np.float32), np.datetime64("2024-01-01"), "h")
    return SeriesStore.open(path)


def model(path: Path, *, corpus: Sequence[np.ndarray] | None = (SEEN, OTHER), **trained_on: Any) -> Path:
    """A model directory with a record that it was trained on these; without a sketch where there is no corpus."""
    files = {}
    if corpus is not None:
        files[SKETCH_FILE] = Sketch.build(corpus, [f"set {i}" for i in range(len(corpus))]).to_bytes()
    return save(tiny("patch_transformer", "quantiles"), path, about=About(trained_on=trained_on), files=files)


def evaluate(*overrides: str) -> int:
    return main(["eval", "data=store", "bench=windows", "data.split=last_horizon", *overrides])


def result(capsys: pytest.CaptureFixture[str]) -> dict:
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("RESULT "))
    return json.loads(line.removeprefix("RESULT "))


def test_a_scaled_coarser_copy_is_reported_in_the_result_and_refused_as_zero_shot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = model(tmp_path / "m")
    leaky = store(tmp_path / "leaky", {"a": NEW, "b": moved(means(SEEN, 3), RNG)}).path
    overrides = [f"predictor={known}", f"data.dataset={leaky}"]
    assert evaluate(*overrides) == 0
    metrics = result(capsys)
    assert (metrics["zero_shot"], metrics["seen_series"]) == ("false", 1)
    assert metrics["seen"][0].startswith("'b': steps ")
    assert metrics["seen"][0].endswith(" occur in set 0 (means of 24 steps)")
    assert evaluate(*overrides, "zero_shot=true", f"out={tmp_path / 'out'}") == 2
    message = capsys.readouterr().err
    assert "zero_shot=true requires series that" in message
    assert "of 2 series it has seen 1: 'b': steps" in message
    assert "score it on other data" in message
    assert not list((tmp_path / "out").glob("result.json"))


def test_a_score_on_clean_series_is_zero_shot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known, clean = model(tmp_path / "m"), store(tmp_path / "clean", {"a": NEW}).path
    assert evaluate(f"predictor={known}", f"data.dataset={clean}", "zero_shot=true") == 0
    metrics = result(capsys)
    assert metrics["zero_shot"] == "true"
    assert "seen" not in metrics


def test_a_baseline_has_seen_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clean = store(tmp_path / "clean", {"a": NEW}).path
    overrides = ["predictor=last_value", f"data.dataset={clean}", "context=48", "horizon=16"]
    assert evaluate(*overrides, "zero_shot=true") == 0
    assert "zero_shot" not in result(capsys)


def test_a_fingerprint_identifies_a_series_and_without_a_sketch_the_verdict_is_unknown(tmp_path: Path) -> None:
    data = store(tmp_path / "s", {"a": NEW, "b": OTHER})
    arrays = [data.read(i) for i in range(2)]
    record = {"fingerprints": data.fingerprints[1:]}
    for folder, trained_on in (("own", record), ("begun", {"init": {"from": "x", "method": "full", **record}})):
        verdict = check_contamination(model(tmp_path / folder, corpus=None, **trained_on), arrays, names=data.ids)
        assert (verdict.word, verdict.seen) == ("false", ("'b' is one of its training series",))
        assert verdict == check_contamination(
            tmp_path / folder, [], names=data.ids, fingerprints=data.fingerprints
        )  # unread
        other = check_contamination(tmp_path / folder, [NEW[None]])
        assert other.word == "unknown"
        assert f"has no {SKETCH_FILE}" in other.reason
    nothing = check_contamination(model(tmp_path / "silent", corpus=None), arrays)
    assert nothing == Verdict(None, f"{tmp_path / 'silent'} does not say what it was trained on")


def test_months_of_the_calendar_are_recognised(tmp_path: Path) -> None:
    days = np.arange("1990-01-10", "2010-01-01", dtype="datetime64[D]")
    daily = (days - days[0]).astype(float) * 1e-4 + noisy(len(days), RNG)
    months = pd.Series(daily, index=pd.DatetimeIndex(days)).resample("MS").mean().to_numpy()
    known = model(tmp_path / "m", corpus=[moved(months, RNG)])
    assert check_contamination(known, [NEW, daily]).word == "true"
    verdict = check_contamination(known, [NEW, daily], timestamps=lambda i: days[: (len(NEW), len(daily))[i]])
    assert (verdict.word, verdict.num_series) == ("false", 2)
    assert verdict.seen[0].startswith("series 1 by months: steps ")


def test_a_model_without_a_record_of_its_data_is_refused_as_zero_shot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    silent, clean = model(tmp_path / "m", corpus=None), store(tmp_path / "clean", {"a": NEW}).path
    overrides = [f"predictor={silent}", f"data.dataset={clean}"]
    assert evaluate(*overrides) == 0
    assert result(capsys)["zero_shot"] == "unknown"
    assert evaluate(*overrides, "zero_shot=true") == 2
    assert "does not say what it was trained on; leave zero_shot out" in capsys.readouterr().err


def test_a_run_that_began_elsewhere_is_not_called_zero_shot_by_its_own_sketch_alone(tmp_path: Path) -> None:
    begun = check_contamination(
        model(tmp_path / "a", init={"from": "base", "method": "full", "fingerprints": []}), [NEW]
    )
    assert begun.word == "unknown"
    assert "its training started from base" in begun.reason
    merged = check_contamination(
        model(tmp_path / "b", init={"from": "base", "method": "full", "fingerprints": [], "sketch": "12ab"}), [NEW]
    )
    assert merged.word == "true"


def test_series_that_cannot_be_recognised_leave_the_verdict_unknown(tmp_path: Path) -> None:
    known = model(tmp_path / "m")
    assert check_contamination(known, [np.arange(99.0), np.ones(99)]).word == "unknown"
    verdict = check_contamination(known, [np.arange(99.0), NEW])
    assert (verdict.word, verdict.num_indistinct, verdict.num_series) == ("true", 1, 2)
    assert "1 of 2 too short, smooth or regular to be recognised" in str(verdict)


def test_a_verdict_names_five_series_and_counts_the_others(tmp_path: Path) -> None:
    pieces = [moved(SEEN[i * 200 : i * 200 + 300], RNG) for i in range(6)]
    verdict = check_contamination(model(tmp_path / "m"), pieces)
    assert len(verdict.seen) == 6
    assert str(verdict).endswith("; and 1 more")
    assert verdict.row() == {"zero_shot": "false", "seen_series": 6, "seen": list(verdict.seen[:5])}


def test_models_side_by_side_share_the_sketch_that_each_names(tmp_path: Path) -> None:
    sketch = Sketch.build([SEEN])
    sketch.save(tmp_path / SKETCH_FILE)
    for name in ("small", "mini"):
        model(tmp_path / name, corpus=None, sketch=sketch.fingerprint)
        assert check_contamination(tmp_path / name, [SEEN]).word == "false"
    assert check_contamination(model(tmp_path / "unrelated", corpus=None), [SEEN]).word == "unknown"
    (tmp_path / SKETCH_FILE).unlink()
    with pytest.raises(FileNotFoundError, match=rf"small lacks {SKETCH_FILE}, which its {CONFIG} names"):
        check_contamination(tmp_path / "small", [SEEN])


@pytest.mark.parametrize("name", bundled())
def test_bundled_models_know_what_they_saw(name: str) -> None:
    verdict = check_contamination(name, [NEW, np.arange(90.0)])
    assert (verdict.word, verdict.num_series, verdict.num_indistinct) == ("true", 2, 1)
    assert verdict.row() == {"zero_shot": "true", "indistinct_series": 1}


def test_a_sketch_of_another_model_or_a_damaged_one_is_named(tmp_path: Path) -> None:
    known = model(tmp_path / "m", sketch=Sketch.build([OTHER]).fingerprint)
    with pytest.raises(ValueError, match=rf"{SKETCH_FILE} has fingerprint .* copy both from the same model"):
        check_contamination(known, [NEW])
    (known / SKETCH_FILE).write_bytes(b"cut")
    with pytest.raises(ValueError, match=rf"{SKETCH_FILE}: not a sketch"):
        check_contamination(known, [NEW])
    Sketch.build([SEEN]).save(tmp_path / SKETCH_FILE)  # what models side by side share
    with pytest.raises(ValueError, match=rf"{SKETCH_FILE} has fingerprint .* copy both from the same model"):
        check_contamination(model(tmp_path / "other", corpus=None, sketch="0" * 32), [NEW])


def test_files_next_to_the_weights_are_saved_with_them_and_change_no_weight(tmp_path: Path) -> None:
    known = model(tmp_path / "m")
    plain = model(tmp_path / "plain", corpus=None)
    assert (known / "model.safetensors").read_bytes() == (plain / "model.safetensors").read_bytes()
    assert load(known)[0].num_parameters() == load(plain)[0].num_parameters()
    shutil.copytree(known, tmp_path / "copy")
    assert check_contamination(tmp_path / "copy", [SEEN]).word == "false"
    for name in (CONFIG, "../up.npz", "a/b"):
        with pytest.raises(ValueError, match="an additional file of the checkpoint is called"):
            save(tiny("patch_transformer", "quantiles"), tmp_path / "bad", about=About(), files={name: b""})
    assert not (tmp_path / "bad").exists()
