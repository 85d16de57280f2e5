"""Settings of how a loaded model forecasts: precision, strided forecasts, mirrored series, short histories, ..."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from tsfm.infer.arguments import check_choice, check_count

PRECISIONS = ("32", "bf16")


@dataclass(frozen=True)
class InferenceConfig:
    """How a loaded model forecasts. The other verbs do not use these settings.

    Parameters
    ----------
    precision
        ``"32"`` or ``"bf16"``. A CPU with AVX-512 or AMX forecasts two to three times as fast in bfloat16.
    stride
        Where a season has 96 steps or more, every `stride`-th step is also forecast by itself, which reads `stride`
        times further into the past; the result is the mean of both forecasts. 1 turns it off. See `tsfm.infer.strided`.
    flip
        Also forecast the series times -1, and return the mean of both forecasts.
    extend_short_pasts
        Where the past holds one to two seasons, also forecast the past extended by its own season; see
        `tsfm.infer.short_history`.
    context_lengths
        Context lengths in steps; the forecasts from all of them are averaged. Empty: the context length of the model.

    Examples
    --------
    >>> InferenceConfig(precision="16")
    Traceback (most recent call last):
    ValueError: precision is '16'; did you mean 'bf16'? known: 32, bf16
    """

    precision: str = "32"
    stride: int = 4
    flip: bool = False
    extend_short_pasts: bool = True
    context_lengths: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        check_choice("precision", self.precision, PRECISIONS)
        check_count("stride", self.stride)
        lengths = tuple(check_count("context_lengths", length) for length in self.context_lengths)
        object.__setattr__(self, "context_lengths", lengths)

    def updated(self, **settings: Any) -> InferenceConfig:
        """Return a copy with other values; a setting that is None is left as it is."""
        return replace(self, **{name: value for name, value in settings.items() if value is not None})
