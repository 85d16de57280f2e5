"""Correct imputed values of one channel by the errors of the other channels at the same step.

A model that reads each channel by itself ignores that errors of channels correlate. Each visible step is hidden once
and predicted, so that its error is known. At a missing step, the errors of the other channels then predict the error
of this one: the mean of a multivariate Student's t distribution given some of its dimensions. Its covariance is
estimated by expectation maximisation with missing values (Liu and Rubin, "ML estimation of the t distribution using EM
and its extensions, ECM and ECME", Statistica Sinica 5, 1995). Nothing is learned beyond the window, so the result is as
zero-shot as the model. The constants were chosen on series of the corpus.

B windows, C channels, T steps of a window, Q quantile levels, G channels of a group.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import torch
from einops import einsum
from torch import Tensor

from tsfm.model.model import Model
from tsfm.types import Problem

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

NUM_FOLDS = 4  # passes; each hides and predicts one fold of the visible steps
NUM_ITERATIONS = 6  # of expectation maximisation; more change nothing visible
PRIOR_STEPS = 50.0  # weight, in steps, of the prior that channels are independent
NOISE_VARIANCE = 0.1  # share of each channel's variance that is independent of the others
DEGREES_OF_FREEDOM = 8.0  # of Student's t: steps at which all channels err strongly count less
MAX_ERROR = 6.0  # standard deviations at which errors are clipped
MAX_CHANNELS = 32  # in one covariance; more channels are divided into groups of similar ones
MAX_ENTRIES = 2**22  # of the matrices that are computed at once
PredictSteps = Callable[[Problem], Tensor]  # ascending quantiles of every step [B, C, T, Q]


class Correction(NamedTuple):
    """What the other channels predict of each missing step: the error of its median, and the factor of its spread."""

    error: Float[Tensor, "B C T"]
    spread: Float[Tensor, "B C T"]


def use_cross_channel(model: Model, cross_channel: bool | None) -> bool:
    """Return whether to correct across channels; None: unless the model mixes channels itself."""
    return not model.mixes_channels if cross_channel is None else cross_channel


def correct_across_channels(predict: PredictSteps, problem: Problem) -> Float[Tensor, "B C T Q"]:
    """Return predictions that are shifted and narrowed where other channels are visible at a missing step.

    Takes `NUM_FOLDS` more passes, and none where no missing step has a visible one in another channel.
    """
    quantiles = predict(problem)
    helped = problem.visible.any(dim=1, keepdim=True) & ~problem.visible & problem.wanted
    if problem.values.shape[1] < 2 or not bool(helped.any()):
        return quantiles
    median = quantiles[..., quantiles.shape[-1] // 2 : quantiles.shape[-1] // 2 + 1]
    correction = estimate_corrections(prediction_errors(predict, problem), problem.visible)
    return (quantiles - median) * correction.spread[..., None] + median + correction.error[..., None]


def prediction_errors(predict: PredictSteps, problem: Problem) -> Float[Tensor, "B C T"]:
    """Return value minus predicted median of each visible step while it is hidden; 0 where a step is not visible.

    Hidden are stretches as long as the missing ones are on average, in all channels at once. The folds are drawn with
    a fixed seed, so that the same window has the same result.
    """
    values, visible = problem.visible_values(), problem.visible
    started = visible.any(dim=1, keepdim=True).cummax(dim=-1).values  # padding is not a missing stretch
    folds = assign_folds(~visible & problem.wanted & started)
    errors = torch.zeros_like(values)
    for fold in range(NUM_FOLDS):
        hidden = (folds == fold)[:, None].expand_as(visible)
        posed = Problem(values=values, visible=visible & ~hidden, wanted=hidden & visible, unscaled=problem.unscaled)
        quantiles = predict(posed)
        errors = torch.where(hidden & visible, values - quantiles[..., quantiles.shape[-1] // 2], errors)
    return errors


def assign_folds(missing: Bool[Tensor, "B C T"]) -> Int[Tensor, "B T"]:
    """Return the fold of each step; of `NUM_FOLDS` consecutive stretches each has another.

    Stretches are counted from the end of a window, so that padding on its left changes nothing.
    """
    num_steps, device = missing.shape[-1], missing.device
    begins = missing & ~torch.nn.functional.pad(missing, (1, 0))[..., :-1]
    length = (missing.sum(dim=(1, 2)) / begins.sum(dim=(1, 2)).clamp_min(1)).round().long().clamp_min(1)
    stretch = torch.arange(num_steps - 1, -1, -1, device=device) // length[:, None]
    generator = torch.Generator().manual_seed(0)
    order = torch.rand(num_steps // NUM_FOLDS + 1, NUM_FOLDS, generator=generator).argsort(dim=-1).to(device)
    return order[stretch // NUM_FOLDS, stretch % NUM_FOLDS]


def estimate_corrections(errors: Float[Tensor, "B C T"], visible: Bool[Tensor, "B C T"]) -> Correction:
    """Return the correction of every missing step; none where the channel is visible, or no channel is."""
    error, spread = torch.zeros_like(errors), torch.ones_like(errors)
    chunk_size = max(1, MAX_ENTRIES // (visible.shape[-1] * min(visible.shape[1], MAX_CHANNELS) ** 2))
    for first in range(0, len(visible), chunk_size):
        chunk = slice(first, first + chunk_size)
        if visible.shape[1] <= MAX_CHANNELS:
            error[chunk], spread[chunk] = _estimate(errors[chunk], visible[chunk])
            continue
        for window in range(first, min(first + chunk_size, len(visible))):
            for group in similar_channels(errors[window], visible[window]):
                correction = _estimate(errors[window : window + 1, group], visible[window : window + 1, group])
                error[window, group], spread[window, group] = correction.error[0], correction.spread[0]
    return Correction(error, spread)


def similar_channels(errors: Float[Tensor, "C T"], visible: Bool[Tensor, "C T"]) -> list[Int[Tensor, " _"]]:
    """Return groups of at most `MAX_CHANNELS` channels: the first that is left, and those with the most similar errors.

    Similarity is the absolute cosine of the errors.
    """
    directions = torch.nn.functional.normalize(torch.where(visible, errors, 0.0), dim=-1)
    similarity = (directions @ directions.T).abs()
    free, groups = torch.ones(len(similarity), dtype=torch.bool, device=similarity.device), []
    while bool(free.any()):
        first = int(free.nonzero()[0])
        score = torch.where(free, similarity[first], -1.0)
        score[first] = 2.0
        group = score.topk(min(MAX_CHANNELS, int(free.sum()))).indices
        free[group] = False
        groups.append(group)
    return groups


def _estimate(errors: Float[Tensor, "B C T"], visible: Bool[Tensor, "B C T"]) -> Correction:
    """Estimate the covariance of the standardised errors by EM, then their conditional mean and spread."""
    seen = visible.transpose(1, 2).double()
    count = seen.sum(dim=1).clamp_min(1)
    scale = ((errors.double().transpose(1, 2) * seen).square().sum(dim=1) / count).sqrt()[:, None]
    standardised = (errors.transpose(1, 2) / scale.clamp_min(1e-12)).clamp(-MAX_ERROR, MAX_ERROR) * seen
    informative = (seen.sum(dim=-1) > 0).to(seen.dtype)  # steps at which some channel is visible
    identity = torch.eye(seen.shape[-1], dtype=seen.dtype, device=seen.device)
    both_seen, hidden = seen[..., None] * seen[..., None, :], 1 - seen
    covariance = identity.expand(len(seen), *identity.shape)
    for _ in range(NUM_ITERATIONS):
        # of the visible channels only; the others are treated as independent
        visible_covariance = covariance[:, None] * both_seen + torch.diag_embed(hidden) + NOISE_VARIANCE * identity
        inverse = torch.linalg.inv(visible_covariance) * both_seen
        gain = einsum(covariance, inverse, "b c d, b t d e -> b t c e")
        mean = einsum(gain, standardised, "b t c e, b t e -> b t c")
        conditional = covariance[:, None] - einsum(gain, covariance, "b t c e, b d e -> b t c d")
        unexplained = conditional * hidden[..., None] * hidden[..., None, :] * informative[..., None, None]
        completed = torch.where(seen > 0, standardised, mean)
        distance = einsum(standardised, inverse, standardised, "b t c, b t c d, b t d -> b t")  # squared Mahalanobis
        weight = informative * (DEGREES_OF_FREEDOM + seen.sum(dim=-1)) / (DEGREES_OF_FREEDOM + distance)
        scatter = einsum(weight, completed, completed, "b t, b t c, b t d -> b c d")
        covariance = unexplained.sum(dim=1) + scatter + PRIOR_STEPS * identity
        covariance = covariance / (informative.sum(dim=-1)[:, None, None] + PRIOR_STEPS)
    variance = covariance.diagonal(dim1=-2, dim2=-1)[:, None].clamp_min(1e-12)
    spread = (conditional.diagonal(dim1=-2, dim2=-1) / variance).clamp(0, 1).sqrt()
    error = torch.where(seen > 0, 0.0, mean * scale)
    spread = torch.where(seen > 0, 1.0, spread)
    return Correction(error.transpose(1, 2).to(errors.dtype), spread.transpose(1, 2).to(errors.dtype))
