"""`tsfm forecast`: forecast the series of a file, write or print the forecast, and draw it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tsfm.bench.predictors import find_predictor
from tsfm.commands.holdout import hold_out, score_holdout
from tsfm.commands.tables import check_outputs, column_arguments, match_ids, read_file, write_table
from tsfm.infer.arguments import check_prediction_length

PRINTED_ROWS = 12


def run(args: argparse.Namespace) -> int:
    """Forecast the file and print what was written, or the first rows."""
    print(
        forecast_file(
            args.source, predictor=args.model, horizon=args.horizon, target=args.target, future=args.future,
            quantile_levels=args.quantile_levels, out=args.out, plot=args.plot, holdout=args.holdout, freq=args.freq,
            id_column=args.id_column, timestamp_column=args.timestamp_column, covariates=args.covariates,
            dayfirst=args.dayfirst, date_format=args.date_format, timezone=args.timezone,
            text={"sep": args.sep, "decimal": args.decimal, "encoding": args.encoding},
        )
    )  # fmt: skip
    return 0


def forecast_file(
    source: str | Path,
    *,
    predictor: str,
    horizon: int,
    target: Sequence[str] | None = None,
    future: str | None = None,
    quantile_levels: Sequence[float] | None = None,
    out: str | None = None,
    plot: str | None = None,
    holdout: bool = False,
    freq: str | None = None,
    id_column: str = "item_id",
    timestamp_column: str = "timestamp",
    covariates: str = "auto",
    text: Mapping[str, Any] | None = None,
    **timestamps: Any,
) -> str:
    """Forecast the series of a file and return what `tsfm forecast` prints.

    Parameters
    ----------
    source, future
        Files that `read_table` reads: the past, and the future of the covariates.
    predictor
        A model directory, a bundled model or a baseline.
    horizon
        Steps to forecast.
    target
        Names of the target columns; None: "target".
    out, plot
        Files for the forecast and its figure; without `out` the first rows are part of the text.
    holdout
        Whether to hide the last `horizon` steps, forecast them, and report scores next to the seasonal naive.
    covariates
        How covariates are used, see `Predictor.predict_df`.
    text
        How text files are written: the arguments sep, decimal and encoding of `read_table`.
    **timestamps
        How to read timestamps: `dayfirst`, `date_format`, `timezone`.

    Raises
    ------
    ValueError, OSError
        If an argument or a file cannot be used; paths to write are checked first.
    """
    check_prediction_length(horizon)
    check_outputs(out, plot)
    model = find_predictor(predictor)
    df = read_file(source, id_column=id_column, text=text)
    future_df = None
    if future:
        future_df = match_ids(read_file(future, id_column=id_column, text=text), df, id_column=id_column)
    columns: dict[str, Any] = column_arguments(target, id_column=id_column, timestamp_column=timestamp_column)
    columns |= timestamps
    past, actual, lines = df, None, []
    if holdout:
        known = model.known_covariates if future_df is None else future_df.columns
        read_covariates = model.uses_covariates or model.regresses_covariates
        held = hold_out(df, horizon=horizon, known=known, freq=freq, columns=columns, covariates=read_covariates)
        predictors = [model, find_predictor("seasonal_naive")]
        lines += score_holdout(held.frame, predictors, horizon=horizon, covariates=covariates)
        past, actual, future_df, freq = held.past, held.actual, held.future_df, held.freq
        columns = {
            "id_column": held.frame.id_name,
            "timestamp_column": held.frame.timestamp_name,
            "target": held.frame.targets,
        }
    forecast = model.predict_df(
        past, horizon, future_df=future_df, quantile_levels=quantile_levels, freq=freq, covariates=covariates, **columns
    )
    if out is not None:
        lines.append(write_table(forecast, Path(out)))
    if plot is not None:
        from tsfm.infer.plot import plot as draw_forecast

        names = {key: column for key, column in columns.items() if key.endswith("_column")}
        draw_forecast(past, forecast, actual=actual, path=plot, title=Path(source).stem, **names)
        lines.append(f"drew {plot}")
    if out is None:
        lines.append(forecast.head(PRINTED_ROWS).to_string(index=False))
    return "\n".join(lines)
