"""What all tests share: where real data is, and small things to train on."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jaxtyping
import pytest
import torch
from hypothesis import HealthCheck, settings

# an example may take long on a busy machine
settings.register_profile("tsfm", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tsfm")

CHECKS_SHAPES = pytest.StashKey[bool]()
ROOT = Path(__file__).resolve().parents[1]


def data_root() -> Path:
    return Path(os.environ.get("TSFM_DATA", ROOT.parent / "shared" / "data"))


def pytest_configure(config: pytest.Config) -> None:
    os.environ.setdefault("TSFM_DATA", str(data_root()))
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    config.stash[CHECKS_SHAPES] = (
        os.environ.get("TSFM_CHECK_SHAPES", "1") == "1"
        and "bench" not in (config.getoption("-m") or "")
        and importlib.util.find_spec("beartype") is not None
    )
    if config.stash[CHECKS_SHAPES]:
        from tests import hints

        hints.install("tsfm")
    config.addinivalue_line("filterwarnings", "ignore::tsfm.messages.AssumptionWarning")  # tests that expect one say so


def pytest_report_header(config: pytest.Config) -> str:
    return f"shape hints: {'checked at every call' if config.stash[CHECKS_SHAPES] else 'not checked'}"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `-n`, the tests of a file run in one process, which makes the fixtures of the file once."""
    from xdist.scheduler import LoadFileScheduling

    return LoadFileScheduling(config, log) if config.getoption("dist") == "load" else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    chosen = config.getoption("-m") or ""
    for item in items:
        for mark in ("slow", "bench"):
            if item.get_closest_marker(mark) and mark not in chosen:
                item.add_marker(pytest.mark.skip(reason=f"{mark}: run by hand with `pytest -m {mark}`"))
        if item.get_closest_marker("realdata") and not data_root().is_dir():
            item.add_marker(pytest.mark.skip(reason=f"no data at {data_root()}; set TSFM_DATA"))


@pytest.fixture(autouse=True)
def _wrong_shapes(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that gives arrays of wrong shapes wants the error of tsfm, not that of the hints."""
    jaxtyping.config.update("jaxtyping_disable", request.node.get_closest_marker("wrong_shapes") is not None)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or fills the user's cache; ingested benchmark sets are shared by the whole run."""
    if "TSFM_TEST_CACHE" not in os.environ:
        os.environ["TSFM_TEST_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    monkeypatch.setenv("TSFM_CACHE", os.environ["TSFM_TEST_CACHE"])
