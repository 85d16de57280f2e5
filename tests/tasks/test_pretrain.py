"""Laws of pre-training: which steps are hidden and wanted, and the weight of each step."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from tsfm.registry import TASKS
from tsfm.tasks.losses import pinball
from tsfm.tasks.pretrain import MAX_ARCSINH, Pretrain
from tsfm.types import KNOWN, MIN_SCALE, NO_TIMESTAMP, PAST, TARGET, Answer, Batch, Problem

NUM, SIZE, PATCH = 200, 512, 32
PLAIN = {"block_rate": 0.0, "point_rate": 0.0, "short_context_rate": 0.0}
QUANTILE_LEVELS = (0.1, 0.5, 0.9)


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
    scaled = torch.randn(*problem.values.shape, len(QUANTILE_LEVELS), generator=seeded(seed)) * scale + loc
    ones = torch.ones(*problem.values.shape[:2], 1)
    hidden = torch.zeros(*problem.values.shape[:2], 1, 1)
    return Answer(
        hidden=hidden,
        prediction=scaled.requires_grad_(),
        loc=loc * ones,
        scale=scale * ones,
        quantile_levels=QUANTILE_LEVELS,
    )


@pytest.mark.parametrize(
    "settings", [{}, {"impute_rate": 1.0}, {"impute_rate": 0.0, "short_context_rate": 1.0}], ids=str
)
@pytest.mark.parametrize("missing", [0.0, 0.3, 0.97, 1.0])
def test_wanted_steps_were_observed_are_hidden_and_have_visible_steps_next_to_them(
    settings: dict[str, float], missing: float
) -> None:
    batch = series(missing=missing)
    problem = task(**settings).pose(batch, seeded())
    assert not (problem.wanted & ~batch.observed).any()
    assert not (problem.wanted & problem.visible).any()
    assert not (problem.visible & ~batch.observed).any()
    assert torch.equal(problem.values, batch.values)
    is_wanted = problem.wanted.any(-1)
    assert (problem.visible.sum(-1)[is_wanted] >= 4).all()
    assert is_wanted.any() == (missing < 1)


def test_tails_are_whole_patches_at_the_end_and_all_of_their_steps_are_wanted() -> None:
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


def test_the_share_of_imputation_is_the_setting() -> None:
    """With tails and imputation only, the newest patch is visible in windows of imputation."""
    problem = task(impute_rate=0.5, **PLAIN).pose(series(4000), seeded())
    late = (~problem.visible)[:, 0, -PATCH:].all(-1).float().mean()
    assert 0.47 < late < 0.58  # a hidden block may cover the newest patch too


@pytest.mark.parametrize("kind", ["block_rate", "point_rate"])
def test_blocks_and_points_before_the_tail_have_the_rate_of_the_setting(kind: str) -> None:
    none = task(impute_rate=0.0, **PLAIN).pose(series(2000), seeded())
    some = task(impute_rate=0.0, **PLAIN | {kind: 0.4}).pose(series(2000), seeded())
    before = (~some.visible & none.visible).any(-1)[:, 0]
    assert abs(before.float().mean() - 0.4) < 0.05
    enough = some.visible.sum(-1, keepdim=True) >= 4
    assert torch.equal(some.wanted, ~some.visible & enough)


@pytest.mark.parametrize("minimum", [1, 16, 64])
def test_in_short_contexts_only_steps_right_before_the_tail_are_visible_and_earlier_ones_are_not_wanted(
    minimum: int,
) -> None:
    problem = task(impute_rate=0.0, **PLAIN | {"short_context_rate": 1.0}, min_context_length=minimum).pose(
        series(1000), seeded()
    )
    length = tails(problem)
    num_visible = problem.visible.sum(-1)[:, 0]
    assert (num_visible >= torch.minimum(SIZE - length, torch.tensor(minimum))).all()
    assert (num_visible < SIZE - length).float().mean() > 0.5
    steps = torch.arange(SIZE)
    begins = SIZE - length - num_visible
    expected = (steps >= begins[:, None, None]) & (steps < (SIZE - length)[:, None, None])
    assert torch.equal(problem.visible, expected), "the visible steps are not contiguous up to the tail"
    is_wanted = problem.wanted.any(-1)[:, 0]
    assert torch.equal(is_wanted, num_visible >= min(minimum, 4))
    assert not problem.wanted[..., 0].any()


@pytest.mark.parametrize("size", [32, 33, 40, 48, 65])
def test_short_windows_are_posed(size: int) -> None:
    problem = task().pose(series(size=size), seeded())
    assert problem.visible.any()
    assert problem.wanted.any()
    assert (problem.visible.sum(-1)[problem.wanted.any(-1)] >= 4).all()


def test_only_the_generator_decides() -> None:
    batch = series(missing=0.1)
    torch.manual_seed(0)
    first = task().pose(batch, seeded())
    torch.manual_seed(1)
    again, other = task().pose(batch, seeded()), task().pose(batch, seeded(1))
    assert torch.equal(first.visible, again.visible)
    assert torch.equal(first.wanted, again.wanted)
    assert not torch.equal(first.visible, other.visible)


def test_values_do_not_decide_which_steps_are_hidden() -> None:
    batch = series(missing=0.1)
    plain, moved = (task().pose(b, seeded()) for b in (batch, replace(batch, values=1000 - 7 * batch.values)))
    assert torch.equal(plain.visible, moved.visible)
    assert torch.equal(plain.wanted, moved.wanted)


def test_the_loss_is_the_weighted_mean_of_pinballs_in_arcsinh_of_scaled_units() -> None:
    pretrain = task(smoothness_exponent=0.0, decay_steps=24.0)
    problem = pretrain.pose(series(3, 96), seeded(3))
    output = answer(problem, scale=2.0, loc=5.0)
    total, weights = 0.0, 0.0
    for window in range(3):
        newest = -1
        for step in range(96):
            newest = step if problem.visible[window, 0, step] else newest
            if problem.wanted[window, 0, step]:
                weight = (1 + (step - newest - 1) / 24.0) ** -0.5
                scaled = ((output.prediction[window, 0, step] - 5) / 2).asinh()
                target = ((problem.values[window, 0, step] - 5) / 2).asinh()
                total += weight * pinball(scaled, target, QUANTILE_LEVELS).item()
                weights += weight
    assert pretrain.loss(output, problem).item() == pytest.approx(total / weights, rel=1e-5)
    ratio = pretrain.report(output, problem)["loss"]
    assert (ratio.total / ratio.count).item() == pytest.approx(total / weights, rel=1e-5)


@pytest.mark.parametrize("exponent", [0.0, 0.5])
@pytest.mark.parametrize(("factor", "shift"), [(10.0, 0.0), (0.1, 5.0), (1e4, -3e4)])
def test_units_do_not_matter(exponent: float, factor: float, shift: float) -> None:
    pretrain = task(smoothness_exponent=exponent)
    problem = pretrain.pose(series(20), seeded())
    output = answer(problem)
    moved = replace(problem, values=factor * problem.values + shift)
    other = replace(
        output,
        prediction=factor * output.prediction + shift,
        loc=factor * output.loc + shift,
        scale=factor * output.scale,
    )
    torch.testing.assert_close(pretrain.loss(other, moved), pretrain.loss(output, problem), rtol=1e-3, atol=1e-4)


def test_the_weight_decreases_with_the_distance_from_the_last_visible_step() -> None:
    pretrain = task(smoothness_exponent=0.0, decay_steps=24.0, impute_rate=0.0, **PLAIN)
    problem = pretrain.pose(series(20), seeded())
    weight = pretrain.step_weights(answer(problem), problem)
    for window, length in enumerate(tails(problem).tolist()):
        tail = weight[window, 0, -length:]
        assert tail[0] == 1
        assert (tail.diff() < 0).all()
        assert tail[24] == pytest.approx(0.5**0.5)


def test_smooth_series_have_more_weight_up_to_a_limit() -> None:
    pretrain = task(smoothness_exponent=0.5)
    rough, smooth, flat = (torch.linspace(0, size, 64).sin() for size in (60.0, 6.0, 1e-9))
    values = torch.stack([rough, smooth, flat])[:, None]
    visible = (torch.arange(64) < 32).expand(3, 1, 64)
    problem = Problem(values, visible, ~visible)
    weight = pretrain.step_weights(answer(problem), problem)[:, 0, 32]
    assert weight[0] < weight[1] < weight[2] == 8
    assert task(smoothness_exponent=0.0).step_weights(answer(problem), problem)[:, 0, 32].tolist() == [1, 1, 1]


@pytest.mark.parametrize("huge", [1e6, 1e18, 1e30, 3e38])
@pytest.mark.parametrize("exponent", [0.0, 0.5])
def test_the_gradient_is_finite_whatever_the_values(exponent: float, huge: float) -> None:
    pretrain = task(smoothness_exponent=exponent)
    problem = pretrain.pose(series(20), seeded())
    for values in (problem.values.clone(), problem.values.clone()):
        values[::2, :, 100:130] = huge
        values[1::2, :, -20:] = -huge
        wild = replace(problem, values=values)
        output = answer(wild, scale=huge if values is problem.values else 1.0)
        loss = pretrain.loss(output, wild)
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(output.prediction.grad).all()
        assert output.prediction.grad.abs().max() > 0


def test_the_loss_of_an_extreme_target_is_bounded() -> None:
    pretrain = task(smoothness_exponent=0.0)
    problem = pretrain.pose(series(20), seeded())
    values = torch.where(problem.wanted, 1e30, problem.values)
    assert pretrain.loss(answer(problem), replace(problem, values=values)) < MAX_ARCSINH + 5


def test_windows_without_a_scale_or_without_wanted_steps_have_no_loss() -> None:
    pretrain = task()
    problem = pretrain.pose(series(20), seeded())
    output = answer(problem)
    flat = replace(output, scale=torch.full_like(output.scale, MIN_SCALE))
    nothing = replace(problem, wanted=torch.zeros_like(problem.wanted))
    for either_answer, either_problem in ((flat, problem), (output, nothing)):
        loss = pretrain.loss(either_answer, either_problem)
        loss.backward()
        assert loss == 0
        assert (output.prediction.grad == 0).all()
    ratio = pretrain.report(output, nothing)["loss"]
    assert ratio.total == ratio.count == 0


def test_steps_that_are_not_wanted_have_no_gradient() -> None:
    pretrain = task()
    problem = pretrain.pose(series(20), seeded())
    output = answer(problem)
    pretrain.loss(output, problem).backward()
    assert (output.prediction.grad[~problem.wanted] == 0).all()
    assert (output.prediction.grad[problem.wanted] != 0).any()


@pytest.mark.parametrize(
    ("settings", "message"),
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
def test_wrong_settings_are_errors(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        task(**settings)


def test_known_seasons_are_left_out_at_the_rate_of_the_setting() -> None:
    batch = replace(series(num=4000, size=64), seasons=torch.tensor([[24, 168]] * 4000))
    seasons = task(season_drop_rate=0.3).pose(batch, seeded()).seasons
    assert seasons is not None
    assert 0.65 < float((seasons[:, 0] == 24).float().mean()) < 0.75


def test_timestamps_of_whole_windows_are_left_out_at_the_rate_of_the_setting() -> None:
    batch = series(num=4000, size=64)
    timed = replace(batch, timestamps=torch.arange(64).expand(4000, -1))
    timestamps = task(timestamp_drop_rate=0.4).pose(timed, seeded()).timestamps
    assert timestamps is not None
    known = timestamps != NO_TIMESTAMP
    assert (known.all(dim=-1) | ~known.any(dim=-1)).all()
    assert 0.55 < float(known[:, 0].float().mean()) < 0.65
    assert task().pose(batch, seeded()).timestamps is None


@pytest.mark.parametrize(
    "settings", [{"impute_rate": 0.0, **PLAIN}, {"impute_rate": 0.0}, {"impute_rate": 1.0}], ids=str
)
def test_roles_decide_what_is_visible_and_wanted(settings: dict[str, float]) -> None:
    plain = series(missing=0.1)
    values, observed = plain.values.expand(-1, 3, -1), plain.observed.expand(-1, 3, -1)
    role = torch.tensor([TARGET, KNOWN, PAST], dtype=torch.int8).expand(NUM, -1)
    batch = Batch(values, observed, role=role)
    problem = task(**settings).pose(batch, seeded())
    target, known, past = problem.visible.unbind(1)
    targets_alone = task(**settings).pose(replace(batch, role=None), seeded())
    assert torch.equal(target, targets_alone.visible[:, 0])
    assert torch.equal(past, targets_alone.visible[:, 2])
    assert torch.equal(problem.wanted[:, 0], targets_alone.wanted[:, 0])
    assert not problem.wanted[:, 1:].any()
    assert (known.sum(-1) >= target.sum(-1)).all()
    start = observed[:, 1] & (known.cumsum(-1) > 0)  # a hidden beginning is that of all channels
    assert torch.equal(known, start)
    length = targets_alone.visible[:, :1].flip(-1).int().cumsum(-1).eq(0).sum(-1)[:, 0]
    if not settings.get("impute_rate"):
        assert (length >= PATCH).all()
        tail = torch.arange(SIZE) >= SIZE - PATCH
        assert torch.equal(known[:, tail], observed[:, 1, tail])
        assert not target[:, tail].any()
        assert not past[:, tail].any()
    else:
        assert (target != past).any()
    assert problem.unscaled is not None
    assert not problem.unscaled.any()


def test_the_loss_has_no_gradient_for_covariates() -> None:
    role = torch.tensor([TARGET, KNOWN, PAST], dtype=torch.int8).expand(NUM, -1)
    plain = series()
    problem = task().pose(Batch(plain.values.expand(-1, 3, -1), plain.observed.expand(-1, 3, -1), role=role), seeded())
    predicted = answer(problem)
    task().loss(predicted, problem).backward()
    gradient = predicted.prediction.grad
    assert gradient is not None
    assert torch.isfinite(gradient).all()
    assert (gradient[:, 1:] == 0).all()
    assert (gradient[:, 0] != 0).any()
