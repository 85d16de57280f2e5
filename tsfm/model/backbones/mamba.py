"""Selective state-space model (Mamba-2, arXiv:2405.21060) over the patches of each channel, or over the channels.

B batch, C channels, P patches, D width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional

import torch
from einops import rearrange
from torch import Tensor, nn

from tsfm.messages import check_choice
from tsfm.model.backbone import Backbone
from tsfm.model.mixing import ChannelMixing, MixingConfig
from tsfm.nn.dropout import Dropout
from tsfm.nn.mlp import FeedForward
from tsfm.nn.norms import NORMS, make_norm
from tsfm.nn.scan import CHUNK
from tsfm.nn.scan_kernels import find_kernel
from tsfm.nn.ssm import SSM, SSMState
from tsfm.registry import BACKBONES
from tsfm.types import Grid

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

OVER = ("time", "variates")


@BACKBONES("mamba")
class Mamba(Backbone):
    """Blocks of Mamba-2 over time, causal and streaming, or bidirectional; or over the channels.

    Over the channels it is S-Mamba (arXiv:2403.11144, section 4): a scan in each direction across the channels and a
    feed-forward layer for time. Two departures: S-Mamba's scans are those of Mamba-1, with a free decay for each
    feature and state; and here dropout also acts on the output of the scan.
    """

    @dataclass
    class Config(MixingConfig):
        """Settings of `Mamba`."""

        depth: int = 4  # blocks
        over: str = "time"  # time | variates: the axis of the scan
        bidirectional: Optional[bool] = None  # noqa: UP045  a second scan backwards; None: only over variates
        expand: int = 2  # inner width per width
        head: int = 64  # features that share one decay; divides expand x width
        state: int = 128  # numbers that a feature keeps from token to token
        groups: int = 1  # of heads, each with its own b and c
        conv: int = 4  # tokens of the causal convolution before the scan; 0 or 1: none
        chunk: int = CHUNK  # tokens; only the speed depends on it
        dt_min: float = 1e-3  # range of the initial step (arXiv:2312.00752, section 3.6)
        dt_max: float = 1e-1
        hidden: int = 0  # units of a feed-forward layer after each scan; 0: none
        norm: str = "rms"  # batch | layer | rms
        pre_norm: bool = True  # normalise before each sub-layer instead of after it
        dropout: float = 0.1

        def __post_init__(self):
            super().__post_init__()
            for name in ("depth", "expand", "head", "state", "groups", "chunk"):
                if getattr(self, name) < 1:
                    raise ValueError(f"backbone.{name} is {getattr(self, name)}; expected at least 1")
            for name in ("conv", "hidden"):
                if getattr(self, name) < 0:
                    raise ValueError(f"backbone.{name} is {getattr(self, name)}; expected at least 0, which is none")
            check_choice("backbone.over", self.over, OVER)
            check_choice("backbone.norm", self.norm, NORMS)
            if not 0 < self.dt_min <= self.dt_max:
                raise ValueError(
                    f"backbone.dt_min is {self.dt_min}, dt_max {self.dt_max}; expected 0 < dt_min <= dt_max"
                )
            if not 0 <= self.dropout < 1:
                raise ValueError(f"backbone.dropout is {self.dropout}; expected a probability in [0, 1)")
            if self.over == "variates" and self.mix_every:
                raise ValueError("backbone.over=variates mixes channels already; use backbone.mix_every=0")
            if self.bidirectional is None:
                self.bidirectional = self.over == "variates"

    blocks: Any  # of Block; type checkers do not know what a ModuleList contains

    def __init__(self, config: Config, *, grid: Grid):
        super().__init__()
        self.over = config.over
        self.mixing = ChannelMixing(config, depth=config.depth, width=grid.width)
        self.mixes_channels = self.mixing.any or config.over == "variates"
        self.ordered_channels = config.over == "variates"
        self.layout = "(b p) c d" if self.ordered_channels else "(b c) p d"
        self.causal = self.streaming = config.over == "time" and not config.bidirectional
        self.blocks = nn.ModuleList(Block(config, width=grid.width) for _ in range(config.depth))
        # a stack of pre-norm blocks needs a norm at the end; S-Mamba has one too, after its post-norm blocks
        self.norm = make_norm(config.norm, grid.width) if config.pre_norm or self.ordered_channels else nn.Identity()

    def forward(self, x: Float[Tensor, "B C P D"], valid: Bool[Tensor, "B C P"]) -> Float[Tensor, "B C P D"]:
        """Return the output of every token."""
        to_rows, from_rows = ("b c p d -> (b c) p d", "(b c) p d -> b c p d")
        if self.over == "variates":
            to_rows, from_rows = ("b c p d -> (b p) c d", "(b p) c d -> b c p d")
        y, mask = rearrange(x, to_rows), rearrange(valid[..., None], to_rows)[..., 0]
        if not torch.compiler.is_compiling() and bool(valid.all()):
            mask = None
        for index, block in enumerate(self.blocks):
            y = self.mixing(block(y, mask), valid, after=index)
        y = self.norm(y)
        return rearrange(y, from_rows, c=x.shape[1], p=x.shape[2])

    def start(self, *, batch: int, channels: int) -> list[SSMState]:
        """Return the states of the blocks before the first token."""
        if not self.streaming:
            return super().start(batch=batch, channels=channels)
        return [block.forwards.start(batch * channels) for block in self.blocks]

    def step(self, x: Float[Tensor, "B C D"], state: list[SSMState]) -> tuple[Float[Tensor, "B C D"], list[SSMState]]:
        """Return the output of the next token of every channel, and the states after it."""
        if not self.streaming:
            return super().step(x, state)
        batch, channels, _ = x.shape
        valid = torch.ones(batch, channels, 1, dtype=torch.bool, device=x.device)
        y, new_states = rearrange(x, "b c d -> (b c) 1 d"), []
        for index, (block, old_state) in enumerate(zip(self.blocks, state, strict=True)):
            y, new_state = block.step(y, old_state)
            y = self.mixing(y, valid, after=index)
            new_states.append(new_state)
        return rearrange(self.norm(y), "(b c) 1 d -> b c d", b=batch), new_states

    def notes(self) -> str:
        """Return which scan is used on this machine and the reason."""
        return find_kernel()[1]


class Block(nn.Module):
    """A scan, or one in each direction, then a feed-forward layer; each with a residual connection and a norm."""

    def __init__(self, config: Mamba.Config, *, width: int):
        super().__init__()
        self.pre_norm = config.pre_norm
        self.forwards = self._ssm(config, width=width)
        self.backwards = self._ssm(config, width=width) if config.bidirectional else None
        self.norm = make_norm(config.norm, width)
        self.feed, self.norm_feed = None, None
        if config.hidden:
            self.feed = FeedForward(width, hidden=config.hidden, gated=False, dropout=config.dropout)
            self.norm_feed = make_norm(config.norm, width)
        self.dropout = Dropout(config.dropout)

    @staticmethod
    def _ssm(config: Mamba.Config, *, width: int) -> SSM:
        return SSM(
            width,
            expand=config.expand,
            head=config.head,
            state=config.state,
            groups=config.groups,
            conv=config.conv,
            chunk=config.chunk,
            dt_range=(config.dt_min, config.dt_max),
        )

    def forward(self, x: Float[Tensor, "N P D"], valid: Bool[Tensor, "N P"] | None) -> Float[Tensor, "N P D"]:
        """Return the outputs; `valid` None means that all tokens are."""
        y = self.norm(x) if self.pre_norm else x
        mixed = self.forwards(y, valid)
        if self.backwards is not None:
            mixed = mixed + self.backwards(y.flip(1), None if valid is None else valid.flip(1)).flip(1)
        return self._add(x, mixed)

    def step(self, x: Float[Tensor, "N 1 D"], state: SSMState) -> tuple[Float[Tensor, "N 1 D"], SSMState]:
        """Return the output of the next token and the state after it."""
        y = self.norm(x) if self.pre_norm else x
        mixed, state = self.forwards.step(y[:, 0], state)
        return self._add(x, mixed[:, None]), state

    def _add(self, x: Float[Tensor, "N P D"], mixed: Float[Tensor, "N P D"]) -> Float[Tensor, "N P D"]:
        x = x + self.dropout(mixed)
        if not self.pre_norm:
            x = self.norm(x)
        if self.feed is None or self.norm_feed is None:
            return x
        y = self.dropout(self.feed(self.norm_feed(x) if self.pre_norm else x))
        return x + y if self.pre_norm else self.norm_feed(x + y)
