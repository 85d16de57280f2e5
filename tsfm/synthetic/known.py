"""Kinds of series whose best forecast is known, by name and by capability.

The best forecast is the exact conditional mean, so that the excess of a forecaster over the lowest expected squared
error is what it lacks: it has not learned the rule from the past. See `KnownWindows`.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import torch

from tsfm.messages import did_you_mean
from tsfm.synthetic import known_dynamics, known_noise, known_patterns, known_processes, known_recall
from tsfm.synthetic.known_base import KnownKind, KnownWindows, WindowSize
from tsfm.synthetic.rng import Sampler

VERSION = 1  # increase it when the values of a kind change: it is a component of the digest of the data
KINDS: dict[str, KnownKind] = {
    kind.name: kind
    for module in (known_patterns, known_noise, known_processes, known_recall, known_dynamics)
    for kind in module.KINDS
}
CAPABILITIES = tuple(dict.fromkeys(kind.capability for kind in KINDS.values()))


def select_kinds(names: Sequence[str] | None = None) -> list[KnownKind]:
    """Return kinds by their names or capabilities, each once; None: all that no generator of the pre-training holds.

    Raises
    ------
    ValueError
        If a name is neither a kind nor a capability, or there is none.
    """
    if names is None:
        return [kind for kind in KINDS.values() if not kind.in_generators]
    if not names:
        raise ValueError(f"no kind is named; give kinds or capabilities ({', '.join(CAPABILITIES)}), or null for all")
    chosen: dict[str, KnownKind] = {}
    for name in names:
        matches = {key: kind for key, kind in KINDS.items() if name in (key, kind.capability)}
        if not matches:
            raise ValueError(f"no kind or capability {name!r}; {did_you_mean(name, [*CAPABILITIES, *KINDS])}")
        chosen |= matches
    return list(chosen.values())


def draw_known(name: str, *, num: int, context: int, horizon: int, generator: torch.Generator) -> KnownWindows:
    """Draw independent windows of a kind.

    Parameters
    ----------
    name
        A key of `KINDS`.
    num, context, horizon
        Windows, past steps and steps to forecast. A kind with a `max_horizon` has at most so many.
    generator
        Decides all values.

    Raises
    ------
    ValueError
        If no kind has that name, or the size is too small for it.

    Examples
    --------
    >>> import torch
    >>> windows = draw_known("snr_0", num=2, context=240, horizon=24, generator=torch.Generator().manual_seed(0))
    >>> windows.context.shape, windows.future.shape, windows.optimum().shape
    (torch.Size([2, 1, 240]), torch.Size([2, 1, 24]), torch.Size([2, 1, 24]))
    """
    if name not in KINDS:
        raise ValueError(f"no kind {name!r}; {did_you_mean(name, list(KINDS))}")
    kind = KINDS[name]
    if num < 1 or horizon < 1:
        raise ValueError(f"{num} windows of {horizon} steps to forecast were requested; give at least 1 of each")
    if context < kind.min_context:
        raise ValueError(
            f"kind {name} needs {kind.min_context} past steps, context is {context}; give more or leave it out"
        )
    return kind.draw(Sampler(generator), WindowSize(num, context, min(horizon, kind.max_horizon or horizon)))


def kind_generator(name: str, seed: int) -> torch.Generator:
    """Return the generator of a kind for a seed: its values do not depend on which other kinds are drawn."""
    return torch.Generator().manual_seed(zlib.crc32(f"{name} {seed}".encode()))  # 32 bits are all that count
