"""Online forecasting: regret bounds, delayed feedback, recovery after a switch, replay equals use, state round trip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tsfm
from tests.estimators.small import trained
from tsfm.bench.baselines.simple import SeasonalNaive
from tsfm.ensemble.combination import Combination, replay_answers
from tsfm.ensemble.online import Online
from tsfm.ensemble.online_weights import OnlineWeights

HORIZON = 4


class Constant(SeasonalNaive):
    """Forecasts one number at every level."""

    def __init__(self, value: float):
        super().__init__()
        self.name, self.value = f"constant {value}", value

    def quantiles(self, context, *, horizon, quantile_levels, **_):
        return np.full((*context.shape[:2], horizon, len(quantile_levels)), self.value)


def adversary(kind: str, weights: np.ndarray, step: int, rng: np.random.Generator) -> np.ndarray:
    """Losses in [0, 1] of each member, chosen with the weights in sight."""
    index = np.arange(len(weights))
    if kind == "heaviest":
        return (index == weights.argmax()) * 1.0
    if kind == "alternate":
        return (index == step % len(weights)) * 1.0
    return (rng.random(len(weights)) < 0.5 + 0.1 * (index > 0)) * 1.0


@pytest.mark.parametrize("kind", ["heaviest", "alternate", "random"])
@pytest.mark.parametrize("num_members", [2, 7])
def test_regret_on_adversarial_losses_is_below_the_bound(kind: str, num_members: int) -> None:
    """The bound of Cesa-Bianchi and Lugosi, theorem 2.2; twice that where neither T nor the range is known."""
    rounds, rng = 250, np.random.default_rng(0)
    bound = np.sqrt(rounds * np.log(num_members) / 2)
    for known, limit in ((rounds, bound), (None, 2 * bound + 1)):
        weights = OnlineWeights(num_channels=1, num_members=num_members, num_rounds=known)
        own, total = 0.0, np.zeros(num_members)
        for step in range(rounds):
            used = weights.current().used[0]
            losses = adversary(kind, used, step, rng)
            own, total = own + used @ losses, total + losses
            weights.learn(losses[None])
        assert own - total.min() <= limit


def recovery(memory: float | None, *, switch: int = 150) -> int:
    """Steps after a switch of the better member until it has most of the weight."""
    weights, rng = OnlineWeights(num_channels=1, num_members=2, memory=memory), np.random.default_rng(0)
    for step in range(10 * switch):
        better = int(step >= switch)
        if step > switch and weights.current().used[0, 1] > 0.5:
            return step - switch
        weights.learn((0.5 * (np.arange(2) != better) + 0.3 * rng.random(2))[None])
    raise AssertionError("never")


def test_short_term_weights_halve_the_time_to_recover_from_a_switch() -> None:
    alone = recovery(None)
    assert recovery(20) <= alone / 2
    assert recovery(100) <= alone / 2


def test_gradients_find_the_best_fixed_weights_and_losses_the_best_member() -> None:
    """Between 0 and 10 the truth is 2 with noise: 0.8 and 0.2 is best, and 0 is the better member."""
    rng = np.random.default_rng(0)
    series = 2 + 0.1 * rng.normal(size=(1, 400))
    members = np.array([0.0, 10.0])[:, None, None, None] * np.ones((2, 1, 1, 1))
    final = {}
    for rule in ("gradient", "loss"):
        combination = Combination(OnlineWeights(num_channels=1, num_members=2), (0.5,), loss="squared", rule=rule)
        stream = ((origin, members) for origin in range(1, 399))
        *_, last = replay_answers(combination, stream, lambda a, b: series[:, a:b])
        final[rule] = last.weights.used[0]
    assert final["gradient"] == pytest.approx([0.8, 0.2], abs=0.03)
    assert final["loss"] == pytest.approx([1.0, 0.0], abs=0.03)


def make(adapt: str | None = None, **options: Any) -> Online:
    settings = {"prediction_length": HORIZON, "members": [SeasonalNaive()], "season_length": 25, "memory": 10}
    return Online(trained(), **(settings | {"adapt": adapt, "adapt_rate": 1e-2} | options))


def series(channels: int = 2, length: int = 110) -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.sin(np.arange(length) / 4)[None] + 0.3 * rng.normal(size=(channels, length))


def test_one_member_has_all_the_weight_and_its_own_forecast() -> None:
    x, online = series(1), make(members=[])
    answers = list(online.replay(x, first=90))
    assert all((answer.weights.used == 1).all() for answer in answers)
    alone = trained().predict([x[:, :100]], prediction_length=HORIZON).quantiles[0]
    assert np.allclose(answers[10].quantiles, alone, atol=1e-6)


@pytest.mark.parametrize("feedback", ["delayed", "immediate"])
def test_a_changed_future_moves_no_weight_with_delayed_feedback(feedback: str) -> None:
    x, first, changed = series(), 60, 90
    poisoned = x.copy()
    poisoned[:, changed:] += 50
    plain, other = (
        [answer.weights.used for answer in make().replay(values, first=first, feedback=feedback)]
        for values in (x, poisoned)
    )
    same = [np.array_equal(a, b) for a, b in zip(plain, other, strict=True)]
    until = changed - first + 1  # origins up to the change, which see nothing of it
    if feedback == "delayed":
        assert all(same[:until])
        assert not all(same)
    else:  # the published protocol looks up to a horizon ahead
        assert all(same[: until - HORIZON])
        assert not all(same[:until])


@pytest.mark.parametrize("adapt", [None, "head"])
def test_a_replay_is_what_use_step_by_step_gives_and_a_state_continues_it(adapt: str | None, tmp_path: Path) -> None:
    x, first, last = series(), 14, 26
    replayed, used = make(adapt), make(adapt)
    answers = list(replayed.replay(x[:, :last], first=first))
    used.observe(x[:, :first])
    for step, answer in enumerate(answers):
        assert np.allclose(used.predict().quantiles[0], answer.quantiles, atol=1e-6)
        if step + 1 < len(answers):
            used.observe(x[:, first + step])
    used.observe(x[:, last - HORIZON : last])
    assert np.allclose(used.weights, replayed.weights, atol=1e-6)
    used.predict()
    used.save(tmp_path / "state")
    again = make(adapt).restore(tmp_path / "state")
    for online in (used, again):
        online.observe(x[:, last : last + 10])
    assert np.array_equal(again.weights, used.weights)
    assert np.array_equal(again.predict().quantiles, used.predict().quantiles)


def test_adaptation_changes_the_head_of_a_copy_alone_and_lowers_its_loss() -> None:
    base, x = trained(), np.arange(90.0)[None]
    before = {name: tensor.clone() for name, tensor in base.model.state_dict().items()}
    online = Online(base, prediction_length=HORIZON, adapt="head", adapt_rate=3e-2)
    errors = []
    for answer in online.replay(x, first=50):
        actual = x[:, answer.origin : answer.origin + HORIZON]
        errors.append(np.abs(answer.members[:, :, :, 4] - actual).mean(axis=(1, 2)))
    frozen, adapted = np.mean(errors[-20:], axis=0)
    assert adapted < 0.5 * frozen
    assert all(torch.equal(tensor, before[name]) for name, tensor in base.model.state_dict().items())
    copy = online.members.all[-1].model.state_dict()  # type: ignore[attr-defined]
    assert {name.split(".")[0] for name, tensor in copy.items() if not torch.equal(tensor, before[name])} == {"head"}


def test_missing_values_do_not_count_and_a_repeated_forecast_counts_once() -> None:
    online, twice = make(), make()
    x = series()
    x[1, 62:70] = np.nan
    for each in (online, twice):
        each.observe(x[:, :60])
        for step in range(60, 80):
            each.predict()
            if each is twice:
                each.predict()
            each.observe(x[:, step])
    assert np.isfinite(online.weights).all()
    assert np.array_equal(online.weights, twice.weights)
    assert online.combination is not None
    assert online.combination.weights.count[1] < online.combination.weights.count[0]


def test_published_feedback_is_announced_and_marked() -> None:
    with pytest.warns(tsfm.AssumptionWarning, match="values that are not known yet"):
        next(iter(make().replay(series(), first=60, feedback="immediate")))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prediction_length": 0}, "prediction_length is 0"),
        ({"adapt": "all"}, "adapt is 'all'"),
        ({"members": "tsfm-mini"}, "expected a list"),
        ({"members": [3]}, "a member is of type int"),
        ({"rule": "hedge"}, "rule is 'hedge'"),
        ({"loss": "mse"}, "loss is 'mse'"),
        ({"memory": 0}, "memory is 0"),
        ({"adapt_rate": 2.0, "adapt": "head"}, "adapt_rate is 2.0"),
    ],
)
def test_wrong_arguments_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_a_baseline_has_no_head_to_adapt() -> None:
    with pytest.raises(ValueError, match=r"adapt='head' needs a trained model"):
        Online(SeasonalNaive(), prediction_length=3, adapt="head")


def test_wrong_rows_and_states_are_refused(tmp_path: Path) -> None:
    online = Online(Constant(1.0), prediction_length=2)
    with pytest.raises(ValueError, match="give rows by observe first"):
        online.predict()
    for values, message in (
        (np.ones(3), r"give \[channels, steps\]"),
        (np.inf, "infinite"),
        (np.empty((1, 0)), "rows"),
    ):
        with pytest.raises(ValueError, match=message):
            online.observe(values)
    online.observe(1.0)
    with pytest.raises(ValueError, match=r"expected \[1, steps\]"):
        online.observe(np.ones((2, 3)))
    with pytest.raises(ValueError, match="first is 3"):
        next(iter(online.replay(np.ones(4), first=3)))
    online.save(tmp_path / "state")
    with pytest.raises(ValueError, match="saved with horizon 2, and this Online has 3"):
        Online(Constant(1.0), prediction_length=3).restore(tmp_path / "state")
    (tmp_path / "other").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"is not a state that Online\.save wrote"):
        online.restore(tmp_path / "other")
    with pytest.raises(FileNotFoundError):
        online.restore(tmp_path / "missing")
