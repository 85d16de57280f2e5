"""Comparison of k models over n data sets: ranks, win rates, Friedman, Nemenyi and Wilcoxon tests. K models, N sets.

The source is Demsar, Statistical comparisons of classifiers over multiple data sets, JMLR 7 (2006). A value is the
number of a model on a data set; none is missing. scipy is imported where it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

ALPHA = 0.05  # significance level
MIN_SETS = 5  # the critical difference needs so many data sets to say anything


class Friedman(NamedTuple):
    """Friedman's test that all models are equally good, and its less conservative form of Iman and Davenport."""

    chi_square: float
    p_value: float
    f_statistic: float
    f_p_value: float


def rank_models(values: Float[np.ndarray, "N K"], *, better: str) -> Float[np.ndarray, "N K"]:
    """Return the rank of each model on each data set: 1 is the best, equal models share the mean of their ranks.

    Parameters
    ----------
    values
        A metric.
    better
        "lower" or "higher".

    Raises
    ------
    ValueError
        If a value is missing, or the metric has no direction.

    Examples
    --------
    >>> rank_models(np.array([[0.9, 0.8, 0.9], [0.1, 0.2, 0.3]]), better="higher").tolist()
    [[1.5, 3.0, 1.5], [3.0, 2.0, 1.0]]
    """
    from scipy.stats import rankdata

    if better not in ("lower", "higher"):
        raise ValueError(f"better is {better!r}; ranks need a metric of which lower or higher values are better")
    if not np.isfinite(values).all():
        raise ValueError("values to rank are missing or infinite; leave out the data sets that have them")
    return rankdata(-values if better == "higher" else values, axis=1)


def friedman_test(ranks: Float[np.ndarray, "N K"]) -> Friedman:
    """Return Friedman's chi-square, corrected for ties, and the F statistic of Iman and Davenport.

    Raises
    ------
    ValueError
        With fewer than three models or two data sets.
    """
    from scipy.stats import chi2, f

    num_sets, num_models = ranks.shape
    if num_models < 3 or num_sets < 2:
        raise ValueError(f"{num_models} models on {num_sets} data sets; Friedman's test needs 3 models and 2 data sets")
    expected = (num_models + 1) / 2
    scatter = float(((ranks - expected) ** 2).sum()) / (num_sets * (num_models - 1))  # less than k(k+1)/12 with ties
    between = num_sets * float(((ranks.mean(0) - expected) ** 2).sum())
    chi_square = between / scatter if scatter > 0 else 0.0
    largest = num_sets * (num_models - 1)
    remaining = largest - chi_square
    f_statistic = (num_sets - 1) * chi_square / remaining if remaining > 1e-9 * largest else float("inf")
    degrees = num_models - 1
    return Friedman(
        chi_square,
        float(chi2.sf(chi_square, degrees)),
        f_statistic,
        float(f.sf(f_statistic, degrees, degrees * (num_sets - 1))),
    )


def critical_difference(num_models: int, num_sets: int, *, alpha: float = ALPHA) -> float:
    """Return the difference of mean ranks from which two models differ by Nemenyi's test (Demsar 2006, section 3.2.2).

    The critical value is that of the studentized range with infinite degrees of freedom, divided by the root of 2.

    Examples
    --------
    >>> round(critical_difference(4, 14), 2)  # the example of Demsar 2006: q = 2.569
    1.25
    """
    from scipy.stats import studentized_range

    if num_models < 2 or num_sets < 1:
        raise ValueError(f"{num_models} models on {num_sets} data sets; expected at least 2 models and 1 data set")
    critical = float(studentized_range.ppf(1 - alpha, num_models, np.inf)) / 2**0.5
    return critical * (num_models * (num_models + 1) / (6 * num_sets)) ** 0.5


def indistinguishable_groups(mean_ranks: Float[np.ndarray, " K"], difference: float) -> list[tuple[int, ...]]:
    """Return the largest groups of two or more models whose mean ranks differ by less than `difference`, best first.

    Examples
    --------
    >>> indistinguishable_groups(np.array([3.2, 1.0, 1.8, 2.9]), 1.2)
    [(1, 2), (2, 3), (3, 0)]
    """
    order = [int(index) for index in np.argsort(mean_ranks, kind="stable")]
    groups: list[tuple[int, ...]] = []
    last_end = 0
    for start in range(len(order)):
        end = start
        while end < len(order) and mean_ranks[order[end]] - mean_ranks[order[start]] < difference:
            end += 1
        if end - start > 1 and end > last_end:
            groups.append(tuple(order[start:end]))
            last_end = end
    return groups


def count_wins(ranks: Float[np.ndarray, "N K"]) -> Float[np.ndarray, "K K"]:
    """Return on how many data sets the model of the row is better than that of the column."""
    return (ranks[:, :, None] < ranks[:, None, :]).sum(0).astype(float)


def win_rates(ranks: Float[np.ndarray, "N K"]) -> Float[np.ndarray, " K"]:
    """Return the share of comparisons with another model on a data set that a model wins; a tie counts half.

    Examples
    --------
    >>> win_rates(np.array([[1.0, 2.0, 3.0], [1.5, 1.5, 3.0]])).tolist()
    [0.875, 0.625, 0.0]
    """
    num_sets, num_models = ranks.shape
    wins = count_wins(ranks)
    ties = num_sets - wins - wins.T
    np.fill_diagonal(ties, 0)
    return (wins + ties / 2).sum(1) / (num_sets * max(1, num_models - 1))


def wilcoxon_holm(values: Float[np.ndarray, "N K"]) -> Float[np.ndarray, "K K"]:
    """Return the p-values of Wilcoxon's signed-rank test of every pair, corrected by Holm's procedure.

    Differences of zero are split evenly (Demsar 2006, section 3.1.3). NaN on the diagonal.
    """
    from scipy.stats import wilcoxon

    num_models = values.shape[1]
    pairs = [(i, j) for i in range(num_models) for j in range(i + 1, num_models)]
    raw = []
    for i, j in pairs:
        differences = values[:, i] - values[:, j]
        result: Any = wilcoxon(differences, zero_method="zsplit") if differences.any() else None
        raw.append(1.0 if result is None else float(result.pvalue))
    table = np.full((num_models, num_models), np.nan)
    largest = 0.0
    for step, index in enumerate(np.argsort(raw, kind="stable")):
        largest = max(largest, min(1.0, raw[index] * (len(pairs) - step)))
        i, j = pairs[int(index)]
        table[i, j] = table[j, i] = largest
    return table
