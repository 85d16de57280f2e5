"""Cut windows into patches and embed them as tokens.

B batch, C channels, T steps, S patch, P patches, D width, F features of each step, G features of a channel,
I = F S + G, M packed tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from tsfm.model.fill import Neighbours, find_neighbours
from tsfm.nn.mlp import ResidualMLP
from tsfm.nn.stem import ConvStem

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

EMBEDS = ("linear", "residual", "conv", "values", "values_visible")


def num_patches(num_steps: int, *, patch: int, stride: int, pad_end: bool) -> int:
    """Return the number of patches of a window of `num_steps` steps; arguments as in `Patching`."""
    return -(-max(num_steps - patch, 0) // stride) + 1 + pad_end


def raw_width(embed: str, patch: int) -> int | None:
    """Return the token width of an embedding without parameters; None where the width is free."""
    return {"values": patch, "values_visible": 2 * patch}.get(embed)


class Patching(nn.Module):
    """Patches of `patch` steps, `stride` apart, each embedded as a token.

    The window is padded on the left with hidden steps, so that the newest step always ends a patch.

    Parameters
    ----------
    patch, stride
        Steps of a patch, and steps from one patch to the next.
    pad_end
        Whether the last step is repeated for one more patch, as in PatchTST (arXiv:2211.14730, section 3.1).
    embed
        - `linear`: one linear map of the values;
        - `residual`: a residual MLP of the values, of which of them are visible, and of the position in the patch;
        - `conv`: the mean of convolutional features of the steps (`ConvStem`);
        - `values`: the values themselves; `values_visible`: also which of them are visible.
    width
        Features of a token.
    step_features, channel_features
        Numbers of additional features of each step and of a channel, for the embedding `residual`.
    """

    def __init__(
        self,
        *,
        patch: int,
        stride: int,
        pad_end: bool,
        embed: str,
        width: int,
        step_features: int = 0,
        channel_features: int = 0,
    ):
        super().__init__()
        self.patch, self.stride, self.pad_end, self.embed = patch, stride, pad_end, embed
        if embed == "linear":
            self.project = nn.Linear(patch, width)
        elif embed == "residual":
            inputs = (3 + step_features) * patch + channel_features
            self.project = ResidualMLP(inputs, hidden=2 * width, outputs=width)
        elif embed == "conv":
            self.project = ConvStem(2, width=width)

    def forward(
        self,
        scaled: Float[Tensor, "B C T"],
        visible: Bool[Tensor, "B C T"],
        *,
        filled: Float[Tensor, "B C T"] | None = None,
        step_features: Sequence[Float[Tensor, "B C T _"]] | None = None,
        channel_features: Float[Tensor, "B C G"] | None = None,
        neighbours: Neighbours | None = None,
        kept: Bool[Tensor, "B C P"] | None = None,
    ) -> tuple[Float[Tensor, "*tokens D"], Bool[Tensor, "B C P"]]:
        """Return the tokens, and which of them are valid.

        Parameters
        ----------
        scaled, visible
            Scaled values and which of them are visible.
        filled
            Values with hidden steps replaced; None: hidden steps are 0.
        step_features, channel_features
            Additional inputs of the embedding `residual`; with them a token also receives for each step the time since
            the last visible one.
        neighbours
            As from `find_neighbours`, where they are known.
        kept
            Which tokens are returned, as `[packed, width]` one after the other; None: all, in their windows.

        Returns
        -------
        tuple
            Tokens `[batch, channels, patches, width]`; and a mask, True from the first patch with a visible step on.
        """
        patch_visible = self._cut(visible)
        values = torch.where(visible, scaled, 0.0) if filled is None else filled
        valid = from_first(patch_visible.any(dim=-1))
        if self.embed == "conv":
            tokens = self._convolve(values, visible)
            return tokens if kept is None else tokens[kept], valid
        if step_features is not None and channel_features is not None:
            elapsed = time_since_visible(visible, neighbours=neighbours).to(values.dtype)
            inputs = torch.stack([values, visible.to(values.dtype), elapsed], dim=2)
            features = (rearrange(feature, "b c t f -> b c f t") for feature in step_features)
            patches = rearrange(self._cut(torch.cat([inputs, *features], dim=2)), "b c f p s -> b c p f s")
            expanded = channel_features[:, :, None].expand(*patches.shape[:3], -1)
            if kept is not None:
                patches, expanded = patches[kept], expanded[kept]
            return self.project(_join(patches, expanded)), valid
        patches = self._cut(values)
        if kept is not None:
            patches, patch_visible = patches[kept], patch_visible[kept]
        return self._embed(patches, patch_visible), valid

    def patches_with(self, mask: Bool[Tensor, "B C T"]) -> Bool[Tensor, "B C P"]:
        """Return which patches have a step where `mask` is True."""
        return self._cut(mask).any(dim=-1)

    def _cut(self, x: Tensor) -> Tensor:
        num_steps = x.shape[-1]
        num = num_patches(num_steps, patch=self.patch, stride=self.stride, pad_end=False)
        length = (num - 1) * self.stride + self.patch
        x = F.pad(x, (length - num_steps, 0)) if length > num_steps else x  # padding by nothing would copy
        if self.pad_end:
            x = torch.cat([x, x[..., -1:].expand(*x.shape[:-1], self.stride)], dim=-1)
        return x.unfold(-1, self.patch, self.stride)

    def _convolve(self, values: Float[Tensor, "B C T"], visible: Bool[Tensor, "B C T"]) -> Float[Tensor, "B C P D"]:
        """Return for each patch the mean of the features of its steps, from the first visible step on."""
        begun = from_first(visible)
        rows = torch.stack([values, visible.to(values.dtype)], dim=2)
        features = self.project(rearrange(rows, "b c i t -> (b c) i t"), rearrange(begun, "b c t -> (b c) t"))
        patches = self._cut(rearrange(features, "(b c) d t -> b c d t", c=values.shape[1])).sum(dim=-1)
        count = self._cut(begun).sum(dim=-1).clamp_min(1)
        return rearrange(patches, "b c d p -> b c p d") / count[..., None]

    def _embed(self, patches: Float[Tensor, "*tokens S"], visible: Bool[Tensor, "*tokens S"]) -> Tensor:
        if self.embed == "linear":
            return self.project(patches)
        if self.embed == "values":
            return patches
        flags = visible.to(patches.dtype)
        if self.embed == "values_visible":
            return torch.cat([patches, flags], dim=-1)
        ramp = torch.linspace(-1.0, 1.0, self.patch, dtype=patches.dtype, device=patches.device).expand_as(patches)
        return self.project(torch.cat([patches, flags, ramp], dim=-1))


def _join(
    step_features: Float[Tensor, "*tokens F S"], channel_features: Float[Tensor, "*tokens G"]
) -> Float[Tensor, "*tokens I"]:
    """Return one feature of all steps after the other, then those of the channel, in the type of the next layer."""
    num_features, patch = step_features.shape[-2:]
    width, kind = num_features * patch, step_features.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else step_features.dtype
    joined = step_features.new_empty(*step_features.shape[:-2], width + channel_features.shape[-1], dtype=dtype)
    # each is copied once, and converted on the way
    joined[..., :width].unflatten(-1, (num_features, patch)).copy_(step_features)
    joined[..., width:] = channel_features
    return joined


def from_first(mask: Bool[Tensor, "*rows P"]) -> Bool[Tensor, "*rows P"]:
    """Return True from the first True of each channel on, along patches or steps."""
    return mask.cummax(dim=-1).values


def time_since_visible(
    visible: Bool[Tensor, "B C T"], *, neighbours: Neighbours | None = None
) -> Float[Tensor, "B C T"]:
    """Return log2(1 + steps since the last visible step) / 10; 0 at visible steps and before the first one."""
    neighbours = find_neighbours(visible, dtype=torch.float32) if neighbours is None else neighbours
    steps = torch.arange(visible.shape[-1], device=visible.device)
    return torch.where(neighbours.is_leading, 0.0, (steps - neighbours.before + 1).float().log2() / 10)
