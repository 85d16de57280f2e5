"""Laws of the metrics of labelled cases and of imputation: agreement with scikit-learn, sums that add up."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from tsfm.metrics import classification as c
from tsfm.metrics import regression as r
from tsfm.metrics.imputation import ImputationScore


def drawn(seed: int, *, num: int = 200, classes: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Class indices and probabilities that know something of them; the last class never occurs."""
    rng = np.random.default_rng(seed)
    y_true = rng.integers(0, classes - 1, num)
    logits = rng.normal(size=(num, classes)) + 2 * np.eye(classes)[y_true]
    shares = np.exp(logits)
    return y_true, shares / shares.sum(1, keepdims=True)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("as_text", [False, True])
def test_labels_agree_with_scikit_learn(seed: int, as_text: bool) -> None:
    y_true, shares = drawn(seed)
    y_pred = shares.argmax(1)
    if as_text:
        y_true, y_pred = (np.array([f"class {k}" for k in values], dtype=object) for values in (y_true, y_pred))
    assert c.accuracy(y_true, y_pred) == pytest.approx(sk.accuracy_score(y_true, y_pred), abs=1e-12)
    seen = np.isin(y_pred, y_true)  # scikit-learn warns of the others, and leaves them out too
    balanced = sk.balanced_accuracy_score(y_true[seen], y_pred[seen])
    assert c.balanced_accuracy(y_true[seen], y_pred[seen]) == pytest.approx(balanced, abs=1e-12)
    f1 = sk.f1_score(y_true.astype(str), y_pred.astype(str), average="macro", zero_division=0)
    assert c.macro_f1(y_true, y_pred) == pytest.approx(f1, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_log_loss_agrees_with_scikit_learn(seed: int) -> None:
    y_true, shares = drawn(seed)
    assert c.log_loss(y_true, shares) == pytest.approx(sk.log_loss(y_true, shares, labels=range(5)), abs=1e-12)
    shares[0] = np.eye(5)[(y_true[0] + 1) % 4]  # certain, and wrong
    loss = c.log_loss(y_true, shares)
    assert np.isfinite(loss)
    assert loss == pytest.approx(sk.log_loss(y_true, shares, labels=range(5)), abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_calibration_error_agrees_with_its_definition(seed: int) -> None:
    y_true, shares = drawn(seed)
    confidence, right = shares.max(1), shares.argmax(1) == y_true
    total = 0.0
    for m in range(15):
        inside = (confidence > m / 15) & (confidence <= (m + 1) / 15)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert c.calibration_error(y_true, shares) == pytest.approx(total, abs=1e-12)
    edges = np.linspace(0, 1, 16)
    assert c.calibration_error(np.zeros(16, int), np.stack([edges, 1 - edges], 1)) >= 0


def test_a_calibrated_forecaster_has_no_calibration_error() -> None:
    shares = np.tile([0.75, 0.25], (400, 1))
    y_true = np.arange(400) % 4 == 0
    assert c.calibration_error(y_true.astype(int), shares) == pytest.approx(0, abs=1e-12)
    assert c.calibration_error(1 - y_true.astype(int), shares) == pytest.approx(0.5, abs=1e-12)


def test_a_predicted_class_that_no_case_has_lowers_f1_and_not_balanced_accuracy() -> None:
    y_true, y_pred = np.array(["a", "a", "b", "b"]), np.array(["a", "a", "b", "z"])
    assert c.balanced_accuracy(y_true, y_pred) == 0.75
    assert c.macro_f1(y_true, y_pred) == pytest.approx((1 + 2 / 3 + 0) / 3)


@pytest.mark.parametrize("seed", range(3))
def test_numbers_agree_with_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y_true = rng.normal(50, 10, 77)
    y_pred = y_true + rng.normal(size=77)
    assert r.rmse(y_true, y_pred) == pytest.approx(sk.root_mean_squared_error(y_true, y_pred), abs=1e-12)
    assert r.mae(y_true, y_pred) == pytest.approx(sk.mean_absolute_error(y_true, y_pred), abs=1e-12)
    assert r.r2(y_true, y_pred) == pytest.approx(sk.r2_score(y_true, y_pred), abs=1e-12)
    assert r.r2(np.ones(3), np.ones(3)) == sk.r2_score(np.ones(3), np.ones(3)) == 1
    assert r.r2(np.ones(3), np.zeros(3)) == sk.r2_score(np.ones(3), np.zeros(3)) == 0


BAD = {
    "lengths": (lambda: c.accuracy(np.zeros(3), np.zeros(2)), "one label for each case"),
    "no case": (lambda: c.accuracy(np.array([]), np.array([])), "no case"),
    "logits": (lambda: c.log_loss(np.array([0]), np.array([[2.0, -1.0]])), "not probabilities"),
    "nan": (lambda: c.log_loss(np.array([0]), np.array([[np.nan, 1.0]])), "not probabilities"),
    "index": (lambda: c.log_loss(np.array([2]), np.array([[0.5, 0.5]])), "from 0 to 1"),
    "number": (lambda: r.rmse(np.array([1.0]), np.array([np.nan])), "y_pred holds nan"),
}


@pytest.mark.wrong_shapes
@pytest.mark.parametrize("name", BAD)
def test_invalid_input_is_refused(name: str) -> None:
    call, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        call()


def windows(seed: int = 0, *, rows: int = 9) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    target = rng.normal(size=(rows, 2, 16)).astype(np.float32)
    wanted = rng.random(target.shape) < 0.3
    return target, target + rng.normal(size=target.shape).astype(np.float32), wanted


def test_imputation_counts_wanted_steps_only_and_batches_add_up() -> None:
    target, filled, wanted = windows()
    whole, in_batches = ImputationScore(), ImputationScore()
    whole.update(target, filled, wanted)
    for i in range(0, 9, 2):
        in_batches.update(target[i : i + 2], filled[i : i + 2], wanted[i : i + 2])
    metrics = whole.result()
    assert metrics["mse"] == pytest.approx(sk.mean_squared_error(target[wanted], filled[wanted]), rel=1e-6)
    assert metrics["mae"] == pytest.approx(sk.mean_absolute_error(target[wanted], filled[wanted]), rel=1e-6)
    assert metrics["steps_scored"] == wanted.sum()
    assert in_batches.result() == pytest.approx(metrics, rel=1e-12)
    poked = ImputationScore()
    poked.update(np.where(wanted, target, np.nan), np.where(wanted, filled, 1e9), wanted)
    assert poked.result() == metrics


def test_an_unfilled_step_is_an_error() -> None:
    target, filled, wanted = windows()
    filled[wanted] = np.nan
    with pytest.raises(ValueError, match="y_pred is not finite at the wanted step"):
        ImputationScore().update(target, filled, wanted)
    with pytest.raises(ValueError, match="no step of 0 windows"):
        ImputationScore().result()
