"""The documented table of backbones is true, and the backbone of docs/extend.md trains from a package of its own."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from tests.command_line import Done, run_commands
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


SHAPE = ["data=store", "data.dataset=a", "model.context=64", "model.horizon=16"]
LINEAR = [*SHAPE, "backbone=linear_mixer", "head=flatten"]
ONE_EPOCH = ["trainer.max_epochs=1", "trainer.progress=false"]
BACKCAST = [*SHAPE, "backbone=mixer", "task=backcast", "head=patch_quantiles", "task.loss=pinball"]
WINDOWS = ["data=store", "data.dataset=a", "context=64", "horizon=16"]
COMMANDS = {
    "ingest": ["ingest", "a.csv", "--out", "a"],
    "backbone": ["train", *LINEAR, *ONE_EPOCH, "backbone.hidden=32", "run_dir=run"],
    "typo": ["train", *LINEAR, "backbone.hiden=32"],
    "near": ["train", "data=store", "data.dataset=a", "backbone=linear_mixr"],
    "metric": ["eval", "predictor=seasonal_naive", *WINDOWS],
    "protocol": ["eval", "predictor=seasonal_naive", *WINDOWS, "bench=direction"],
    "task": ["train", *BACKCAST, *ONE_EPOCH, "run_dir=backcast"],
    "forecast": ["forecast", "a.csv", "--model", "backcast", "--horizon", "4"],
    "impute": ["impute", "gaps.csv", "--model", "backcast", "--out", "filled.csv"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages of the page in `site`, and a series with and without a gap."""
    folder = tmp_path_factory.mktemp("extensions")
    for section in ("A backbone in a package of its own", "A task", "A metric", "A protocol"):
        install(section, folder / "site")
    stamps = pd.date_range("2024-01-01", periods=400, freq="h")
    series = pd.DataFrame({"item_id": "a", "timestamp": stamps, "target": np.sin(np.arange(400) / 4)})
    series.to_csv(folder / "a.csv", index=False)
    series.loc[100:104, "target"] = np.nan
    series.to_csv(folder / "gaps.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def done(folder: Path) -> dict[str, Done]:
    """What each command did, with the packages installed."""
    results = run_commands(folder, list(COMMANDS.values()), packages=folder / "site")
    done = dict(zip(COMMANDS, results, strict=True))
    assert done["ingest"].returncode == 0, done["ingest"].stderr
    return done


def test_the_backbone_of_the_page_trains_from_a_package_of_its_own(folder: Path, done: dict[str, Done]) -> None:
    assert done["backbone"].returncode == 0, done["backbone"].stderr
    assert '"mse"' in done["backbone"].stdout
    assert "name: linear_mixer" in (folder / "run" / "config.yaml").read_text()
    assert done["typo"].returncode == 2
    assert "backbone.hiden is not a setting; did you mean 'hidden'?" in done["typo"].stderr
    assert "unknown backbone 'linear_mixr'; did you mean 'linear_mixer'?" in done["near"].stderr


@pytest.mark.parametrize(("command", "metric"), [("metric", "bias"), ("protocol", "direction")])
def test_the_metric_and_the_protocol_of_the_page_score(done: dict[str, Done], command: str, metric: str) -> None:
    assert done[command].returncode == 0, done[command].stderr
    result = json.loads(done[command].stdout.split("RESULT ")[1])
    assert np.isfinite(result[metric])
    assert result["windows"] > 0


def test_a_model_of_the_task_of_the_page_does_what_the_task_says_and_nothing_else(
    folder: Path, done: dict[str, Done]
) -> None:
    assert done["task"].returncode == 0, done["task"].stderr
    card = (folder / "backcast" / "model" / "README.md").read_text()
    assert "impute_df" in card
    assert "predict_df" not in card
    assert done["forecast"].returncode == 2
    assert "was trained for task=backcast, which does not train for the last steps" in done["forecast"].stderr
    assert done["impute"].returncode == 0, done["impute"].stderr
    assert pd.read_csv(folder / "filled.csv")["target"].notna().all()
