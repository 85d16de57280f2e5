"""The one model: from a Problem to an Answer.

B batch, C channels, T steps, P patches, D width, Q quantile levels.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from tsfm.field_types import check_types
from tsfm.messages import did_you_mean
from tsfm.model.embedding import Embedded, embed
from tsfm.model.lag_features import num_channel_features, num_step_features
from tsfm.model.model_config import ModelConfig, check_window_head
from tsfm.model.packed import check_packed, predict_wanted
from tsfm.model.patching import Patching, num_patches
from tsfm.model.seasonal_skip import SeasonalSkip
from tsfm.model.time_features import TimeFeatureEmbedding
from tsfm.registry import BACKBONES, HEADS, SCALERS
from tsfm.types import Answer, Grid, Problem

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


class Model(nn.Module):
    """Scale, cut into patches, embed, apply backbone and head, undo the scaling.

    Parameters
    ----------
    config
        Lengths, patches and inputs.
    scaler, backbone, head
        Typed configs of registered components.

    Attributes
    ----------
    parts
        The configs of scaler, backbone and head by these names.
    grid
        The shapes that they are built for.

    Raises
    ------
    ValueError
        If two settings do not fit together.
    """

    def __init__(self, config: ModelConfig, *, scaler: Any, backbone: Any, head: Any):
        super().__init__()
        self.config, self.parts = config, {"scaler": scaler, "backbone": backbone, "head": head}
        reads_window = HEADS.entry(head.name).component.reads_window
        if reads_window and (config.stride != config.patch or config.pad_end):
            raise ValueError(
                f"head {head.name} predicts each step from one token; set model.stride={config.patch} "
                f"and model.pad_end=false (found {config.stride}, {config.pad_end})"
            )
        length = config.context + (config.horizon if reads_window else 0)  # of the part that becomes tokens
        if config.patch > length:
            raise ValueError(f"model.patch {config.patch} is longer than model.context {length}; use at most that")
        patches = num_patches(length, patch=config.patch, stride=config.stride, pad_end=config.pad_end)
        grid = Grid(channels=config.channels, patches=patches, patch=config.patch, width=config.width)
        self.grid = grid
        self.scaler = SCALERS.build(scaler, grid=grid)
        num_lags = config.num_lags
        self.patching = Patching(
            patch=config.patch,
            stride=config.stride,
            pad_end=config.pad_end,
            embed=config.embed,
            width=config.width,
            step_features=num_step_features(num_lags) + 1 if num_lags else 0,
            channel_features=num_channel_features(num_lags) if num_lags else 0,
        )
        self.backbone = BACKBONES.build(backbone, grid=grid)
        self.head = HEADS.build(head, grid=grid, horizon=config.horizon)
        self.time_features = None
        if config.time_features:
            check_window_head("time_features", head.name, reads_window=reads_window)
            self.time_features = TimeFeatureEmbedding(patch=config.patch, width=config.width)
        self.skip = None
        if num_lags and self.head.predicts == "steps":
            check_window_head("seasonal_lags", head.name, reads_window=reads_window)
            self.skip = SeasonalSkip(width=config.width, patch=config.patch, num_lags=num_lags)

    @property
    def fixed_length(self) -> bool:
        """Whether a window must have exactly context + horizon steps."""
        return self.backbone.fixed_length or not self.head.reads_window

    @property
    def mixes_channels(self) -> bool:
        """Whether the prediction for a channel depends on other channels."""
        return self.backbone.mixes_channels or self.head.mixes_channels

    @property
    def quantile_levels(self) -> tuple[float, ...]:
        """The levels of the predicted quantiles; empty for a head of whole windows."""
        return self.head.quantile_levels

    @property
    def num_layers(self) -> int:
        """The number of tensors that `layers` returns."""
        return len(getattr(self.backbone, "blocks", ())) + 2

    def forward(self, problem: Problem, *, last: int | None = None, packed: bool = False) -> Answer:
        """Return the answer to a problem.

        Parameters
        ----------
        problem
            Windows; only their visible values have an effect.
        last
            Number of steps to predict at the end of the window, `[batch, channels, last, quantile]`; None for all. The
            numbers are the same, and tokens of earlier steps are not computed where possible.
        packed
            Whether to predict only the patches with wanted steps, for the loss; `Answer.patches` says which. Padding
            and other patches are not computed where possible, which changes a training step by rounding errors alone.

        Raises
        ------
        ValueError
            If the windows do not fit the model, or `last` does not fit the windows; if the model does not support
            `packed`.
        """
        if packed:
            return self._predict_wanted(problem)
        if last is not None and not 1 <= last <= problem.values.shape[-1]:
            raise ValueError(f"last is {last}; expected 1 to {problem.values.shape[-1]} steps of this window")
        tokens, valid, state, interpolated, lag_features = self._embed(problem)
        if last is not None and self.head.reads_window and self.head.predicts == "steps":
            num_tokens = -(-last // self.config.patch)
            hidden, valid = self.backbone.tail(tokens, valid, last=num_tokens), valid[..., -num_tokens:]
        else:
            hidden = self.backbone(tokens, valid)
        prediction = self.head(hidden, valid).float()  # undoing the scale in bf16 would lose the digits
        if self.head.predicts == "steps":
            num_steps = problem.values.shape[-1] if last is None else last
            prediction = prediction[..., -num_steps:, :]
            if self.skip is not None and interpolated is not None and lag_features is not None:
                prediction = self.skip(prediction, hidden, interpolated=interpolated, lag_features=lag_features)
            elif interpolated is not None:
                prediction = prediction + self._base(interpolated, num_steps=num_steps, like=prediction)[..., None]
            prediction = self.scaler.undo(prediction, state)
            prediction = F.pad(prediction, (0, 0, num_steps - prediction.shape[-2], 0), value=torch.nan)
        return Answer(
            hidden=hidden,
            prediction=prediction,
            loc=state.loc,
            scale=state.scale,
            quantile_levels=self.quantile_levels,
        )

    def _predict_wanted(self, problem: Problem) -> Answer:
        self.check_packed()
        return predict_wanted(
            problem, embed=self._embed, scaler=self.scaler, patching=self.patching, backbone=self.backbone,
            head=self.head, skip=self.skip,
        )  # fmt: skip

    def check_packed(self) -> None:
        """Raise a ValueError unless the model can predict only the patches with wanted steps, see `forward`."""
        check_packed(scaler=self.scaler, backbone=self.backbone, head=self.head)

    def _time_tokens(self, problem: Problem) -> Float[Tensor, "B 1 P D"] | None:
        """Return what time features add to the tokens; None for a model without them, or without timestamps."""
        if self.time_features is None or problem.timestamps is None:
            return None
        return self.time_features(problem.timestamps)

    def _base(self, interpolated: Float[Tensor, "B C T"], *, num_steps: int, like: Tensor) -> Tensor:
        """Return the values that predictions are relative to; after the context, the last interpolated one."""
        if self.head.reads_window:
            return interpolated[..., -num_steps:]
        return interpolated[..., -1:].expand(*interpolated.shape[:-1], like.shape[-2])

    def _embed(self, problem: Problem, *, kept: Bool[Tensor, "B C P"] | None = None) -> Embedded:
        embedded, time_tokens = self._embed_values(problem, kept=kept), self._time_tokens(problem)
        if time_tokens is None:
            return embedded
        if kept is not None:
            time_tokens = time_tokens.expand(*kept.shape, -1)[kept]
        return embedded._replace(tokens=embedded.tokens + time_tokens)

    def _embed_values(self, problem: Problem, *, kept: Bool[Tensor, "B C P"] | None = None) -> Embedded:
        self.config.check_windows(problem.values.shape, fixed_length=self.fixed_length)
        return embed(
            problem,
            scaler=self.scaler,
            patching=self.patching,
            length=problem.values.shape[-1] - (0 if self.head.reads_window else self.config.horizon),
            fills=self.config.fill == "linear",
            num_lags=self.config.seasonal_lags,
            seasons=self._seasons(problem),
            kept=kept,
        )

    def _seasons(self, problem: Problem) -> Tensor | None:
        """Return the known season lengths of each window, 0 where unknown; None for a model that reads none."""
        if not self.config.known_season:
            return None
        if problem.seasons is not None:
            return problem.seasons
        return torch.zeros(len(problem.values), 1, dtype=torch.long, device=problem.values.device)

    def layers(self, problem: Problem) -> tuple[list[Float[Tensor, "B C P D"]], Bool[Tensor, "B C P"]]:
        """Return the tokens after the embedding, after each block and after the backbone; and which are valid."""
        tokens, valid = self._embed(problem)[:2]
        batch, channels, patches, _ = tokens.shape
        layers, hooks = [tokens], []

        def keep(_: nn.Module, __: Any, output: Tensor) -> None:
            sizes = {"b": batch, "c": channels, "p": patches}
            layers.append(rearrange(output, f"{self.backbone.layout} -> b c p d", **sizes))

        try:
            hooks += [block.register_forward_hook(keep) for block in getattr(self.backbone, "blocks", ())]
            layers.append(self.backbone(tokens, valid))
        finally:
            for hook in hooks:
                hook.remove()
        return layers, valid

    def spec(self) -> dict[str, Any]:
        """Return the resolved config as plain values, from which `from_spec` builds the same network."""
        return asdict(self.config) | {name: asdict(config) for name, config in self.parts.items()}

    @classmethod
    def from_spec(cls, spec: dict[str, Any]) -> Model:
        """Return a model with random weights from what `spec` returned.

        Raises
        ------
        ValueError
            If a name or key is unknown, one is missing (the message lists the known ones), or a value has another type.
        """
        settings = {key: value for key, value in spec.items() if key not in ("scaler", "backbone", "head")}
        known = list(ModelConfig.__dataclass_fields__)
        for key in settings:
            if key not in known:
                raise ValueError(f"model.{key} is not a setting of this version of tsfm; {did_you_mean(key, known)}")
        check_types(settings, ModelConfig, prefix="model")
        missing = [name for name in ("scaler", "backbone", "head") if name not in spec]
        if missing:
            raise ValueError(f"the model config has no {', '.join(missing)}; found {sorted(spec)}")
        return cls(
            ModelConfig(**settings),
            scaler=SCALERS.config(spec["scaler"]),
            backbone=BACKBONES.config(spec["backbone"]),
            head=HEADS.config(spec["head"]),
        )

    def example(self, *, batch: int = 1, channels: int | None = None) -> Problem:
        """Return a random forecasting problem that fits the model, for counting FLOPs and for tests."""
        shape = (batch, channels or self.config.channels or 1, self.config.context + self.config.horizon)
        values = torch.randn(shape)
        visible = torch.ones(shape, dtype=torch.bool)
        visible[..., self.config.context :] = False
        return Problem(values=values, visible=visible, wanted=~visible)

    def num_parameters(self) -> int:
        """Return the number of parameters, frozen ones included."""
        return sum(parameter.numel() for parameter in self.parameters())
