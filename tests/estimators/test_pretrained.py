"""tsfm.load returns a predictor; its fit_df trains a new one on a frame and leaves it unchanged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import tsfm
from tests.estimators.small import trained
from tsfm.estimators.pretrained import Pretrained
from tsfm.infer.load import load as plain_load
from tsfm.infer.model_predictor import ModelPredictor
from tsfm.model.checkpoint import About

FEW = ["data.batches_per_epoch=2", "trainer.max_epochs=1"]
TUNED: dict = {"device": "cpu", "keep_better": False}  # two steps may validate worse


def frame(num: int = 2, length: int = 160, **columns: str) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    items = [
        pd.DataFrame(
            {
                "item_id": f"item {i}",
                "timestamp": pd.date_range("2024-01-01", periods=length, freq="h"),
                "target": 10 + i + 3 * np.sin(np.arange(length) / 4) + 0.1 * rng.normal(size=length),
                "price": rng.normal(size=length),
            }
        )
        for i in range(num)
    ]
    return pd.concat(items, ignore_index=True).rename(columns=columns)


def weights(model: ModelPredictor) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.model.state_dict().items()}


TARGETS = ["item_id", "timestamp", "target"]


def test_load_gives_a_model_that_can_learn_and_saves_itself(tmp_path: Path) -> None:
    path = trained().save(tmp_path / "model")
    loaded, plain = tsfm.load(path), plain_load(path)
    assert type(loaded) is Pretrained
    assert type(plain) is ModelPredictor
    df = frame()[TARGETS]
    pd.testing.assert_frame_equal(loaded.predict_df(df, 16), plain.predict_df(df, 16))


def test_a_fit_gives_a_new_model_and_leaves_the_old_one(tmp_path: Path) -> None:
    base, df = trained(), frame()
    before, forecast = weights(base), base.predict_df(df[TARGETS], 16)
    new = base.fit_df(df, epochs=3, overrides=FEW[:1], **TUNED)
    assert all(torch.equal(tensor, before[name]) for name, tensor in base.model.state_dict().items())
    pd.testing.assert_frame_equal(base.predict_df(df[TARGETS], 16), forecast)
    assert any(not torch.equal(tensor, before[name]) for name, tensor in new.model.state_dict().items())
    assert new.about.trained_on["init"] == {"from": base.name, "method": "full", "fingerprints": ["a"]}
    assert len(new.about.trained_on["fingerprints"]) == 2
    assert new.about.trained_on["dataset"] == "series from memory"
    again = tsfm.load(new.save(tmp_path / "new"))
    pd.testing.assert_frame_equal(
        again.predict_df(df[TARGETS], 16).drop(columns="item_id"),
        new.predict_df(df[TARGETS], 16).drop(columns="item_id"),
    )


def test_a_fit_halves_the_error() -> None:
    base, df = trained(), frame(length=400)
    past = df.groupby("item_id").head(384)
    y_true = df.groupby("item_id").tail(16)["target"].to_numpy()
    new = base.fit_df(past, device="cpu", epochs=4, overrides=["data.batches_per_epoch=30", "optim.lr=3e-3"])
    errors = [np.abs(model.predict_df(past[TARGETS], 16)["predictions"] - y_true).mean() for model in (base, new)]
    assert errors[1] < 0.5 * errors[0]


@pytest.mark.parametrize("method", ["head", "lora"])
def test_what_is_frozen_stays(method: str) -> None:
    base = trained()
    before = weights(base)
    new = base.fit_df(frame(), method=method, overrides=FEW, **TUNED)
    changed = {name for name, tensor in new.model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed
    assert all(name.startswith("head" if method == "head" else "backbone") for name in changed)


@pytest.mark.parametrize("kind", ["quantiles", "flatten"])
def test_another_horizon(kind: str) -> None:
    base = trained(kind)
    new = base.fit_df(frame(), 6, overrides=FEW, **TUNED)
    assert (new.model.config.horizon, base.model.config.horizon) == (6, 16)
    assert len(new.predict_df(frame()[TARGETS], 6)) == 12


@pytest.mark.parametrize("task", ["impute", "detect"])
def test_a_forecaster_learns_another_task(task: str) -> None:
    new = trained().fit_df(frame(), task=task, overrides=FEW, **TUNED)
    assert new.about.task["name"] == task
    assert (new.model.config.context, new.model.config.horizon) == (64, 0)
    values = frame(1)["target"].to_numpy().copy()
    values[20:24] = np.nan
    result = new.detect(values) if task == "detect" else new.impute(values).values
    assert np.isfinite(np.asarray(result)[30:]).all()


def test_the_task_of_the_training_is_kept() -> None:
    base = trained()
    base = Pretrained(base.model, name="b", about=About(task={"name": "forecast", "loss": "pinball", "units": "data"}))
    assert base.fit_df(frame(), overrides=FEW, **TUNED).about.task["units"] == "data"


def test_short_items_and_columns_of_other_names() -> None:
    df = frame(3, 40, item_id="shop", timestamp="when", target="sold items, all")
    names = {"id_column": "shop", "timestamp_column": "when", "target": "sold items, all"}
    new = trained().fit_df(df, 4, overrides=FEW, **TUNED, **names)
    assert new.about.trained_on["data"]["channels"] == ["sold items, all"]
    assert new.about.trained_on["data"]["min_context"] < 48
    assert new.model.config.context == 48  # it was trained on shorter ones, and reads contexts as long as before


def test_a_frame_of_one_series_needs_no_items() -> None:
    new = trained().fit_df(frame(1)[TARGETS[1:]], overrides=FEW, **TUNED)
    assert len(new.about.trained_on["fingerprints"]) == 1


def test_covariates_are_named() -> None:
    base = trained("group")
    new = base.fit_df(frame(), past=["price"], overrides=FEW, **TUNED)
    assert new.past_covariates == ["price"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "classify"}, r"task is 'classify'; .*; for labels use tsfm\.Classifier"),
        ({"task": "impute", "prediction_length": 4}, r"prediction_length is 4, and task=impute has no horizon"),
        ({"prediction_length": 0}, r"prediction_length is 0; it is a number of steps"),
        ({"prediction_length": 2.5}, r"prediction_length is 2\.5"),
        ({"method": "probe"}, r"method is 'probe'; .*known: full, head, lora"),
        ({"target": "sales"}, r"no target column 'sales'"),
        ({"overrides": ["optim.lrr=1"]}, r"optim\.lrr is not a setting"),
        ({"prediction_length": 200}, r"df is too short: .* a horizon of 200 needs"),
    ],
)
def test_wrong_options_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        trained().fit_df(frame(), device="cpu", **options)


def test_a_model_without_a_horizon_needs_prediction_length() -> None:
    filler = trained().fit_df(frame(), task="impute", overrides=FEW, **TUNED)
    with pytest.raises(ValueError, match=r"has no horizon of its own; give prediction_length"):
        filler.fit_df(frame())


@pytest.mark.parametrize(("rows", "horizon"), [(8, 16), (3, 2)])
def test_series_that_are_too_short_are_refused_in_the_words_of_the_method(rows: int, horizon: int) -> None:
    with pytest.raises(ValueError, match=f"df is too short: .*item 'item 0'.* a horizon of {horizon} needs") as caught:
        trained().fit_df(frame(1, rows)[TARGETS], horizon, overrides=FEW, **TUNED)
    assert "split" not in str(caught.value)


def test_errors_of_items_leave_them_out_of_a_fit() -> None:
    base, good = trained(), frame()[TARGETS]
    bad = good[good["item_id"] == "item 0"].assign(item_id="bad", target=np.nan)
    expected = base.fit_df(good, device="cpu", overrides=FEW)
    df = pd.concat([good, bad], ignore_index=True)
    with pytest.raises(ValueError, match="item 'bad'"):
        base.fit_df(df, device="cpu", overrides=FEW)
    with pytest.warns(tsfm.FailedItemWarning, match="item 'bad'"):
        warned = base.fit_df(df, device="cpu", overrides=FEW, errors="warn")
    assert all(torch.equal(tensor, weights(warned)[name]) for name, tensor in weights(expected).items())
    with pytest.raises(ValueError, match="no series"):
        base.fit_df(bad, device="cpu", overrides=FEW, errors="skip")
