"""What README says of the backbones is what they are, and its new backbone is one."""

from __future__ import annotations

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
from tsfm.registry import BACKBONES
from tsfm.types import Grid

README = (ROOT / "README.md").read_text(encoding="utf-8")
ONE_PATCH = {"inverted": 16, "nlinear": 8, "dlinear": 16}  # backbones of a single patch of 8 steps -> their width


def rows() -> list[tuple[str, str, list[bool]]]:
    """(backbone, settings, what it says) of each line of the table."""
    table = README.split("| backbone | setting |")[1].split("\n\n")[0].splitlines()[2:]
    found = []
    for line in table:
        names, setting, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        settings = " ".join(word for code in re.findall(r"`([^`]+)`", setting) for word in code.split() if "=" in word)
        found += [(name, settings, [cell == "yes" for cell in cells]) for name in re.findall(r"`(\w+)`", names)]
    return found


def test_the_table_names_every_backbone() -> None:
    assert {name for name, _, _ in rows()} == {entry.name for entry in BACKBONES}


@pytest.mark.parametrize(("name", "settings", "said"), rows())
def test_the_table_says_what_the_backbones_declare(name: str, settings: str, said: list[bool]) -> None:
    width, patches = ONE_PATCH.get(name, 32), 1 if name in ONE_PATCH else 8
    grid = Grid(channels=3, patches=patches, patch=8, width=width)
    values = OmegaConf.to_container(OmegaConf.from_dotlist(settings.split()))
    heads = {"heads": 4} if "heads" in BACKBONES.entry(name).config.__dataclass_fields__ else {}
    found = BACKBONES.build(BACKBONES.config({"name": name} | heads | dict(values)), grid=grid)
    declared = [found.causal, found.streaming, found.mixes_channels, not found.ordered_channels, not found.fixed_length]
    assert declared == said


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The package of README in a folder as pip leaves it: its module beside its entry points."""
    module, project = (
        re.search(rf"```{kind}\n(.*?)```", README.split("### Add a backbone")[1], re.S) for kind in ("python", "toml")
    )
    assert module
    assert project
    name, value = re.search(r'entry-points."tsfm.backbones"\]\n(\w+) = "(\w+)"', project[1]).groups()  # type: ignore[union-attr]
    site = tmp_path / "site"
    (site / f"{name}-0.1.dist-info").mkdir(parents=True)
    (site / f"{name}-0.1.dist-info" / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1\n")
    (site / f"{name}-0.1.dist-info" / "entry_points.txt").write_text(f"[tsfm.backbones]\n{name} = {value}\n")
    (site / f"{value}.py").write_text(module[1])
    return site


def test_the_backbone_of_the_readme_trains_from_a_package_of_its_own(installed: Path, tmp_path: Path) -> None:
    time = np.arange(400)
    stamps = pd.date_range("2024-01-01", periods=400, freq="h")
    pd.DataFrame({"item_id": "a", "timestamp": stamps, "target": np.sin(time / 4)}).to_csv(
        tmp_path / "a.csv", index=False
    )

    def tsfm(*words: str) -> subprocess.CompletedProcess[str]:
        env = os.environ | {"PYTHONPATH": os.pathsep.join([str(installed), str(ROOT)]), "OMP_NUM_THREADS": "1"}
        return subprocess.run(
            [sys.executable, "-m", "tsfm", *words],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )

    assert tsfm("ingest", "a.csv", "--out", "a").returncode == 0
    settings = [
        "data=store",
        "data.dataset=a",
        "backbone=carry",
        "model.context=64",
        "model.horizon=16",
        "head=flatten",
    ]
    run = tsfm(
        "train", *settings, "backbone.hidden=32", "trainer.max_epochs=1", "run_dir=run", "trainer.progress=false"
    )
    assert run.returncode == 0, run.stderr
    assert '"mse"' in run.stdout
    assert "name: carry" in (tmp_path / "run" / "config.yaml").read_text()
    typo = tsfm("train", *settings, "backbone.hiden=32")
    assert typo.returncode == 2
    assert "backbone.hiden is not a setting; did you mean 'hidden'?" in typo.stderr
    near = tsfm("train", *settings[:2], "backbone=cary")
    assert "unknown backbone 'cary'; did you mean 'carry'?" in near.stderr
