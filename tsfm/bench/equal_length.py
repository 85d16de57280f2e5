"""Learners of labelled cases that need all cases to have one length and no gaps.

N cases, C channels, L steps of a case, T steps of the longest training case.

The rule: NaN is interpolated linearly, and a gap at an end takes the nearest value; a shorter case is padded with zeros
at its end, where the archive's authors put noise of a tiny amplitude; a case longer than every training case keeps its
first T steps. This reproduces the published 1-NN values of the UCR sets with missing values, and those of unequal
lengths up to one or two cases (DataSummary.csv of the archive).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tsfm.bench.interfaces import CaseLearner
from tsfm.messages import did_you_mean

if TYPE_CHECKING:
    from jaxtyping import Float

UNEQUAL = ("pad", "resample")


def without_gaps(case: Float[np.ndarray, "C L"]) -> Float[np.ndarray, "C L"]:
    """Return the case in float64 with every gap interpolated linearly; a channel without observed values is 0."""
    filled = np.array(case, dtype=np.float64)
    steps = np.arange(filled.shape[1])
    for channel in np.flatnonzero(np.isnan(filled).any(1)):
        row = filled[channel]
        observed = ~np.isnan(row)
        filled[channel] = np.interp(steps, steps[observed], row[observed]) if observed.any() else 0.0
    return filled


def of_length(case: Float[np.ndarray, "C L"], length: int, *, unequal: str = "pad") -> Float[np.ndarray, "C T"]:
    """Return a case of `length` steps.

    Parameters
    ----------
    case
        Without gaps.
    unequal
        pad: zeros at the end, or cut there. resample: interpolated linearly.
    """
    steps = case.shape[1]
    if unequal == "pad" or steps == length:
        return np.pad(case[:, :length], ((0, 0), (0, max(length - steps, 0))))
    positions = np.linspace(0, steps - 1, length)
    return np.stack([np.interp(positions, np.arange(steps), row) for row in case])


def z_normalised(cases: Float[np.ndarray, "N C T"]) -> Float[np.ndarray, "N C T"]:
    """Return the cases with mean 0 and deviation 1 of each channel; a channel that does not vary is 0."""
    scale = cases.std(-1, keepdims=True)
    return (cases - cases.mean(-1, keepdims=True)) / np.where(scale > 1e-8, scale, 1.0)


def check_unequal(rule: str) -> None:
    """Raise a ValueError if `rule` is not in `UNEQUAL`."""
    if rule not in UNEQUAL:
        raise ValueError(f"unequal is {rule!r}; {did_you_mean(rule, list(UNEQUAL))}")


class EqualLength(CaseLearner):
    """A learner with a config, whose cases are brought to the length of the longest training case.

    Float labels are numbers to regress.
    """

    @dataclass
    class Config:
        """No settings."""

    def __init__(self, config: Any = None):
        self.config: Any = self.Config() if config is None else config
        self.channels = self.length = 0  # of the training cases

    @abstractmethod
    def fit_equal(self, cases: Float[np.ndarray, "N C T"], labels: np.ndarray) -> None:
        """Learn from training cases of one length without gaps."""

    @abstractmethod
    def predict_equal(self, cases: Float[np.ndarray, "N C T"]) -> np.ndarray:
        """Return a label for each case; the cases have the training length and no gaps."""

    def fit(self, cases: Sequence[np.ndarray], labels: np.ndarray) -> EqualLength:
        """Learn from the training cases and return itself.

        Raises
        ------
        ValueError
            If the counts of cases and labels differ, there is only one class, or a case cannot be used.
        """
        labels = np.asarray(labels)
        if len(cases) != len(labels) or not len(cases):
            raise ValueError(
                f"{self.name} got {len(cases)} cases and {len(labels)} labels; give one label for each case"
            )
        self.regresses = labels.dtype.kind == "f"
        if not self.regresses and len(set(labels.tolist())) < 2:
            raise ValueError(
                f"{self.name} got the one class {labels[0]!r}; give training cases of at least two classes"
            )
        self.channels = np.shape(cases[0])[0] if np.ndim(cases[0]) == 2 else 0
        self.length = max(np.shape(case)[-1] for case in cases)
        self.fit_equal(self.equalize(cases), labels)
        return self

    def predict(self, cases: Sequence[np.ndarray]) -> np.ndarray:
        """Return labels [cases], of the kind given to `fit`."""
        return self.predict_equal(self.equalize(cases))

    def equalize(self, cases: Sequence[np.ndarray]) -> Float[np.ndarray, "N C T"]:
        """Return the cases with the training length and without gaps.

        Raises
        ------
        ValueError
            If the learner is not fitted, or a case has other channels than the training cases or infinite values.
        """
        if not self.length:
            raise ValueError(f"{self.name} is not fitted; call fit with the training cases first")
        for number, case in enumerate(cases):
            if np.ndim(case) != 2 or len(case) != self.channels or not np.shape(case)[1]:
                raise ValueError(
                    f"{self.name}: case {number} has shape {np.shape(case)}; expected [{self.channels or 'channels'}, "
                    "steps] as in the first training case"
                )
            if np.isinf(case).any():
                raise ValueError(f"{self.name}: case {number} holds infinite values; mark unknown steps with NaN")
        unequal = getattr(self.config, "unequal", "pad")
        return np.stack([of_length(without_gaps(case), self.length, unequal=unequal) for case in cases])
