"""Channels with correlated errors: one corrects another where it is missing, and nothing where they share nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.infer.small_models import noisy_sines, sines, step_model, trained_model
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
    generator = torch.Generator().manual_seed(0)
    scale = torch.tensor([1.0, 10.0, 0.1], dtype=torch.float64)
    draws = (
        torch.randn(20_000, 3, generator=generator, dtype=torch.float64) @ torch.linalg.cholesky(CORRELATION).T * scale
    )
    visible = holes((1, 3, 20_000))
    correction = estimate_corrections(torch.where(visible, draws.T[None], 0.0), visible)
    covariance = CORRELATION * scale * scale[:, None]
    alone = ~visible[0, 0] & visible[0, 1] & visible[0, 2]
    conditions = draws[alone, 1:]
    expected = conditions @ torch.linalg.solve(covariance[1:, 1:], covariance[1:, 0])
    spread = 1 - covariance[0, 1:] @ torch.linalg.solve(covariance[1:, 1:], covariance[1:, 0]) / covariance[0, 0]
    slope = (correction.error[0, 0, alone] * expected).sum() / expected.square().sum()
    assert np.corrcoef(correction.error[0, 0, alone], expected)[0, 1] > 0.99
    assert 0.7 < float(slope) < 1.0  # a tenth of the variance is taken as independent
    assert (
        0 < float(correction.spread[0, 0, alone].mean() - spread.sqrt()) < 0.25
    )  # and so the spread is never too small
    assert (correction.error[visible] == 0).all()
    assert (correction.spread[visible] == 1).all()


def test_channels_that_have_nothing_to_do_with_each_other_are_left_alone() -> None:
    generator = torch.Generator().manual_seed(1)
    draws, visible = torch.randn(1, 4, 512, generator=generator), holes((1, 4, 512))
    correction = estimate_corrections(torch.where(visible, draws, 0.0), visible)
    assert float(correction.error.abs().mean()) < 0.1
    assert float(correction.spread.min()) > 0.8


@pytest.mark.parametrize("backbone", ["patch_transformer", "mixer"])
def test_a_channel_that_follows_another_is_corrected_by_it(backbone: str) -> None:
    model = step_model(backbone)
    leader = sines(64, missing=0.0).astype(np.float32)
    whole = np.stack([leader, 5 - 3 * leader])
    series = whole.copy()
    series[0, 20:28], series[1, 40:44] = np.nan, np.nan
    alone, helped = (model.impute([series], cross_channel=corrected).values[0] for corrected in (False, True))
    missing = np.isnan(series)
    assert np.abs(helped - whole)[missing].mean() < 0.75 * np.abs(alone - whole)[missing].mean()
    np.testing.assert_array_equal(
        helped, model.impute([series]).values[0]
    )  # the default of a model that reads each alone
    assert (np.diff(model.impute([series]).quantiles[0], axis=-1) >= 0).all()


def test_it_does_no_harm_where_channels_share_nothing() -> None:
    model = trained_model("impute")
    whole = np.stack([noisy_sines((64,), seed) for seed in range(4)]).astype(np.float32)
    series = np.where(holes(whole.shape, share=0.25).numpy(), whole, np.nan)
    missing = np.isnan(series)
    alone, helped = (model.impute([series], cross_channel=corrected).values[0] for corrected in (False, True))
    assert np.square(helped - whole)[missing].mean() < 1.1 * np.square(alone - whole)[missing].mean()


def test_a_window_is_answered_the_same_in_any_batch_and_behind_any_padding() -> None:
    model = step_model()
    first = sines(64, channels=3, missing=0.2).astype(np.float32)
    short = sines(40, channels=3, missing=0.2, seed=1).astype(np.float32)
    alone = [model.impute([series]).values[0] for series in (first, short)]
    both = model.impute([first, short]).values
    for values, expected in zip(alone, both, strict=True):
        np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-5)


def test_each_step_is_predicted_once_while_it_is_hidden() -> None:
    problem, posed = middle_of(torch.randn(2, 3, 100)), []

    def predict(fold: Problem) -> torch.Tensor:
        posed.append(fold)
        return torch.zeros(*fold.values.shape, 9)

    errors = prediction_errors(predict, problem)
    assert len(posed) == NUM_FOLDS
    assert torch.equal(sum(fold.wanted.int() for fold in posed), problem.visible.int())
    assert not any((fold.wanted & fold.visible).any() for fold in posed)
    assert torch.equal(errors, torch.where(problem.visible, problem.values, 0.0))


def test_stretches_are_as_long_as_the_holes() -> None:
    missing = torch.zeros(2, 1, 64, dtype=torch.bool)
    missing[0, 0, 8:16], missing[0, 0, 40:48], missing[1, 0, ::9] = True, True, True
    errors = assign_folds(missing)
    changes = (errors[:, 1:] != errors[:, :-1]).sum(dim=-1).tolist()
    assert changes[0] <= 7
    assert changes[1] > 40
    assert all(errors[0, -8 * (k + 1) : 64 - 8 * k].unique().numel() == 1 for k in range(8))


def test_there_are_no_more_passes_where_no_channel_can_help() -> None:
    values, calls = torch.randn(1, 2, 32), []
    visible = torch.ones_like(values, dtype=torch.bool)
    visible[..., 10:20] = False

    def predict(posed: Problem) -> torch.Tensor:
        calls.append(posed)
        return torch.zeros(*posed.values.shape, 3)

    correct_across_channels(predict, Problem(values=values, visible=visible, wanted=~visible))
    single = Problem(values=values[:, :1], visible=holes((1, 1, 32)), wanted=~holes((1, 1, 32)))
    correct_across_channels(predict, single)
    assert len(calls) == 2


def test_many_channels_are_taken_in_groups_of_those_alike() -> None:
    generator = torch.Generator().manual_seed(2)
    base = torch.randn(2, 300, generator=generator)
    which = torch.arange(40) % 2
    deviations = base[which] + 0.1 * torch.randn(40, 300, generator=generator)
    visible = holes((40, 300), share=0.1)
    groups = similar_channels(deviations, visible)
    assert sorted(torch.cat(groups).tolist()) == list(range(40))
    assert max(map(len, groups)) <= MAX_CHANNELS
    assert set(which[groups[0][:20]].tolist()) == {0}
    hidden = ~visible
    correction = estimate_corrections(torch.where(visible, deviations, 0.0)[None], visible[None])
    assert (
        torch.nn.functional.mse_loss(correction.error[0][hidden], deviations[hidden]) < 0.1 * deviations.square().mean()
    )


def test_a_model_that_mixes_channels_is_corrected_on_request_only() -> None:
    assert use_cross_channel(step_model().model, None)
    assert not use_cross_channel(step_model("inverted").model, None)
    assert use_cross_channel(step_model("inverted").model, True)


def test_constant_and_silent_channels_stay_finite() -> None:
    values = torch.zeros(1, 3, 64)
    values[0, 0] = torch.randn(64)
    visible = holes(values.shape)
    visible[0, 2] = False
    correction = estimate_corrections(torch.where(visible, values, 0.0), visible)
    assert torch.isfinite(correction.error).all()
    assert torch.isfinite(correction.spread).all()
    assert (correction.error[0, 1:] == 0).all()
