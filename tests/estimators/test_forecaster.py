"""Forecaster: zero-shot it is predict_df, fine-tuned it is fit_df and predict_df; it can be cloned and pickled."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

import tsfm
from tsfm.estimators.forecaster import Forecaster


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    days = pd.date_range("2024-01-01", periods=90)
    return pd.concat(
        pd.DataFrame({"shop": shop, "day": days, "sales": np.arange(90.0) % 7 + 10 * number})
        for number, shop in enumerate("ab")
    )


COLUMNS = {"id_column": "shop", "timestamp_column": "day", "target": "sales"}


def test_without_a_method_it_is_predict_df(frame: pd.DataFrame) -> None:
    forecaster = Forecaster("tsfm-mini", **COLUMNS, quantile_levels=[0.2, 0.8]).fit(frame)
    expected = tsfm.load("tsfm-mini").predict_df(frame, 5, quantile_levels=[0.2, 0.8], **COLUMNS)
    pd.testing.assert_frame_equal(forecaster.predict(5), expected)
    again = pickle.loads(pickle.dumps(forecaster))
    pd.testing.assert_frame_equal(again.predict(5), expected)


def test_the_horizon_of_fit_is_the_default_of_predict(frame: pd.DataFrame) -> None:
    forecaster = Forecaster("tsfm-mini", **COLUMNS).fit(frame, 4)
    assert len(forecaster.predict()) == 2 * 4
    assert len(forecaster.predict(3)) == 2 * 3


def test_with_a_method_the_weights_are_tuned_and_the_model_given_stays(frame: pd.DataFrame) -> None:
    model = tsfm.load("tsfm-mini")
    before = {name: tensor.clone() for name, tensor in model.model.state_dict().items()}
    few = ["data.batches_per_epoch=1", "data.batch_size=4"]
    options = {"method": "head", "epochs": 1, "overrides": few, "keep_better": False, "device": "cpu", **COLUMNS}
    forecaster = Forecaster(model, **options).fit(frame, 5)
    tuned = forecaster.predictor_.model.state_dict()
    assert all(np.array_equal(before[name], tensor) for name, tensor in model.model.state_dict().items())
    assert any(not np.array_equal(before[name], tensor) for name, tensor in tuned.items())
    assert np.isfinite(forecaster.predict().predictions).all()


def test_it_can_be_cloned() -> None:
    assert clone(Forecaster("tsfm-mini", method="lora", epochs=2)).get_params()["epochs"] == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "loar"}, "method is 'loar'; did you mean 'lora'"),
        ({"epochs": 3}, "without a method nothing is trained"),
        ({"model": 3}, "model is of type int; expected a model directory"),
    ],
)
def test_parameters_that_cannot_be_are_refused(settings: dict, message: str, frame: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match=message):
        Forecaster(**{"model": "tsfm-mini", **settings, **COLUMNS}).fit(frame)
