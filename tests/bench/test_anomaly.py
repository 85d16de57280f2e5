"""The anomaly protocol: what is read, what detectors are fitted to, and what is scored. C channels, L steps."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hydra.core.config_store import ConfigStore

from tsfm.bench.interfaces import SeriesDetector
from tsfm.bench.protocols.anomaly import (
    METRICS,
    AnomalyProtocol,
    find_detector,
    score_anomaly,
    score_series,
    select_series,
)
from tsfm.commands.bench import anomaly as command
from tsfm.commands.parser import parser
from tsfm.data.anomalies import AnomalySeries, anomaly_names, read_anomalies, shortest_decimals
from tsfm.metrics.detection import detection_scores, find_length_rank

STEPS, TRAIN = 300, 100


def scored(detector: SeriesDetector, **settings: Any) -> dict[str, Any]:
    """The result of the protocol with these settings."""
    config = AnomalyProtocol.Config(**settings)
    return score_anomaly(detector, select_series(config), config)


class Learned(SeriesDetector):
    """Distance to the mean of the train part, and its own threshold."""

    name = "learned"

    def __init__(self) -> None:
        self.trained_on: list[np.ndarray] = []

    def fit(self, train):
        self.trained_on.append(train)
        self.middle = train.mean(1, keepdims=True)
        self.threshold = float(np.abs(train - self.middle).max())
        return self

    def score(self, series):
        return np.abs(series - self.middle).max(0)


def table(*, channels: int | None = None) -> pd.DataFrame:
    """Three series, one of them without an anomaly."""
    rng, parts = np.random.default_rng(0), []
    for item in ("a_one", "a_clean", "b_two"):
        values = np.round(np.sin(np.arange(STEPS) / 4) + 0.1 * rng.normal(size=(channels or 1, STEPS)), 3)
        label = np.zeros(STEPS, np.int8)
        if item != "a_clean":
            label[200:210] = 1
            values[:, 203] += 4
        rows = {"item_id": item, "timestamp": pd.date_range("2024", periods=STEPS, freq="h")}
        column = values[0].astype(np.float32) if channels is None else list(values.T.astype(np.float32))
        rows |= {"value" if channels is None else "values": column, "label": label}
        parts.append(pd.DataFrame(rows | {"split": np.where(np.arange(STEPS) < TRAIN, "train", "test")}))
    return pd.concat(parts)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root with the sets `one` (a value) and `many` (three channels)."""
    folder = tmp_path / "anomaly"
    folder.mkdir()
    table().to_parquet(folder / "one.parquet")
    table(channels=3).to_parquet(folder / "many.parquet")
    monkeypatch.setenv("TSFM_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_series_come_as_they_were_written(root: Path) -> None:
    assert anomaly_names() == ["many", "one"]
    for name, channels in (("one", 1), ("many", 3)):
        selected = read_anomalies(name)
        assert [series.item_id for series in selected] == ["a_one", "a_clean", "b_two"]
        for series in selected:
            assert series.values.shape == (channels, STEPS)
            assert series.values.dtype == np.float64
            assert np.array_equal(series.values, np.round(series.values, 3))  # decimals, not rounded to float32
            assert (series.train_length, series.labels.dtype, len(series.timestamps)) == (TRAIN, np.int8, STEPS)
    assert np.array_equal(selected[0].values.argmax(1), [203] * 3)


def test_a_float32_is_read_as_the_decimal_it_stands_for() -> None:
    written = np.array([[-0.2, 1 / 3, 1e-9, 12345.67, 0.0]])
    read = shortest_decimals(written.astype(np.float32))
    assert read[0, [0, 2, 3, 4]].tolist() == [-0.2, 1e-9, 12345.67, 0.0]
    assert np.array_equal(read.astype(np.float32), written.astype(np.float32))
    assert np.array_equal(shortest_decimals(written), written)


def test_files_that_cannot_be_read_are_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="unknown anomaly set 'onne'; did you mean 'one'"):
        read_anomalies("onne")
    with pytest.raises(ValueError, match=r"'tsb_ad_m' needs the file tsb_ad_m_smap\.parquet"):
        read_anomalies("tsb_ad_m")
    broken = {
        "no_label": table().drop(columns="label"),
        "no_value": table().rename(columns={"value": "y"}),
        "late_train": table().assign(split=lambda t: t["split"].replace({"train": "test", "test": "train"})),
        "odd_label": table().assign(label=2),
    }
    texts = ("no column 'label'", "no column 'value' or 'values'", "are not its first steps", "expected a 0 or 1")
    for (name, frame), text in zip(broken.items(), texts, strict=True):
        frame.to_parquet(root / "anomaly" / f"{name}.parquet")
        with pytest.raises(ValueError, match=text):
            read_anomalies(name)
    monkeypatch.setenv("TSFM_DATA", str(root / "elsewhere"))
    with pytest.raises(ValueError, match=r"no labelled anomaly files in .*elsewhere.*point TSFM_DATA"):
        read_anomalies("one")


@pytest.mark.parametrize("data", ["one", "many"])
def test_every_series_is_scored_whole_and_what_is_left_out_is_named(root: Path, data: str) -> None:
    detector = find_detector("spectral_residual")
    result = scored(detector, data=data)
    assert (result["series"], result["skipped_series"], result["skipped"]) == (2, 1, ["a_clean"])
    assert result["steps_scored"] == 2 * STEPS
    assert result["fitted_to"] == "whole series, or nothing"
    for row, series in zip(result["rows"], read_anomalies(data)[::2], strict=True):
        window = find_length_rank(series.values[0])
        expected = detection_scores(series.labels, detector.score(series.values), window=window)
        assert {name: row[name] for name in expected} == expected
        assert (row["item_id"], row["window"], row["steps"], row["anomalous"]) == (series.item_id, window, STEPS, 10)
    for metric in METRICS[:9]:
        assert result[metric] == pytest.approx(np.mean([row[metric] for row in result["rows"]]))
    json.dumps(result)


def test_a_detector_that_learns_is_fitted_to_the_train_part(root: Path) -> None:
    detector = Learned()
    result = scored(detector, data="one", every=False)
    assert result["fitted_to"] == "train part"
    assert [train.shape for train in detector.trained_on] == [(1, TRAIN)] * 2
    assert np.array_equal(detector.trained_on[1], read_anomalies("one")[2].values[:, :TRAIN])
    assert result["f1_at_own"] > 0.1
    assert 0 <= result["false_alarms"] < 0.2
    assert "f1_range" not in result


def test_a_detector_that_learns_needs_a_train_part() -> None:
    labels = np.zeros(STEPS, np.int8)
    labels[50] = 1
    series = AnomalySeries("x", np.random.default_rng(0).normal(size=(1, STEPS)), labels, 0)
    with pytest.raises(ValueError, match="x has no training part for learned"):
        score_series(Learned(), series)
    assert score_series(find_detector("spectral_residual"), series)["train"] == 0


def test_scores_that_are_not_finite_name_the_detector_and_the_series(root: Path) -> None:
    class Broken(SeriesDetector):
        name = "broken"

        def score(self, series):
            return np.full(series.shape[1], np.nan)

    with pytest.raises(ValueError, match="broken on a_one: 300 of 300 scores are not finite"):
        scored(Broken(), data="one")


def test_series_are_selected_by_name_and_by_number(root: Path) -> None:
    detector = find_detector("spectral_residual")
    by_name = scored(detector, data="one", only="b_", every=False)
    assert [row["item_id"] for row in by_name["rows"]] == ["b_two"]
    first = scored(detector, data="one", limit=1, every=False)
    assert [row["item_id"] for row in first["rows"]] == ["a_one"]
    assert len({by_name["fingerprint"], first["fingerprint"]}) == 2
    with pytest.raises(ValueError, match="no series of 'one' has 'NAB' in its name"):
        scored(detector, data="one", only="NAB")
    with pytest.raises(ValueError, match="none of the 1 series of 'one' can be scored: no step is anomalous"):
        scored(detector, data="one", only="clean")
    with pytest.raises(ValueError, match=r"bench\.limit is 0"):
        AnomalyProtocol.Config(limit=0)


def test_a_detector_is_found_by_name() -> None:
    assert find_detector("iforest", trees=7).config.trees == 7
    with pytest.raises(ValueError, match="no baseline 'iforrest'; did you mean 'iforest'"):
        find_detector("iforrest")
    with pytest.raises(ValueError, match="baseline 'seasonal_naive' forecasts"):
        find_detector("seasonal_naive")


def test_hydra_knows_the_protocol() -> None:
    assert ConfigStore.instance().load("bench/_anomaly.yaml").node.data == "tsb_ad_u"


@pytest.mark.wrong_shapes
def test_a_series_checks_itself() -> None:
    valid = {"item_id": "x", "values": np.zeros((1, 5)), "labels": np.zeros(5, np.int8), "train_length": 2}
    AnomalySeries(**valid)
    for name, wrong in (("values", np.zeros(5)), ("labels", np.zeros(4, np.int8)), ("train_length", 6)):
        with pytest.raises(ValueError, match="x: "):
            AnomalySeries(**(valid | {name: wrong}))


def test_the_benchmark_resumes_and_takes_other_detectors(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(command.SETS, "skab", AnomalyProtocol.Config(data="many"))

    def score(*methods: str, **factories) -> list[dict]:
        argv = ["bench", "anomaly", "--out", str(root / "out"), "--data", "skab", "--methods", *methods]
        return command.score_methods(parser().parse_args(argv), factories=factories)

    first = score("spectral_residual")
    kept = (root / "out" / "anomaly.json").read_text()
    assert len(json.loads(kept)) == first[0]["files"] == 2

    detectors: list[Learned] = []
    both = score("spectral_residual", "learned", learned=lambda: detectors.append(Learned()) or detectors[-1])
    assert both[0] == first[0]
    assert len(detectors[0].trained_on) == 2
    again = score("learned", learned=lambda: detectors.append(Learned()) or detectors[-1])
    assert not detectors[1].trained_on  # nothing is scored twice
    assert again[0] == both[1]


@pytest.mark.realdata
@pytest.mark.parametrize("method", ["spectral_residual", "sub_pca", "iforest"])
def test_published_numbers_come_out(method: str, tmp_path: Path) -> None:
    """Four short files of TSB-AD-U each; `tsfm bench anomaly` runs them all."""
    data = Path(os.environ["TSFM_DATA"])
    file = data.parent / "anchors" / "anomaly_published.csv"
    if not file.is_file() or not (data / "anomaly").is_dir():
        pytest.skip(f"no published numbers at {file} or no anomaly data at {data}")
    published = command.read_published(file, method, "tsb_ad_u")
    chosen = sorted(read_anomalies("tsb_ad_u"), key=lambda series: series.num_steps)[:4]
    for series in chosen:
        vus_pr = score_series(find_detector(method), series, every=False)["vus_pr"]
        assert vus_pr == pytest.approx(published[series.item_id], abs=0.01)
