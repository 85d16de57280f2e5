"""The one model: Problem in, Answer out.

B batch, C channels, T steps, P patches, D width, Q quantile levels.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from tsfm.messages import did_you_mean
from tsfm.model.fill import FILLS, between, neighbours
from tsfm.model.patching import EMBEDS, Patching, num_patches, raw_width
from tsfm.model.scalers import State
from tsfm.model.season_search import Copies, num_facts, num_steps, seasonal
from tsfm.model.seasonal_skip import SeasonalSkip
from tsfm.registry import BACKBONES, HEADS, SCALERS, schema
from tsfm.types import Answer, Grid, Problem

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


@schema("model", "model")
@dataclass
class ModelConfig:
    """The shape of a model. Which scaler, backbone and head fill it is told beside it."""

    context: int = 512  # visible steps before the horizon; the window where there is none
    horizon: int = 96  # steps answered in one pass; 0 for tasks that have none
    channels: int | None = None  # None: any number
    width: int = 128  # features of a token; imposed by the embeddings `values` and `values_visible`
    patch: int = 16  # steps
    stride: int = 16  # steps from one patch to the next
    pad_end: bool = False  # one more patch that repeats the last step
    embed: str = "linear"  # linear | residual | conv | values | values_visible
    fill: str = "zero"  # hidden steps are shown as: zero | line, and then the head tells the distance from the line
    seasonal_lags: int = 0  # cycles found in what is visible, of which every token is shown copies: 0, 1 or 2

    def __post_init__(self):
        for name in ("context", "horizon", "width", "patch", "stride"):
            if getattr(self, name) < (least := int(name != "horizon")):
                raise ValueError(f"model.{name} is {getattr(self, name)}; it must be at least {least}")
        if self.stride > self.patch:
            raise ValueError(
                f"model.stride {self.stride} skips steps between patches of {self.patch}; use at most that"
            )
        if self.patch > self.context + self.horizon:
            raise ValueError(
                f"model.patch {self.patch} is longer than the window, context + horizon = "
                f"{self.context + self.horizon}; use at most that"
            )
        if self.embed not in EMBEDS:
            raise ValueError(f"model.embed is {self.embed!r}; {did_you_mean(self.embed, list(EMBEDS))}")
        if self.fill not in FILLS:
            raise ValueError(f"model.fill is {self.fill!r}; {did_you_mean(self.fill, list(FILLS))}")
        if self.seasonal_lags not in (0, 1, 2):
            raise ValueError(
                f"model.seasonal_lags is {self.seasonal_lags}; a model is shown copies of 0, 1 or 2 cycles"
            )
        if self.seasonal_lags and (self.embed != "residual" or self.fill != "linear"):
            raise ValueError(
                f"model.seasonal_lags={self.seasonal_lags} needs model.embed=residual and model.fill=linear; found "
                f"{self.embed} and {self.fill}"
            )
        self.width = raw_width(self.embed, self.patch) or self.width


class Embedded(NamedTuple):
    """Tokens, which of them are valid, the state of the scaler, what hidden steps are filled with and the seasonal
    copies, both scaled."""

    tokens: Float[Tensor, "B C P D"]
    valid: Bool[Tensor, "B C P"]
    state: State
    line: Float[Tensor, "B C T"] | None
    copies: Copies | None


class Model(nn.Module):
    """Scale by what is visible, cut into patches, mix, read, undo the scaling."""

    def __init__(self, config: ModelConfig, *, scaler: Any, backbone: Any, head: Any):
        super().__init__()
        self.config, self.parts = config, {"scaler": scaler, "backbone": backbone, "head": head}
        reads_window = HEADS.entry(head.name).component.reads_window
        if reads_window and (config.stride != config.patch or config.pad_end):
            raise ValueError(
                f"head {head.name} reads each step from one token; set model.stride={config.patch} "
                f"and model.pad_end=false (found {config.stride}, {config.pad_end})"
            )
        tokenised = config.context + (config.horizon if reads_window else 0)
        if config.patch > tokenised:
            raise ValueError(f"model.patch {config.patch} is longer than model.context {tokenised}; use at most that")
        patches = num_patches(tokenised, patch=config.patch, stride=config.stride, pad_end=config.pad_end)
        grid = Grid(channels=config.channels, patches=patches, patch=config.patch, width=config.width)
        self.grid = grid
        self.scaler = SCALERS.build(scaler, grid=grid)
        self.patching = Patching(
            patch=config.patch,
            stride=config.stride,
            pad_end=config.pad_end,
            embed=config.embed,
            width=config.width,
            beside=num_steps(config.seasonal_lags) + 1 if config.seasonal_lags else 0,
            facts=num_facts(config.seasonal_lags) if config.seasonal_lags else 0,
        )
        self.backbone = BACKBONES.build(backbone, grid=grid)
        self.head = HEADS.build(head, grid=grid, horizon=config.horizon)
        self.skip = None
        if config.seasonal_lags and self.head.predicts == "steps":
            if not reads_window:
                raise ValueError(
                    "model.seasonal_lags needs a head that reads the whole window; use head=patch_quantiles, not "
                    f"{head.name}"
                )
            self.skip = SeasonalSkip(width=config.width, patch=config.patch, lags=config.seasonal_lags)

    @property
    def fixed_length(self) -> bool:
        """Whether a window must have exactly context + horizon steps."""
        return self.backbone.fixed_length or not self.head.reads_window

    @property
    def mixes_channels(self) -> bool:
        """Whether what one channel shows can change the answer for another."""
        return self.backbone.mixes_channels or self.head.mixes_channels

    @property
    def quantile_levels(self) -> tuple[float, ...]:
        return self.head.quantile_levels

    def forward(self, problem: Problem, *, last: int | None = None) -> Answer:
        """The answer to a problem. With `last` the read holds those newest steps alone, [B, C, last, Q], and tokens
        that tell of earlier ones are not read: the same numbers for less work, in inference."""
        if last is not None and not 1 <= last <= problem.values.shape[-1]:
            raise ValueError(f"last is {last}; ask for 1 to {problem.values.shape[-1]} steps of this window")
        tokens, valid, state, line, copies = self._embed(problem)
        if last is not None and self.head.reads_window and self.head.predicts == "steps":
            newest = -(-last // self.config.patch)
            hidden, valid = self.backbone.tail(tokens, valid, last=newest), valid[..., -newest:]
        else:
            hidden = self.backbone(tokens, valid)
        read = self.head(hidden, valid).float()  # undoing the scale in bf16 would lose the digits
        if self.head.predicts == "steps":
            steps = problem.values.shape[-1] if last is None else last
            read = read[..., -steps:, :]
            if self.skip is not None and line is not None and copies is not None:
                read = self.skip(read, hidden, line=line, copies=copies)
            elif line is not None:
                # beyond the tokens of a head that reads the context alone, the last value goes on
                whole = self.head.reads_window
                base = line[..., -steps:] if whole else line[..., -1:].expand(*line.shape[:-1], read.shape[-2])
                read = read + base[..., None]
            read = self.scaler.undo(read, state)
            read = F.pad(read, (0, 0, steps - read.shape[-2], 0), value=torch.nan)
        return Answer(
            hidden=hidden, prediction=read, loc=state.loc, scale=state.scale, quantile_levels=self.quantile_levels
        )

    def _embed(self, problem: Problem) -> Embedded:
        self._check(problem)
        tokenised = problem.values.shape[-1] - (0 if self.head.reads_window else self.config.horizon)
        given, visible = problem.visible_values()[..., :tokenised], problem.visible[..., :tokenised]
        state = self.scaler.fit(given, visible)
        if problem.unscaled is not None:
            state = state.kept(problem.unscaled)
        scaled = self.scaler.apply(given, state)
        at = neighbours(visible, dtype=scaled.dtype) if self.config.fill == "linear" else None
        line = between(scaled, visible, at=at) if at is not None else None
        if self.config.seasonal_lags and line is not None:
            copies = seasonal(scaled, visible, line=line, lags=self.config.seasonal_lags, at=at)
            beside = (copies.bases, copies.zoom)
            tokens, valid = self.patching(scaled, visible, filled=line, beside=beside, facts=copies.facts, at=at)
            return Embedded(tokens, valid, state, line, copies)
        tokens, valid = self.patching(scaled, visible, filled=line)
        return Embedded(tokens, valid, state, line, None)

    @property
    def num_layers(self) -> int:
        """Places at which `layers` can look: after the embedding, after each block, at the end."""
        return len(getattr(self.backbone, "blocks", ())) + 2

    def layers(self, problem: Problem) -> tuple[list[Float[Tensor, "B C P D"]], Bool[Tensor, "B C P"]]:
        """The tokens after the embedding, after each block and at the end of the backbone, and which are valid."""
        tokens, valid = self._embed(problem)[:2]
        batch, channels, patches, _ = tokens.shape
        found, hooks = [tokens], []

        def keep(_: nn.Module, __: Any, out: Tensor) -> None:
            sizes = {"b": batch, "c": channels, "p": patches}
            found.append(rearrange(out, f"{self.backbone.layout} -> b c p d", **sizes))

        try:
            hooks += [block.register_forward_hook(keep) for block in getattr(self.backbone, "blocks", ())]
            found.append(self.backbone(tokens, valid))
        finally:
            for hook in hooks:
                hook.remove()
        return found, valid

    def _check(self, problem: Problem) -> None:
        windows, channels, steps = problem.values.shape
        if not windows or not channels:
            raise ValueError(f"found a batch of {windows} windows and {channels} channels; give at least one of each")
        wanted = self.config.context + self.config.horizon
        if self.fixed_length and steps != wanted:
            raise ValueError(
                f"this model takes windows of exactly {wanted} steps (context {self.config.context} + horizon "
                f"{self.config.horizon}); found {steps}; pad shorter series on the left with unobserved steps"
            )
        if self.config.channels is not None and channels != self.config.channels:
            raise ValueError(
                f"this model was built for {self.config.channels} channels; found {channels}: choose as many "
                "by data.channels or target"
            )

    def spec(self) -> dict[str, Any]:
        """The resolved config as plain values, enough to build the same network again."""
        return asdict(self.config) | {name: asdict(part) for name, part in self.parts.items()}

    @classmethod
    def from_spec(cls, spec: dict[str, Any]) -> Model:
        """The inverse of `spec`; unknown names and keys are errors that list the known ones."""
        shape = {key: value for key, value in spec.items() if key not in ("scaler", "backbone", "head")}
        known = list(ModelConfig.__dataclass_fields__)
        for key in shape:
            if key not in known:
                raise ValueError(f"model.{key} is not a setting of this version of tsfm; {did_you_mean(key, known)}")
        missing = [name for name in ("scaler", "backbone", "head") if name not in spec]
        if missing:
            raise ValueError(f"the model config has no {', '.join(missing)}; found {sorted(spec)}")
        return cls(
            ModelConfig(**shape),
            scaler=SCALERS.config(spec["scaler"]),
            backbone=BACKBONES.config(spec["backbone"]),
            head=HEADS.config(spec["head"]),
        )

    def example(self, *, batch: int = 1, channels: int | None = None) -> Problem:
        """A random forecasting problem of this model's shape, for counting FLOPs and tests."""
        shape = (batch, channels or self.config.channels or 1, self.config.context + self.config.horizon)
        values = torch.randn(shape)
        visible = torch.ones(shape, dtype=torch.bool)
        visible[..., self.config.context :] = False
        return Problem(values=values, visible=visible, wanted=~visible)

    def num_parameters(self) -> int:
        return sum(p.numel() for p in self.parameters())


def flops_per_window(model: Model, *, channels: int) -> int:
    """Multiply-adds times two of one forward pass over one window, as counted by torch."""
    from torch.utils.flop_counter import FlopCounterMode

    training = model.training
    model.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(model.example(channels=channels))
    model.train(training)
    return int(counter.get_total_flops())
