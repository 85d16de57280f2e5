"""Predict only the patches with wanted steps, and skip padding: the training step of `trainer.packed`.

B batch, C channels, P patches, M packed tokens, R patches with wanted steps.

A token of a window without a visible step before it is padding, which has no effect on others. The loss of pre-training
reads about a third of all patches, and a third of all tokens is padding; neither the embedding, nor the linear maps of
the backbone, nor the head compute them. The layers see one sequence of tokens without padding, as in ByteTransformer
(arXiv:2210.03052); the attention alone has rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch
from einops import rearrange
from torch import Tensor, nn

from tsfm.model.backbone import Backbone
from tsfm.model.embedding import Embedded
from tsfm.model.heads import Head
from tsfm.model.patching import Patching, from_first
from tsfm.model.scalers import Scaler, State
from tsfm.model.seasonal_skip import SeasonalSkip
from tsfm.nn.packing import Packing
from tsfm.types import Answer, Patches, Problem

if TYPE_CHECKING:
    from jaxtyping import Bool


class Embed(Protocol):
    """Makes the tokens of a problem."""

    def __call__(self, problem: Problem, *, kept: Bool[Tensor, "B C P"]) -> Embedded:
        """Return the tokens that are kept, one after the other."""
        ...


def predict_wanted(
    problem: Problem,
    *,
    embed: Embed,
    scaler: Scaler,
    patching: Patching,
    backbone: Backbone,
    head: Head,
    skip: SeasonalSkip | None,
) -> Answer:
    """Return the answer for the patches with wanted steps, each as a window of one channel, by the parts of a model."""
    wanted = patching.patches_with(problem.wanted)
    kept = from_first(patching.patches_with(problem.visible)) | wanted
    packing = Packing.of(kept.flatten(0, 1), wanted.flatten(0, 1))
    patches = Patches.where(wanted, steps=patching.patch)
    embedded = embed(problem, kept=kept)
    hidden = rearrange(backbone.packed(embedded.tokens, embedded.valid, packing), "r d -> r 1 1 d")
    prediction = head(hidden, torch.ones_like(hidden[..., 0], dtype=torch.bool)).float()
    if embedded.interpolated is not None:
        line = patches.cut(embedded.interpolated)
        if skip is None or embedded.lag_features is None:
            prediction = prediction + line[..., None]
        else:
            features = embedded.lag_features.patches(patches)
            prediction = skip(prediction, hidden, interpolated=line, lag_features=features)
    state = State(patches.of_channels(embedded.state.loc), patches.of_channels(embedded.state.scale))
    return Answer(
        hidden=hidden,
        prediction=scaler.undo(prediction, state),
        loc=state.loc,
        scale=state.scale,
        quantile_levels=head.quantile_levels,
        patches=patches,
    )


def check_packed(*, scaler: Scaler, backbone: Backbone, head: Head) -> None:
    """Raise a ValueError unless these parts of a model can leave out patches."""
    if not head.reads_window or head.predicts != "steps" or head.mixes_channels:
        raise ValueError(
            "trainer.packed leaves out patches that are not wanted, and this head predicts a window as a whole; use "
            "head=patch_quantiles, or trainer.packed=false"
        )
    if any(isinstance(module, nn.BatchNorm1d) for module in backbone.modules()):
        raise ValueError(
            "trainer.packed leaves out padding, which is part of the statistics of a batch norm; use backbone.norm=rms "
            "or layer, or trainer.packed=false"
        )
    if next(scaler.parameters(), None) is not None:
        raise ValueError(
            "trainer.packed predicts patches without their channels, and this scaler learns a gain for each channel; "
            "use scaler.affine=false, or trainer.packed=false"
        )
