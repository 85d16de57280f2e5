"""Windows whose best forecast is known exactly. N windows, C channels, L past steps, H horizon.

A kind of series is a function of a size and a random generator; see `tsfm.synthetic.known` for all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from tsfm.synthetic.rng import Sampler

if TYPE_CHECKING:
    from jaxtyping import Float


class WindowSize(NamedTuple):
    """How many windows are drawn, and the steps of each."""

    num: int
    context: int
    horizon: int

    @property
    def steps(self) -> int:
        """Return the steps of a window."""
        return self.context + self.horizon


@dataclass(frozen=True)
class KnownWindows:
    """Independent windows and their exact conditional means and variances, all float64.

    Attributes
    ----------
    context
        Past values [N, C, L].
    future
        Values to forecast [N, C, H].
    forecast
        Conditional mean of the future [N, C, H], by the equations that generated the window.
    variance
        Expected squared error of `forecast` [N, C, H], in squared units of the values; 0 for a deterministic future.
    scored
        Channels that are scored.
    """

    context: Float[Tensor, "N C L"]
    future: Float[Tensor, "N C H"]
    forecast: Float[Tensor, "N C H"]
    variance: Float[Tensor, "N C H"]
    scored: tuple[int, ...]

    def scale(self) -> Float[Tensor, "N C 1"]:
        """Return the standard deviation of the past of each channel: scores are in its units."""
        return self.context.std(-1, correction=0, keepdim=True)

    def optimum(self) -> Float[Tensor, "N K H"]:
        """Return the lowest expected squared error of each step, standardised, of the K scored channels."""
        return (self.variance / self.scale().square())[:, list(self.scored)]

    def squared_errors(self, forecast: Float[Tensor, "N C H"]) -> Float[Tensor, "N K H"]:
        """Return the squared errors of a forecast, standardised by the past, of the K scored channels."""
        return ((forecast - self.future) / self.scale()).square()[:, list(self.scored)]


@dataclass(frozen=True)
class KnownKind:
    """A kind of series with a known best forecast.

    Attributes
    ----------
    capability
        What the kind tests; tables have a row for each capability.
    draw
        Returns windows of a size.
    season
        Period in steps, which a forecaster is given; 1: none.
    max_horizon
        Steps after which nothing can be forecast, or which are left out for another reason; None: any.
    min_context
        Fewest past steps.
    in_generators
        Whether the equations are among those of the generators of the pre-training.
    """

    name: str
    capability: str
    draw: Callable[[Sampler, WindowSize], KnownWindows]
    season: int = 1
    max_horizon: int | None = None
    min_context: int = 2
    in_generators: bool = False


def split_window(
    values: Float[Tensor, "N C T"],
    size: WindowSize,
    *,
    forecast: Tensor | None = None,
    variance: Tensor | float = 0.0,
    scored: tuple[int, ...] | None = None,
) -> KnownWindows:
    """Return whole series as windows; by default the future is deterministic and every channel is scored.

    `forecast` and `variance` are those of the last H steps.
    """
    context, future = values[..., : size.context], values[..., size.context :]
    mean = future if forecast is None else forecast
    spread = torch.as_tensor(variance, dtype=torch.float64).expand(future.shape)
    return KnownWindows(context, future, mean, spread, tuple(range(values.shape[1])) if scored is None else scored)


def with_noise(
    clean: Float[Tensor, "N C T"],
    size: WindowSize,
    rng: Sampler,
    *,
    variance: float,
    past: Tensor | None = None,
    scored: tuple[int, ...] | None = None,
) -> KnownWindows:
    """Return series with white noise of a variance; `past` [N, C, L] replaces the clean past before it is added."""
    noise = variance**0.5 * normal(rng, *clean.shape)
    whole = clean if past is None else torch.cat([past, clean[..., size.context :]], -1)
    return split_window(whole + noise, size, forecast=clean[..., size.context :], variance=variance, scored=scored)


def normal(rng: Sampler, *shape: int) -> Tensor:
    """Draw standard normal numbers as float64."""
    return rng.normal(*shape).double()


def uniform(rng: Sampler, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Draw from the uniform distribution as float64."""
    return rng.uniform(*shape, low=low, high=high).double()
