"""Publishing a pre-trained run: parts of its sketch are shared, its origin is covered, and a worse model is refused."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

import tsfm
from scripts.export_run import export_run
from scripts.publish import corpus_of, main
from scripts.publishing.comparison import read_comparison
from scripts.publishing.origins import card_command, experiment_of, origin_record
from scripts.publishing.sketches import corpus_parts, unused_parts
from tests.contamination.test_sketch import noisy
from tests.contamination.test_verdict import model, store
from tests.test_export_run import SETTINGS
from tsfm.config import compose, typed
from tsfm.contamination.sketch import Sketch
from tsfm.contamination.sketch_files import part_fingerprints, shared_sketch_file
from tsfm.contamination.verdict import check_contamination
from tsfm.data.corpus import CorpusConfig
from tsfm.model.checkpoint import CARD, CONFIG, WEIGHTS, read_config, weights_dir
from tsfm.training.training_run import train_config

RNG = np.random.default_rng(5)
SERIES = {name: noisy(700, RNG) for name in "abcd"}


def test_a_part_is_used_only_for_the_values_that_it_was_made_of(tmp_path: Path) -> None:
    stores = {name: store(tmp_path / name, {name: values}) for name, values in SERIES.items()}
    assert corpus_parts(stores, tmp_path, permissive=set())[0] == []
    existing, new = corpus_parts({name: stores[name] for name in "ab"}, tmp_path, permissive=set())
    new[0].save(tmp_path / shared_sketch_file(new[0].fingerprint))
    existing, new = corpus_parts(stores, tmp_path, permissive={"c"})
    assert [sketch_part.names for sketch_part in (*existing, *new)] == [["a", "b"], ["c"], ["d"]]
    whole = Sketch.build([stores[name].read(0) for name in "abcd"], "abcd")
    assert Sketch.merge([*existing, *new]).fingerprint == whole.fingerprint
    changed = stores | {"b": store(tmp_path / "changed", {"b": noisy(700, RNG)})}
    existing, new = corpus_parts(changed, tmp_path, permissive=set())
    assert (existing, [sketch_part.names for sketch_part in new]) == ([], [["a", "b", "c", "d"]])
    assert len(unused_parts(tmp_path, set())) == 1


def test_every_sketch_of_the_package_is_named_by_a_model() -> None:
    records = [read_config(file.parent)["about"]["trained_on"] for file in weights_dir().glob(f"*/{CONFIG}")]
    assert (
        unused_parts(weights_dir(), {sketch_part for record in records for sketch_part in part_fingerprints(record)})
        == []
    )


def test_a_continued_run_names_its_origin_and_no_folder(tmp_path: Path) -> None:
    model(tmp_path / "base", corpus=None, sketch="1" * 32)
    model(tmp_path / "export", corpus=None, init={"from": "base", "method": "full"}, data={"sets": ["a"]})
    known = {"fingerprints": ["s", "t"], "names": ["a", "b"], "parts": ["1" * 32, "2" * 32], "folder": tmp_path}
    init = {"from": "base", "method": "full", "fingerprints": []}
    record = origin_record(init, experiment=None, **known)
    assert record == {"from": "base", "method": "full", "sketch": known["parts"]}
    missing_origin = init | {"from": "/gone", "fingerprints": ["s"]}
    assert origin_record(missing_origin, experiment="pretrain/small", **known)["from"] == "pretrain/small"
    export = init | {"from": str(tmp_path / "export")}
    record = origin_record(export, experiment="pretrain/x", **known)
    assert record["from"] == "pretrain/x, itself from base"
    command = (
        f"tsfm train experiment=pretrain/y init.from={tmp_path / 'export'} seed=3 run_dir=/tmp/r resume=auto  # st"
    )
    assert experiment_of(command) == "pretrain/y"
    expected = "tsfm train experiment=pretrain/y init.from=<run of pretrain/x> seed=3"
    assert card_command(command, experiment="pretrain/y", init=record, folder=tmp_path) == expected
    for refused, settings, message in (
        (missing_origin, {}, "started from /gone, which is not there any more; restore it"),
        (missing_origin | {"fingerprints": []}, {"experiment": "x"}, "is not there any more"),
        (missing_origin | {"fingerprints": ["z"]}, {"experiment": "x"}, "series that are not in its corpus"),
        (init, {"parts": ["2" * 32]}, f"has parts that this corpus does not cover \\({'1' * 32}\\)"),
        (export, {"names": ["b"]}, "was trained on a, which are not in this corpus"),
        (export, {}, "does not say which experiment made it"),
    ):
        with pytest.raises(ValueError, match=message):
            origin_record(refused, **{"experiment": None, **known, **settings})


def test_the_corpus_of_a_run_is_made_from_its_settings() -> None:
    config = CorpusConfig(real_rate=0.0, lengths=[64, 128], length_weights=[0.5, 0.5])
    trained_on = {"dataset": "corpus", "data": asdict(config), "fingerprints": []}
    assert corpus_of(trained_on).config == config
    with pytest.raises(ValueError, match="is not the one of this run"):
        corpus_of(trained_on | {"fingerprints": ["a"]})
    with pytest.raises(ValueError, match="was not pre-trained on a corpus"):
        corpus_of({"dataset": "etth1", "data": {"dataset": "etth1"}})


def suite(folder: Path, *scores: float) -> Path:
    """A table of a new and an old model with these MASE; WQL are a tenth."""
    rows = ["model,set,mase,mase_relative,wql,wql_relative"]
    for index, score in enumerate(scores):
        rows += [f"{'new' if index == 0 else 'old'},{name},{score},{score},{score / 10},{score}" for name in "xy"]
        rows.append(f"{'new' if index == 0 else 'old'},constant,0.0,,,")
    folder.mkdir(exist_ok=True)
    (folder / "suite.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_gains_are_geometric_means_over_the_sets_with_both_scores(tmp_path: Path) -> None:
    comparison = read_comparison(suite(tmp_path, 0.9, 1.0) / "suite.csv")
    assert comparison.gain == pytest.approx(10.0)
    assert comparison.relative == pytest.approx({"mase": 0.9, "wql": 0.9})
    assert (comparison.new, comparison.old, comparison.sets) == ("new", "old", 3)
    with pytest.raises(ValueError, match=r"expected two, the new one first"):
        read_comparison(suite(tmp_path, 0.9) / "suite.csv")
    with pytest.raises(ValueError, match=r"run: tsfm bench suite NEW OLD --role corpus"):
        read_comparison(tmp_path / "none" / "suite.csv")


def test_an_export_is_published_with_everything_or_not_at_all(tmp_path: Path) -> None:
    real = store(tmp_path / "real", SERIES)
    settings = [f"data.sets=[{real.path}]", "data.real_rate=0.5", f"run_dir={tmp_path / 'run'}"]
    run = train_config(
        typed(compose("train", [*SETTINGS, *settings])), command="tsfm train experiment=pretrain/nano run_dir=x"
    )
    export_run(run.run_dir, tmp_path / "export")
    into = tmp_path / "weights"
    arguments = [str(tmp_path / "export"), "--name", "next", "--into", str(into)]
    with pytest.raises(ValueError, match=r"next is -1\d\.\d+ % better than old .* at least 1 % is required"):
        main([*arguments, "--suite", str(suite(tmp_path / "worse", 1.1, 1.0))])
    assert not into.exists()
    main([*arguments, "--suite", str(suite(tmp_path / "better", 0.9, 1.0))])
    assert len(list(into.glob(shared_sketch_file("*")))) == 1
    assert {str(tensor.dtype) for tensor in load_file(into / "next" / WEIGHTS).values()} == {"torch.bfloat16"}
    config = json.loads((into / "next" / CONFIG).read_text())["about"]
    assert config["command"] == "tsfm train experiment=pretrain/nano"
    assert config["metrics"]["validation suite MASE, relative to seasonal naive"] == pytest.approx(0.9)
    card = (into / "next" / CARD).read_text(encoding="utf-8")
    assert card.startswith("---\nlicense: apache-2.0\n")
    assert "real | 4 | 2,800 |" in card
    assert check_contamination(into / "next", [SERIES["a"] * 3, noisy(700, RNG)]).seen
    expected, stored = (
        tsfm.load(folder).predict(SERIES["a"], prediction_length=16).predictions
        for folder in (tmp_path / "export", into / "next")
    )
    assert np.abs(stored - expected).max() < 0.05 * SERIES["a"].std()
    main([*arguments, "--no-suite", "--dtype", "float16"])  # published again: the part is used again
    assert len(list(into.glob(shared_sketch_file("*")))) == 1
