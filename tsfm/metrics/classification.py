"""How well classes were told: five numbers over cases, each with its source. N cases, M classes.

Labels may be of any type; probabilities are those of the classes 0..M-1, and `truth` is then the class index.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Int, Shaped

BINS = 15  # of the calibration error
SUM_TOLERANCE = 1e-3  # of a row of probabilities from 1: float32 softmax over a thousand classes stays far below


def _pair(truth: object, told: object) -> tuple[np.ndarray, np.ndarray]:
    truth, told = np.asarray(truth), np.asarray(told)
    if truth.shape != told.shape or truth.ndim != 1:
        raise ValueError(
            f"truth has shape {truth.shape} and told {told.shape}; expected one label for each case in both"
        )
    if not len(truth):
        raise ValueError("there is no case to score; give at least one")
    return truth, told


def _confusion(truth: np.ndarray, told: np.ndarray) -> np.ndarray:
    """Cases of true class i that were told to be j, over all classes that occur on either side."""
    both = np.array([*truth.tolist(), *told.tolist()])
    classes, codes = np.unique(both, return_inverse=True)
    size, half = len(classes), len(truth)
    return np.bincount(codes[:half] * size + codes[half:], minlength=size * size).reshape(size, size)


def accuracy(truth: Shaped[np.ndarray, " N"], told: Shaped[np.ndarray, " N"]) -> float:
    """Share of cases told rightly."""
    truth, told = _pair(truth, told)
    return float(np.mean(truth == told))


def balanced_accuracy(truth: Shaped[np.ndarray, " N"], told: Shaped[np.ndarray, " N"]) -> float:
    """Mean recall over the classes that occur (Brodersen et al. 2010, for two classes; Kelleher et al. 2015)."""
    table = _confusion(*_pair(truth, told))
    cases = table.sum(1)
    return float(np.mean(np.diag(table)[cases > 0] / cases[cases > 0]))


def macro_f1(truth: Shaped[np.ndarray, " N"], told: Shaped[np.ndarray, " N"]) -> float:
    """Mean over classes of 2 TP / (2 TP + FP + FN), the mean of F1 and not the F1 of means (Opitz & Burst,
    arXiv:1911.03347, eq. 1). A class that occurs, or was told, only wrongly counts 0."""
    table = _confusion(*_pair(truth, told))
    return float(np.mean(2 * np.diag(table) / (table.sum(0) + table.sum(1))))


def check_probabilities(truth: object, probabilities: object) -> tuple[np.ndarray, np.ndarray]:
    """Class indices and probabilities in float64 that stand beside each other; what is no distribution is an error."""
    indices, found = np.asarray(truth), np.asarray(probabilities, np.float64)
    if found.ndim != 2 or indices.shape != found.shape[:1]:
        raise ValueError(f"probabilities have shape {found.shape} for {len(indices)} cases; expected [cases, classes]")
    if not len(indices):
        raise ValueError("there is no case to score; give at least one")
    if indices.dtype.kind not in "iu" or indices.min() < 0 or indices.max() >= found.shape[1]:
        raise ValueError(
            f"truth holds {indices.dtype} from {indices.min()} to {indices.max()}; expected class indices from 0 to "
            f"{found.shape[1] - 1}"
        )
    off = ~(np.abs(found.sum(1) - 1) <= SUM_TOLERANCE) | ~((found >= 0) & (found <= 1 + SUM_TOLERANCE)).all(1)
    if off.any():
        row = int(off.argmax())
        raise ValueError(
            f"{int(off.sum())} rows are no probabilities, the first is row {row}: {found[row][:5]} with the sum "
            f"{found[row].sum():g}; give finite shares that sum to 1 (a softmax of the logits)"
        )
    return indices, found


def log_loss(truth: Int[np.ndarray, " N"], probabilities: Float[np.ndarray, "N M"]) -> float:
    """Mean negative log probability of the true class, in nats (Good 1952). A probability below 2.2e-16 counts as that:
    one certain error would make the mean infinite."""
    indices, found = check_probabilities(truth, probabilities)
    least = np.finfo(np.float64).eps
    return float(-np.mean(np.log(np.clip(found[np.arange(len(indices)), indices], least, 1 - least))))


def calibration_error(
    truth: Int[np.ndarray, " N"], probabilities: Float[np.ndarray, "N M"], *, bins: int = BINS
) -> float:
    """Expected calibration error: how far the confidence of the likeliest class lies from its accuracy, averaged over
    cases in bins (m-1)/bins < confidence <= m/bins (Guo et al., arXiv:1706.04599, eq. 2-3)."""
    indices, found = check_probabilities(truth, probabilities)
    if bins < 1:
        raise ValueError(f"bins is {bins}; at least 1 is needed")
    confidence, right = found.max(1), found.argmax(1) == indices
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    gap = np.bincount(place, right - confidence, minlength=bins)  # of each bin: its size x (accuracy - confidence)
    return float(np.abs(gap).sum() / len(indices))
