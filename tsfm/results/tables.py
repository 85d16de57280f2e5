"""Tables of results: what the rows of a store say, side by side."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from tsfm.messages import did_you_mean
from tsfm.results.schema import DONE

SAME = (  # what names a measurement; of several equal ones the newest counts
    "kind", "suite", "protocol", "model", "experiment", "data", "subset", "context", "horizon", "setting", "seed",
    "metric",
)  # fmt: skip
MAIN = ("excess", "mse", "mase", "accuracy", "rmse", "vus_pr")  # which metric a table has where none is named
ROW = ("data", "subset", "context", "horizon", "setting")  # what a line of a table is about


def newest(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the finished rows of a results frame; of the same model, data, setting, seed and metric the newest."""
    done = frame.loc[frame["status"] == DONE]
    return done.drop_duplicates(list(SAME), keep="last").reset_index(drop=True)


def comparison(frame: pd.DataFrame, *, metric: str, by: Sequence[str] = ("model",)) -> pd.DataFrame:
    """Return one metric with a line per data set and setting, and a column per model.

    Parameters
    ----------
    frame
        Rows of a results store.
    metric
        Of the table.
    by
        Columns of the store that make the columns of the table.

    Returns
    -------
    DataFrame
        Means over seeds. Properties in which no line differs are left out.

    Raises
    ------
    ValueError
        If no row has the metric.
    """
    rows = newest(frame)
    measured = sorted(rows["metric"].dropna().unique())
    rows = rows.loc[(rows["metric"] == metric) & (rows["subset"].fillna("") == "")]
    if rows.empty:
        raise ValueError(f"no result has the metric {metric!r}; {did_you_mean(metric, measured)}")
    keys = [name for name in ROW if rows[name].nunique(dropna=False) > 1 or name == "data"]
    rows = rows.assign(**{name: rows[name].astype(object).where(rows[name].notna(), "") for name in (*keys, *by)})
    table = rows.pivot_table(index=keys, columns=list(by), values="value", aggfunc="mean", sort=False)
    return table.sort_index(key=lambda level: level.map(lambda value: (isinstance(value, str), value)))


def tables_of(frame: pd.DataFrame, *, metric: str | None = None) -> dict[str, pd.DataFrame]:
    """Return a table for each protocol in a frame of results, by a title with the protocol and the metric.

    Parameters
    ----------
    frame
        Rows of a results store.
    metric
        Of the tables of protocols that measure it; other protocols, or None: the first metric in `MAIN` that they have.
    """
    rows, tables = newest(frame), {}
    rows = rows.loc[rows["subset"].fillna("") == ""]
    for protocol in sorted(set(rows["protocol"].fillna(""))):
        group = rows.loc[rows["protocol"].fillna("") == protocol]
        names = [metric] if metric is not None and metric in set(group["metric"]) else _main_metrics(group)
        for name in names:
            tables[f"{protocol}, {name}"] = comparison(group, metric=name)
    return tables


def _main_metrics(rows: pd.DataFrame) -> list[str]:
    """Return the fewest metrics, in the order of `MAIN`, that every job in the rows has one of."""
    chosen, left = [], rows
    for name in (*MAIN, *sorted(set(rows["metric"]) - set(MAIN))):
        jobs = set(left.loc[left["metric"] == name, "job"])
        if jobs:
            chosen.append(name)
            left = left.loc[~left["job"].isin(list(jobs))]
    return chosen
