"""Laws of covariates in windows: who stands where, and marks that are what pandas says of each stamp."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tsfm.data.covariates import make_layout
from tsfm.data.flat import FlatSeries
from tsfm.data.splits import split_all
from tsfm.data.window_data import DataConfig, WindowData
from tsfm.data.windows import WindowIndex
from tsfm.store.series_store import StoreWriter
from tsfm.timestamps.offsets import make_timestamps, parse_freq
from tsfm.timestamps.time_features import FIELDS, TimeFeatures, choose_fields, varying_fields
from tsfm.types import KNOWN, PAST, TARGET, TIME_FEATURE, Batch

FREQS = {
    "5min": "2023-12-31 22:10",
    "15min": "2024-02-28 23:45",
    "h": "1999-12-31 07:00",
    "D": "2023-01-15",
    "B": "2024-02-26",
    "W-SUN": "2023-12-31",
    "MS": "2020-11-01",
    "ME": "2023-11-30",
    "QS-OCT": "2020-10-01",
    "YS": "2000-01-01",
}


def by_pandas(start: str, freq: str, count: int) -> dict[str, np.ndarray]:
    times = pd.DatetimeIndex(make_timestamps(np.datetime64(start, "us"), freq, count))
    return {
        "minute": times.minute / 59 - 0.5,
        "hour": times.hour / 23 - 0.5,
        "day_of_week": times.dayofweek / 6 - 0.5,
        "day_of_month": (times.day - 1) / 30 - 0.5,
        "day_of_year": (times.dayofyear - 1) / 365 - 0.5,
    }


def time_features(*, lengths=400) -> TimeFeatures:
    starts = np.array([np.datetime64(start, "us") for start in FREQS.values()])
    return TimeFeatures(FIELDS, starts=starts, freqs=list(FREQS), lengths=np.full(len(FREQS), lengths))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(FREQS) - 1), st.integers(-30, 370)), min_size=1, max_size=12))
def test_time_features_agree_with_pandas(windows: list[tuple[int, int]]) -> None:
    series, first = np.array(windows).T
    features = time_features().window(series, first, steps=30)
    assert features.dtype == np.float32
    for row, (i, begin) in enumerate(windows):
        freq = list(FREQS)[i]
        expected = by_pandas(FREQS[freq], freq, 400)
        for index, field in enumerate(FIELDS):
            steps = np.arange(begin, begin + 30)
            wanted = np.where(steps >= 0, expected[field].to_numpy()[np.maximum(steps, 0)], np.nan)
            np.testing.assert_allclose(features[row, index], wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("freq", FREQS)
def test_the_fields_that_vary_are_those_that_differ(freq: str) -> None:
    values_by_field = by_pandas(FREQS[freq], freq, 3000 if freq in ("5min", "15min", "h") else 60)
    differs = {field for field, values in values_by_field.items() if len(np.unique(values)) > 1}
    if parse_freq(freq).months:  # what the calendar makes of the day of the week and the month's last day is chance
        differs &= {"day_of_year"} if freq != "YS" else set()
    assert set(varying_fields(freq)) == differs


def test_true_takes_what_varies_at_any_frequency() -> None:
    assert choose_fields(True, ["h", "MS", "h"]) == ("hour", "day_of_week", "day_of_month", "day_of_year")
    assert choose_fields(["day_of_year", "hour"], ["h"]) == ("day_of_year", "hour")
    assert choose_fields(False, ["h"]) == choose_fields(None, ["h"]) == ()
    with pytest.raises(ValueError, match="no time feature varies in steps of YS; leave it out"):
        choose_fields(True, ["YS"])


@pytest.fixture
def store(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    with StoreWriter(tmp_path / "store", channels=["price", "sales", "rain", "stock"]) as writer:
        for i in range(3):
            values = (100 * rng.normal(size=(4, 150 + i)) + 50).astype(np.float32)
            values[1, 10 * i : 10 * i + 5] = np.nan
            writer.add(f"s{i}", values, np.datetime64("2024-02-20T05:00", "us") + np.timedelta64(i, "h"), "h")
    return tmp_path / "store"


def data(store: Path, **config) -> WindowData:
    module = WindowData(DataConfig(str(store), **config), context=24, horizon=6)
    module.setup()
    return module


@pytest.mark.parametrize("least", [None, 4])
def test_channels_are_in_order_of_role_and_time_features_are_not_standardized(store: Path, least: int | None) -> None:
    module = data(store, known=["price"], past=["rain"], time_features=["hour", "day_of_week"], min_context=least)
    assert module.layout.names == ("sales", "stock", "rain", "price", "calendar_hour", "calendar_day_of_week")
    assert module.num_channels == 6
    windows = module.windows("train")
    assert windows.targets == ("sales", "stock")
    plain = data(store, channels=["sales", "stock", "rain", "price"], min_context=least).windows("train")
    assert len(windows) == len(plain)
    batch, same = windows.gather(range(len(windows))), plain.gather(range(len(plain)))
    assert same.role is None
    assert torch.equal(batch.values[:, :4], same.values)
    assert torch.equal(batch.observed[:, :4], same.observed)
    assert batch.role.tolist() == [[TARGET, TARGET, PAST, KNOWN, TIME_FEATURE, TIME_FEATURE]] * len(windows)
    seen = 0
    for row, (i, start) in enumerate(batch.key.tolist()):
        times = pd.date_range(module.store.starts[i], periods=30 + max(start, 0), freq="h")[max(start, 0) :]
        inside = slice(max(-start, 0), 30)
        assert not batch.observed[row, 4:, : max(-start, 0)].any()
        seen += max(-start, 0)
        assert batch.observed[row, 4:, inside].all()
        expected = np.stack([times.hour / 23 - 0.5, times.dayofweek / 6 - 0.5])[:, : 30 - max(-start, 0)]
        np.testing.assert_allclose(batch.values[row, 4:, inside], expected, atol=1e-6)
    assert (seen > 0) == (least is not None)


def test_the_standardizer_is_fitted_to_covariates_and_not_to_time_features(store: Path) -> None:
    module = data(store, known=["price"], time_features=True)
    assert module.standardizer.channels == ("sales", "rain", "stock", "price")
    assert module.resolved_config.channels == ["sales", "rain", "stock"]
    assert module.resolved_config.time_features == ["hour", "day_of_week", "day_of_month", "day_of_year"]
    assert data(store).resolved_config.channels is None


def test_targets_alone_where_covariates_are_of_no_use(store: Path) -> None:
    config = DataConfig(str(store), known=["price"], time_features=True)
    bare = WindowData(config, context=24, horizon=6, covariates=False)
    bare.setup()
    assert bare.layout.names == ("sales", "rain", "stock")
    assert bare.dropped_covariates == (
        "price",
        "calendar_hour",
        "calendar_day_of_week",
        "calendar_day_of_month",
        "calendar_day_of_year",
    )
    assert bare.windows("train").gather([0]).role is None
    assert bare.resolved_config.known == bare.resolved_config.time_features == []


def test_a_layout_without_covariates_is_the_store_in_order() -> None:
    layout = make_layout(["a", "b"], DataConfig("x"))
    assert layout.names == ("a", "b")
    assert layout.role_tensor() is None
    assert make_layout(["a", "b"], DataConfig("x", channels=["b"], known=["a"])).names == ("b", "a")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"known": ["pirce"]}, r"data\.known: no channel 'pirce'; did you mean 'price'"),
        ({"past": ["rian"]}, r"data\.past: no channel 'rian'; did you mean 'rain'"),
        ({"known": ["price", "sales"], "past": ["rain", "stock"]}, "so no target is left; leave a target out"),
        ({"known": ["price"], "past": ["price"]}, r"'price' is named in data\.past and in data\.known; a channel is"),
        ({"channels": ["price"], "known": ["price"]}, r"'price' is named in data\.channels and in data\.known"),
        ({"known": ["price", "price"]}, r"'price' is named twice in data\.known"),
        ({"time_features": ["huor"]}, r"data\.time_features has 'huor'; did you mean 'hour'"),
        ({"time_features": "hour"}, r"time_features is 'hour'; expected true, false or a list of fields: minute, hour"),
        ({"time_features": 3}, r"data\.time_features is 3; expected true, false or a list"),
        ({"time_features": ["hour", "hour"]}, "name each field once"),
    ],
)
def test_a_wrong_setting_is_named(store: Path, config: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        data(store, **config)


@pytest.mark.wrong_shapes
def test_a_batch_checks_its_roles_and_takes_them_along() -> None:
    values = torch.zeros(2, 3, 5)
    observed = torch.ones_like(values, dtype=torch.bool)
    role = torch.tensor([[TARGET, KNOWN, TIME_FEATURE]] * 2, dtype=torch.int8)
    assert Batch(values, observed, role=role).to("meta").role.device.type == "meta"
    for wrong, message in (
        (role[:, :2], "expected one torch.int8"),
        (role.long(), "int8"),
        (role + 4, "role holds 4 to 7"),
    ):
        with pytest.raises(ValueError, match=message):
            Batch(values, observed, role=wrong)


def test_nothing_is_computed_where_there_are_no_covariates() -> None:
    flat = FlatSeries.from_arrays([np.zeros((2, 60), np.float32)])
    index = WindowIndex(flat, split_all(flat.lengths, "all", lookback=4)["train"], context=4, horizon=2)
    batch = index.gather([0, 3])
    assert batch.role is None
    assert batch.observed.stride() == (0, 0, 0)


def test_a_constant_covariate_is_logged(store: Path, tmp_path: Path, caplog) -> None:
    with StoreWriter(tmp_path / "flat", channels=["y", "x"]) as writer:
        writer.add("s", np.stack([np.arange(200.0), np.ones(200)]), np.datetime64("2024-01-01", "us"), "h")
    with caplog.at_level(logging.WARNING, logger="tsfm"):
        data(tmp_path / "flat", known=["x"])
    assert "channel 'x' is constant in the train rows" in caplog.text
