"""`tsfm results`: tables of a results store, by suite and metric."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tsfm.commands.tables import table_text, write_table
from tsfm.messages import did_you_mean
from tsfm.results import read_results
from tsfm.results.schema import COLUMNS, FAILED
from tsfm.results.tables import comparison, tables_of


def run(args: argparse.Namespace) -> int:
    """Print the tables of a store, or the jobs that failed."""
    frame = read_results(args.folder, **selection(args))
    if args.out is not None:
        print(write_table(frame, Path(args.out)))
    failed = frame.loc[frame["status"] == FAILED]
    if args.failed:
        for _, row in failed.iterrows():
            print(f"{row['command']}: {row['error']}")
        print(f"{len(failed)} jobs failed")
        return 0
    if len(failed) == len(frame):
        print(f"{args.folder} has no finished job that matches; {len(failed)} failed (--failed lists them)")
        return 0
    if args.by != ["model"]:
        if args.metric is None:
            raise ValueError("--by needs --metric, the metric of the table")
        print(table_text(comparison(frame, metric=args.metric, by=args.by)))
        return 0
    for title, table in tables_of(frame, metric=args.metric).items():
        print(f"{title}\n\n{table_text(table)}\n")
    return 0


def selection(args: argparse.Namespace) -> dict[str, Any]:
    """Return the columns and values that rows are selected by."""
    where: dict[str, Any] = {} if args.suite is None else {"suite": args.suite}
    for text in args.where:
        name, equals, value = text.partition("=")
        if name not in COLUMNS or not equals:
            raise ValueError(f"--where is {text!r}; expected COLUMN=VALUE: {did_you_mean(name, list(COLUMNS))}")
        kind = COLUMNS[name][0]
        values = value.split(",")
        where[name] = [int(item) for item in values] if str(kind) == "int64" else values
    return where
