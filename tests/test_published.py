"""The experiments keep their claims: each is trained as its file says and lands within its tolerance. From a minute to
an hour each."""

from __future__ import annotations

from pathlib import Path

import pytest

from tsfm.commands.train import train_and_score
from tsfm.config import compose, options, typed

# rows of the test part; each has that many windows, less the horizon, plus one
ROWS = {"etth1": 2880, "etth2": 2880, "ettm1": 11520, "exchange": 1517, "ili": 193}
# claims that a run here missed, with what was measured; docs/results.md says more
MISSED = {"ltsf/patch_transformer_ili_24": "MSE 15 % above the published one"}


@pytest.mark.slow
@pytest.mark.realdata
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.xfail(reason=MISSED[name], strict=True) if name in MISSED else ())
        for name in options("experiment")
        if name.startswith("ltsf/")
    ],
)
def test_an_experiment_keeps_its_claim(name: str, tmp_path: Path) -> None:
    config = typed(compose("train", [f"experiment={name}", f"run_dir={tmp_path / 'run'}", "trainer.progress=false"]))
    result = train_and_score(config)
    assert result["windows"] == ROWS[config.data.dataset] - config.model.horizon + 1
    assert [claim for claim in result["expect"] if not claim["met"]] == []
