"""The values that travel from data to loss: Batch -> Problem -> Answer, and the Grid a network is built on.

Legend of letters:
B batch, C channels, T steps in the window (context and horizon together), H horizon, S steps in a patch, P patches,
D width, N rows (batch and channels together), K head width or seasons, Q quantile levels, R chosen patches,
M classes or numbers, J SSM state. Files explain other letters where they use them.

Every mask is named by what True means. Time is the last axis of `values`, oldest step first.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int, Int8, Shaped

TARGET, KNOWN, PAST, TIME_FEATURE = range(4)  # the role of a channel, see Batch
NO_TIMESTAMP = -(2**62)  # of a step whose time is unknown, or that is before the first step of a series
MIN_RELATIVE_SCALE, MIN_SCALE = 1e-5, 1e-8  # smallest scale of a window: relative to |loc|, and absolute

Bundle = TypeVar("Bundle", bound="_TensorBundle")


class _TensorBundle:
    """A frozen dataclass of tensors that can move to a device; Lightning does not move frozen dataclasses."""

    def to(self: Bundle, *args: Any, **kwargs: Any) -> Bundle:
        """Return a copy with every tensor moved or converted by `torch.Tensor.to`."""
        moved = {
            field.name: value.to(*args, **kwargs)
            for field in fields(self)  # type: ignore[arg-type]
            if isinstance(value := getattr(self, field.name), Tensor)
        }
        return replace(self, **moved)  # type: ignore[type-var]


def _check_shape(name: str, tensor: Tensor, *, like: Tensor) -> None:
    if tensor.shape != like.shape:
        raise ValueError(f"{name} has shape {tuple(tensor.shape)}; expected that of values, {tuple(like.shape)}")


def _check_mask(name: str, tensor: Tensor) -> None:
    if tensor.dtype != torch.bool:
        raise ValueError(f"{name} has dtype {tensor.dtype}; expected torch.bool")


def _check_roles(role: Tensor, *, like: Tensor) -> None:
    if role.shape != like.shape[:2] or role.dtype != torch.int8:
        raise ValueError(
            f"role has shape {tuple(role.shape)} and dtype {role.dtype}; expected one torch.int8 for each window and "
            f"channel, {tuple(like.shape[:2])}"
        )
    if role.device.type == "cpu" and role.numel():  # reading the values on an accelerator would wait for it
        low, high = torch.aminmax(role)
        if low < TARGET or high > TIME_FEATURE:
            raise ValueError(
                f"role holds {int(low)} to {int(high)}; expected TARGET {TARGET} to TIME_FEATURE {TIME_FEATURE}"
            )


def _check_seasons(seasons: Tensor | None, *, like: Tensor) -> None:
    if seasons is not None and (seasons.ndim != 2 or len(seasons) != len(like) or seasons.dtype != torch.long):
        raise ValueError(
            f"seasons has shape {tuple(seasons.shape)} and dtype {seasons.dtype}; expected [batch, seasons] of "
            f"torch.long for {len(like)} windows"
        )


def _check_timestamps(timestamps: Tensor | None, *, like: Tensor) -> None:
    if timestamps is None:
        return
    expected = (like.shape[0], like.shape[-1])
    if timestamps.shape != expected or timestamps.dtype != torch.long:
        raise ValueError(
            f"timestamps has shape {tuple(timestamps.shape)} and dtype {timestamps.dtype}; expected [batch, time], "
            f"{expected}, of torch.long"
        )


@dataclass(frozen=True)
class Batch(_TensorBundle):
    """Windows of series as they are in the data; checked at construction.

    Parameters
    ----------
    values
        `[batch, channels, time]`, floating point; 0 where missing.
    observed
        `[batch, channels, time]`, True where a value exists.
    label
        `[batch]`, a class index or a number for the whole window; `[batch, classes]` where labels are mixed.
    key
        `[batch, 2]`, index of the series in its store and first step of the window.
    role
        `[batch, channels]`, int8: TARGET (to be predicted), KNOWN (covariate known through the horizon), PAST
        (covariate known up to the forecast origin) or TIME_FEATURE (known covariate that no scaler changes, such as
        the hour of the day). None: all channels are targets. Tasks turn roles into masks; a network receives only the
        masks.
    seasons
        `[batch, seasons]`, season lengths in steps that are known from the frequency, ascending; 0 where there is none.
        None: unknown.
    timestamps
        `[batch, time]`, the time of each step in seconds since 1970, without time zone; `NO_TIMESTAMP` where unknown.
        None: all unknown.

    Raises
    ------
    ValueError
        If a shape, dtype or role is not as described.
    """

    values: Float[Tensor, "B C T"]
    observed: Bool[Tensor, "B C T"]
    label: Tensor | None = None
    key: Int[Tensor, "B 2"] | None = None
    role: Int8[Tensor, "B C"] | None = None
    seasons: Int[Tensor, "B K"] | None = None
    timestamps: Int[Tensor, "B T"] | None = None

    def __post_init__(self) -> None:
        if self.values.ndim != 3:
            raise ValueError(f"values has shape {tuple(self.values.shape)}; expected [batch, channels, time]")
        if not self.values.is_floating_point():
            raise ValueError(f"values has dtype {self.values.dtype}; expected a floating-point type")
        _check_shape("observed", self.observed, like=self.values)
        _check_mask("observed", self.observed)
        if self.role is not None:
            _check_roles(self.role, like=self.values)
        _check_seasons(self.seasons, like=self.values)
        _check_timestamps(self.timestamps, like=self.values)


@dataclass(frozen=True)
class Problem(_TensorBundle):
    """A batch with some values hidden; what a model is asked to predict.

    Parameters
    ----------
    values
        `[batch, channels, time]`, hidden values included; a network reads `visible_values()` only.
    visible
        `[batch, channels, time]`, True where the model may read the value.
    wanted
        `[batch, channels, time]`, True where the loss is computed.
    label
        As in `Batch`.
    unscaled
        `[batch, channels]`, True for channels that no scaler changes. None: all channels are scaled.
    seasons, timestamps
        As in `Batch`.
    """

    values: Float[Tensor, "B C T"]
    visible: Bool[Tensor, "B C T"]
    wanted: Bool[Tensor, "B C T"]
    label: Tensor | None = None
    unscaled: Bool[Tensor, "B C"] | None = None
    seasons: Int[Tensor, "B K"] | None = None
    timestamps: Int[Tensor, "B T"] | None = None

    def __post_init__(self) -> None:
        for name, mask in (("visible", self.visible), ("wanted", self.wanted)):
            _check_shape(name, mask, like=self.values)
            _check_mask(name, mask)
        _check_seasons(self.seasons, like=self.values)
        _check_timestamps(self.timestamps, like=self.values)
        if self.unscaled is not None:
            _check_mask("unscaled", self.unscaled)
            if self.unscaled.shape != self.values.shape[:2]:
                raise ValueError(
                    f"unscaled has shape {tuple(self.unscaled.shape)}; expected {tuple(self.values.shape[:2])}"
                )

    def patches(self, patches: Patches) -> Problem:
        """Return some patches as windows of one channel in which nothing is visible, for the loss."""
        wanted = patches.cut(self.wanted)
        return Problem(values=patches.cut(self.values), visible=torch.zeros_like(wanted), wanted=wanted)

    def predicted_by(self, answer: Answer) -> Problem:
        """Return the part of the problem that an answer predicts, in the shape of its prediction."""
        return self if answer.patches is None else self.patches(answer.patches)

    def visible_values(self) -> Float[Tensor, "B C T"]:
        """Return the visible values, and 0 elsewhere; the only access of a network, so no hidden value can leak."""
        return torch.where(self.visible, self.values, 0.0)


@dataclass(frozen=True)
class Patches(_TensorBundle):
    """Some patches of windows that are cut into patches from their end.

    Parameters
    ----------
    batch, channel, position, steps
        Of each patch its window, channel, and place among the patches of the channel; the steps of a patch.
    """

    batch: Int[Tensor, " R"]
    channel: Int[Tensor, " R"]
    position: Int[Tensor, " R"]
    steps: int

    @classmethod
    def where(cls, chosen: Bool[Tensor, "B C P"], *, steps: int) -> Patches:
        """Return the patches where `chosen` is True, of `steps` steps each."""
        return cls(*chosen.nonzero(as_tuple=True), steps=steps)

    def cut(self, x: Shaped[Tensor, "B C T ..."]) -> Shaped[Tensor, "R 1 S ..."]:
        """Return the values of their steps; those before the window are 0."""
        before = -x.shape[2] % self.steps
        x = torch.cat([x.new_zeros(*x.shape[:2], before, *x.shape[3:]), x], dim=2) if before else x
        patches = x.reshape(*x.shape[:2], -1, self.steps, *x.shape[3:])
        return patches[self.batch, self.channel, self.position][:, None]

    def of_channels(self, x: Shaped[Tensor, "B C ..."]) -> Shaped[Tensor, "R 1 ..."]:
        """Return what belongs to the channel of each patch."""
        return x[self.batch, self.channel][:, None]


@dataclass(frozen=True)
class Answer(_TensorBundle):
    """What a model predicted.

    Parameters
    ----------
    hidden
        `[batch, channels, patches, width]`, the output of the backbone.
    prediction
        `[batch, channels, time, quantile]` in the units of `Problem.values`, NaN at steps that the head does not
        predict; or `[batch, outputs]`, class logits or numbers of whole windows.
    loc, scale
        `[batch, channels, 1]`, the location and scale by which each window was scaled.
    quantile_levels
        One level for each quantile; a point forecast has the level 0.5.
    patches
        Those predicted, as windows of one channel: the batch of all fields. None: whole windows.
    """

    hidden: Float[Tensor, "B C P D"]
    prediction: Tensor
    loc: Float[Tensor, "B C 1"]
    scale: Float[Tensor, "B C 1"]
    quantile_levels: tuple[float, ...] = (0.5,)
    patches: Patches | None = None

    def varies(self) -> Bool[Tensor, "B C 1"]:
        """Return where the visible values vary; elsewhere the scale is its minimum, not a unit for errors."""
        return self.scale > 1.01 * (MIN_RELATIVE_SCALE * self.loc.abs()).clamp_min(MIN_SCALE)


@dataclass(frozen=True)
class Grid:
    """The shapes that a backbone and a head are built for.

    Parameters
    ----------
    channels, patches
        Number of channels and of patches in a window; None if any number is possible.
    patch, width
        Steps of a patch, features of a token.
    """

    channels: int | None
    patches: int | None
    patch: int
    width: int
