"""Ranks, tests and win rates: agreement with scipy, published critical values, and cases computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tsfm.report.statistics import (
    count_wins,
    critical_difference,
    friedman_test,
    indistinguishable_groups,
    rank_models,
    wilcoxon_holm,
    win_rates,
)

RNG = np.random.default_rng(3)
Q_005 = {2: 1.960, 3: 2.343, 4: 2.569, 5: 2.728, 6: 2.850, 7: 2.949, 8: 3.031, 9: 3.102, 10: 3.164}  # Demsar, table 5
Q_010 = {2: 1.645, 3: 2.052, 4: 2.291, 5: 2.459, 6: 2.589, 7: 2.693, 8: 2.780, 9: 2.855, 10: 2.920}
# Demsar 2006, table 6: AUC of C4.5, C4.5+m, C4.5+cf, C4.5+m+cf on 14 data sets
AUC = np.array(
    [
        *([0.763, 0.768, 0.771, 0.798], [0.599, 0.591, 0.590, 0.569], [0.954, 0.971, 0.968, 0.967]),
        *([0.628, 0.661, 0.654, 0.657], [0.882, 0.888, 0.886, 0.898], [0.936, 0.931, 0.916, 0.931]),
        *([0.661, 0.668, 0.609, 0.685], [0.583, 0.583, 0.563, 0.625], [0.775, 0.838, 0.866, 0.875]),
        *([1.000, 1.000, 1.000, 1.000], [0.940, 0.962, 0.965, 0.962], [0.619, 0.666, 0.614, 0.669]),
        *([0.972, 0.981, 0.9751, 0.975], [0.957, 0.978, 0.946, 0.970]),
    ]
)


@pytest.mark.parametrize(("alpha", "table"), [(0.05, Q_005), (0.10, Q_010)])
def test_critical_values_are_those_of_demsars_table(alpha: float, table: dict[int, float]) -> None:
    for num_models, value in table.items():
        expected = value * np.sqrt(num_models * (num_models + 1) / (6 * 30))
        assert critical_difference(num_models, 30, alpha=alpha) == pytest.approx(expected, rel=4e-4)
    assert critical_difference(5, 30) == pytest.approx(1.1137, abs=5e-4)


def test_the_example_of_demsar() -> None:
    ranks = rank_models(AUC, better="higher")
    assert ranks.mean(0).round(3).tolist() == [3.143, 2.0, 2.893, 1.964]
    uncorrected = 12 * 14 / (4 * 5) * ((ranks.mean(0) ** 2).sum() - 4 * 5**2 / 4)
    assert uncorrected == pytest.approx(9.28, abs=0.01)  # as in the article; ties raise it
    test = friedman_test(ranks)
    assert test.chi_square == pytest.approx(stats.friedmanchisquare(*AUC.T).statistic)
    assert test.f_statistic == pytest.approx(13 * test.chi_square / (14 * 3 - test.chi_square))
    assert critical_difference(4, 14, alpha=0.10) == pytest.approx(1.12, abs=0.01)


def test_ranks_of_ties_and_of_both_directions() -> None:
    values = np.array([[1.0, 2.0, 2.0, 5.0], [3.0, 3.0, 3.0, 3.0]])
    assert rank_models(values, better="lower").tolist() == [[1, 2.5, 2.5, 4], [2.5] * 4]
    assert np.array_equal(rank_models(values, better="higher"), rank_models(-values, better="lower"))
    with pytest.raises(ValueError, match="missing or infinite"):
        rank_models(np.array([[1.0, np.nan]]), better="lower")
    with pytest.raises(ValueError, match="better is 'target'"):
        rank_models(values, better="target")


@pytest.mark.parametrize("decimals", [6, 0])  # 0: many ties
def test_friedman_agrees_with_scipy(decimals: int) -> None:
    values = (RNG.normal(size=(25, 5)) + np.arange(5) / 4).round(decimals)
    expected = stats.friedmanchisquare(*values.T)
    test = friedman_test(rank_models(values, better="lower"))
    assert (test.chi_square, test.p_value) == pytest.approx((expected.statistic, expected.pvalue))
    assert friedman_test(np.full((6, 3), 2.0)).chi_square == 0  # all equal
    assert friedman_test(np.tile([1.0, 2.0, 3.0], (6, 1))).f_p_value == 0  # the same order everywhere
    with pytest.raises(ValueError, match="2 models on 6 data sets"):
        friedman_test(np.ones((6, 2)))


def test_win_rates_add_up() -> None:
    ranks = rank_models(RNG.integers(0, 4, size=(40, 6)).astype(float), better="lower")
    assert win_rates(ranks).mean() == pytest.approx(0.5)  # every comparison has one point
    wins = count_wins(ranks)
    ties = np.array([[(ranks[:, i] == ranks[:, j]).sum() for j in range(6)] for i in range(6)])
    assert np.array_equal(wins + wins.T + ties, np.full((6, 6), 40))
    mean_ranks = ranks.mean(0)
    assert np.allclose(win_rates(ranks), 1 - (mean_ranks - 1) / 5)  # a rank counts the models that are better


def test_groups_are_the_largest_ones() -> None:
    assert indistinguishable_groups(np.array([1.0, 1.5, 2.0, 5.0]), 1.2) == [(0, 1, 2)]
    assert indistinguishable_groups(np.array([1.0, 3.0, 5.0]), 1.0) == []
    assert indistinguishable_groups(np.array([1.0, 2.0, 3.0]), 9.0) == [(0, 1, 2)]
    assert indistinguishable_groups(np.array([1.0, 2.0]), 1.0) == []  # a difference of CD is significant


def test_wilcoxon_with_holm() -> None:
    values = RNG.normal(size=(20, 3)) + np.array([0, 0.1, 2])
    raw = {pair: stats.wilcoxon(values[:, pair[0]], values[:, pair[1]]).pvalue for pair in ((0, 1), (0, 2), (1, 2))}
    ordered = sorted(raw, key=lambda pair: raw[pair])
    corrected = np.maximum.accumulate([min(1, raw[pair] * (3 - step)) for step, pair in enumerate(ordered)])
    table = wilcoxon_holm(values)
    for pair, p_value in zip(ordered, corrected, strict=True):
        assert table[pair] == table[pair[::-1]] == pytest.approx(p_value)
    assert wilcoxon_holm(np.ones((9, 2)))[0, 1] == 1
