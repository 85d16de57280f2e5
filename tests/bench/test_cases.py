"""Laws of the learners of labelled cases and of their protocol: agreement with definitions and published values."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable

import numpy as np
import pytest

from tests.conftest import data_root
from tsfm.bench.baselines import classifiers
from tsfm.bench.equal_length import of_length, without_gaps, z_normalised
from tsfm.bench.interfaces import CaseLearner
from tsfm.bench.predictors import baselines, find_baseline
from tsfm.bench.protocols import cases as protocol
from tsfm.bench.protocols.cases import CasesProtocol, score_cases, score_numbers, score_probabilities
from tsfm.commands.bench.case_sets import read_manifest, read_published, thirty
from tsfm.commands.cli import main
from tsfm.config import compose, typed
from tsfm.data.case_data import CaseData, CasesConfig
from tsfm.registry import PROTOCOLS

pytest.importorskip("aeon", reason="the case learners need aeon; pip install 'tsfm-platform[bench]'")
NAMES = ("nn_euclidean", "nn_dtw", "minirocket", "catch22")
SMALL = {"minirocket": {"features": 168}, "catch22": {"trees": 20}}
needs_data = pytest.mark.skipif(not (data_root() / "classification").is_dir(), reason="no data at TSFM_DATA")


def learner(name: str, **settings) -> CaseLearner:
    return find_baseline(name, CaseLearner, **SMALL.get(name, {}) | settings)  # type: ignore[type-abstract]


def waves(
    num: int = 24, *, channels: int = 2, seed: int = 0, unequal: bool = False
) -> tuple[list[np.ndarray], np.ndarray]:
    """Noisy sines: the fast are "fast", the slow "slow"; the second channel is noise."""
    rng = np.random.default_rng(seed)
    labels = np.array(["fast", "slow"] * (num // 2), dtype=object)
    cases = []
    for label in labels:
        steps = int(rng.integers(24, 33)) if unequal else 32
        wave = np.sin(np.arange(steps) * (1.5 if label == "fast" else 0.4))
        cases.append(np.stack([wave + 0.1 * rng.normal(size=steps), *rng.normal(0, 0.1, size=(channels - 1, steps))]))
    if unequal:
        cases[1][0, 3:6] = np.nan
        cases[4][0, :2] = np.nan
    return cases, labels


def test_the_four_are_registered() -> None:
    assert set(baselines(CaseLearner)) >= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("unequal", [False, True])
def test_easy_cases_are_learnt_and_their_order_does_not_matter(name: str, unequal: bool) -> None:
    cases, labels = waves(unequal=unequal)
    test_cases, y_true = waves(seed=1, unequal=unequal)
    fitted = learner(name).fit(cases, labels)
    y_pred = fitted.predict(test_cases)
    assert (y_pred == y_true).mean() >= 0.9
    assert (fitted.predict(test_cases[::-1])[::-1] == y_pred).all()
    assert (learner(name).fit(cases, labels).predict(test_cases) == y_pred).all()
    shares = fitted.predict_proba(test_cases)
    if name == "catch22":
        assert shares is not None
        assert (np.array(["fast", "slow"])[shares.argmax(1)] == y_pred).mean() >= 0.9
    else:
        assert shares is None


@pytest.mark.parametrize("name", NAMES)
def test_numbers_are_regressed(name: str) -> None:
    cases, labels = waves()
    y = np.where(labels == "fast", 10.0, -10.0) + np.arange(24) / 10
    fitted = learner(name).fit(cases, y)
    test_cases, y_true = waves(seed=1)
    y_pred = fitted.predict(test_cases)
    assert fitted.regresses
    assert y_pred.dtype.kind == "f"
    assert ((y_pred > 0) == (y_true == "fast")).mean() >= 0.9


def plain_dtw(a: np.ndarray, b: np.ndarray, *, band: int) -> float:
    """The definition: the cheapest path of steps (1, 0), (0, 1), (1, 1), costs summed over channels."""
    steps = a.shape[1]
    cost = np.full((steps + 1, steps + 1), np.inf)
    cost[0, 0] = 0
    for i in range(steps):
        for j in range(max(0, i - band), min(steps, i + band + 1)):
            here = float(((a[:, i] - b[:, j]) ** 2).sum())
            cost[i + 1, j + 1] = here + min(cost[i, j], cost[i, j + 1], cost[i + 1, j])
    return cost[-1, -1]


@pytest.mark.parametrize("window", [0.0, 0.25, 1.0])
def test_warped_distances_are_the_definition(window: float) -> None:
    rng = np.random.default_rng(0)
    cases = [rng.normal(size=(2, 12)) for _ in range(6)]
    fitted = learner("nn_dtw", window=window, normalize=True).fit(cases[:3], np.array(["a", "b", "c"], dtype=object))
    assert isinstance(fitted, classifiers.NearestWarped)
    known, test_cases = z_normalised(np.stack(cases[:3])), z_normalised(np.stack(cases[3:]))
    expected = [[plain_dtw(x, y, band=int(window * 12)) for y in known] for x in test_cases]
    np.testing.assert_allclose(fitted.distances(test_cases), expected, rtol=1e-10)
    if window == 0:
        euclid = learner("nn_euclidean", normalize=True).fit(cases[:3], np.array(["a", "b", "c"], dtype=object))
        assert isinstance(euclid, classifiers.NearestEuclidean)
        np.testing.assert_allclose(euclid.distances(test_cases), expected, rtol=1e-10)


def test_a_learnt_window_leaves_the_fewest_training_cases_wrong() -> None:
    cases, labels = waves(unequal=True)
    labels[5] = "fast"
    fitted = learner("nn_dtw", learn=True, normalize=True).fit(cases, labels)
    assert isinstance(fitted, classifiers.NearestWarped)
    wrong = []
    for window in classifiers.WINDOWS:
        for i in range(len(cases)):
            rest = [j for j in range(len(cases)) if j != i]
            known = z_normalised(
                np.stack([of_length(without_gaps(cases[j]), fitted.length) for j in range(len(cases))])
            )
            apart = [plain_dtw(known[i], known[j], band=int(window * fitted.length)) for j in rest]
            wrong.append(labels[rest[int(np.argmin(apart))]] != labels[i])
        if window >= 0.04:  # five windows of the definition are slow enough
            break
    errors = np.array(wrong).reshape(-1, len(cases)).mean(1)
    left_out = [fitted._left_out(window) for window in classifiers.WINDOWS[: len(errors)]]
    np.testing.assert_allclose(left_out, errors)
    assert fitted.window == classifiers.WINDOWS[int(np.argmin([fitted._left_out(w) for w in classifiers.WINDOWS]))]


def test_cases_get_one_length() -> None:
    case = np.array([[np.nan, 1.0, np.nan, 3.0, np.nan], [np.nan] * 5])
    np.testing.assert_array_equal(without_gaps(case), [[1, 1, 2, 3, 3], [0] * 5])
    short = np.array([[1.0, 2.0, 3.0]])
    np.testing.assert_array_equal(of_length(short, 5), [[1, 2, 3, 0, 0]])
    np.testing.assert_array_equal(of_length(short, 5, unequal="resample"), [[1, 1.5, 2, 2.5, 3]])
    np.testing.assert_array_equal(of_length(short, 2), [[1, 2]])


def test_the_protocol_scores_every_case_and_hides_the_test_labels() -> None:
    cases, labels = waves()
    test_cases, y_true = waves(30, seed=1)
    data = CaseData.from_arrays(cases, labels, test=(test_cases, y_true))
    scores = score_cases(learner("catch22"), data)
    assert (scores["cases"], scores["train_cases"], scores["classes"], scores["channels"]) == (30, 24, 2, 2)
    assert (
        scores["accuracy"]
        == (learner("catch22").fit(cases, labels).predict([a.astype(np.float32) for a in test_cases]) == y_true).mean()
    )
    assert set(scores) >= set(protocol.CLASS_METRICS)
    shuffled = CaseData.from_arrays(cases, labels, test=(test_cases, y_true[::-1]))
    assert score_cases(learner("nn_euclidean"), shuffled)["accuracy"] == pytest.approx(0)
    json.dumps(scores)
    with pytest.raises(ValueError, match="no val cases"):
        score_cases(learner("nn_euclidean"), data, split="val")


def test_networks_are_scored_by_their_probabilities() -> None:
    y_true = np.array(["a", "b", "b"], dtype=object)
    shares = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    scores = score_probabilities(y_true, shares, classes=("a", "b"))
    assert scores["accuracy"] == pytest.approx(2 / 3)
    assert scores["log_loss"] == pytest.approx(-np.log([0.9, 0.8, 0.4]).mean())
    assert set(scores) == set(protocol.CLASS_METRICS)
    assert set(score_numbers(np.array([1.0, 2.0]), np.array([1.0, 3.0]))) == set(protocol.NUMBER_METRICS)
    with pytest.raises(ValueError, match="none of the 2 classes"):
        score_probabilities(np.array(["z"], dtype=object), shares[:1], classes=("a", "b"))


BAD: dict[str, tuple[Callable, str]] = {
    "one class": (lambda: learner("minirocket").fit(waves()[0], np.array(["a"] * 24, dtype=object)), "one class 'a'"),
    "counts": (lambda: learner("nn_dtw").fit(waves()[0], waves()[1][:3]), "24 cases and 3 labels"),
    "unfitted": (lambda: learner("catch22").predict(waves()[0]), "call fit"),
    "channels": (lambda: learner("nn_dtw").fit(*waves()).predict(waves(channels=3)[0]), "case 0 has shape"),
    "infinite": (lambda: learner("nn_dtw").fit([np.full((1, 5), np.inf)] * 2, np.array(["a", "b"])), "infinite"),
    "window": (lambda: learner("nn_dtw", window=2), "fraction of the length"),
    "unequal": (lambda: learner("minirocket", unequal="pod"), "did you mean 'pad'"),
    "setting": (lambda: learner("nn_dtw", windw=1), "baseline.windw is not a setting"),
    "split": (lambda: CasesProtocol.Config(split="train"), "bench.split is 'train'"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_named(kind: str) -> None:
    call, message = BAD[kind]
    with pytest.raises(ValueError, match=message):
        call()


def test_without_aeon_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise ImportError(f"No module named {name!r}")

    fresh = learner("minirocket")
    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(ImportError, match=r"pip install -c constraints.txt 'tsfm-platform\[bench\]'"):
        fresh.fit(*waves())


def test_the_config_composes() -> None:
    config = typed(compose("eval", ["data=cases", "data.dataset=x", "bench=cases", "predictor=nn_dtw"]))
    assert config.bench == PROTOCOLS.config({"name": "cases"})


@needs_data
@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "dataset", "published"),
    [  # UCR 2018 DataSummary.csv; the second has missing values, the third unequal lengths, the fourth raw units
        ("nn_euclidean", "GunPoint", 0.9133),
        ("nn_euclidean", "DodgerLoopGame", 0.8841),
        ("nn_euclidean", "PickupGestureWiimoteZ", 0.56),
        ("nn_euclidean", "Chinatown", 0.9534),
        ("nn_dtw", "GunPoint", 0.9067),
    ],
)
def test_published_accuracies_are_reproduced(name: str, dataset: str, published: float) -> None:
    scores = score_cases(learner(name), CaseData(CasesConfig(dataset)))
    assert scores["accuracy"] == pytest.approx(published, abs=1e-4)


@needs_data
@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "settings", "dataset", "score", "published"),
    [  # tsml-eval, results of resample 0: several channels and numbers are compared in their own units
        ("nn_dtw", {}, "RacketSports", "accuracy", 0.802632),
        ("nn_euclidean", {}, "Covid3Month", "rmse", 0.05306021662057731),
        ("nn_euclidean", {}, "CardanoSentiment", "rmse", 0.37411942996693964),
        ("nn_dtw", {"window": 0.1}, "Covid3Month", "rmse", 0.052153604186738346),
        ("nn_dtw", {"window": 0.1}, "CardanoSentiment", "rmse", 0.38020277524372476),
    ],
)
def test_published_values_of_channels_and_numbers_are_reproduced(
    name: str, settings: dict, dataset: str, score: str, published: float
) -> None:
    scores = score_cases(learner(name, **settings), CaseData(CasesConfig(dataset)))
    assert scores[score] == pytest.approx(published, abs=1e-6)


@needs_data
@pytest.mark.realdata
def test_the_thirty_sets_follow_from_the_rule() -> None:
    infos = read_manifest(data_root())
    file = data_root().parent / "anchors" / "classification_published.csv"
    if not file.is_file():
        pytest.skip("the published values are not next to the data")
    sets = thirty(infos, read_published(file))
    assert len(set(sets)) == 30
    assert sets == sorted(sets)
    assert (sets[0], sets[-1]) == ("Adiac", "Wine")
    by_name = {info.name: info for info in infos}
    assert all(by_name[name].train <= 1000 for name in sets)
    assert all(by_name[name].train * by_name[name].longest <= 100_000 for name in sets)


@needs_data
@pytest.mark.realdata
def test_the_command_continues_where_it_stopped(tmp_path, capsys: pytest.CaptureFixture) -> None:
    arguments = ["bench", "cases", "nn_euclidean", "--sets", "Coffee", "Chinatown", "--out", str(tmp_path)]
    assert main(arguments) == 0
    first = capsys.readouterr().out
    file = tmp_path / "nn_euclidean-0" / "Coffee.json"
    changed = json.loads(file.read_text()) | {"accuracy": 0.125}
    file.write_text(json.dumps(changed))
    assert main(arguments) == 0
    again = capsys.readouterr().out
    assert "nn_euclidean  Coffee  1.0000" in first
    assert "0.1250" in again  # read, not run
    assert "nn_euclidean  Coffee" not in again
