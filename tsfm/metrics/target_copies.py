"""Known covariates that are the target itself, rescaled or shifted by a few steps: their future gives the answer away.

C targets, K covariates, L steps of a series, at most as many as W of its covariates.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

LIMIT = 0.999  # of the absolute correlation
SHIFTS = (0, 1, -1, 2, -2, 3, -3)  # steps by which the covariate is later than the target
MIN_STEPS = 20  # with fewer, a high correlation says little
MAX_STEPS = 200_000  # of all series together, that are compared


def describe_copies(
    series: Iterable[tuple[Float[np.ndarray, "C L"], Float[np.ndarray, "K W"]]],
    *,
    targets: Sequence[str],
    known: Sequence[str],
) -> list[str]:
    """Return a sentence for each known covariate whose past correlates with a target by more than `LIMIT`.

    Each series is centred by its own means, so that levels that differ between series are no correlation. NaN is
    missing. The first `MAX_STEPS` steps are compared.

    Parameters
    ----------
    series
        The past of the targets, and the covariates from the same first step on.
    targets, known
        Names of the targets and of the covariates.
    """
    if not known:
        return []
    sums = np.zeros((len(SHIFTS), len(targets), len(known), 4))  # xy, xx, yy, steps
    num_steps = 0
    for y, x in series:
        if num_steps >= MAX_STEPS:
            break
        length = min(y.shape[1], x.shape[1], MAX_STEPS - num_steps)
        num_steps += length
        for i, shift in enumerate(SHIFTS):
            sums[i] += _moments(*_aligned(y[:, :length], x[:, :length], shift))
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = np.abs(sums[..., 0]) / np.sqrt(sums[..., 1] * sums[..., 2])
    correlation = np.where((sums[..., 3] >= MIN_STEPS) & np.isfinite(correlation), correlation, 0.0)
    sentences: list[str] = []
    for k, name in enumerate(known):
        i, c = np.unravel_index(int(correlation[..., k].argmax()), correlation.shape[:2])
        if (value := correlation[i, c, k]) > LIMIT:
            sentences.append(_sentence(name, targets[int(c)], value=float(value), shift=SHIFTS[int(i)]))
    return sentences


def _aligned(y: np.ndarray, x: np.ndarray, shift: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of steps of which that of the covariate is `shift` later."""
    length = max(y.shape[1] - abs(shift), 0)
    late, early = slice(max(shift, 0), max(shift, 0) + length), slice(max(-shift, 0), max(-shift, 0) + length)
    return y[:, early], x[:, late]


def _moments(y: Float[np.ndarray, "C L"], x: Float[np.ndarray, "K L"]) -> Float[np.ndarray, "C K 4"]:
    """Centred second moments of each target and covariate over the steps where both are observed."""
    moments = np.zeros((len(y), len(x), 4))
    for c, target in enumerate(y):
        for k, covariate in enumerate(x):
            both = ~(np.isnan(target) | np.isnan(covariate))
            if not both.any():
                continue
            a, b = target[both].astype(np.float64), covariate[both].astype(np.float64)
            a, b = a - a.mean(), b - b.mean()
            moments[c, k] = a @ b, b @ b, a @ a, len(a)
    return moments


def _sentence(name: str, target: str, *, value: float, shift: int) -> str:
    steps = f"{abs(shift)} step{'s' if abs(shift) > 1 else ''}"
    where = "" if not shift else f", {steps} {'later' if shift > 0 else 'earlier'},"
    return (
        f"known covariate {name!r} follows the target {target!r}{where} with a correlation of {value:.5f}, so its "
        "future may give the answer away; leave it out unless it is really known in advance"
    )
