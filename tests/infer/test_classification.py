"""Classes and numbers of whole series: of any length, in the names and units of the training labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tests.infer.small_models import CLASSES, WINDOW, label_model, sines, step_model
from tests.tiny import tiny
from tsfm.infer.load import load
from tsfm.infer.model_predictor import ModelPredictor
from tsfm.model.checkpoint import About, save
from tsfm.types import Problem

NUMBERS = {"loc": 50.0, "scale": 10.0}


def cases() -> list[np.ndarray]:
    return [sines(length, seed=length) for length in (WINDOW, 20, 200, 33)]


def test_probabilities_are_those_of_the_logits() -> None:
    model, case = label_model(), sines(WINDOW, channels=2).astype(np.float32)
    values = torch.from_numpy(case)[None]
    seen = torch.ones_like(values, dtype=torch.bool)
    with torch.no_grad():
        logits = model.model(Problem(values, seen, ~seen)).prediction
    np.testing.assert_allclose(model.probabilities([case]), logits.softmax(-1).numpy(), rtol=1e-4)
    assert model.classify([case]).tolist() == [CLASSES[int(logits.argmax())]]
    number = label_model(labels=NUMBERS)
    with torch.no_grad():
        read = number.model(Problem(values, seen, ~seen)).prediction[0, 0]
    np.testing.assert_allclose(number.regress([case]), [50 + 10 * float(read)], rtol=1e-5)


def test_lengths_and_batches_do_not_matter() -> None:
    model, many = label_model(), cases()
    whole = model.probabilities(many)
    assert whole.shape == (4, 3)
    np.testing.assert_allclose(whole.sum(1), 1, rtol=1e-9)
    padded = [np.r_[np.full(max(0, WINDOW - len(case)), np.nan), case][-WINDOW:] for case in many]
    np.testing.assert_allclose(model.probabilities(np.stack(padded)[:, None]), whole, rtol=1e-3)
    np.testing.assert_allclose(model.probabilities(many, batch_size=1), whole, rtol=1e-3)
    for row, case in zip(whole, many, strict=True):
        np.testing.assert_allclose(model.probabilities(case)[0], row, rtol=1e-3)
    assert model.classify(many).tolist() == [CLASSES[k] for k in whole.argmax(1)]


def test_standardised_training_is_respected() -> None:
    units = {"dim_0": (50.0, 10.0), "dim_1": (-3.0, 0.1)}
    loc, scale = (np.array(column)[:, None] for column in zip(*units.values(), strict=True))
    case = sines(WINDOW, channels=2)[None]
    plain = label_model(scaler="none").probabilities(case)
    np.testing.assert_allclose(
        label_model(scaler="none", standardize=units).probabilities(case * scale + loc), plain, rtol=1e-3
    )
    with pytest.raises(ValueError, match=r"trained on cases of 2 channels .* found 1 channels: give as many"):
        label_model(scaler="none", standardize=units).probabilities(case[:, :1])
    moved = label_model(standardize=units).probabilities(case * scale + loc)  # each window is scaled anyway
    np.testing.assert_allclose(moved, label_model().probabilities(case), rtol=1e-3)


def test_a_saved_model_predicts_the_same(tmp_path: Path) -> None:
    model = label_model()
    save(model.model, tmp_path / "m", about=model.about)
    again = load(tmp_path / "m")
    np.testing.assert_array_equal(again.probabilities(cases()), model.probabilities(cases()))
    assert again.classify(cases()).tolist() == model.classify(cases()).tolist()


def test_models_of_other_tasks_are_refused_with_their_task() -> None:
    forecaster = step_model(task={"name": "forecast"})
    for verb, task in (("probabilities", "classify"), ("classify", "classify"), ("regress", "regress")):
        with pytest.raises(ValueError, match=f"tiny was trained for task=forecast, so it cannot {task}; train one"):
            getattr(forecaster, verb)(sines())
    with pytest.raises(ValueError, match="trained for task=classify, so it cannot regress; use its classify"):
        label_model().regress(sines())
    with pytest.raises(ValueError, match="trained for task=regress, so it cannot classify; use its regress"):
        label_model(labels=NUMBERS).classify(sines())
    with pytest.raises(ValueError, match="so it cannot classify; train one with task=classify"):
        forecaster.classify_df(pd.DataFrame())


def test_models_without_a_horizon_do_not_forecast() -> None:
    df = pd.DataFrame({"timestamp": pd.date_range("2024-01-01", periods=90, freq="h"), "target": sines(90)})
    for model in (label_model(), label_model(labels=NUMBERS)):
        for forecast in (
            lambda model: model.predict(sines(), prediction_length=3),
            lambda model: model.predict_df(df, 3),
            lambda model: model.forecast(sines()[None, None], horizon=3, quantile_levels=(0.5,)),
        ):
            with pytest.raises(ValueError, match="predicts a label for a whole series, so it cannot forecast; use"):
                forecast(model)
    still = tiny("patch_transformer", "quantiles").spec() | {"context": 64, "horizon": 0}
    imputer = ModelPredictor(
        type(step_model().model).from_spec(still), name="filler", about=About(task={"name": "impute"})
    )
    with pytest.raises(
        ValueError, match="filler was trained for task=impute and has no horizon, so it cannot forecast"
    ):
        imputer.predict_df(df, 3)
    assert np.isfinite(imputer.impute(sines(missing=0.1)).values).all()


def test_bad_cases_are_named() -> None:
    model = label_model()
    with pytest.raises(ValueError, match="series 1 has no observed value"):
        model.probabilities([sines(), np.full(9, np.nan)])
    with pytest.raises(ValueError, match=r"different channel counts \[1, 2\]"):
        model.probabilities([sines(), sines(channels=2)])
    ended = sines(200)
    ended[80:] = np.nan
    with pytest.raises(ValueError, match="case 0 has no observed value over its last 64 steps"):
        model.probabilities(ended)
    silent = sines(64, channels=2)
    silent[0] = np.nan
    assert np.isfinite(model.probabilities([silent])).all()  # from the other channel


def test_a_row_for_each_item() -> None:
    many = cases()
    parts = [
        pd.DataFrame(
            {"item_id": k + 5, "timestamp": pd.date_range("2024-01-01", periods=len(case), freq="h"), "v": case}
        )
        for k, case in enumerate(many)
    ]
    df = pd.concat(parts).assign(label="calm").sample(frac=1, random_state=0).sort_values("item_id", kind="stable")
    model = label_model()
    out = model.classify_df(df, target="v")
    assert list(out.columns) == ["item_id", "label", *(f"probability_{name}" for name in CLASSES)]
    assert out["item_id"].tolist() == [5, 6, 7, 8]
    assert out["label"].tolist() == model.classify(many).tolist()
    np.testing.assert_allclose(out.iloc[:, 2:].to_numpy(), model.probabilities(many), rtol=1e-6)
    numbers = label_model(labels=NUMBERS).classify_df(df, target="v")
    assert list(numbers.columns) == ["item_id", "prediction"]
    np.testing.assert_allclose(numbers["prediction"], label_model(labels=NUMBERS).regress(many), rtol=1e-6)
