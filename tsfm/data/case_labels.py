"""Labels of cases: as numbers that a network learns, and as strata for few-shot and validation cases.

N cases, M classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Int


@dataclass(frozen=True)
class LabelEncoder:
    """Labels as class indices, or as numbers in units of the training cases (`regresses`)."""

    regresses: bool
    classes: tuple[str, ...] = ()  # sorted; () for regression
    loc: float = 0.0  # mean of the training numbers
    scale: float = 1.0  # their standard deviation, 1 if all are equal

    @classmethod
    def fit(cls, labels: np.ndarray) -> LabelEncoder:
        """Return the encoder of training labels: numbers where they are floats, else classes."""
        if labels.dtype.kind == "f":
            return cls(True, loc=float(labels.mean()), scale=float(labels.std()) or 1.0)
        return cls(False, classes=tuple(sorted(set(labels.tolist()))))

    @property
    def num_outputs(self) -> int:
        """Numbers that a network predicts for a case: a logit per class, or one number."""
        return 1 if self.regresses else len(self.classes)

    def encode(self, labels: np.ndarray) -> np.ndarray:
        """Return class indices (int64) or standardized numbers (float32), `[cases]`."""
        if self.regresses:
            return ((labels.astype(np.float64) - self.loc) / self.scale).astype(np.float32)
        return np.searchsorted(np.array(self.classes, dtype=str), labels.astype(str)).astype(np.int64)

    def as_dict(self) -> dict[str, Any]:
        """Return what a checkpoint stores: `classes`, or `loc` and `scale`."""
        return {"loc": self.loc, "scale": self.scale} if self.regresses else {"classes": list(self.classes)}


def apportion(
    sizes: Int[np.ndarray, " M"], total: int, *, least: Int[np.ndarray, " M"], most: Int[np.ndarray, " M"]
) -> Int[np.ndarray, " M"]:
    """Divide `total` in proportion to `sizes` by largest remainders (Hamilton's method), within `least` and `most`."""
    quota = sizes * total / sizes.sum()
    shares = np.clip(np.floor(quota).astype(np.int64), least, most)
    while shares.sum() < total and (shares < most).any():
        shares[np.argmax(np.where(shares < most, quota - shares, -np.inf))] += 1
    while shares.sum() > total and (shares > least).any():
        shares[np.argmax(np.where(shares > least, shares - quota, -np.inf))] -= 1
    return shares


def select_share(
    labels: np.ndarray, pool: Int[np.ndarray, " N"], share: float, *, rng: np.random.Generator
) -> Int[np.ndarray, " selected"]:
    """Return a stratified share of the cases in `pool`, in order: at least one of each class, two of a regression."""
    strata = _strata(labels, pool)
    sizes = np.array([len(stratum) for stratum in strata])
    least = np.minimum(sizes, 1 if len(strata) > 1 else 2)
    total = max(int(least.sum()), round(share * len(pool)))
    return _draw(strata, apportion(sizes, total, least=least, most=sizes), rng)


def select_validation(
    labels: np.ndarray, pool: Int[np.ndarray, " N"], share: float, *, rng: np.random.Generator
) -> Int[np.ndarray, " selected"]:
    """Return a stratified share of the cases in `pool` for validation, at least one, in order.

    Every class keeps at least one case to train on, a regression two.

    Raises
    ------
    ValueError
        When no case can be spared.
    """
    strata = _strata(labels, pool)
    sizes = np.array([len(stratum) for stratum in strata])
    most = np.maximum(sizes - (1 if len(strata) > 1 else 2), 0)
    if not most.any():
        raise ValueError(
            f"val={share} selects no validation case: each class has one of the {len(pool)} training cases; set "
            "data.val=0, or raise data.fraction"
        )
    total = min(max(1, round(share * len(pool))), int(most.sum()))
    return _draw(strata, apportion(sizes, total, least=np.zeros_like(sizes), most=most), rng)


def _strata(labels: np.ndarray, pool: np.ndarray) -> list[np.ndarray]:
    """Return the cases of each class; all cases of a regression are one stratum."""
    if labels.dtype.kind == "f":
        return [pool]
    return [pool[labels[pool] == name] for name in sorted(set(labels[pool].tolist()))]


def _draw(strata: list[np.ndarray], counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    drawn = [rng.permutation(stratum)[:count] for stratum, count in zip(strata, counts, strict=True)]
    return np.sort(np.concatenate(drawn))
