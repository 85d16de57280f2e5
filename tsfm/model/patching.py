"""Cut windows into patches and embed them as tokens.

B batch, C channels, T steps, S patch, P patches, D width, F features beside each step, G facts about a channel,
M = F S + G.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from tsfm.model.fill import Neighbours, neighbours
from tsfm.nn.mlp import ResidualMLP
from tsfm.nn.stem import ConvStem

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

EMBEDS = ("linear", "residual", "conv", "values", "values_visible")


def num_patches(steps: int, *, patch: int, stride: int, pad_end: bool) -> int:
    return -(-max(steps - patch, 0) // stride) + 1 + pad_end


def raw_width(embed: str, patch: int) -> int | None:
    """The token width that an embedding without parameters imposes; None where the width is free."""
    return {"values": patch, "values_visible": 2 * patch}.get(embed)


class Patching(nn.Module):
    """Patches of `patch` steps, `stride` apart. What does not fit is padded on the left with hidden steps, so that the
    newest step always ends a patch; `pad_end` repeats the last step once more, as PatchTST does
    (arXiv:2211.14730, section 3.1). The embedding `residual` also takes `beside` features of each step, and `facts`
    about the channel as a whole."""

    def __init__(
        self, *, patch: int, stride: int, pad_end: bool, embed: str, width: int, beside: int = 0, facts: int = 0
    ):
        super().__init__()
        self.patch, self.stride, self.pad_end, self.embed = patch, stride, pad_end, embed
        if embed == "linear":
            self.project = nn.Linear(patch, width)
        elif embed == "residual":
            self.project = ResidualMLP((3 + beside) * patch + facts, hidden=2 * width, outputs=width)
        elif embed == "conv":
            self.project = ConvStem(2, width=width)

    def forward(
        self,
        scaled: Float[Tensor, "B C T"],
        visible: Bool[Tensor, "B C T"],
        *,
        filled: Float[Tensor, "B C T"] | None = None,
        beside: Sequence[Float[Tensor, "B C T _"]] | None = None,
        facts: Float[Tensor, "B C G"] | None = None,
        at: Neighbours | None = None,
    ) -> tuple[Float[Tensor, "B C P D"], Bool[Tensor, "B C P"]]:
        """Tokens, and whether a token stands at or after the first visible step of its channel. Hidden steps are shown
        as zeros, or as what `filled` holds there. With `beside` and `facts`, a token also tells for each step how long
        ago the newest visible one was; `at` spares the search for it."""
        known = self._cut(visible)
        shown = torch.where(visible, scaled, 0.0) if filled is None else filled
        if self.embed == "conv":
            return self._convolve(shown, visible), begun(known.any(dim=-1))
        if beside is not None and facts is not None:
            own = torch.stack([shown, visible.to(shown.dtype), since(visible, at=at).to(shown.dtype)], dim=2)
            rows = self._cut(torch.cat([own, *(rearrange(one, "b c t f -> b c f t") for one in beside)], dim=2))
            return self.project(_join(rows, facts)), begun(known.any(dim=-1))
        return self._embed(self._cut(shown), known), begun(known.any(dim=-1))

    def _cut(self, x: Tensor) -> Tensor:
        steps = x.shape[-1]
        fit = (num_patches(steps, patch=self.patch, stride=self.stride, pad_end=False) - 1) * self.stride + self.patch
        x = F.pad(x, (fit - steps, 0)) if fit > steps else x  # padding by nothing is a copy
        if self.pad_end:
            x = torch.cat([x, x[..., -1:].expand(*x.shape[:-1], self.stride)], dim=-1)
        return x.unfold(-1, self.patch, self.stride)

    def _convolve(self, shown: Float[Tensor, "B C T"], visible: Bool[Tensor, "B C T"]) -> Float[Tensor, "B C P D"]:
        """Each token is the mean of the features of its steps, from the first visible step of the channel on."""
        since = begun(visible)
        rows = torch.stack([shown, visible.to(shown.dtype)], dim=2)
        features = self.project(rearrange(rows, "b c i t -> (b c) i t"), rearrange(since, "b c t -> (b c) t"))
        patches = self._cut(rearrange(features, "(b c) d t -> b c d t", c=shown.shape[1])).sum(dim=-1)
        count = self._cut(since).sum(dim=-1).clamp_min(1)
        return rearrange(patches, "b c d p -> b c p d") / count[..., None]

    def _embed(self, patches: Float[Tensor, "B C P S"], known: Bool[Tensor, "B C P S"]) -> Float[Tensor, "B C P D"]:
        if self.embed == "linear":
            return self.project(patches)
        if self.embed == "values":
            return patches
        flags = known.to(patches.dtype)
        if self.embed == "values_visible":
            return torch.cat([patches, flags], dim=-1)
        ramp = torch.linspace(-1.0, 1.0, self.patch, dtype=patches.dtype, device=patches.device).expand_as(patches)
        return self.project(torch.cat([patches, flags, ramp], dim=-1))


def _join(rows: Float[Tensor, "B C F P S"], facts: Float[Tensor, "B C G"]) -> Float[Tensor, "B C P M"]:
    """All features of the steps of a patch, one feature after the other, then the facts; each is copied once, into the
    type in which the layers that read it compute."""
    batch, channels, features, patches, patch = rows.shape
    width, kind = features * patch, rows.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else rows.dtype
    out = rows.new_empty(batch, channels, patches, width + facts.shape[-1], dtype=dtype)
    out[..., :width].unflatten(-1, (features, patch)).copy_(rearrange(rows, "b c f p s -> b c p f s"))
    out[..., width:] = facts[:, :, None]
    return out


def begun(known: Bool[Tensor, "*rows P"]) -> Bool[Tensor, "*rows P"]:
    """True from the first token (or step) with something visible on; nowhere for a channel that shows nothing."""
    return known.cummax(dim=-1).values


def since(visible: Bool[Tensor, "B C T"], *, at: Neighbours | None = None) -> Float[Tensor, "B C T"]:
    """How long ago the newest visible step was, log2(1 + steps) over 10; 0 where there was none, as at that step."""
    at = neighbours(visible, dtype=torch.float32) if at is None else at
    steps = torch.arange(visible.shape[-1], device=visible.device)
    return torch.where(at.early, 0.0, (steps - at.before + 1).float().log2() / 10)
