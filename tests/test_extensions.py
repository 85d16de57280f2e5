"""The documented table of backbones is true, and the backbone of docs/extend.md trains from a package of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from tests.conftest import ROOT
from tests.documentation import table
from tsfm.registry import BACKBONES
from tsfm.types import Grid

ONE_PATCH = {"inverted": 16, "nlinear": 8, "dlinear": 16}  # backbones of a single patch of 8 steps -> their width


def documented() -> list[tuple[str, str, list[bool]]]:
    """(backbone, settings, documented properties) of each line of the table in docs/backbones.md."""
    rows = []
    for names, setting, *cells in table(ROOT / "docs" / "backbones.md", "| backbone | setting |"):
        overrides = [word for code in re.findall(r"`([^`]+)`", setting) for word in code.split() if "=" in word]
        rows += [
            (name, " ".join(overrides), [cell == "yes" for cell in cells]) for name in re.findall(r"`(\w+)`", names)
        ]
    return rows


def test_the_table_names_every_backbone() -> None:
    assert {name for name, _, _ in documented()} == {entry.name for entry in BACKBONES}


@pytest.mark.parametrize(("name", "settings", "properties"), documented())
def test_the_table_states_what_the_backbones_declare(name: str, settings: str, properties: list[bool]) -> None:
    width, patches = ONE_PATCH.get(name, 32), 1 if name in ONE_PATCH else 8
    grid = Grid(channels=3, patches=patches, patch=8, width=width)
    values = OmegaConf.to_container(OmegaConf.from_dotlist(settings.split()))
    heads = {"heads": 4} if "heads" in BACKBONES.entry(name).config.__dataclass_fields__ else {}
    backbone = BACKBONES.build(BACKBONES.config({"name": name} | heads | dict(values)), grid=grid)
    declared = [
        backbone.causal,
        backbone.streaming,
        backbone.mixes_channels,
        not backbone.ordered_channels,
        not backbone.fixed_length,
    ]
    assert declared == properties


EXTEND = (ROOT / "docs" / "extend.md").read_text(encoding="utf-8")


def install(section: str, site: Path) -> None:
    """Put the package of a section of docs/extend.md into a folder as pip does: its module next to its entry points."""
    text = EXTEND.split(f"## {section}")[1]
    module, project = (re.search(rf"```{kind}\n(.*?)```", text, re.DOTALL) for kind in ("python", "toml"))
    assert module
    assert project
    entry = re.search(r'entry-points."(tsfm\.\w+)"\]\n(\w+) = "(\w+)"', project[1])
    assert entry
    group, name, value = entry.groups()
    info = site / f"{name}-0.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {value}\n")
    (site / f"{value}.py").write_text(module[1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages of the page in `site`, and a store `a`."""
    folder = tmp_path_factory.mktemp("extensions")
    for section in ("A backbone in a package of its own", "A task", "A metric", "A protocol"):
        install(section, folder / "site")
    steps = np.arange(400)
    stamps = pd.date_range("2024-01-01", periods=400, freq="h")
    series = pd.DataFrame({"item_id": "a", "timestamp": stamps, "target": np.sin(steps / 4)})
    series.to_csv(folder / "a.csv", index=False)
    assert tsfm(folder, "ingest", "a.csv", "--out", "a").returncode == 0
    return folder


def tsfm(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line with the packages installed."""
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder / "site"), str(ROOT)]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tsfm", *arguments]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_the_backbone_of_the_page_trains_from_a_package_of_its_own(folder: Path) -> None:
    settings = ["data=store", "data.dataset=a", "backbone=linear_mixer", "model.context=64", "model.horizon=16"]
    quick = ["trainer.max_epochs=1", "trainer.progress=false"]
    run = tsfm(folder, "train", *settings, *quick, "head=flatten", "backbone.hidden=32", "run_dir=run")
    assert run.returncode == 0, run.stderr
    assert '"mse"' in run.stdout
    assert "name: linear_mixer" in (folder / "run" / "config.yaml").read_text()
    typo = tsfm(folder, "train", *settings, "head=flatten", "backbone.hiden=32")
    assert typo.returncode == 2
    assert "backbone.hiden is not a setting; did you mean 'hidden'?" in typo.stderr
    near = tsfm(folder, "train", *settings[:2], "backbone=linear_mixr")
    assert "unknown backbone 'linear_mixr'; did you mean 'linear_mixer'?" in near.stderr


@pytest.mark.parametrize(("settings", "metric"), [([], "bias"), (["bench=direction"], "direction")])
def test_the_metric_and_the_protocol_of_the_page_score(folder: Path, settings: list[str], metric: str) -> None:
    shape = ["data=store", "data.dataset=a", "context=64", "horizon=16"]
    run = tsfm(folder, "eval", "predictor=seasonal_naive", *shape, *settings)
    assert run.returncode == 0, run.stderr
    result = json.loads(run.stdout.split("RESULT ")[1])
    assert np.isfinite(result[metric])
    assert result["windows"] > 0


def test_a_model_of_the_task_of_the_page_does_what_the_task_says_and_nothing_else(folder: Path) -> None:
    shape = ["data=store", "data.dataset=a", "backbone=mixer", "model.context=64", "model.horizon=16"]
    settings = ["task=backcast", "head=patch_quantiles", "task.loss=pinball", "trainer.max_epochs=1"]
    run = tsfm(folder, "train", *shape, *settings, "trainer.progress=false", "run_dir=backcast")
    assert run.returncode == 0, run.stderr
    card = (folder / "backcast" / "model" / "README.md").read_text()
    assert "impute_df" in card
    assert "predict_df" not in card
    forecast = tsfm(folder, "forecast", "a.csv", "--model", "backcast", "--horizon", "4")
    assert forecast.returncode == 2
    assert "was trained for task=backcast, which does not train for the last steps" in forecast.stderr
    gaps = pd.read_csv(folder / "a.csv")
    gaps.loc[100:104, "target"] = np.nan
    gaps.to_csv(folder / "gaps.csv", index=False)
    impute = tsfm(folder, "impute", "gaps.csv", "--model", "backcast", "--out", "filled.csv")
    assert impute.returncode == 0, impute.stderr
    assert pd.read_csv(folder / "filled.csv")["target"].notna().all()
