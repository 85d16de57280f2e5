"""Laws of pre-training's problems: what is hidden, what is asked for, and what each step counts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from tsfm.registry import TASKS
from tsfm.tasks.losses import pinball
from tsfm.tasks.pretrain import MAX_ARCSINH, Pretrain
from tsfm.types import MIN_SCALE, Answer, Batch, Problem

NUM, SIZE, PATCH = 200, 512, 32
PLAIN = {"block_rate": 0.0, "point_rate": 0.0, "short_context_rate": 0.0}
LEVELS = (0.1, 0.5, 0.9)


def task(**settings: Any) -> Pretrain:
    return TASKS.build(TASKS.config({"name": "pretrain", **settings}), horizon=0)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def series(num: int = NUM, size: int = SIZE, *, missing: float = 0.0) -> Batch:
    values = torch.randn(num, 1, size, generator=seeded(1)).cumsum(-1)
    observed = torch.rand(values.shape, generator=seeded(2)) >= missing
    return Batch(torch.where(observed, values, 0.0), observed)


def tails(problem: Problem) -> torch.Tensor:
    """Hidden steps at the end of each window."""
    return problem.visible.flip(-1).int().cumsum(-1).eq(0).sum(-1)[:, 0]


def answer(problem: Problem, *, seed: int = 0, scale: float = 1.0, loc: float = 0.0) -> Answer:
    read = torch.randn(*problem.values.shape, len(LEVELS), generator=seeded(seed)) * scale + loc
    ones = torch.ones(*problem.values.shape[:2], 1)
    hidden = torch.zeros(*problem.values.shape[:2], 1, 1)
    return Answer(
        hidden=hidden, prediction=read.requires_grad_(), loc=loc * ones, scale=scale * ones, quantile_levels=LEVELS
    )


@pytest.mark.parametrize(
    "settings", [{}, {"impute_rate": 1.0}, {"impute_rate": 0.0, "short_context_rate": 1.0}], ids=str
)
@pytest.mark.parametrize("missing", [0.0, 0.3, 0.97, 1.0])
def test_what_is_wanted_was_observed_is_hidden_and_has_something_beside_it(
    settings: dict[str, float], missing: float
) -> None:
    batch = series(missing=missing)
    problem = task(**settings).pose(batch, seeded())
    assert not (problem.wanted & ~batch.observed).any()
    assert not (problem.wanted & problem.visible).any()
    assert not (problem.visible & ~batch.observed).any()
    assert torch.equal(problem.values, batch.values)
    asked = problem.wanted.any(-1)
    assert (problem.visible.sum(-1)[asked] >= 4).all()
    assert asked.any() == (missing < 1)


def test_tails_are_whole_patches_at_the_end_and_all_of_them_is_asked_for() -> None:
    batch = series()
    problem = task(impute_rate=0.0, **PLAIN).pose(batch, seeded())
    length = tails(problem)
    assert (length % PATCH == 0).all()
    assert length.min() >= PATCH
    assert length.max() <= SIZE * 5 // 8
    tail = torch.arange(SIZE) >= SIZE - length[:, None, None]
    assert torch.equal(problem.wanted, tail)
    assert torch.equal(problem.visible, ~tail)


def test_the_length_of_tails_is_log_uniform_up_to_the_longest() -> None:
    length = tails(task(impute_rate=0.0, max_tail_patches=7, **PLAIN).pose(series(4000), seeded())) // PATCH
    share = torch.bincount(length, minlength=8)[1:] / len(length)
    edges = torch.arange(1, 9).log()
    torch.testing.assert_close(share, edges.diff() / edges[-1], atol=0.03, rtol=0)


@pytest.mark.parametrize("size", [64, 100, 200])
def test_tails_leave_three_eighths_of_a_window(size: int) -> None:
    length = tails(task(impute_rate=0.0, **PLAIN).pose(series(size=size), seeded()))
    assert (length % PATCH == 0).all()
    assert length.max() == max(1, size * 5 // 8 // PATCH) * PATCH


def test_imputation_has_no_tail_and_hides_early_and_late_steps_alike() -> None:
    problem = task(impute_rate=1.0, short_context_rate=0.0).pose(series(2000), seeded())
    hidden = (~problem.visible).float()
    everywhere = hidden.mean()
    assert 0.2 < everywhere < 0.45
    assert abs(hidden[..., -1].mean() - everywhere) < 0.05
    assert abs(hidden[..., : SIZE // 2].mean() - hidden[..., SIZE // 2 :].mean()) < 0.03
    assert hidden.any(-1).float().mean() > 0.98


def test_the_share_of_imputation_is_as_asked() -> None:
    """Where nothing but tails and imputation hides, a window whose newest patch is seen imputes."""
    problem = task(impute_rate=0.5, **PLAIN).pose(series(4000), seeded())
    late = (~problem.visible)[:, 0, -PATCH:].all(-1).float().mean()
    assert 0.47 < late < 0.58  # a hidden block may cover the newest patch too


@pytest.mark.parametrize("kind", ["block_rate", "point_rate"])
def test_blocks_and_points_come_before_the_tail_as_often_as_asked(kind: str) -> None:
    none = task(impute_rate=0.0, **PLAIN).pose(series(2000), seeded())
    some = task(impute_rate=0.0, **PLAIN | {kind: 0.4}).pose(series(2000), seeded())
    before = (~some.visible & none.visible).any(-1)[:, 0]
    assert abs(before.float().mean() - 0.4) < 0.05
    enough = some.visible.sum(-1, keepdim=True) >= 4
    assert torch.equal(some.wanted, ~some.visible & enough)


@pytest.mark.parametrize("least", [1, 16, 64])
def test_short_contexts_show_the_steps_before_the_tail_alone_and_never_ask_for_the_others(least: int) -> None:
    problem = task(impute_rate=0.0, **PLAIN | {"short_context_rate": 1.0}, min_context_length=least).pose(
        series(1000), seeded()
    )
    length = tails(problem)
    shown = problem.visible.sum(-1)[:, 0]
    assert (shown >= torch.minimum(SIZE - length, torch.tensor(least))).all()
    assert (shown < SIZE - length).float().mean() > 0.5
    steps = torch.arange(SIZE)
    begins = SIZE - length - shown
    expected = (steps >= begins[:, None, None]) & (steps < (SIZE - length)[:, None, None])
    assert torch.equal(problem.visible, expected), "the shown steps are not one run that ends at the tail"
    asked = problem.wanted.any(-1)[:, 0]
    assert torch.equal(asked, shown >= min(least, 4))
    assert not problem.wanted[..., 0].any()


@pytest.mark.parametrize("size", [32, 33, 40, 48, 65])
def test_short_windows_are_posed(size: int) -> None:
    problem = task().pose(series(size=size), seeded())
    assert problem.visible.any()
    assert problem.wanted.any()
    assert (problem.visible.sum(-1)[problem.wanted.any(-1)] >= 4).all()


def test_nothing_but_the_generator_decides() -> None:
    batch = series(missing=0.1)
    torch.manual_seed(0)
    one = task().pose(batch, seeded())
    torch.manual_seed(1)
    two, other = task().pose(batch, seeded()), task().pose(batch, seeded(1))
    assert torch.equal(one.visible, two.visible)
    assert torch.equal(one.wanted, two.wanted)
    assert not torch.equal(one.visible, other.visible)


def test_values_decide_nothing_of_what_is_hidden() -> None:
    batch = series(missing=0.1)
    one, two = (task().pose(one, seeded()) for one in (batch, replace(batch, values=1000 - 7 * batch.values)))
    assert torch.equal(one.visible, two.visible)
    assert torch.equal(one.wanted, two.wanted)


def test_the_loss_is_the_weighted_mean_of_pinballs_in_arcsinh_of_scaled_units() -> None:
    judge = task(smoothness_exponent=0.0, decay_steps=24.0)
    problem = judge.pose(series(3, 96), seeded(3))
    said = answer(problem, scale=2.0, loc=5.0)
    total, weights = 0.0, 0.0
    for window in range(3):
        newest = -1
        for step in range(96):
            newest = step if problem.visible[window, 0, step] else newest
            if problem.wanted[window, 0, step]:
                weight = (1 + (step - newest - 1) / 24.0) ** -0.5
                read = ((said.prediction[window, 0, step] - 5) / 2).asinh()
                target = ((problem.values[window, 0, step] - 5) / 2).asinh()
                total += weight * pinball(read, target, LEVELS).item()
                weights += weight
    assert judge.loss(said, problem).item() == pytest.approx(total / weights, rel=1e-5)
    ratio = judge.report(said, problem)["loss"]
    assert (ratio.total / ratio.count).item() == pytest.approx(total / weights, rel=1e-5)


@pytest.mark.parametrize("sharp", [0.0, 0.5])
@pytest.mark.parametrize(("factor", "shift"), [(10.0, 0.0), (0.1, 5.0), (1e4, -3e4)])
def test_units_do_not_matter(sharp: float, factor: float, shift: float) -> None:
    judge = task(smoothness_exponent=sharp)
    problem = judge.pose(series(20), seeded())
    said = answer(problem)
    moved = replace(problem, values=factor * problem.values + shift)
    other = replace(
        said, prediction=factor * said.prediction + shift, loc=factor * said.loc + shift, scale=factor * said.scale
    )
    torch.testing.assert_close(judge.loss(other, moved), judge.loss(said, problem), rtol=1e-3, atol=1e-4)


def test_a_step_counts_less_the_farther_it_lies_behind_what_is_seen() -> None:
    judge = task(smoothness_exponent=0.0, decay_steps=24.0, impute_rate=0.0, **PLAIN)
    problem = judge.pose(series(20), seeded())
    weight = judge.step_weights(answer(problem), problem)
    for window, length in enumerate(tails(problem).tolist()):
        tail = weight[window, 0, -length:]
        assert tail[0] == 1
        assert (tail.diff() < 0).all()
        assert tail[24] == pytest.approx(0.5**0.5)


def test_smooth_series_count_more_up_to_a_limit() -> None:
    judge = task(smoothness_exponent=0.5)
    rough, smooth, flat = (torch.linspace(0, size, 64).sin() for size in (60.0, 6.0, 1e-9))
    values = torch.stack([rough, smooth, flat])[:, None]
    visible = (torch.arange(64) < 32).expand(3, 1, 64)
    problem = Problem(values, visible, ~visible)
    weight = judge.step_weights(answer(problem), problem)[:, 0, 32]
    assert weight[0] < weight[1] < weight[2] == 8
    assert task(smoothness_exponent=0.0).step_weights(answer(problem), problem)[:, 0, 32].tolist() == [1, 1, 1]


@pytest.mark.parametrize("huge", [1e6, 1e18, 1e30, 3e38])
@pytest.mark.parametrize("sharp", [0.0, 0.5])
def test_the_gradient_is_finite_whatever_the_values(sharp: float, huge: float) -> None:
    judge = task(smoothness_exponent=sharp)
    problem = judge.pose(series(20), seeded())
    for values in (problem.values.clone(), problem.values.clone()):
        values[::2, :, 100:130] = huge
        values[1::2, :, -20:] = -huge
        wild = replace(problem, values=values)
        said = answer(wild, scale=huge if values is problem.values else 1.0)
        loss = judge.loss(said, wild)
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(said.prediction.grad).all()
        assert said.prediction.grad.abs().max() > 0


def test_one_wild_target_costs_at_most_the_limit() -> None:
    judge = task(smoothness_exponent=0.0)
    problem = judge.pose(series(20), seeded())
    values = torch.where(problem.wanted, 1e30, problem.values)
    assert judge.loss(answer(problem), replace(problem, values=values)) < MAX_ARCSINH + 5


def test_windows_without_a_scale_or_without_anything_wanted_count_nothing() -> None:
    judge = task()
    problem = judge.pose(series(20), seeded())
    said = answer(problem)
    flat = replace(said, scale=torch.full_like(said.scale, MIN_SCALE))
    nothing = replace(problem, wanted=torch.zeros_like(problem.wanted))
    for one, other in ((flat, problem), (said, nothing)):
        loss = judge.loss(one, other)
        loss.backward()
        assert loss == 0
        assert (said.prediction.grad == 0).all()
    ratio = judge.report(said, nothing)["loss"]
    assert ratio.total == ratio.count == 0


def test_what_is_not_wanted_has_no_gradient() -> None:
    judge = task()
    problem = judge.pose(series(20), seeded())
    said = answer(problem)
    judge.loss(said, problem).backward()
    assert (said.prediction.grad[~problem.wanted] == 0).all()
    assert (said.prediction.grad[problem.wanted] != 0).any()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"impute_rate": -0.1}, r"task\.impute_rate is -0\.1; expected a share"),
        ({"short_context_rate": 1.5}, r"task\.short_context_rate is 1\.5"),
        ({"block_rate": float("nan")}, r"task\.block_rate is nan"),
        ({"point_rate": 2.0}, r"task\.point_rate is 2\.0"),
        ({"patch": 0}, r"task\.patch is 0; it must be at least 1"),
        ({"max_tail_patches": 0}, r"task\.max_tail_patches is 0"),
        ({"min_context_length": 0}, r"task\.min_context_length is 0"),
        ({"decay_steps": 0.0}, r"task\.decay_steps is 0\.0"),
        ({"decay_steps": float("nan")}, r"task\.decay_steps is nan"),
        ({"loss": "pinbal"}, r"task\.loss is 'pinbal'; did you mean 'pinball'"),
        ({"smoothness_exponent": -1.0}, r"task\.smoothness_exponent is -1\.0"),
        ({"smoothness_exponent": float("nan")}, r"task\.smoothness_exponent is nan"),
    ],
)
def test_a_wrong_setting_says_so(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        task(**settings)
