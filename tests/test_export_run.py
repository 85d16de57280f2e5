"""A model is exported from the last checkpoint of a run, with a card that names the weights that it started from."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import tsfm
from scripts.export_run import export_run
from tsfm.config import compose, typed
from tsfm.model.checkpoint import load
from tsfm.training.training_run import train_config

SETTINGS = [
    *("experiment=pretrain/nano", "data.real_rate=0", "data.lengths=[64]", "data.length_weights=[1.0]"),
    *("data.batch_values=512", "data.batches_per_epoch=4", "model.context=48", "model.horizon=16", "model.width=16"),
    *("model.patch=16", "model.stride=16", "backbone.depth=1", "backbone.hidden=16", "head.hidden=16"),
    *("trainer.max_steps=4", "trainer.checkpoint_every=2", "trainer.precision=32", "trainer.progress=false"),
]


def test_the_last_checkpoint_of_a_run_becomes_a_model(tmp_path: Path) -> None:
    assert export_run(tmp_path / "run", tmp_path / "out") is None
    run = train_config(typed(compose("train", [*SETTINGS, f"run_dir={tmp_path / 'run'}"])))
    step = export_run(run.run_dir, tmp_path / "out", origin={"from": "tsfm-small", "method": "expanded"})
    assert step == 4
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "out").iterdir()}
    assert len(modes) == 1, "the weights have other permissions than the card"
    exported, about = load(tmp_path / "out")
    finished, _ = load(run.model_dir)
    assert all(
        np.array_equal(a.detach(), b.detach())
        for a, b in zip(exported.parameters(), finished.parameters(), strict=True)
    )
    assert about.trained_on["steps"] == 4
    assert len(about.trained_on["fingerprint"]) == 32  # of the data
    assert "initial weights | tsfm-small: expanded" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert tsfm.load(tmp_path / "out").predict(np.arange(60.0), prediction_length=5).predictions.shape == (1, 1, 5)
