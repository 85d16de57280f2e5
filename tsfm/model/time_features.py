"""Time features of each patch as an additional input of its token.

B batch, T steps, P patches, D width, F features.

The features are sine and cosine of the phase in the hour, day, week, month and year, at the first and the last step of
a patch. A step without a timestamp has zeros only, and the layer has no bias, so that it then contributes exactly 0.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tsfm.types import NO_TIMESTAMP

if TYPE_CHECKING:
    from jaxtyping import Float, Int

HOUR, DAY = 3600, 86400  # seconds
CYCLES = ("hour", "day", "week", "month", "year")
FEATURES_PER_STEP = 2 * len(CYCLES) + 1  # sine and cosine of each phase, and whether there is a timestamp
ERA_DAYS, EPOCH_OFFSET = 146_097, 719_468  # days of 400 years; from 0000-03-01 to 1970-01-01


class TimeFeatureEmbedding(nn.Module):
    """A linear map of the time features of each patch. Its weights start at zero, so that it has no effect at first.

    Parameters
    ----------
    patch
        Steps of a patch. As in `Patching`, the newest step ends a patch.
    width
        Features of a token.
    """

    def __init__(self, *, patch: int, width: int):
        super().__init__()
        self.patch = patch
        self.project = nn.Linear(2 * FEATURES_PER_STEP, width, bias=False)
        nn.init.zeros_(self.project.weight)

    def forward(self, timestamps: Int[Tensor, "B T"]) -> Float[Tensor, "B 1 P D"]:
        """Return what the features add to the token of each patch, the same for all channels."""
        missing = -timestamps.shape[-1] % self.patch
        patches = F.pad(timestamps, (missing, 0), value=NO_TIMESTAMP).unflatten(-1, (-1, self.patch))
        ends = patches[..., [0, -1]]
        return self.project(step_features(ends).flatten(-2))[:, None]


def step_features(timestamps: Int[Tensor, "*rows T"]) -> Float[Tensor, "*rows T F"]:
    """Return sine and cosine of each phase, and 1; zeros where there is no timestamp."""
    has_timestamp = timestamps != NO_TIMESTAMP
    angles = 2 * math.pi * phases(torch.where(has_timestamp, timestamps, 0))
    features = torch.cat([angles.sin(), angles.cos(), torch.ones_like(angles[..., :1])], dim=-1)
    return torch.where(has_timestamp[..., None], features, 0.0)


def phases(timestamps: Int[Tensor, "*rows T"]) -> Float[Tensor, "*rows T 5"]:
    """Return the phases in [0, 1) of `CYCLES` at timestamps in seconds since 1970.

    Weeks begin on Monday, years on 1 March. A month counts as 31 days, a year as 366.

    References
    ----------
    The day of the month and of the year: Hinnant, "chrono-Compatible Low-Level Date Algorithms" (2013), section
    civil_from_days.

    Examples
    --------
    >>> phases(torch.tensor([4 * 86400 + 6 * 3600]))  # Monday, 5 January 1970, 6 o'clock
    tensor([[0.0000, 0.2500, 0.0357, 0.1371, 0.8477]])
    """
    days = torch.div(timestamps, DAY, rounding_mode="floor")
    shifted = days + EPOCH_OFFSET
    day_of_era = shifted.remainder(ERA_DAYS)
    year = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year + year // 4 - year // 100)
    month = (5 * day_of_year + 2) // 153
    day_of_month = day_of_year - (153 * month + 2) // 5
    time_of_day = timestamps.remainder(DAY).float() / DAY
    return torch.stack(
        [
            timestamps.remainder(HOUR).float() / HOUR,
            time_of_day,
            ((days + 3).remainder(7) + time_of_day) / 7,  # 1970-01-01 was a Thursday
            (day_of_month + time_of_day) / 31,
            (day_of_year + time_of_day) / 366,
        ],
        dim=-1,
    )
