"""The wheel, alone in an empty environment outside the checkout: it brings its configs and does the main job."""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(folder), str(ROOT)]
    subprocess.run(build, check=True)
    return next(folder.glob("tsfm_platform-*.whl"))


@pytest.mark.slow
def test_the_wheel_holds_what_it_needs_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {"tsfm/conf/train.yaml", "tsfm/conf/experiment/demo.yaml", "tsfm/py.typed"} <= set(names)
    assert {"tsfm/weights/trained_on-cad26f166983.npz", "tsfm/weights/tsfm-small/model.safetensors"} <= set(names)
    assert all(name.startswith(("tsfm/", "tsfm_platform-")) for name in names)
    assert any(name.endswith("LICENSE") for name in names)
    sizes = {info.filename: info.file_size for info in zipfile.ZipFile(wheel).infolist()}
    weights = sum(size for name, size in sizes.items() if name.startswith("tsfm/weights/"))
    assert weights < 40e6
    assert sum(sizes.values()) - weights < 2**21


@pytest.mark.slow
def test_the_wheel_forecasts_shows_and_trains_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    python = tmp_path / "venv" / "bin" / "python"
    tsfm = str(python.with_name("tsfm"))
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "-c", str(ROOT / "constraints.txt"), str(wheel)]
    subprocess.run(install, check=True)
    noise = random.Random(0)
    values = [20 + 5 * math.sin(i * math.pi / 6) + i / 100 + noise.gauss(0, 1) for i in range(900)]
    rows = ["timestamp,target", *(f"{1900 + i // 12}-{1 + i % 12:02d}-01,{v:.3f}" for i, v in enumerate(values))]
    (tmp_path / "series.csv").write_text("\n".join(rows) + "\n")
    plain = {key: value for key, value in os.environ.items() if not key.startswith(("TSFM_", "PYTHON", "VIRTUAL_ENV"))}

    def run(*arguments: str) -> str:
        done = subprocess.run([tsfm, *arguments], capture_output=True, text=True, cwd=tmp_path, env=plain)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("forecast", "series.csv", "--model", "tsfm-small", "--horizon", "12", "--out", "forecast.csv")
    assert len((tmp_path / "forecast.csv").read_text().splitlines()) == 13
    run("ingest", "series.csv", "--out", "store")
    settings = [
        "experiment=demo",
        "data.dataset=store",
        "run_dir=run",
        "trainer.progress=false",
    ]
    assert "parameters" in run("show", *settings)
    result = json.loads(run("train", *settings).splitlines()[-1].removeprefix("RESULT "))
    assert result["windows"] == 1
    assert result["mase"] < 0.9  # seasonal naive has 1.1
    ask = [str(python), "-c", "import tsfm; print(tsfm.__file__)"]
    where = subprocess.run(ask, capture_output=True, text=True, cwd=tmp_path)
    assert str(tmp_path) in where.stdout
