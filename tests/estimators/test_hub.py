"""Models of a hub: the layout of a folder, and a download that is in the local cache. No network is needed."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tsfm
from tsfm.estimators import hub
from tsfm.estimators.pretrained import Pretrained

SERIES = np.sin(np.arange(80) / 4)


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_a_saved_folder_is_the_layout_of_hubs(tmp_path: Path) -> None:
    model = tsfm.load("tsfm-mini")
    path = model.save_pretrained(tmp_path / "mine")
    assert sorted(file.name for file in path.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    again = Pretrained.from_pretrained(path)
    assert again.name == "mine"
    expected, forecast = (each.predict(SERIES, prediction_length=8).quantiles for each in (model, again))
    assert np.array_equal(expected, forecast)


def test_a_model_in_the_cache_of_the_hub(tmp_path: Path) -> None:
    """As huggingface_hub stores it: links from the revision to the files by their digests."""
    revision = "a" * 40
    repository = tmp_path / "models--org--small"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(revision)
    (repository / "blobs").mkdir()
    snapshot = repository / "snapshots" / revision
    snapshot.mkdir(parents=True)
    for number, file in enumerate(tsfm.load("tsfm-mini").save(tmp_path / "source").iterdir()):
        shutil.copy(file, repository / "blobs" / str(number))
        (snapshot / file.name).symlink_to(Path("..", "..", "blobs", str(number)))
    model = Pretrained.from_pretrained("org/small", cache_dir=tmp_path, local_files_only=True)
    assert model.name == "small"
    assert model.predict(SERIES, prediction_length=8).quantiles.shape[-2] == 8


@pytest.mark.parametrize("name", ["org/unknown", "unknown", "../up", "a/b/c"])
def test_a_model_that_is_nowhere(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"cannot be downloaded|neither a folder, nor a bundled model"):
        Pretrained.from_pretrained(name, cache_dir=tmp_path, local_files_only=True)


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r"pip install 'tsfm-platform\[hub\]'"):
        Pretrained.from_pretrained("org/small")


def test_an_upload_sends_the_files_of_the_model_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, Any]] = []

    class Api:
        def __init__(self, token: str | None):
            calls.append(("token", token))

        def create_repo(self, repo_id: str, **options: Any) -> str:
            calls.append((repo_id, options))
            return f"https://hub/{repo_id}"

        def upload_folder(self, **options: Any) -> None:
            calls.append(("upload", options))

    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    path = tsfm.load("tsfm-mini").save_pretrained(
        tmp_path / "m", repo_id="org/m", push_to_hub=True, token="t", private=True
    )
    upload = {"folder_path": str(path), "repo_id": "org/m", "allow_patterns": list(hub.FILES)}
    assert calls == [("token", "t"), ("org/m", {"private": True, "exist_ok": True}), ("upload", upload)]
