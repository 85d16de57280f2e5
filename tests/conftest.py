"""What all tests share: where real data is, and small things to train on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]


def data_root() -> Path:
    return Path(os.environ.get("TSFM_DATA", ROOT.parent / "shared" / "data"))


def pytest_configure(config: pytest.Config) -> None:
    os.environ.setdefault("TSFM_DATA", str(data_root()))
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    chosen = config.getoption("-m") or ""
    for item in items:
        for mark in ("slow", "bench"):
            if item.get_closest_marker(mark) and mark not in chosen:
                item.add_marker(pytest.mark.skip(reason=f"{mark}: run by hand with `pytest -m {mark}`"))
        if item.get_closest_marker("realdata") and not data_root().is_dir():
            item.add_marker(pytest.mark.skip(reason=f"no data at {data_root()}; set TSFM_DATA"))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or fills the user's cache; ingested benchmark sets are shared by the whole run."""
    if "TSFM_TEST_CACHE" not in os.environ:
        os.environ["TSFM_TEST_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    monkeypatch.setenv("TSFM_CACHE", os.environ["TSFM_TEST_CACHE"])
