"""Windows of a target with synthesized covariates and further targets, made of univariate series.

B windows, C channels, T steps. One network learns from them to use covariates, and to ignore those that are irrelevant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from tsfm.synthetic.covariate_effects import draw_components, draw_lags, interact, respond, shift, standardize
from tsfm.synthetic.covariate_signals import draw_signals
from tsfm.synthetic.rng import Sampler
from tsfm.types import KNOWN, PAST, TARGET

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int, Int8

# what a channel is to the target, which is channel 0
FIRST, ADDS, COMPONENT, INTERACTS, FURTHER, IRRELEVANT = range(6)
KIND_WEIGHTS = (0.0, 0.4, 0.15, 0.1, 0.15, 0.2)  # in windows that are not irrelevant alone
IRRELEVANT_RATE = 0.15  # share of windows all of whose covariates are irrelevant
KNOWN_RATE = 2 / 3  # share of covariates that are known through the horizon
SHARE = (0.05, 0.9)  # of an effect in the sum of its variance and that of the target without effects
DOMINANT_RATE, DOMINANT_SHARE = 0.2, 0.999  # of effects that are larger, and the largest share
EDGE_RATE = 0.5  # share of pairs of further targets of which the later one depends on the earlier one


class CovariateWindows(NamedTuple):
    """Windows with covariates; the target is channel 0.

    Parameters
    ----------
    values
        `[batch, channels, time]`, NaN where missing.
    role
        `[batch, channels]`, int8: TARGET, KNOWN or PAST, as in `Batch`.
    kind
        `[batch, channels]`: FIRST for the target, ADDS, COMPONENT, INTERACTS, FURTHER or IRRELEVANT.
    share
        `[batch, channels]`, variance of the effect on the target over the sum of it and the variance of the target
        without any effect; 0 for channels without an effect.
    """

    values: Float[Tensor, "B C T"]
    role: Int8[Tensor, "B C"]
    kind: Int[Tensor, "B C"]
    share: Float[Tensor, "B C"]


def with_covariates(
    windows: Float[Tensor, "B C T"], mixed: Float[Tensor, "B C T"], *, rate: float, generator: torch.Generator
) -> tuple[Float[Tensor, "B C T"], Int8[Tensor, "B C"]]:
    """Return windows of which a share has synthesized covariates, and the role of each channel.

    Parameters
    ----------
    windows
        `[batch, channels, time]`, unrelated series, of which targets and covariates are made.
    mixed
        The windows to return where none are made; all of their channels are targets.
    rate
        Share of windows with covariates.
    generator
        On the device of `windows`.
    """
    values, role = mixed.clone(), torch.full(windows.shape[:2], TARGET, dtype=torch.int8, device=windows.device)
    chosen = torch.rand(len(windows), generator=generator, device=windows.device) < rate
    if bool(chosen.any()):
        made = synthesize_covariates(windows[chosen], generator)
        values[chosen], role[chosen] = made.values, made.role
    return values, role


def synthesize_covariates(windows: Float[Tensor, "B C T"], generator: torch.Generator) -> CovariateWindows:
    """Return windows whose channel 0 is a target and whose other channels are covariates or further targets.

    Each other channel is, by random draw, a covariate that adds to the target (with a lag, and a linear, saturating or
    threshold response), a component of the target, a covariate that acts through a weekday pattern, a further target
    that leads or follows the target, or irrelevant. A covariate is the given series of its channel, white noise, a
    random walk, a series of promotions, a calendar pattern, or a category coded by numbers.

    Parameters
    ----------
    windows
        `[batch, channels, time]`, unrelated series, NaN where missing. A step of channel 0 stays missing.
    generator
        On the device of `windows`.

    Raises
    ------
    ValueError
        If the windows have one channel.
    """
    num, channels, _ = windows.shape
    if channels < 2:
        raise ValueError(f"windows have {channels} channel; covariates need at least 2, so set data.channels=2 or more")
    rng, others = Sampler(generator), channels - 1
    kind = draw_kinds(rng, num, others)
    is_leader = (kind == FURTHER) & rng.chance(num, others, rate=0.5)
    is_follower = (kind == FURTHER) & ~is_leader
    signals = draw_signals(rng, windows[:, 1:].flatten(0, 1))
    further = _add_parents(rng, windows[:, 1:], is_leader)
    lag = draw_lags(rng, num * others)
    leading = shift(_zscore(further.flatten(0, 1)), draw_lags(rng, num * others, shortest=1))
    added, interacting = (shift(effect, lag) for effect in (respond(rng, signals), interact(rng, signals)))
    flat_kind = kind.flatten()[:, None]
    effect = torch.where(flat_kind == ADDS, added, torch.where(flat_kind == INTERACTS, interacting, leading))
    acts = (kind == ADDS) | (kind == INTERACTS) | is_leader
    target, share = add_effects(rng, windows[:, 0], effect.unflatten(0, (num, others)), acts)

    following = _zscore(target)[:, None].expand(-1, others, -1).flatten(0, 1)
    following = shift(following, draw_lags(rng, num * others, shortest=1)).unflatten(0, (num, others))
    gain = rng.sign(num, others, 1) * rng.log_uniform(num, others, 1, low=0.2, high=4.0)
    followers = _add_parents(rng, further + gain * following, is_follower)
    components = draw_components(rng, target.repeat_interleave(others, dim=0)).unflatten(0, (num, others))
    values = signals.values.unflatten(0, (num, others))
    for chosen, replacement in ((is_leader, further), (is_follower, followers), (kind == COMPONENT, components)):
        values = torch.where(chosen[..., None], replacement, values)
    role = torch.where(rng.chance(num, others, rate=KNOWN_RATE), KNOWN, PAST)
    role = torch.where(kind == FURTHER, TARGET, role).to(torch.int8)
    first = torch.zeros(num, 1, device=windows.device)
    return CovariateWindows(
        values=torch.cat([target[:, None], values], dim=1),
        role=torch.cat([first.to(torch.int8), role], dim=1),
        kind=torch.cat([first.long(), kind], dim=1),
        share=torch.cat([first, share], dim=1),
    )


def draw_kinds(rng: Sampler, num: int, others: int) -> Int[Tensor, "B K"]:
    """Draw the kind of each channel after the first, `[batch, channels - 1]`."""
    kind = rng.choose(num * others, KIND_WEIGHTS).unflatten(0, (num, others))
    return torch.where(rng.chance(num, 1, rate=IRRELEVANT_RATE), IRRELEVANT, kind)


def add_effects(
    rng: Sampler, target: Float[Tensor, "B T"], effects: Float[Tensor, "B K T"], acts: Bool[Tensor, "B K"]
) -> tuple[Float[Tensor, "B T"], Float[Tensor, "B K"]]:
    """Add effects to targets with random weights; return the targets and the share of each effect.

    The share is uniform, see `SHARE`, or for some effects close to 1. An effect that is constant over the observed
    steps of the target has the share 0; a constant target counts as one of variance 1. A target without effects stays
    bit-equal.
    """
    num, others, _ = effects.shape
    observed = ~target.isnan()
    _, base = standardize(target, observed)
    base = torch.where(base > 0, base, 1.0)
    unit, std = standardize(effects.flatten(0, 1), observed.repeat_interleave(others, dim=0))
    dominant = 1 - rng.log_uniform(num, others, low=1 - DOMINANT_SHARE, high=1 - SHARE[1])
    share = rng.uniform(num, others, low=SHARE[0], high=SHARE[1])
    share = torch.where(rng.chance(num, others, rate=DOMINANT_RATE), dominant, share)
    acts = acts & (std.unflatten(0, (num, others))[..., 0] > 0)
    share = torch.where(acts, share, 0.0)
    weight = rng.sign(num, others) * (share / (1 - share)).sqrt() * base
    total = (weight[..., None] * unit.unflatten(0, (num, others))).sum(dim=1)
    return torch.where(acts.any(dim=1, keepdim=True), target + total, target), share


def _add_parents(rng: Sampler, x: Float[Tensor, "B K T"], chosen: Bool[Tensor, "B K"]) -> Float[Tensor, "B K T"]:
    """Add earlier channels to later ones, with a lag, for a share of the pairs in which both are chosen."""
    num, others, _ = x.shape
    nodes = list(x.unbind(dim=1))
    for later in range(1, others):
        for earlier in range(later):
            lag = draw_lags(rng, num, shortest=1)
            has_edge = chosen[:, later] & chosen[:, earlier] & rng.chance(num, rate=EDGE_RATE)
            weight = rng.uniform(num, 1, low=-1.0, high=1.0)
            parent = weight * shift(_zscore(nodes[earlier]), lag)
            nodes[later] = torch.where(has_edge[:, None], nodes[later] + parent, nodes[later])
    return torch.stack(nodes, dim=1)


def _zscore(x: Float[Tensor, "N T"]) -> Float[Tensor, "N T"]:
    return standardize(x, ~x.isnan())[0]
