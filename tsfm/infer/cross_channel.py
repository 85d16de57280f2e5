"""Channels that err together: what a model that reads each channel by itself leaves on the table, put back.

B windows, C channels, T steps of a window, Q quantile levels, G channels of a group.
Each visible step is hidden once and asked for, so that its error is known. Where a step is missing, the errors of the
other channels at that step tell its own: the mean of Student's t given a part of it, whose covariance is found by
expectation maximisation with missing values (Liu and Rubin, "ML estimation of the t distribution using EM and its
extensions, ECM and ECME", 1995). Nothing is learned beyond the window, so this is as zero-shot as the model is.
The constants were chosen on sets of the corpus.
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

FOLDS = 4  # a step is asked for while so manyth of what is visible is hidden
ROUNDS = 6  # of expectation maximisation; more change nothing that is seen
PRIOR = 50.0  # steps' worth of belief that channels have nothing to do with each other
NOISE = 0.1  # of each channel's variance, that is its own
FREEDOM = 8.0  # degrees of freedom: steps at which all go wild count less
WILD = 6.0  # deviations beyond which an error counts no more
MOST = 32  # channels looked at together; of more, each is taken with those most like it
ROOM = 2**22  # entries of the matrices of a pass over windows
Ask = Callable[[Problem], Tensor]  # quantiles of every step [B, C, T, Q], ascending


class Shift(NamedTuple):
    """What the other channels say of each missing step: by how much its own answer is off, and the share of its spread
    that is left once they have spoken."""

    by: Float[Tensor, "B C T"]
    left: Float[Tensor, "B C T"]


def use_cross_channel(model: Model, cross_channel: bool | None) -> bool:
    """Whether to correct_across_channels channels; None leaves it to what the model can't do itself."""
    return not model.mixes_channels if cross_channel is None else cross_channel


def correct_across_channels(ask: Ask, problem: Problem) -> Float[Tensor, "B C T Q"]:
    """The answer, moved and narrowed by what other channels show where a channel shows nothing. Asks `FOLDS` more
    times, and not at all where no missing step has a visible one beside it."""
    read = ask(problem)
    beside = problem.visible.any(dim=1, keepdim=True) & ~problem.visible & problem.wanted
    if problem.values.shape[1] < 2 or not bool(beside.any()):
        return read
    middle = read[..., read.shape[-1] // 2 : read.shape[-1] // 2 + 1]
    shift = explain(errors(ask, problem), problem.visible)
    return (read - middle) * shift.left[..., None] + middle + shift.by[..., None]


def errors(ask: Ask, problem: Problem) -> Float[Tensor, "B C T"]:
    """How far each visible step lies from what is said of it when it is hidden; 0 where nothing is visible.

    Hidden are stretches as long as the missing ones are on average, each in one of `FOLDS` turns, in all channels at
    once; which turn is drawn with a seed of its own, so that the same window has the same answer."""
    values, visible = problem.visible_values(), problem.visible
    begun = visible.any(dim=1, keepdim=True).cummax(dim=-1).values  # padding is no hole
    turn, out = turns(~visible & problem.wanted & begun), torch.zeros_like(values)
    for fold in range(FOLDS):
        asked = (turn == fold)[:, None].expand_as(visible)
        shown = Problem(values=values, visible=visible & ~asked, wanted=asked & visible, unscaled=problem.unscaled)
        read = ask(shown)
        out = torch.where(asked & visible, values - read[..., read.shape[-1] // 2], out)
    return out


def turns(missing: Bool[Tensor, "B C T"]) -> Int[Tensor, "B T"]:
    """The turn of each step; of `FOLDS` stretches in a row each has another. Counted from the end of a window, so that
    padding on its left changes nothing."""
    steps, device = missing.shape[-1], missing.device
    begins = missing & ~torch.nn.functional.pad(missing, (1, 0))[..., :-1]
    length = (missing.sum(dim=(1, 2)) / begins.sum(dim=(1, 2)).clamp_min(1)).round().long().clamp_min(1)
    stretch = torch.arange(steps - 1, -1, -1, device=device) // length[:, None]
    dice = torch.Generator().manual_seed(0)
    order = torch.rand(steps // FOLDS + 1, FOLDS, generator=dice).argsort(dim=-1).to(device)
    return order[stretch // FOLDS, stretch % FOLDS]


def explain(deviations: Float[Tensor, "B C T"], visible: Bool[Tensor, "B C T"]) -> Shift:
    """The shift of every missing step; none where a channel is visible, or no channel is."""
    by, left = torch.zeros_like(deviations), torch.ones_like(deviations)
    rows = max(1, ROOM // (visible.shape[-1] * min(visible.shape[1], MOST) ** 2))
    for first in range(0, len(visible), rows):
        part = slice(first, first + rows)
        if visible.shape[1] <= MOST:
            by[part], left[part] = _explain(deviations[part], visible[part])
            continue
        for one in range(first, min(first + rows, len(visible))):
            for group in alike(deviations[one], visible[one]):
                found = _explain(deviations[one : one + 1, group], visible[one : one + 1, group])
                by[one, group], left[one, group] = found.by[0], found.left[0]
    return Shift(by, left)


def alike(deviations: Float[Tensor, "C T"], visible: Bool[Tensor, "C T"]) -> list[Int[Tensor, " G"]]:
    """Groups of at most `MOST` channels: the first that is left over, and those whose errors go with its errors."""
    near = torch.nn.functional.normalize(torch.where(visible, deviations, 0.0), dim=-1)
    near, free, groups = (near @ near.T).abs(), torch.ones(len(near), dtype=torch.bool, device=near.device), []
    while bool(free.any()):
        first = int(free.nonzero()[0])
        score = torch.where(free, near[first], -1.0)
        score[first] = 2.0
        group = score.topk(min(MOST, int(free.sum()))).indices
        free[group] = False
        groups.append(group)
    return groups


def _explain(deviations: Float[Tensor, "B C T"], visible: Bool[Tensor, "B C T"]) -> Shift:
    shown = visible.transpose(1, 2).double()
    count = shown.sum(dim=1).clamp_min(1)
    spread = ((deviations.double().transpose(1, 2) * shown).square().sum(dim=1) / count).sqrt()[:, None]
    errors = (deviations.transpose(1, 2) / spread.clamp_min(1e-12)).clamp(-WILD, WILD) * shown
    alive = (shown.sum(dim=-1) > 0).to(shown.dtype)  # steps at which some channel speaks
    own = torch.eye(shown.shape[-1], dtype=shown.dtype, device=shown.device)
    both, hidden = shown[..., None] * shown[..., None, :], 1 - shown
    covariance = own.expand(len(shown), *own.shape)
    for _ in range(ROUNDS):
        # of the visible channels alone; the others stand aside as if they were independent
        inverse = torch.linalg.inv(covariance[:, None] * both + torch.diag_embed(hidden) + NOISE * own) * both
        gain = einsum(covariance, inverse, "b c d, b t d e -> b t c e")
        mean = einsum(gain, errors, "b t c e, b t e -> b t c")
        doubt = covariance[:, None] - einsum(gain, covariance, "b t c e, b d e -> b t c d")
        rest = doubt * hidden[..., None] * hidden[..., None, :] * alive[..., None, None]
        known = torch.where(shown > 0, errors, mean)
        size = einsum(errors, inverse, errors, "b t c, b t c d, b t d -> b t")  # Mahalanobis, of what is visible
        weight = alive * (FREEDOM + shown.sum(dim=-1)) / (FREEDOM + size)
        covariance = rest.sum(dim=1) + einsum(weight, known, known, "b t, b t c, b t d -> b c d") + PRIOR * own
        covariance = covariance / (alive.sum(dim=-1)[:, None, None] + PRIOR)
    left = (doubt.diagonal(dim1=-2, dim2=-1) / prior_spread(covariance)).clamp(0, 1).sqrt()
    by = torch.where(shown > 0, 0.0, mean * spread)
    left = torch.where(shown > 0, 1.0, left)
    return Shift(by.transpose(1, 2).to(deviations.dtype), left.transpose(1, 2).to(deviations.dtype))


def prior_spread(covariance: Float[Tensor, "B C C"]) -> Float[Tensor, "B 1 C"]:
    return covariance.diagonal(dim1=-2, dim2=-1)[:, None].clamp_min(1e-12)
