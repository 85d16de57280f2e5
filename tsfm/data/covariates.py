"""The role of each channel of a window: targets, past covariates, known covariates, time features. C channels.

A covariate is a channel, and its role decides which of its steps are visible: see `Batch.role`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tsfm.data.flat import FlatSeries
from tsfm.data.settings import DataConfig
from tsfm.data.splits import Spans
from tsfm.data.windows import select_channels
from tsfm.messages import announce, did_you_mean
from tsfm.metrics.target_copies import describe_copies
from tsfm.timestamps.time_features import PREFIX
from tsfm.types import KNOWN, PAST, TARGET, TIME_FEATURE

if TYPE_CHECKING:
    from jaxtyping import Int8

ROLE_NAMES = {TARGET: "target", PAST: "past covariate", KNOWN: "known covariate", TIME_FEATURE: "time feature"}


@dataclass(frozen=True)
class ChannelLayout:
    """The channels of a window, in the order of the fields."""

    targets: tuple[str, ...]
    past: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    time_features: tuple[str, ...] = ()  # fields such as "hour"; the others are channels of the store

    @property
    def stored(self) -> tuple[str, ...]:
        """The channels that are read from the store."""
        return self.targets + self.past + self.known

    @property
    def covariates(self) -> tuple[str, ...]:
        """Names of all channels that are not targets."""
        return self.past + self.known + tuple(PREFIX + field for field in self.time_features)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all channels."""
        return self.targets + self.covariates

    @property
    def roles(self) -> tuple[int, ...]:
        """The role of each channel."""
        groups = (
            (TARGET, self.targets), (PAST, self.past), (KNOWN, self.known), (TIME_FEATURE, self.time_features)
        )  # fmt: skip
        return tuple(role for role, names in groups for _ in names)

    def role_tensor(self) -> Int8[Tensor, "1 C"] | None:
        """Return `Batch.role` of one window; None where all channels are targets."""
        return torch.tensor([self.roles], dtype=torch.int8) if self.covariates else None


def make_layout(
    stored: Sequence[str],
    config: DataConfig,
    *,
    time_features: tuple[str, ...] = (),
    covariates: Sequence[str] = (),
) -> ChannelLayout:
    """Return the layout that the config describes for a store with these channels.

    Parameters
    ----------
    covariates
        Channels that the store calls covariates: known only in the past, unless the config gives them another role.

    Raises
    ------
    ValueError
        When the config names a channel that is not there, or leaves no target.
    """
    for key in ("known", "past"):
        for name in getattr(config, key) or ():
            if name not in stored:
                raise ValueError(f"data.{key}: no channel {name!r}; {did_you_mean(name, list(stored))}")
    past, known = tuple(config.past or ()), tuple(config.known or ())
    if config.channels is None and config.past is None:
        past = tuple(name for name in covariates if name in stored and name not in known)
    targets = select_channels(stored, config.channels)
    if config.channels is None:
        targets = tuple(name for name in targets if name not in past + known)
    if not targets:
        raise ValueError(
            f"data.known and data.past name all channels ({', '.join(stored)}), so no target is left; leave a "
            "target out of them"
        )
    return ChannelLayout(targets, past, known, time_features)


def announce_copies(layout: ChannelLayout, flat: FlatSeries, train: Spans) -> None:
    """Warn of known covariates that are a target, rescaled or shifted, in the train rows."""
    rows = {name: index for index, name in enumerate(flat.channels)}
    targets, known = ([rows[name] for name in names] for names in (layout.targets, layout.known))
    series = (flat.series(i)[:, span.first : span.stop] for i, span in enumerate(train))
    pairs = ((values[targets], values[known]) for values in series)
    announce(describe_copies(pairs, targets=layout.targets, known=layout.known))
