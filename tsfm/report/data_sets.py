"""The blocks of single data sets: a table of all of them, and each with all metrics and the published values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from tsfm.report.blocks import Block, Cell, Details, Heading, Table, Text, format_number
from tsfm.report.boards import Leaderboard
from tsfm.report.frame import Frame

MAX_PUBLISHED = 10  # published values that a data set lists, the best ones
MAX_METHODS = 15  # published methods in the table over all data sets
MIN_SHARE = 0.5  # of the data sets of a leaderboard that a published method must cover to be in that table


@dataclass
class Sources:
    """Numbers of the places where values were published, in the order of their first use."""

    names: list[str] = field(default_factory=list)

    def number(self, source: str) -> str:
        """Return the number of a source, such as [3]; empty for an unknown one."""
        if not source:
            return ""
        if source not in self.names:
            self.names.append(source)
        return f"[{self.names.index(source) + 1}]"


def values_table(ranking: Leaderboard) -> Details:
    """Return a table of the ranked metric: a row for each data set and a column for each model."""
    rows: list[list[Cell | str]] = []
    for task in ranking.values.index:
        best = ranking.best(str(task))
        rows.append([str(task), *(_value(ranking, str(task), str(name), best) for name in ranking.values)])
    caption = f"{ranking.metric} by data set; bold: the best measured one. n/d: measured, but not defined."
    columns = [str(name) for name in ranking.values]
    table = Table(["Data set", *columns], rows, caption, frozenset(range(1, len(columns) + 1)))
    return Details(f"All values of {ranking.metric} in one table ({len(rows)} data sets)", [table])


def _value(ranking: Leaderboard, task: str, name: str, best: float) -> Cell:
    value, seeds, spread = (float(table.loc[task, name]) for table in (ranking.values, ranking.seeds, ranking.spread))
    if np.isnan(value):
        return Cell("n/d", "undefined", "measured, but not defined") if seeds else Cell("-", "", "not measured")
    text = format_number(value) + (f" ± {format_number(spread)}" if np.isfinite(spread) else "")
    return Cell(text, "best", "the best measured value") if value == best else Cell(text)


def next_to_published(ranking: Leaderboard, published: Frame, sources: Sources) -> Iterator[Block]:
    """Yield a table of published methods, each next to the measured models on the data sets that both have.

    Parameters
    ----------
    ranking
        The measured values.
    published
        Rows of `match_published`.
    sources
        Where they are from; new ones are added.
    """
    if published.empty or ranking.shared.empty:
        return
    table = published[published["task"].isin(ranking.shared.index)].pivot(index="task", columns="model", values="value")
    counts = table.notna().sum()
    covering = [str(name) for name in table if counts[name] >= max(1, MIN_SHARE * len(ranking.shared))]
    measured_mean = ranking.shared.mean(axis=1)
    sign = 1 if ranking.better == "lower" else -1
    relative = {name: sign * float((table[name] - measured_mean).mean()) for name in covering}
    chosen = sorted(covering, key=lambda name: (relative[name], name))[:MAX_METHODS]
    yield Heading("Next to published numbers", 3)
    yield Text(_published_remark(ranking, published, len(chosen)), "note")
    if not chosen:
        return
    first = published.drop_duplicates("model").set_index("model")["source"]
    rows: list[list[Cell | str]] = []
    for name in chosen:
        tasks = table[name].dropna().index
        published_mean = float(table.loc[tasks, name].mean())
        measured = [_compared(ranking, str(own), tasks, published_mean) for own in ranking.shared]
        rows.append(
            [
                Cell(name, "published"),
                str(len(tasks)),
                format_number(published_mean),
                *measured,
                sources.number(first[name]),
            ]
        )
    header = [
        "Published method",
        "Data sets",
        f"Its mean {ranking.metric}",
        *(f"{own}, measured" for own in ranking.shared),
    ]
    caption = (
        f"Mean {ranking.metric} of a published method, and of each measured model on the same data sets; bold: the "
        "measured model is better. Rows are of different data sets where their numbers of data sets differ."
    )
    yield Table([*header, "Source"], rows, caption, frozenset(range(1, len(header))))


def _compared(ranking: Leaderboard, own: str, tasks: pd.Index, published: float) -> Cell:
    mean = float(ranking.shared.loc[tasks, own].mean())
    is_better = mean < published if ranking.better == "lower" else mean > published
    return Cell(
        format_number(mean), "best" if is_better else "", "better than the published method" if is_better else ""
    )


def _published_remark(ranking: Leaderboard, published: Frame, num_chosen: int) -> str:
    remark = (
        f"{published['model'].nunique()} published methods have a value for {published['task'].nunique()} of "
        f"{len(ranking.values)} data sets; the table has the {num_chosen} best of those on at least {MIN_SHARE:.0%} of "
        f"the {len(ranking.shared)} shared ones. Published values enter no rank."
    )
    settings = [text for text in sorted(ranking.rows["task_setting"].unique()) if text]
    if settings:
        remark += f" The measured values are of {'; '.join(settings)}, the published ones of the full protocol."
    return remark


def data_set_details(ranking: Leaderboard, published: Frame, sources: Sources) -> Iterator[Details]:
    """Yield for each data set all metrics of all models, and the best published values."""
    by_task = dict(tuple(published.groupby("task"))) if len(published) else {}
    metrics = [ranking.metric, *sorted(set(ranking.rows["metric"]) - {ranking.metric})]
    for task, rows in ((task, ranking.rows[ranking.rows["task"] == task]) for task in ranking.values.index):
        values = rows.groupby(["competitor", "metric"])["value"].agg(lambda x: x.mean(skipna=False)).unstack()
        present = [metric for metric in metrics if metric in values]
        lines = _ordered(values, ranking)
        cells: list[list[Cell | str]] = [
            [
                str(name),
                *(format_number(float(values.loc[name, metric])) for metric in present),
                _windows(rows, name),
                "",
            ]
            for name in lines
        ]
        known = by_task.get(task)
        num_known = 0 if known is None else len(known)
        if known is not None:
            best_first = known.sort_values(["value", "model"], ascending=[ranking.better == "lower", True])
            for _, row in best_first.head(MAX_PUBLISHED).iterrows():
                blank = [""] * len(present)
                cells.append(
                    [
                        Cell(row["model"], "published"),
                        format_number(row["value"]),
                        *blank,
                        sources.number(row["source"]),
                    ]
                )
        caption = f"All metrics on {task}, best {ranking.metric} first"
        caption += f"; published: the best {min(num_known, MAX_PUBLISHED)} of {num_known}." if num_known else "."
        table = Table(["Model", *present, "Scored", "Source"], cells, caption, frozenset(range(1, len(present) + 2)))
        yield Details(f"{task}: {_summary(ranking, str(task))}", [table])


def _ordered(values: Frame, ranking: Leaderboard) -> list[str]:
    if ranking.metric not in values:
        return [str(name) for name in values.index]
    ordered = values[ranking.metric].sort_values(ascending=ranking.better == "lower", kind="stable", na_position="last")
    return [str(name) for name in ordered.index]


def _summary(ranking: Leaderboard, task: str) -> str:
    best = ranking.best(task)
    if np.isnan(best):
        return f"no value of {ranking.metric}"
    names = [str(name) for name in ranking.values if ranking.values.loc[task, name] == best]
    return f"best {ranking.metric} {format_number(best)}, {' and '.join(names)}"


def _windows(rows: Frame, competitor: str) -> str:
    counts = rows.loc[rows["competitor"] == competitor, "windows"].dropna()
    return "-" if counts.empty else f"{int(counts.max()):,}"
