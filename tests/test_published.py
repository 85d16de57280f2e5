"""The experiments keep their claims: each is trained as its file says and lands within its tolerance. Minutes each."""

from __future__ import annotations

from pathlib import Path

import pytest

from tsfm.bench.runner import train_and_score
from tsfm.config import compose, options, typed

WINDOWS = {96: 2785, 720: 2161}  # test windows of ETTh1: 2880 - horizon + 1


@pytest.mark.slow
@pytest.mark.realdata
@pytest.mark.parametrize("name", [name for name in options("experiment") if name.startswith("ltsf/")])
def test_an_experiment_keeps_its_claim(name: str, tmp_path: Path) -> None:
    config = typed(compose("train", [f"experiment={name}", f"run_dir={tmp_path / 'run'}", "trainer.progress=false"]))
    result = train_and_score(config)
    assert result["windows"] == WINDOWS[config.model.horizon]
    assert [claim for claim in result["expect"] if not claim["met"]] == []
