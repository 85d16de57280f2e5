"""The values that travel between the rooms: Batch -> Problem -> Answer, and the Grid a network is built on.

Legend of letters, the same in every file:
B batch, C channels, T steps in the window (context and horizon together), H horizon, S steps in a patch, P patches,
D width, N heads, K head width, Q quantile levels, M classes, J SSM state.

Every mask is named by what True means. Time runs along the last axis of `values`, oldest first.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int, Int8

TARGET, KNOWN, PAST, TIME_FEATURE = range(4)  # the role of a channel, see Batch.role
MIN_RELATIVE_SCALE, MIN_SCALE = 1e-5, 1e-8  # smallest scale of a window, relative to |loc| and absolute

Self = TypeVar("Self", bound="_Travels")


class _Travels:
    """A frozen bundle of tensors that can move to a device; Lightning does not move a frozen dataclass by itself."""

    def to(self: Self, *args: Any, **kwargs: Any) -> Self:
        moved = {
            field.name: value.to(*args, **kwargs)
            for field in fields(self)  # type: ignore[arg-type]
            if isinstance(value := getattr(self, field.name), Tensor)
        }
        return replace(self, **moved)  # type: ignore[type-var]


def _same_shape(name: str, tensor: Tensor, like: Tensor) -> None:
    if tensor.shape != like.shape:
        raise ValueError(f"{name} has shape {tuple(tensor.shape)}; expected that of values, {tuple(like.shape)}")


def _need_mask(name: str, tensor: Tensor) -> None:
    if tensor.dtype != torch.bool:
        raise ValueError(f"{name} has dtype {tensor.dtype}; expected torch.bool")


def _need_roles(role: Tensor, *, like: Tensor) -> None:
    if role.shape != like.shape[:2] or role.dtype != torch.int8:
        raise ValueError(
            f"role has shape {tuple(role.shape)} and dtype {role.dtype}; expected one torch.int8 for each window and "
            f"channel, {tuple(like.shape[:2])}"
        )
    if role.device.type == "cpu" and role.numel():  # on an accelerator looking would wait for it
        low, high = torch.aminmax(role)
        if low < TARGET or high > TIME_FEATURE:
            raise ValueError(
                f"role holds {int(low)} to {int(high)}; expected TARGET {TARGET} to TIME_FEATURE {TIME_FEATURE}"
            )


@dataclass(frozen=True)
class Batch(_Travels):
    """What the data is: windows of series. A step nobody observed has `observed` False and the value 0.

    `role` says what a channel is for: TARGET is asked for, KNOWN is a covariate known through the horizon, PAST one
    known only so far, TIME_FEATURE a known one in units of its own (the hour of the day, say), which no scaler touches.
    None: all are targets. Tasks turn it into what is visible and what is wanted; a network sees nothing else of it.
    """

    values: Float[Tensor, "B C T"]
    observed: Bool[Tensor, "B C T"]
    label: Tensor | None = None  # [B] class index or number for the whole window
    key: Int[Tensor, "B 2"] | None = None  # (series index in its store, first step of the window)
    role: Int8[Tensor, "B C"] | None = None  # TARGET, KNOWN, PAST or TIME_FEATURE

    def __post_init__(self) -> None:
        if self.values.ndim != 3:
            raise ValueError(f"values has shape {tuple(self.values.shape)}; expected [batch, channels, steps]")
        if not self.values.is_floating_point():
            raise ValueError(f"values has dtype {self.values.dtype}; expected a floating-point type")
        _same_shape("observed", self.observed, self.values)
        _need_mask("observed", self.observed)
        if self.role is not None:
            _need_roles(self.role, like=self.values)


@dataclass(frozen=True)
class Problem(_Travels):
    """A batch with some values hidden. What is wanted is hidden and was observed; what is visible is given."""

    values: Float[Tensor, "B C T"]
    visible: Bool[Tensor, "B C T"]
    wanted: Bool[Tensor, "B C T"]
    label: Tensor | None = None
    unscaled: Bool[Tensor, "B C"] | None = None  # channels in units of their own, which no scaler touches

    def __post_init__(self) -> None:
        _same_shape("visible", self.visible, self.values)
        _same_shape("wanted", self.wanted, self.values)
        _need_mask("visible", self.visible)
        _need_mask("wanted", self.wanted)
        if self.unscaled is not None:
            _need_mask("unscaled", self.unscaled)
            if self.unscaled.shape != self.values.shape[:2]:
                raise ValueError(
                    f"unscaled has shape {tuple(self.unscaled.shape)}; expected {tuple(self.values.shape[:2])}"
                )

    def visible_values(self) -> Float[Tensor, "B C T"]:
        """The visible values, 0 elsewhere: the only way to them, so nothing hidden reaches a network."""
        return torch.where(self.visible, self.values, 0.0)


@dataclass(frozen=True)
class Answer(_Travels):
    """What the model said. `prediction` is in the units of `values`; steps the head does not speak of are NaN."""

    hidden: Float[Tensor, "B C P D"]
    prediction: Tensor  # [B, C, T, Q] quantiles per step, or [B, M] per window
    loc: Float[Tensor, "B C 1"]
    scale: Float[Tensor, "B C 1"]
    quantile_levels: tuple[float, ...] = (0.5,)  # the quantile level of each of the Q reads; a point forecast is (0.5,)

    def varies(self) -> Bool[Tensor, "B C 1"]:
        """Whether what is visible varies; where it does not, the scale is its floor and no unit for errors."""
        return self.scale > 1.01 * (MIN_RELATIVE_SCALE * self.loc.abs()).clamp_min(MIN_SCALE)


@dataclass(frozen=True)
class Grid:
    """The shape contract given to a backbone and a head when they are built; None is a free length."""

    channels: int | None
    patches: int | None
    patch: int  # steps in a patch
    width: int
