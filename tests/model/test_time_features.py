"""Laws of time features: phases of the calendar, no effect without timestamps, no leak, the same in every batch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from tests.training.test_expansion import expanded, model, problem
from tsfm.infer.model_predictor import ModelPredictor
from tsfm.infer.past import Past
from tsfm.model.checkpoint import About
from tsfm.model.model import Model
from tsfm.model.model_config import ModelConfig
from tsfm.model.time_features import phases, step_features
from tsfm.registry import BACKBONES, HEADS, SCALERS
from tsfm.types import NO_TIMESTAMP, Problem

HOUR = 3600


def hours(num: int, steps: int, *, first: str = "2024-02-27T05") -> torch.Tensor:
    start = int(np.datetime64(first, "s").astype(np.int64))
    return start + HOUR * torch.arange(steps).expand(num, -1)


def timed_model(*, weights: float = 0.1) -> Model:
    network = model(time_features=True)
    assert network.time_features is not None
    torch.nn.init.normal_(network.time_features.project.weight, std=weights)
    return network.eval()


def timed(posed: Problem) -> Problem:
    return replace(posed, timestamps=hours(*posed.values[:, 0].shape))


def predict(network: Model, posed: Problem) -> torch.Tensor:
    with torch.no_grad():
        return network(posed).prediction


def test_phases_are_those_of_the_calendar() -> None:
    times = pd.date_range("1969-01-01", "2032-12-31", freq="7h13min")
    seconds = torch.from_numpy(times.to_numpy("datetime64[s]").astype(np.int64))
    hour, day, week, month, year = phases(seconds).double().unbind(-1)
    of_day = (times.hour + times.minute / 60) / 24
    march = times.to_period("M").asfreq("Y").year - (times.month < 3)
    since_march = (times.normalize() - pd.to_datetime([f"{y}-03-01" for y in march])).days
    expected = (times.minute / 60, of_day, (times.weekday + of_day) / 7, (times.day - 1 + of_day) / 31)
    for phase, values in zip((hour, day, week, month, year), (*expected, (since_march + of_day) / 366), strict=True):
        np.testing.assert_allclose(phase, values, atol=1e-6)


def test_a_step_without_timestamp_has_no_features() -> None:
    timestamps = hours(1, 8)[0].clone()
    timestamps[3] = NO_TIMESTAMP
    features = step_features(timestamps)
    assert (features[3] == 0).all()
    assert (features[[0, 1, 2, 4], -1] == 1).all()


def test_without_timestamps_the_contribution_is_exactly_zero() -> None:
    posed, network = problem(), timed_model()
    plain = model()
    plain.load_state_dict({k: v for k, v in network.state_dict().items() if not k.startswith("time_features")})
    unknown = torch.full_like(hours(*posed.values[:, 0].shape), NO_TIMESTAMP)
    expected = predict(plain, posed)
    assert torch.equal(predict(network, posed), expected)
    assert torch.equal(predict(network, replace(posed, timestamps=unknown)), expected)
    assert not torch.equal(predict(network, timed(posed)), expected)


def test_an_expanded_model_forecasts_the_same_bits_with_timestamps() -> None:
    saved, new = model(), model(time_features=True)
    assert torch.equal(expanded(saved, new), predict(saved, problem()))
    assert torch.equal(predict(new, timed(problem())), predict(saved, problem()))


def test_hidden_values_do_not_matter_with_timestamps() -> None:
    network, posed = timed_model(), timed(problem())
    poked = replace(posed, values=torch.where(posed.visible, posed.values, 1e6))
    assert torch.equal(predict(network, poked), predict(network, posed))


def test_windows_of_a_batch_have_their_own_timestamps() -> None:
    network, posed = timed_model(), timed(problem())
    assert posed.timestamps is not None
    mixed = torch.where(torch.arange(len(posed.values))[:, None] == 0, NO_TIMESTAMP, posed.timestamps)
    together = predict(network, replace(posed, timestamps=mixed))
    torch.testing.assert_close(together[0], predict(network, problem())[0])
    torch.testing.assert_close(together[1:], predict(network, posed)[1:])


def test_timestamps_of_phases_belong_to_their_steps() -> None:
    timestamps = hours(2, 30)
    past = Past(timestamps[:, None, :21].float(), None, 9, timestamps)
    split = past.phases(4)
    assert split.timestamps is not None
    num_past = split.values.shape[-1]
    known = split.timestamps[:, :num_past] != NO_TIMESTAMP
    assert torch.equal(known, split.observed[:, 0])  # none before the first step
    assert torch.equal(split.timestamps[:, :num_past][known].float(), split.values[:, 0][known])
    future = split.timestamps[:, num_past:].unflatten(0, (2, 4)).transpose(1, 2).flatten(1)
    assert torch.equal(future[:, :9], timestamps[:, 21:])
    assert (future[:, 9:] == NO_TIMESTAMP).all()


def wide_predictor() -> ModelPredictor:
    """Return an untrained model for any horizon; its prediction depends on time features."""
    torch.manual_seed(0)
    network = Model(
        ModelConfig(
            context=64, horizon=16, width=16, patch=8, stride=8, embed="residual", fill="linear", time_features=True
        ),
        scaler=SCALERS.config({"name": "standard"}),
        backbone=BACKBONES.config({"name": "mixer", "depth": 1, "dropout": 0.0, "max_patches": 32}),
        head=HEADS.config({"name": "patch_quantiles", "hidden": 16}),
    )
    assert network.time_features is not None
    torch.nn.init.normal_(network.time_features.project.weight)
    return ModelPredictor(network.eval(), name="timed", about=About(task={"name": "pretrain"}))


@pytest.mark.parametrize("horizon", [10, 40])
def test_frames_and_arrays_with_starts_agree(horizon: int) -> None:
    predictor, rng = wide_predictor(), np.random.default_rng(0)
    values = [rng.normal(size=steps).astype(np.float32) for steps in (96, 128)]  # whole rounds of phases
    starts = ["2024-01-01T00", "2023-07-05T10"]
    df = pd.concat(
        pd.DataFrame({"item_id": str(i), "timestamp": pd.date_range(start, periods=len(x), freq="h"), "target": x})
        for i, (start, x) in enumerate(zip(starts, values, strict=True))
    )
    by_frame = predictor.predict_df(df, horizon)["predictions"].to_numpy().reshape(2, 1, horizon)
    by_array = predictor.predict(values, prediction_length=horizon, season_length=24, starts=starts, freq="h")
    np.testing.assert_allclose(by_frame, by_array.predictions, rtol=1e-5, atol=1e-5)
    unknown = predictor.predict(values, prediction_length=horizon, season_length=24)
    assert not np.allclose(unknown.predictions, by_array.predictions, atol=1e-3)
    alone = predictor.predict(values[0], prediction_length=horizon, season_length=24, starts=starts[0], freq="h")
    np.testing.assert_allclose(alone.predictions[0], by_array.predictions[0], rtol=1e-4, atol=1e-4)


def test_short_histories_with_timestamps_are_forecast_next_to_longer_ones() -> None:
    predictor, day = wide_predictor(), np.sin(np.arange(24) / 24 * 2 * np.pi).astype(np.float32)
    values = [np.tile(day, 4), np.tile(day, 2)[:40]]
    starts = ["2024-01-01T00", "2024-02-05T10"]
    both = predictor.predict(values, prediction_length=12, season_length=24, starts=starts, freq="h")
    assert any("less than two seasons" in note for note in both.notes)
    alone = predictor.predict(values[1], prediction_length=12, season_length=24, starts=starts[1], freq="h")
    np.testing.assert_allclose(alone.predictions[0], both.predictions[1], rtol=1e-4, atol=1e-4)


@pytest.mark.wrong_shapes
def test_shapes_of_timestamps_are_checked() -> None:
    with pytest.raises(ValueError, match=r"timestamps has shape \(1, 3\).*expected \[batch, time\]"):
        replace(problem(), timestamps=torch.zeros(1, 3, dtype=torch.long))


def test_another_head_is_refused() -> None:
    with pytest.raises(ValueError, match=r"model\.time_features needs a head that reads the whole window"):
        Model(
            ModelConfig(context=32, horizon=8, width=16, patch=8, stride=8, time_features=True),
            scaler=SCALERS.config({"name": "standard"}),
            backbone=BACKBONES.config({"name": "mixer"}),
            head=HEADS.config({"name": "flatten"}),
        )
