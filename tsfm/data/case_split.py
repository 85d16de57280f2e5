"""Which training cases train and which validate: pure functions of labels and a generator. N cases, M classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Int


def apportion(
    sizes: Int[np.ndarray, " M"], total: int, *, least: Int[np.ndarray, " M"], most: Int[np.ndarray, " M"]
) -> Int[np.ndarray, " M"]:
    """`total` seats in proportion to sizes by largest remainders (Hamilton's method), within least and most."""
    quota = sizes * total / sizes.sum()
    seats = np.clip(np.floor(quota).astype(np.int64), least, most)
    while seats.sum() < total and (seats < most).any():
        seats[np.argmax(np.where(seats < most, quota - seats, -np.inf))] += 1
    while seats.sum() > total and (seats > least).any():
        seats[np.argmax(np.where(seats > least, seats - quota, -np.inf))] -= 1
    return seats


def pick_share(
    labels: np.ndarray, pool: Int[np.ndarray, " N"], share: float, *, rng: np.random.Generator
) -> np.ndarray:
    """A stratified share of the cases in `pool`, at least one of each class (two cases of a regression), in order."""
    groups = _groups(labels, pool)
    sizes = np.array([len(group) for group in groups])
    least = np.minimum(sizes, 1 if len(groups) > 1 else 2)
    total = max(int(least.sum()), round(share * len(pool)))
    return _draw(groups, apportion(sizes, total, least=least, most=sizes), rng)


def hold_out(labels: np.ndarray, pool: Int[np.ndarray, " N"], share: float, *, rng: np.random.Generator) -> np.ndarray:
    """A stratified share of the cases in `pool`, one at least; every class keeps one to train on (a regression two)."""
    groups = _groups(labels, pool)
    sizes = np.array([len(group) for group in groups])
    most = np.maximum(sizes - (1 if len(groups) > 1 else 2), 0)
    if not most.any():
        raise ValueError(
            f"val={share} holds out nothing: each class has a single one of the {len(pool)} training cases; set "
            "data.val=0, or raise data.fraction"
        )
    total = min(max(1, round(share * len(pool))), int(most.sum()))
    return _draw(groups, apportion(sizes, total, least=np.zeros_like(sizes), most=most), rng)


def _groups(labels: np.ndarray, pool: np.ndarray) -> list[np.ndarray]:
    """The cases of each class; all cases of a regression are one group."""
    if labels.dtype.kind == "f":
        return [pool]
    return [pool[labels[pool] == name] for name in sorted(set(labels[pool].tolist()))]


def _draw(groups: list[np.ndarray], seats: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.sort(np.concatenate([rng.permutation(group)[:num] for group, num in zip(groups, seats, strict=True)]))
