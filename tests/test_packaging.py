"""What users install: the name, the version, the Pythons, the CI workflow and the scripts that install tsfm."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

import tsfm

ROOT = Path(__file__).resolve().parents[1]
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
PYTHONS = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', PROJECT)
SCRIPTS = sorted(path.name for path in (ROOT / "scripts").glob("*.sh"))


@pytest.fixture(scope="module")
def jobs() -> dict[str, Any]:
    return yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))["jobs"]


def commands(job: dict[str, Any]) -> str:
    return "\n".join(step.get("run", "") for step in job["steps"])


def test_the_name_is_not_that_of_the_other_project_and_the_version_has_one_source() -> None:
    assert '\nname = "tsfm-platform"\n' in PROJECT
    assert '\ndynamic = ["version"]\n' in PROJECT
    assert '[tool.hatch.version]\npath = "tsfm/version.py"' in PROJECT
    assert re.fullmatch(r"\d+\.\d+\.\d+", tsfm.__version__)
    assert f"\nversion: {tsfm.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_the_workflow_tests_the_pythons_of_the_classifiers_on_three_systems(jobs: dict[str, Any]) -> None:
    matrix = jobs["tests"]["strategy"]["matrix"]
    assert matrix["python"] == PYTHONS
    assert f'\nrequires-python = ">={PYTHONS[0]}"\n' in PROJECT
    assert f'\npythonVersion = "{PYTHONS[0]}"\n' in PROJECT
    assert f'\ntarget-version = "py{PYTHONS[0].replace(".", "")}"\n' in PROJECT
    assert {system.split("-")[0] for system in matrix["os"]} == {"ubuntu", "macos", "windows"}
    assert f"{{PYTHONS:-{' '.join(PYTHONS)}}}" in (ROOT / "scripts/test_pythons.sh").read_text(encoding="utf-8")


def test_every_job_installs_with_the_constraints_and_the_slow_tests_run_weekly(jobs: dict[str, Any]) -> None:
    for name, job in jobs.items():
        assert "pip install -c constraints.txt" in commands(job), name
        assert "timeout-minutes" in job, name
    assert "schedule" in jobs["slow"]["if"]
    assert "pytest -m slow" in commands(jobs["slow"])


def test_the_workflow_runs_the_checks_of_the_test_script(jobs: dict[str, Any]) -> None:
    script = (ROOT / "scripts/test.sh").read_text(encoding="utf-8").splitlines()
    checks = [line for line in script if line.startswith(("ruff", "pyright"))]
    assert commands(jobs["lint"]).splitlines()[-len(checks) :] == checks


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize("name", SCRIPTS)
def test_shell_scripts_parse(name: str) -> None:
    process = subprocess.run(["bash", "-n", f"scripts/{name}"], cwd=ROOT, capture_output=True, text=True)
    assert (process.returncode, process.stderr) == (0, "")
