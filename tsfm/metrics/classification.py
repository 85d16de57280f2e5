"""Classification metrics over cases. N cases, M classes.

Labels may be of any type. Where a function takes probabilities, they are those of the classes 0..M-1 and `y_true` holds
class indices.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (the stubs of numpy leave the types of some results open)

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tsfm.metrics.metric import register_metric

if TYPE_CHECKING:
    from jaxtyping import Float, Int, Shaped

for _name in ("accuracy", "balanced_accuracy", "macro_f1"):
    register_metric(_name, "higher")
for _name in ("log_loss", "calibration_error"):
    register_metric(_name, "lower")

BINS = 15  # of the calibration error
SUM_TOLERANCE = 1e-3  # of a row of probabilities from 1: float32 softmax over a thousand classes stays far below


def _checked_pair(y_true: object, y_pred: object) -> tuple[np.ndarray, np.ndarray]:
    y_true, y_pred = np.asarray(y_true), np.asarray(y_pred)
    if y_true.shape != y_pred.shape or y_true.ndim != 1:
        raise ValueError(
            f"y_true has shape {y_true.shape} and y_pred {y_pred.shape}; expected one label for each case in both"
        )
    if not len(y_true):
        raise ValueError("there is no case to score; give at least one")
    return y_true, y_pred


def _confusion(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """Count the cases of true class i and predicted class j, over all classes that occur in either array."""
    labels = np.array([*y_true.tolist(), *y_pred.tolist()])
    classes, codes = np.unique(labels, return_inverse=True)
    num_classes, num_cases = len(classes), len(y_true)
    pairs = codes[:num_cases] * num_classes + codes[num_cases:]
    return np.bincount(pairs, minlength=num_classes * num_classes).reshape(num_classes, num_classes)


def accuracy(y_true: Shaped[np.ndarray, " N"], y_pred: Shaped[np.ndarray, " N"]) -> float:
    """Compute the share of cases whose label is predicted correctly."""
    y_true, y_pred = _checked_pair(y_true, y_pred)
    return float(np.mean(y_true == y_pred))


def balanced_accuracy(y_true: Shaped[np.ndarray, " N"], y_pred: Shaped[np.ndarray, " N"]) -> float:
    """Compute the mean recall over the classes that occur in `y_true`.

    References
    ----------
    Brodersen et al., "The balanced accuracy and its posterior distribution", 2010, for two classes; Kelleher et al.,
    "Fundamentals of Machine Learning for Predictive Data Analytics", 2015, for more.
    """
    table = _confusion(*_checked_pair(y_true, y_pred))
    cases = table.sum(1)
    return float(np.mean(np.diag(table)[cases > 0] / cases[cases > 0]))


def macro_f1(y_true: Shaped[np.ndarray, " N"], y_pred: Shaped[np.ndarray, " N"]) -> float:
    """Compute the mean over classes of ``2 TP / (2 TP + FP + FN)``.

    This is the mean of F1 and not the F1 of means. A class that is never predicted correctly counts 0.

    References
    ----------
    Opitz & Burst, arXiv:1911.03347, eq. 1.
    """
    table = _confusion(*_checked_pair(y_true, y_pred))
    return float(np.mean(2 * np.diag(table) / (table.sum(0) + table.sum(1))))


def check_probabilities(y_true: object, probabilities: object) -> tuple[np.ndarray, np.ndarray]:
    """Return class indices [N] and probabilities [N, M] in float64.

    Raises
    ------
    ValueError
        If the shapes differ, an index is out of range, or a row is not a probability distribution.
    """
    indices, shares = np.asarray(y_true), np.asarray(probabilities, np.float64)
    if shares.ndim != 2 or indices.shape != shares.shape[:1]:
        raise ValueError(f"probabilities have shape {shares.shape} for {len(indices)} cases; expected [cases, classes]")
    if not len(indices):
        raise ValueError("there is no case to score; give at least one")
    if indices.dtype.kind not in "iu" or indices.min() < 0 or indices.max() >= shares.shape[1]:
        raise ValueError(
            f"y_true holds {indices.dtype} from {indices.min()} to {indices.max()}; expected class indices from 0 to "
            f"{shares.shape[1] - 1}"
        )
    invalid = ~(np.abs(shares.sum(1) - 1) <= SUM_TOLERANCE) | ~((shares >= 0) & (shares <= 1 + SUM_TOLERANCE)).all(1)
    if invalid.any():
        row = int(invalid.argmax())
        raise ValueError(
            f"{int(invalid.sum())} rows are not probabilities, the first is row {row}: {shares[row][:5]} with the sum "
            f"{shares[row].sum():g}; give finite shares that sum to 1 (a softmax of the logits)"
        )
    return indices, shares


def log_loss(y_true: Int[np.ndarray, " N"], probabilities: Float[np.ndarray, "N M"]) -> float:
    """Compute the mean negative log probability of the true class, in nats.

    Probabilities are clipped at 2.2e-16: one confident error would otherwise make the mean infinite.

    References
    ----------
    Good, "Rational Decisions", 1952.
    """
    indices, shares = check_probabilities(y_true, probabilities)
    epsilon = np.finfo(np.float64).eps
    return float(-np.mean(np.log(np.clip(shares[np.arange(len(indices)), indices], epsilon, 1 - epsilon))))


def calibration_error(
    y_true: Int[np.ndarray, " N"], probabilities: Float[np.ndarray, "N M"], *, bins: int = BINS
) -> float:
    """Compute the expected calibration error.

    The distance between the confidence in the most probable class and its accuracy, averaged over cases in bins
    ``(m-1)/bins < confidence <= m/bins``.

    References
    ----------
    Guo et al., arXiv:1706.04599, eq. 2-3.
    """
    indices, shares = check_probabilities(y_true, probabilities)
    if bins < 1:
        raise ValueError(f"bins is {bins}; at least 1 is needed")
    confidence, correct = shares.max(1), shares.argmax(1) == indices
    bin_index = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    gap = np.bincount(bin_index, correct - confidence, minlength=bins)  # of each bin: size x (accuracy - confidence)
    return float(np.abs(gap).sum() / len(indices))
