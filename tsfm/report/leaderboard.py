"""The blocks of a leaderboard: ranks, tests, costs, and every value by data set."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from tsfm.report.blocks import Block, Cell, Details, Heading, Preformatted, Table, Text, format_number
from tsfm.report.boards import MIN_COVERAGE, Leaderboard
from tsfm.report.charts import Point, cost_scatter, critical_difference_diagram
from tsfm.report.frame import Frame
from tsfm.report.statistics import (
    ALPHA,
    MIN_SETS,
    count_wins,
    critical_difference,
    friedman_test,
    wilcoxon_holm,
    win_rates,
)

MAX_LISTED = 8  # names in a sentence


def leaderboard_blocks(ranking: Leaderboard) -> Iterator[Block]:
    """Yield the ranks of a leaderboard, the tests of their differences, and the costs."""
    yield Text(_scope(ranking))
    yield from _remarks(ranking)
    yield _ranking(ranking)
    yield from _significance(ranking)
    yield from _costs(ranking)


def _scope(ranking: Leaderboard) -> str:
    tasks = sorted(ranking.rows.drop_duplicates("task")["task_setting"].unique())
    contexts = sorted({int(steps) for steps in ranking.rows["context"].dropna()})
    parts = [
        f"{len(ranking.compared)} of {ranking.values.shape[1]} models are compared on the {len(ranking.shared)} of "
        f"{len(ranking.values)} data sets (or subsets and horizons of them) for which all of these have a value of "
        f"{ranking.metric}; {ranking.better} is better."
    ]
    if contexts:
        parts.append(f"Models read {_list([f'{steps:,}' for steps in contexts], 'or')} past steps.")
    if settings := [text for text in tasks if text]:
        parts.append(f"Settings of the score: {'; '.join(settings)}.")
    return " ".join(parts)


def _remarks(ranking: Leaderboard) -> Iterator[Text]:
    """Yield what limits the comparison."""
    unranked = [name for name in ranking.values if name not in ranking.compared]
    if unranked:
        counts = [f"{name} ({int(ranking.values[name].notna().sum())})" for name in unranked]
        yield Text(
            f"Not ranked, because they have values on fewer than {MIN_COVERAGE:.0%} of the {len(ranking.values)} "
            f"data sets: {_list(counts)}.",
            "warning",
        )
    if num_left := len(ranking.values) - len(ranking.shared):
        left = [task for task in ranking.values.index if task not in ranking.shared.index]
        yield Text(
            f"{num_left} data sets are left out of the ranks, because a value is missing: {_list(left)}.", "warning"
        )
    if ranking.num_undefined:
        yield Text(
            f"{ranking.num_undefined} values were measured but are not defined (NaN); they enter no rank and no mean.",
            "warning",
        )
    prints = ranking.rows.dropna(subset=["data_fingerprint"]).groupby("task")["data_fingerprint"].nunique()
    if changed := [str(task) for task in prints.index[prints > 1]]:
        yield Text(f"Not all models were scored on the same version of the data: {_list(changed)}.", "warning")
    machines = ranking.rows[["processor", "gpus", "cores", "threads"]].astype(str).drop_duplicates()
    if len(machines) > 1:
        yield Text(f"Seconds were measured on {len(machines)} different machines or settings of threads.", "warning")


def _ranking(ranking: Leaderboard) -> Table:
    header = [
        "Model",
        "Mean rank",
        "Win rate",
        f"Mean {ranking.metric}",
        "Seeds",
        "Parameters",
        "Seconds",
        "Zero-shot",
    ]
    rows: list[list[Cell | str]] = []
    has_ranks = len(ranking.shared) > 0 and len(ranking.compared) > 1
    mean_ranks = ranking.ranks.mean(0) if has_ranks else np.full(len(ranking.compared), np.nan)
    rates = win_rates(ranking.ranks) if has_ranks else np.full(len(ranking.compared), np.nan)
    order = np.argsort(mean_ranks, kind="stable")
    for position, index in enumerate(order):
        name = ranking.compared[int(index)]
        best = "best" if has_ranks and mean_ranks[index] == mean_ranks.min() else ""
        rate = f"{rates[index]:.0%}" if has_ranks else "-"
        rank = Cell(format_number(float(mean_ranks[index]), digits=2), best, "the best mean rank" if best else "")
        rows.append([f"{position + 1}. {name}", rank, rate, *_columns_of(ranking, name)])
    for name in ranking.values:
        if name not in ranking.compared:
            present = int(ranking.values[name].notna().sum())
            rows.append(
                [
                    f"{name}",
                    f"{present} of {len(ranking.values)} sets",
                    "-",
                    *_columns_of(ranking, str(name), ranked=False),
                ]
            )
    caption = (
        f"Leaderboard by mean rank (1 is the best; ties share their ranks). Win rate: share of comparisons with "
        f"another model on a data set that are won, ties count half. The mean of {ranking.metric} is over the same "
        "data sets, the seconds are the sum of their jobs."
    )
    return Table(header, rows, caption, frozenset(range(1, 7)))


def _columns_of(ranking: Leaderboard, name: str, *, ranked: bool = True) -> list[Cell | str]:
    """Return mean, seeds, parameters, seconds and the verdict of the leak check of a competitor."""
    rows = ranking.rows[ranking.rows["competitor"] == name]
    mean = float(ranking.shared[name].mean()) if ranked and len(ranking.shared) else float("nan")
    spread = ranking.spread.loc[ranking.shared.index, name] if ranked else pd.Series(dtype=float)
    deviation = f" ± {format_number(float(spread.mean()))}" if len(spread) and bool(spread.notna().all()) else ""
    seeds = sorted(set(ranking.seeds[name][ranking.seeds[name] > 0]))
    parameters, seconds = ranking.cost(name, "parameters"), ranking.cost(name, "seconds")
    return [
        format_number(mean) + deviation,
        _list([str(count) for count in seeds], "or"),
        "-" if parameters is None else f"{int(parameters):,}",
        "-" if seconds is None else format_number(seconds, digits=1),
        _verdict(rows),
    ]


def _verdict(rows: Frame) -> str:
    if (rows["kind"] == "train").all():
        return "trained on the data"
    verdicts = rows["zero_shot"].dropna().unique()
    if not len(verdicts):
        return "not known" if rows["parameters"].notna().any() or rows["weights"].notna().any() else "-"
    return "yes" if bool(verdicts.all()) else "no: has seen data"


def _significance(ranking: Leaderboard) -> Iterator[Block]:
    num_sets, num_models = ranking.shared.shape
    if num_models < 2:
        return
    yield Heading("Are the differences significant?", 3)
    if num_sets < MIN_SETS:
        yield Text(f"{num_sets} shared data sets are too few for a test; it needs at least {MIN_SETS}.", "note")
        return
    difference = critical_difference(num_models, num_sets)
    yield critical_difference_diagram(ranking.compared, ranking.ranks.mean(0), difference)
    sentence = (
        f"Nemenyi's test at level {ALPHA}: two models differ if their mean ranks differ by {difference:.2f} or more "
        f"({num_models} models, {num_sets} data sets)."
    )
    if num_models > 2:
        test = friedman_test(ranking.ranks)
        verdict = "the models are not all equally good" if test.p_value < ALPHA else "no difference is shown at all"
        sentence = (
            f"Friedman's test: chi-square {test.chi_square:.1f}, p {_p(test.p_value)} (Iman and Davenport: F "
            f"{test.f_statistic:.1f}, p {_p(test.f_p_value)}): {verdict}. {sentence}"
        )
    yield Text(f"{sentence} Tests as in Demsar (JMLR 7, 2006); data sets count as independent of each other.", "note")
    yield Details("Every pair of models: wins, ties and losses, and Wilcoxon's test", [_pairs(ranking)])


def _pairs(ranking: Leaderboard) -> Table:
    wins, p_values = count_wins(ranking.ranks), wilcoxon_holm(ranking.shared.to_numpy(float))
    order = np.argsort(ranking.ranks.mean(0), kind="stable")
    rows: list[list[Cell | str]] = []
    for i in order:
        cells: list[Cell | str] = [ranking.compared[int(i)]]
        for j in order:
            ties = int(len(ranking.shared) - wins[i, j] - wins[j, i])
            text = f"{int(wins[i, j])}-{ties}-{int(wins[j, i])}, p {_p(float(p_values[i, j]))}"
            significant = i != j and p_values[i, j] < ALPHA
            cells.append(
                Cell("" if i == j else text, "best" if significant else "", "significant" if significant else "")
            )
        rows.append(cells)
    caption = (
        "Wins, ties and losses of the model of the row against that of the column, and the p-value of Wilcoxon's "
        f"signed-rank test with Holm's correction; bold: below {ALPHA}."
    )
    return Table(["Model", *(ranking.compared[int(j)] for j in order)], rows, caption)


def _costs(ranking: Leaderboard) -> Iterator[Block]:
    titles = {"seconds": "seconds of all shared data sets", "parameters": "parameters"}
    charts = []
    for column, title in titles.items():
        costs = {name: ranking.cost(name, column) for name in ranking.compared}
        points = [
            Point(name, cost, float(ranking.shared[name].mean()))
            for name, cost in costs.items()
            if cost is not None and cost > 0 and len(ranking.shared)
        ]
        if len(points) > 1:
            charts.append(cost_scatter(points, cost=title, value=f"mean {ranking.metric}", better=ranking.better))
    if charts:
        yield Heading("Accuracy against cost", 3)
        yield from charts


def commands_of(ranking: Leaderboard) -> Details:
    """Return the command of each job of a leaderboard."""
    commands = sorted(set(ranking.rows["command"]) - {""})
    return Details(f"Commands of these {len(commands)} jobs", [Preformatted(commands or ["not recorded"])])


def _list(names: list[str], word: str = "and") -> str:
    names = [str(name) for name in names]
    if len(names) > MAX_LISTED:
        return f"{', '.join(names[:MAX_LISTED])} {word} {len(names) - MAX_LISTED} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {word} {names[-1]}" if names else "none"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
