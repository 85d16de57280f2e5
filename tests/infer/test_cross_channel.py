"""Channels that err together: what one shows tells what another hides, and nothing where there is nothing to tell."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.infer.small import noisy, reader, sines, trained
from tsfm.infer.cross_channel import (
    MAX_CHANNELS,
    NUM_FOLDS,
    assign_folds,
    correct_across_channels,
    estimate_corrections,
    prediction_errors,
    similar_channels,
    use_cross_channel,
)
from tsfm.types import Problem

CORRELATION = torch.tensor([[1.0, 0.9, 0.2], [0.9, 1.0, 0.4], [0.2, 0.4, 1.0]], dtype=torch.float64)


def holes(shape: tuple[int, ...], *, share: float = 0.3, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) > share


def middle_of(values: torch.Tensor) -> Problem:
    visible = holes(values.shape)
    return Problem(values=values, visible=visible, wanted=~visible)


def test_a_shift_is_the_mean_of_a_normal_distribution_given_the_visible_channels() -> None:
    dice = torch.Generator().manual_seed(0)
    scale = torch.tensor([1.0, 10.0, 0.1], dtype=torch.float64)
    draws = torch.randn(20_000, 3, generator=dice, dtype=torch.float64) @ torch.linalg.cholesky(CORRELATION).T * scale
    visible = holes((1, 3, 20_000))
    shift = estimate_corrections(torch.where(visible, draws.T[None], 0.0), visible)
    covariance = CORRELATION * scale * scale[:, None]
    alone = ~visible[0, 0] & visible[0, 1] & visible[0, 2]
    given = draws[alone, 1:]
    expected = given @ torch.linalg.solve(covariance[1:, 1:], covariance[1:, 0])
    left = 1 - covariance[0, 1:] @ torch.linalg.solve(covariance[1:, 1:], covariance[1:, 0]) / covariance[0, 0]
    slope = (shift.error[0, 0, alone] * expected).sum() / expected.square().sum()
    assert np.corrcoef(shift.error[0, 0, alone], expected)[0, 1] > 0.99
    assert 0.7 < float(slope) < 1.0  # a tenth of the variance is taken to be a channel's own
    assert 0 < float(shift.spread[0, 0, alone].mean() - left.sqrt()) < 0.25  # and so it never promises too much
    assert (shift.error[visible] == 0).all()
    assert (shift.spread[visible] == 1).all()


def test_channels_that_have_nothing_to_do_with_each_other_are_left_alone() -> None:
    dice = torch.Generator().manual_seed(1)
    draws, visible = torch.randn(1, 4, 512, generator=dice), holes((1, 4, 512))
    shift = estimate_corrections(torch.where(visible, draws, 0.0), visible)
    assert float(shift.error.abs().mean()) < 0.1
    assert float(shift.spread.min()) > 0.8


@pytest.mark.parametrize("backbone", ["patch_transformer", "mixer"])
def test_a_channel_that_follows_another_is_told_by_it(backbone: str) -> None:
    model = reader(backbone)
    one = sines(64, missing=0.0).astype(np.float32)
    whole = np.stack([one, 5 - 3 * one])
    series = whole.copy()
    series[0, 20:28], series[1, 40:44] = np.nan, np.nan
    alone, helped = (model.impute(series, cross_channel=how).values for how in (False, True))
    missing = np.isnan(series)
    assert np.abs(helped - whole)[missing].mean() < 0.75 * np.abs(alone - whole)[missing].mean()
    np.testing.assert_array_equal(helped, model.impute(series).values)  # the default of a model that reads each alone
    assert (np.diff(model.impute(series).quantiles, axis=-1) >= 0).all()


def test_it_does_no_harm_where_channels_share_nothing() -> None:
    model = trained("impute")
    whole = np.stack([noisy((64,), seed) for seed in range(4)]).astype(np.float32)
    series = np.where(holes(whole.shape, share=0.25).numpy(), whole, np.nan)
    missing = np.isnan(series)
    alone, helped = (model.impute(series, cross_channel=how).values for how in (False, True))
    assert np.square(helped - whole)[missing].mean() < 1.1 * np.square(alone - whole)[missing].mean()


def test_a_window_is_answered_the_same_in_any_batch_and_behind_any_padding() -> None:
    model = reader()
    first = sines(64, channels=3, missing=0.2).astype(np.float32)
    short = sines(40, channels=3, missing=0.2, seed=1).astype(np.float32)
    alone = [model.impute(one).values for one in (first, short)]
    both = model.impute([first, short]).values
    for one, other in zip(alone, both, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_each_step_is_asked_once_and_what_is_asked_is_hidden() -> None:
    problem = middle_of(torch.randn(2, 3, 100))
    asked = []

    def ask(one: Problem) -> torch.Tensor:
        asked.append(one)
        return torch.zeros(*one.values.shape, 9)

    found = prediction_errors(ask, problem)
    assert len(asked) == NUM_FOLDS
    assert torch.equal(sum(one.wanted.int() for one in asked), problem.visible.int())
    assert not any((one.wanted & one.visible).any() for one in asked)
    assert torch.equal(found, torch.where(problem.visible, problem.values, 0.0))


def test_stretches_are_as_long_as_the_holes() -> None:
    missing = torch.zeros(2, 1, 64, dtype=torch.bool)
    missing[0, 0, 8:16], missing[0, 0, 40:48], missing[1, 0, ::9] = True, True, True
    found = assign_folds(missing)
    changes = (found[:, 1:] != found[:, :-1]).sum(dim=-1).tolist()
    assert changes[0] <= 7
    assert changes[1] > 40
    assert all(found[0, -8 * (k + 1) : 64 - 8 * k].unique().numel() == 1 for k in range(8))


def test_nothing_more_is_asked_where_no_channel_can_help() -> None:
    values, calls = torch.randn(1, 2, 32), []
    visible = torch.ones_like(values, dtype=torch.bool)
    visible[..., 10:20] = False

    def ask(one: Problem) -> torch.Tensor:
        calls.append(one)
        return torch.zeros(*one.values.shape, 3)

    correct_across_channels(ask, Problem(values=values, visible=visible, wanted=~visible))
    single = Problem(values=values[:, :1], visible=holes((1, 1, 32)), wanted=~holes((1, 1, 32)))
    correct_across_channels(ask, single)
    assert len(calls) == 2


def test_many_channels_are_taken_in_groups_of_those_alike() -> None:
    dice = torch.Generator().manual_seed(2)
    base = torch.randn(2, 300, generator=dice)
    which = torch.arange(40) % 2
    deviations = base[which] + 0.1 * torch.randn(40, 300, generator=dice)
    visible = holes((40, 300), share=0.1)
    groups = similar_channels(deviations, visible)
    assert sorted(torch.cat(groups).tolist()) == list(range(40))
    assert max(map(len, groups)) <= MAX_CHANNELS
    assert set(which[groups[0][:20]].tolist()) == {0}
    hidden = ~visible
    shift = estimate_corrections(torch.where(visible, deviations, 0.0)[None], visible[None])
    assert torch.nn.functional.mse_loss(shift.error[0][hidden], deviations[hidden]) < 0.1 * deviations.square().mean()


def test_a_model_that_mixes_channels_needs_no_help_unless_asked() -> None:
    assert use_cross_channel(reader().model, None)
    assert not use_cross_channel(reader("inverted").model, None)
    assert use_cross_channel(reader("inverted").model, True)


def test_constant_and_silent_channels_stay_finite() -> None:
    values = torch.zeros(1, 3, 64)
    values[0, 0] = torch.randn(64)
    visible = holes(values.shape)
    visible[0, 2] = False
    shift = estimate_corrections(torch.where(visible, values, 0.0), visible)
    assert torch.isfinite(shift.error).all()
    assert torch.isfinite(shift.spread).all()
    assert (shift.error[0, 1:] == 0).all()
