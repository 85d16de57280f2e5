"""The leak check of benchmarks: rows of sets that a model has seen are marked, and `--zero-shot` refuses them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.infer.small_models import step_model
from tsfm.bench import seen_sets
from tsfm.bench.seen_sets import check_sets
from tsfm.bench.zero_shot import check_seen
from tsfm.commands.bench.cases import pretrained_model
from tsfm.commands.cli import main
from tsfm.contamination.sketch import SKETCH_FILE, Sketch
from tsfm.data.base import SourceSeries
from tsfm.model.checkpoint import About, save

RNG = np.random.default_rng(0)
SEEN, NEW = (RNG.normal(size=800).cumsum() + 0.3 * RNG.normal(size=800) for _ in range(2))


def source(*arrays: np.ndarray) -> SourceSeries:
    return SourceSeries([f"series {i}" for i in range(len(arrays))], [array[None] for array in arrays])


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A model with a sketch of `SEEN`, and one without a record of its training."""
    folder, model = tmp_path_factory.mktemp("models"), step_model().model
    files = {SKETCH_FILE: Sketch.build([SEEN], ["corpus"]).to_bytes()}
    return {
        "knows": str(save(model, folder / "knows", about=About(), files=files)),
        "silent": str(save(model, folder / "silent", about=About())),
    }


def test_each_set_is_checked_once_and_marked(models: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(seen_sets, "check_seen", lambda name, scored: calls.append(name) or check_seen(name, scored))
    predictors = {"knows": models["knows"], "silent": models["silent"], "seasonal_naive": "seasonal_naive"}
    sets = {"old": partial(source, NEW, SEEN), "new": partial(source, NEW)}
    result = check_sets(predictors, sets)
    assert len(calls) == 4  # two models, two sets; a baseline is not asked
    assert result.columns("knows", "old") == {"zero_shot": "false", "seen": 1}
    assert result.columns("knows", "new") == {"zero_shot": "true", "seen": 0}
    assert result.columns("silent", "new") == {"zero_shot": "unknown"}
    assert result.columns("seasonal_naive", "old") == {}
    first, second = result.sentences()
    assert first == "knows: not zero-shot, it has seen series of 1 of 2 data sets (old)."
    assert "silent: whether it is zero-shot is unknown: " in second


def test_a_mean_of_models_has_seen_what_a_member_has_seen(models: dict[str, str]) -> None:
    name = f"{models['silent']}+{models['knows']}+seasonal_naive"
    result = check_sets({"mean": name}, {"old": partial(source, SEEN), "new": partial(source, NEW)})
    assert result.columns("mean", "old") == {"zero_shot": "false", "seen": 1}
    assert result.columns("mean", "new") == {"zero_shot": "unknown"}


def test_zero_shot_refuses_what_is_seen_or_unknown(models: dict[str, str]) -> None:
    check_sets({"knows": models["knows"]}, {"new": partial(source, NEW)}, zero_shot=True)
    with pytest.raises(ValueError, match=r"--zero-shot requires .* knows was never trained on; old: not zero-shot"):
        check_sets({"knows": models["knows"]}, {"old": partial(source, SEEN)}, zero_shot=True)
    with pytest.raises(ValueError, match="whether it is zero-shot is unknown"):
        check_sets({"silent": models["silent"]}, {"new": partial(source, NEW)}, zero_shot=True)


def test_the_tables_of_gift_and_short_are_marked_and_refused(
    models: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "root" / "forecasting", tmp_path / "out"
    folder.mkdir(parents=True)
    stamps = pd.date_range("1969-01-01", periods=800, freq="D")
    frame = pd.DataFrame({"item_id": "T1", "timestamp": stamps, "target": SEEN.astype(np.float32)})
    frame.to_parquet(folder / "us_births.parquet")
    frame.to_parquet(folder / "mine.parquet")
    (folder / "manifest.json").write_text('{"datasets": [{"file": "mine.parquet", "role": "corpus"}]}')
    monkeypatch.setenv("TSFM_DATA", str(folder.parent))
    common = [models["knows"], "last_value", "--out", str(out)]
    gift = ["bench", "gift", *common, "--configs", "us_births/D/short"]
    assert main([*gift, "--zero-shot"]) == 2
    assert "--zero-shot requires series that knows was never trained on; us_births/D" in capsys.readouterr().err
    assert not (out / "gift.md").exists()
    assert main(gift) == 0
    rows = pd.read_csv(out / "gift_configs.csv").set_index("model")
    assert (bool(rows.loc["knows", "zero_shot"]), rows.loc["knows", "seen"]) == (False, 1)
    assert pd.isna(rows.loc["last_value", "seen"])
    assert "knows: not zero-shot" in (out / "gift.md").read_text()
    assert main(["bench", "short", *common, "--sets", "mine", "--cycles", "1.5"]) == 0
    rows = pd.read_csv(out / "short.csv").set_index("model")
    assert (bool(rows.loc["knows", "zero_shot"]), rows.loc["knows", "seen"]) == (False, 1)
    assert "knows: not zero-shot" in (out / "short.md").read_text()


def test_the_model_of_a_case_learner_is_that_of_the_probe_or_the_start_of_the_experiment() -> None:
    assert pretrained_model("probe:tsfm-mini", []) == "tsfm-mini"
    assert pretrained_model("classify/default", ["seed=1", "init.from=tsfm-mini"]) == "tsfm-mini"
    assert pretrained_model("classify/default", ["seed=1", "init={from: tsfm-mini}"]) == "tsfm-mini"
    assert pretrained_model("classify/default", ["seed=1"]) is None
    assert pretrained_model("nn_euclidean", ["init.from=tsfm-mini"]) is None
