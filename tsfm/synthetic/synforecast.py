"""Series of the package synforecast (Nixtla, Apache-2.0), an optional source. N rows, L steps."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from tsfm.registry import GENERATORS
from tsfm.synthetic.base import Generator
from tsfm.synthetic.rng import Sampler
from tsfm.timestamps.offsets import parse_freq, season_length

if TYPE_CHECKING:
    from jaxtyping import Float

FREQS = ("h", "15min", "D", "W", "MS", "QS")
# Gaussian processes take seconds for 2,048 steps and chaos a fiftieth; kernel_gp and chaos draw the like faster.
SLOW = ("KernelSynthGenerator", "GaussianProcessGenerator", "ChaoticSystemGenerator")


@GENERATORS("synforecast")
class SynForecast(Generator):
    """Series of `synforecast.pretraining_pool`: 46 generators, less the slow ones, at one random frequency a call.

    The frequency decides the seasons of the pool. One state of the random generator gives one result for one version
    of the package; its authors do not promise the same series across versions. A call has a fixed cost of about 0.1 s.
    """

    @dataclass
    class Config:
        """Settings of `SynForecast`."""

        freqs: tuple[str, ...] = FREQS  # from which the frequency of a call is drawn
        without: tuple[str, ...] = SLOW  # classes of generators that are left out

        def __post_init__(self) -> None:
            if not self.freqs:
                raise ValueError("freqs is empty; expected frequencies such as h, D or MS")
            for freq in self.freqs:
                parse_freq(freq)

    def __init__(self, config: Any):
        super().__init__(config)
        self.package = load_package()

    def series(self, rng: Sampler, num: int, length: int) -> Float[Tensor, "N L"]:
        """See `Generator.series`."""
        seed, index = (int(rng.integers(1, low=0, high=high)) for high in (2**30, len(self.config.freqs) - 1))
        freq = self.config.freqs[index]
        # nanosecond stamps end in 2262: months, quarters and years are numbered, with the season of their frequency
        stamps = {"freq": 1, "seasonal_period": season_length(freq)} if parse_freq(freq).months else {"freq": freq}
        pool = self.package.pretraining_pool(
            min_length=length, max_length=length, seed=seed, n_meta_variants=1, **stamps
        )
        pool = [member for member in pool if type(member).__name__ not in self.config.without]
        if not pool:
            raise ValueError(f"without names every generator of the pool: {', '.join(self.config.without)}")
        counts = torch.bincount(rng.choose(num, [1.0] * len(pool)), minlength=len(pool)).tolist()
        drawn = [values(member, count, length) for member, count in zip(pool, counts, strict=True) if count]
        rows = torch.from_numpy(np.concatenate(drawn)).to(rng.device)
        return rows[torch.randperm(num, generator=rng.generator, device=rng.device)]


def values(member: Any, count: int, length: int) -> Float[np.ndarray, "N L"]:
    """Return the values of `count` series of one generator of the package; missing steps repeat the last value."""
    frame = member.generate(count, n_jobs=1)
    x = frame["y"].to_numpy().astype(np.float32).reshape(count, length)
    index = np.maximum.accumulate(np.where(np.isnan(x), 0, np.arange(length)), axis=1)
    return np.nan_to_num(np.take_along_axis(x, index, axis=1))


def load_package() -> ModuleType:
    """Import synforecast.

    Raises
    ------
    ImportError
        When it is not installed, or misses a library.
    """
    try:
        return importlib.import_module("synforecast")
    except ImportError as error:
        raise ImportError(
            f"the generator synforecast needs the package synforecast, which cannot be imported ({error}); "
            "pip install 'tsfm-platform[synforecast]', or give it the weight 0"
        ) from error
