"""Leaderboards: the values of competitors on tasks, over seeds, and what of them can be compared. K models, N tasks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from tsfm.messages import did_you_mean
from tsfm.metrics.metric import better_direction
from tsfm.report.frame import Frame
from tsfm.report.statistics import rank_models

if TYPE_CHECKING:
    from jaxtyping import Float

MIN_COVERAGE = 0.75  # share of the tasks of a leaderboard that a model must have a value for, to be ranked
RANKING_METRICS = {  # of each protocol; the first ones that were measured
    "windows": ("mse",),
    "gift": ("mase",),
    "cases": ("accuracy", "rmse"),
    "imputation": ("mse",),
    "anomaly": ("vus_pr",),
    "known": ("excess",),
}


@dataclass(frozen=True)
class Leaderboard:
    """What one leaderboard compares.

    Attributes
    ----------
    suite, protocol, metric, better
        What is ranked, and whether "lower" or "higher" is better.
    rows
        The measurements of its tasks, of all metrics.
    values, spread, seeds
        By task and competitor: mean over seeds, their standard deviation (NaN for one seed), their number. A value
        is NaN where nothing was measured (seeds is 0) or the metric of a seed is not defined.
    """

    suite: str
    protocol: str
    metric: str
    better: str
    rows: Frame
    values: Frame
    spread: Frame
    seeds: Frame

    @property
    def title(self) -> str:
        """Return the name of the leaderboard."""
        name = f"Suite {self.suite}, {self.protocol}" if self.suite else f"Protocol {self.protocol}"
        return f"{name}: {self.metric}"

    @property
    def compared(self) -> list[str]:
        """Return the competitors that are ranked: those with a value on at least `MIN_COVERAGE` of the tasks."""
        present = self.values.notna().sum()
        return [str(name) for name in self.values if present[name] >= MIN_COVERAGE * len(self.values)]

    @cached_property
    def shared(self) -> Frame:
        """Return the values of the ranked competitors on the tasks for which all of them have one."""
        return self.values[self.compared].dropna()

    @cached_property
    def ranks(self) -> Float[np.ndarray, "N K"]:
        """Return the ranks of `shared`."""
        return rank_models(self.shared.to_numpy(float), better=self.better)

    @property
    def num_undefined(self) -> int:
        """Return how many values were measured but are not defined."""
        return int((self.values.isna() & (self.seeds > 0)).to_numpy().sum())

    def best(self, task: str) -> float:
        """Return the best value of a task; NaN where there is none."""
        values = self.values.loc[task].dropna()
        if values.empty:
            return float("nan")
        return float(values.max() if self.better == "higher" else values.min())

    def cost(self, competitor: str, column: str) -> float | None:
        """Return the sum of `seconds` of the jobs of the shared tasks, or the largest number of `parameters`."""
        rows = self.rows[(self.rows["competitor"] == competitor) & self.rows["task"].isin(self.shared.index)]
        values = rows.drop_duplicates("job")[column].dropna()
        if values.empty:
            return None
        return float(values.sum() if column == "seconds" else values.max())


def make_boards(measured: Frame, *, metrics: Sequence[str] = ()) -> list[Leaderboard]:
    """Return the boards of all groups.

    Parameters
    ----------
    measured
        Rows of `select_rows`.
    metrics
        Metrics to rank by; without, those that are usual for the protocol.

    Raises
    ------
    ValueError
        If a metric was not measured, or neither lower nor higher values of it are better.
    """
    known = sorted(set(measured["metric"]) - {""})
    for metric in metrics:
        if metric not in known:
            raise ValueError(f"no job measured the metric {metric!r}; {did_you_mean(metric, known)}")
        if better_direction(metric) == "target":
            raise ValueError(f"metric {metric!r} is best near a nominal value and has no ranks; choose another one")
    boards: list[Leaderboard] = []
    for (suite, protocol), rows in measured.groupby(["suite", "protocol"], sort=True):
        boards += [
            make_board(rows, suite=str(suite), protocol=str(protocol), metric=metric)
            for metric in _ranking_metrics(rows, str(protocol), metrics)
        ]
    return boards


def make_board(rows: Frame, *, suite: str, protocol: str, metric: str) -> Leaderboard:
    """Return the leaderboard of a group for a metric. Tasks are the subsets of data sets where those were measured.

    The whole of a data set that has subsets is their mean, so it is left out.
    """
    ranked = rows[rows["metric"] == metric]
    with_subsets = set(ranked.loc[ranked["subset"] != "", "data"])
    is_task = (rows["subset"] != "") | ~rows["data"].isin(with_subsets)
    rows = rows[is_task & rows["task"].isin(ranked["task"])]
    cells = rows[rows["metric"] == metric].groupby(["task", "competitor"], sort=True)["value"]
    table = cells.agg(mean=lambda x: x.mean(skipna=False), spread=lambda x: x.std(ddof=1, skipna=False), seeds="size")
    values, spread, seeds = (table[name].unstack("competitor") for name in ("mean", "spread", "seeds"))
    order = sorted(values.index, key=_natural)
    better = better_direction(metric)
    return Leaderboard(
        suite, protocol, metric, better, rows.reset_index(drop=True), _finite(values.loc[order]), spread.loc[order],
        seeds.loc[order].fillna(0).astype(int),
    )  # fmt: skip


def _finite(values: Frame) -> Frame:
    return values.astype(float).where(np.isfinite(values.astype(float)))


def _ranking_metrics(rows: Frame, protocol: str, chosen: Sequence[str]) -> Iterator[str]:
    measured = set(rows["metric"])
    usual = [name for name in chosen or RANKING_METRICS.get(protocol, ()) if name in measured]
    if not usual and not chosen:
        usual = [
            name for name in sorted(measured) if not name.startswith("val_") and better_direction(name) != "target"
        ][:1]
    yield from usual


def _natural(text: str) -> list[tuple[int, int, str]]:
    """Return a key of sorting by which horizon 96 precedes horizon 720."""
    pieces = "".join(character if character.isdigit() else f" {character} " for character in text).split(" ")
    return [(0, int(piece), "") if piece.isdigit() else (1, 0, piece.lower()) for piece in pieces if piece]
