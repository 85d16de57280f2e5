"""Forecasts of a series that grows, by a model whose backbone keeps a state of constant size.

The window of a forecast is cut into patches from its end, so that the patches of forecasts at successive steps are not
the same. Here a state is kept for each of the S positions at which a patch can end: a row completes a patch of exactly
one of them, and costs one step of the backbone. B batch, C channels, L steps, S patch, H horizon, Q quantile levels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tsfm.model.fill import find_neighbours, interpolate

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from tsfm.model.model import Model


class ModelStream:
    """The state of a model after the rows of B series so far; a row changes it, a forecast does not.

    The scale is that of the history at the beginning and stays. With this scale the forecast after any row equals that
    of the model for the window of all rows so far and as many whole patches to forecast as are needed, up to rounding;
    right after the history it is the model's own forecast of it.

    Parameters
    ----------
    model
        One that streams, see `check_streaming`.
    history
        The first rows, with an observed value in each channel of the first one; NaN is missing.

    Raises
    ------
    ValueError
        If the model cannot stream, or the history cannot be used.
    """

    def __init__(self, model: Model, history: Float[Tensor, "B C L"]):
        check_streaming(model)
        model.config.check_windows(history.shape, fixed_length=False)
        if not history.shape[-1] or not bool(torch.isfinite(history[..., 0]).all()):
            raise ValueError("the history begins with a missing value, or is empty; begin with an observed row")
        self.model, self.patch = model, model.config.patch
        batch, channels, _ = history.shape
        with torch.inference_mode():
            visible = torch.isfinite(history)
            self.scale = model.scaler.fit(torch.where(visible, history, 0.0), visible)
            self.states: list[Any] = [model.backbone.start(batch=batch, channels=channels) for _ in range(self.patch)]
        self.values = history.new_zeros(batch, channels, self.patch)  # the last S steps, scaled
        self.visible = torch.zeros_like(self.values, dtype=torch.bool)
        self.num_rows = 0
        for step in range(history.shape[-1]):
            self.observe(history[..., step])

    @torch.inference_mode()
    def observe(self, row: Float[Tensor, "B C"]) -> None:
        """Take the next row; NaN is missing.

        Raises
        ------
        ValueError
            For a missing value, where the model interpolates: what lies between is known only later.
        """
        visible = torch.isfinite(row)[..., None]
        if self.model.config.fill == "linear" and not bool(visible.all()):
            raise ValueError(
                f"row {self.num_rows + 1} has a missing value, and this model interpolates between those around it "
                "(model.fill=linear); fill it first, or use a model with fill=zero"
            )
        scaled = self.model.scaler.apply(torch.where(visible, row[..., None], 0.0), self.scale)
        self.values = torch.cat([self.values[..., 1:], torch.where(visible, scaled, 0.0)], dim=-1)
        self.visible = torch.cat([self.visible[..., 1:], visible], dim=-1)
        self.num_rows += 1
        position = self.num_rows % self.patch
        _, self.states[position] = self.model.backbone.step(
            self._token(self.values, self.visible), self.states[position]
        )

    @torch.inference_mode()
    def predict(self, horizon: int) -> Float[Tensor, "B C H Q"]:
        """Return quantiles of the next steps, in the units of the rows."""
        state, hidden = self.states[self.num_rows % self.patch], torch.zeros_like(self.visible)
        fills = self.model.config.fill == "linear"
        future = self.values[..., -1:].expand_as(self.values) if fills else torch.zeros_like(self.values)
        token, tokens = self._token(future, hidden, filled=future if fills else None), []
        for _ in range(-(-horizon // self.patch)):
            output, state = self.model.backbone.step(token, state)
            tokens.append(output)
        outputs = torch.stack(tokens, dim=2)
        prediction = self.model.head(outputs, torch.ones_like(outputs[..., 0], dtype=torch.bool)).float()
        if fills:
            prediction = prediction + self.values[..., -1:, None]
        return self.model.scaler.undo(prediction, self.scale)[..., :horizon, :]

    def _token(
        self, values: Float[Tensor, "B C S"], visible: Bool[Tensor, "B C S"], *, filled: Tensor | None = None
    ) -> Float[Tensor, "B C D"]:
        """Return the token of one patch."""
        if filled is None and self.model.config.fill == "linear":
            filled = interpolate(values, visible, neighbours=find_neighbours(visible, dtype=values.dtype))
        return self.model.patching(values, visible, filled=filled)[0][:, :, 0]


def check_streaming(model: Model) -> None:
    """Raise a ValueError, with all reasons, unless a model can forecast with a state of constant size."""
    config, reasons = model.config, []
    if not model.backbone.streaming:
        name = model.parts["backbone"].name
        reasons.append(
            f"backbone {name} keeps no state of constant size; use backbone=mamba backbone.bidirectional=false, or "
            "a causal dilated_conv"
        )
    if not model.head.reads_window or model.head.predicts != "steps":
        reasons.append(f"head {model.parts['head'].name} needs all tokens at once; use head=patch_quantiles")
    if config.num_lags:
        reasons.append("its lag features need the whole past; use model.seasonal_lags=0")
    if config.embed == "conv":
        reasons.append("embed=conv reads across patches; use model.embed=residual")
    if config.time_features:
        reasons.append("it reads timestamps; use model.time_features=false")
    if config.stride != config.patch or config.pad_end:
        reasons.append("its patches overlap; use model.stride=model.patch model.pad_end=false")
    if reasons:
        raise ValueError(f"this model cannot stream: {'; '.join(reasons)} (in training)")
