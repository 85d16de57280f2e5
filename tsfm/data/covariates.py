"""What each channel of a window is for: targets, then past-only covariates, then known ones, then time marks.

A covariate is a channel, and its role decides what is visible of it: see `Batch.role`. C channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tsfm.data.settings import DataConfig
from tsfm.data.windows import pick
from tsfm.messages import did_you_mean
from tsfm.timestamps.time_features import PREFIX
from tsfm.types import KNOWN, PAST, TARGET, TIME_FEATURE

ROLE_NAMES = {TARGET: "target", PAST: "past-only", KNOWN: "known ahead", TIME_FEATURE: "time mark"}


@dataclass(frozen=True)
class Layout:
    """The channels of a window, in this order. `calendar` holds fields, the others names of the store."""

    targets: tuple[str, ...]
    past: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    calendar: tuple[str, ...] = ()

    @property
    def stored(self) -> tuple[str, ...]:
        """The channels that are read from the store."""
        return self.targets + self.past + self.known

    @property
    def marks(self) -> tuple[str, ...]:
        """Names of the calendar's channels."""
        return tuple(PREFIX + field for field in self.calendar)

    @property
    def covariates(self) -> tuple[str, ...]:
        return self.past + self.known + self.marks

    @property
    def names(self) -> tuple[str, ...]:
        return self.targets + self.covariates

    @property
    def roles(self) -> tuple[int, ...]:
        parts = ((TARGET, self.targets), (PAST, self.past), (KNOWN, self.known), (TIME_FEATURE, self.calendar))
        return tuple(role for role, names in parts for _ in names)

    def role(self) -> Tensor | None:
        """Batch.role of one window, [1, C]; None where all are targets."""
        return torch.tensor([self.roles], dtype=torch.int8) if self.covariates else None


def lay_out(stored: Sequence[str], config: DataConfig, *, calendar: tuple[str, ...] = ()) -> Layout:
    """The layout that the config asks of a store with these channels."""
    for key in ("known", "past"):
        for name in getattr(config, key) or ():
            if name not in stored:
                raise ValueError(f"data.{key}: no channel {name!r}; {did_you_mean(name, list(stored))}")
    past, known = tuple(config.past or ()), tuple(config.known or ())
    targets = pick(stored, config.channels)
    if config.channels is None:
        targets = tuple(name for name in targets if name not in past + known)
    if not targets:
        raise ValueError(
            f"data.known and data.past name all channels ({', '.join(stored)}), so nothing is left to forecast; "
            "leave a target out of them"
        )
    return Layout(targets, past, known, calendar)
