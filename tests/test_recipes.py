"""The recipes for clusters: what Spark and Ray return is what predict_df returns, bit for bit."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT


@pytest.mark.slow
@pytest.mark.parametrize(("script", "package"), [("spark_forecast", "pyspark"), ("ray_forecast", "ray")])
def test_a_cluster_returns_the_same_bits(script: str, package: str) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed; see docs/howto/clusters.md")
    if package == "pyspark" and shutil.which("java") is None:
        pytest.skip("Spark needs a Java runtime, and there is none on PATH")
    command = [sys.executable, f"scripts/recipes/{script}.py", "--items", "12", "--shards", "4"]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    run = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "288 rows, 10 columns of numbers, equal to the bit: yes" in run.stdout
