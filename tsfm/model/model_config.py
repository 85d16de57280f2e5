"""The shape of a model, as set in `conf/model`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tsfm.messages import did_you_mean
from tsfm.model.fill import FILLS
from tsfm.model.patching import EMBEDS, raw_width
from tsfm.registry import schema

MAX_STEPS = 2**24  # of context and horizon, also in a config.json that was not written by tsfm


@schema("model", "model")
@dataclass
class ModelConfig:
    """Lengths, patches and inputs of a model; scaler, backbone and head have their own settings.

    Raises
    ------
    ValueError
        If a value is out of range, or two do not fit together; the message names the setting.
    """

    context: int = 512  # visible steps before the horizon; the whole window where there is no horizon
    horizon: int = 96  # steps predicted in one pass; 0 for tasks without a horizon
    channels: int | None = None  # None: any number
    width: int = 128  # features of a token; set by the embeddings `values` and `values_visible` themselves
    patch: int = 16  # steps
    stride: int = 16  # steps from one patch to the next
    pad_end: bool = False  # one more patch that repeats the last step
    embed: str = "linear"  # linear | residual | conv | values | values_visible
    fill: str = "zero"  # of hidden steps: zero | linear (interpolation; predictions are then relative to it)
    seasonal_lags: int = 0  # lag features of each token: those of 0, 1 or 2 lags, found in the visible values
    known_season: bool = False  # one lag more: the season of the frequency, where it is known and visible once
    time_features: bool = False  # hour, day of week, ... of each patch, where timestamps are known

    def __post_init__(self):
        for name in ("context", "horizon", "width", "patch", "stride"):
            if getattr(self, name) < (minimum := int(name != "horizon")):
                raise ValueError(f"model.{name} is {getattr(self, name)}; it must be at least {minimum}")
        if self.context + self.horizon > MAX_STEPS:
            raise ValueError(
                f"the window, model.context + model.horizon = {self.context + self.horizon:,} steps, is longer than "
                f"{MAX_STEPS:,}; use at most that"
            )
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
            raise ValueError(f"model.seasonal_lags is {self.seasonal_lags}; expected 0, 1 or 2")
        if self.known_season and not self.seasonal_lags:
            raise ValueError(
                "model.known_season=true needs lags found in the values; set model.seasonal_lags to 1 or 2"
            )
        if self.seasonal_lags and (self.embed != "residual" or self.fill != "linear"):
            raise ValueError(
                f"model.seasonal_lags={self.seasonal_lags} needs model.embed=residual and model.fill=linear; found "
                f"{self.embed} and {self.fill}"
            )
        self.width = raw_width(self.embed, self.patch) or self.width

    @property
    def num_lags(self) -> int:
        """The number of lags that have features: those found in the values, and the known season."""
        return self.seasonal_lags + self.known_season

    def check_windows(self, shape: Sequence[int], *, fixed_length: bool) -> None:
        """Raise a ValueError when a model cannot read windows of this shape, `[batch, channels, time]`.

        `fixed_length` is whether they must have exactly context + horizon steps.
        """
        num_windows, channels, num_steps = shape
        if not num_windows or not channels:
            raise ValueError(
                f"found a batch of {num_windows} windows and {channels} channels; give at least one of each"
            )
        window_length = self.context + self.horizon
        if fixed_length and num_steps != window_length:
            raise ValueError(
                f"this model takes windows of exactly {window_length} steps (context {self.context} + horizon "
                f"{self.horizon}); found {num_steps}; pad shorter series on the left with unobserved steps"
            )
        if self.channels is not None and channels != self.channels:
            raise ValueError(
                f"this model was built for {self.channels} channels; found {channels}: choose as many "
                "by data.channels or target"
            )


def check_window_head(setting: str, head: str, *, reads_window: bool) -> None:
    """Raise a ValueError unless the head that this setting of a model needs reads the whole window."""
    if not reads_window:
        raise ValueError(
            f"model.{setting} needs a head that reads the whole window; use head=patch_quantiles, not {head}"
        )
