"""`tsfm backtest`: forecast the last windows of a file from the steps before each, and print the scores."""

from __future__ import annotations

import argparse
from pathlib import Path

from tsfm.backtesting.backtest import backtest
from tsfm.backtesting.result import Backtest
from tsfm.bench.predictors import is_baseline
from tsfm.bench.zero_shot import check_seen
from tsfm.commands.tables import check_outputs, check_suffix, frame_arguments, read_file, write_table
from tsfm.data.base import SourceSeries
from tsfm.files import check_folder
from tsfm.store.read_options import split_options

PRINTED_ROWS = 40


def run(args: argparse.Namespace) -> int:
    """Back-test the models on the file, and print the scores and what was written."""
    check_outputs(args.out, args.plot)
    if args.scores is not None:
        check_suffix(Path(args.scores))
        check_folder(Path(args.scores).parent)
    options = split_options(vars(args))[0]
    models = args.model or ["tsfm-small"]
    result = backtest(
        read_file(args.source, options), args.horizon, windows=args.windows, step=args.step, models=models,
        effort=args.effort or "auto", refit=args.refit, known=args.known, covariates=args.covariates,
        level=[int(x) if x == int(x) else x for x in args.interval or (80, 95)], style=args.style, lower=args.lower,
        upper=args.upper, **frame_arguments(options),
    )  # fmt: skip
    print("\n".join([*_describe(result, args.by), *_seen(result, models), *_write(result, args)]))
    return 0


def _describe(result: Backtest, by: str | None) -> list[str]:
    """Return the tables of scores and what effort="best" found."""
    lines = [result.describe()]
    if by is not None:
        table = result.scores(by)
        more = f"\n... {len(table) - PRINTED_ROWS} more rows; --scores writes all" if len(table) > PRINTED_ROWS else ""
        lines.append(table.head(PRINTED_ROWS).to_string(index=False, float_format=lambda x: f"{x:.3f}") + more)
    return [*lines, *result.explanation]


def _seen(result: Backtest, models: list[str]) -> list[str]:
    """Return for each trained model whether it was trained on the series."""
    frame, targets = result.windows.frame, result.windows.targets
    series = SourceSeries([str(name) for name in frame.ids], targets)
    verdicts = {name: check_seen(name, lambda: series) for name in dict.fromkeys(models) if not is_baseline(name)}
    return [f"{name}: {verdict}" for name, verdict in verdicts.items() if verdict is not None]


def _write(result: Backtest, args: argparse.Namespace) -> list[str]:
    """Write the files that were requested; return a line for each."""
    lines = []
    if args.out is not None:
        lines.append(write_table(result.forecasts, Path(args.out)))
    if args.scores is not None:
        lines.append(write_table(result.scores(args.by), Path(args.scores)))
    if args.plot is not None:
        result.plot(path=args.plot, title=Path(args.source).stem)
        lines.append(f"drew {args.plot}")
    return lines
