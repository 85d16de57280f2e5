"""`tsfm eval out=`: a result is never replaced by that of other settings."""

from __future__ import annotations

import json
import logging
import multiprocessing
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from tests import crash_points
from tsfm.commands.evaluate import evaluate
from tsfm.store.series_store import StoreWriter

CONTEXT = multiprocessing.get_context("fork")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "store"
    with StoreWriter(path, channels=["target"]) as writer:
        writer.add("s", np.sin(np.arange(120.0) / 3)[None], np.datetime64("2024-01-01", "us"), "h")
    return path


def score(store: Path, out: Path, predictor: str = "seasonal_naive", *, horizon: int = 4) -> dict:
    return evaluate(predictor, data=str(store), context=48, horizon=horizon, out=str(out))


def content(out: Path) -> dict:
    return {k: v for k, v in json.loads((out / "result.json").read_text()).items() if k != "seconds"}


def test_the_result_of_other_settings_is_not_replaced(store: Path, tmp_path: Path) -> None:
    score(store, tmp_path / "out")
    before = content(tmp_path / "out")
    for predictor, horizon in (("naive", 4), ("seasonal_naive", 5)):
        with pytest.raises(FileExistsError, match=r"is the result of seasonal_naive on .* choose another out"):
            score(store, tmp_path / "out", predictor, horizon=horizon)
    score(store, tmp_path / "out")
    assert content(tmp_path / "out") == before


@pytest.mark.parametrize("text", ["5", "[]", "", "{", '{"a": '])
def test_a_damaged_result_is_named_and_replaced(
    text: str, store: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="tsfm")
    (tmp_path / "result.json").write_text(text)
    score(store, tmp_path)
    assert f"{tmp_path / 'result.json'} is damaged and will be replaced" in caplog.text
    assert content(tmp_path)["predictor"] == "seasonal_naive"


def test_of_several_evaluations_to_one_folder_one_is_kept_and_the_others_are_refused(
    store: Path, tmp_path: Path
) -> None:
    gate, answers = CONTEXT.Barrier(8), CONTEXT.Queue()

    def work(number: int) -> None:
        gate.wait()
        try:
            answers.put(score(store, tmp_path / "out", horizon=number + 1)["horizon"])
        except (ValueError, OSError) as error:
            answers.put(str(error))

    jobs = [CONTEXT.Process(target=work, args=(number,)) for number in range(8)]
    for job in jobs:
        job.start()
    outcomes = [answers.get(timeout=240) for _ in jobs]
    for job in jobs:
        job.join()
    kept = [answer for answer in outcomes if isinstance(answer, int)]
    assert kept == [content(tmp_path / "out")["horizon"]]
    assert all("choose another out" in answer for answer in outcomes if isinstance(answer, str))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["result.json"]


@pytest.mark.parametrize("at", [crash_points.some(3), pytest.param(crash_points.every, marks=pytest.mark.slow)])
def test_an_evaluation_killed_at_any_event_leaves_all_or_nothing(
    at: Callable[[list[str]], Iterable[int]], store: Path, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    score(store, root / "out")
    expected = content(root / "out")

    def killed() -> None:
        if (root / "out" / "result.json").exists():
            assert content(root / "out") == expected

    def outcome() -> dict:
        assert content(root / "out") == expected
        return expected

    crash_points.survive("eval", lambda: score(store, root / "out"), root, outcome, at=at, killed=killed)
