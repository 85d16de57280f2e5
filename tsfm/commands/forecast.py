"""`tsfm forecast`: forecast the series of a file, write or print the forecast, and draw it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tsfm.bench.predictors import find_predictor
from tsfm.bench.zero_shot import check_seen
from tsfm.commands.holdout import Holdout, hold_out, score_holdout, whole_series
from tsfm.commands.tables import check_outputs, frame_arguments, match_ids, read_file, write_table
from tsfm.infer.arguments import check_prediction_length
from tsfm.infer.failed_items import FailedItems, add_forecast_rows, finish, settings_of, without_failed_items
from tsfm.store.read_options import FileOptions, ReadOptions, split_options

if TYPE_CHECKING:
    import pandas as pd
    from typing_extensions import Unpack

PRINTED_ROWS = 12


def run(args: argparse.Namespace) -> int:
    """Forecast the file and print what was written, or the first rows."""
    print(
        forecast_file(
            args.source, predictor=args.model, horizon=args.horizon, future=args.future,
            quantile_levels=args.quantile_levels, out=args.out, plot=args.plot, holdout=args.holdout,
            covariates=args.covariates, effort=args.effort, lower=args.lower, upper=args.upper,
            **split_options(vars(args))[0],
        )
    )  # fmt: skip
    return 0


def forecast_file(
    source: str | Path,
    *,
    predictor: str,
    horizon: int,
    future: str | None = None,
    quantile_levels: Sequence[float] | None = None,
    out: str | None = None,
    plot: str | None = None,
    holdout: bool = False,
    covariates: str = "auto",
    effort: str = "auto",
    lower: float | str | None = "auto",
    upper: float | None = None,
    **options: Unpack[FileOptions],
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
    out, plot
        Files for the forecast and its figure; without `out` the first rows are part of the text.
    holdout
        Whether to hide the last `horizon` steps, forecast them, and report scores next to the seasonal naive, and
        whether the model was trained on the series.
    covariates, effort, lower, upper
        How covariates are used, what is computed, and bounds of the forecast; see `Predictor.predict_df`.
    **options
        How both files are read, see `tsfm.store.read_options.FileOptions`.

    Raises
    ------
    ValueError, OSError
        If an argument or a file cannot be used; paths to write are checked first.
    """
    check_prediction_length(horizon)
    check_outputs(out, plot)
    model = find_predictor(predictor, effort=effort)
    df = read_file(source, options)
    future_df = match_ids(read_file(future, options), df, options) if future else None
    arguments: ReadOptions = frame_arguments(options)
    past, actual, lines, failed = df, None, [], FailedItems()
    if holdout:
        known = model.known_covariates if future_df is None else future_df.columns
        read_covariates = model.uses_covariates or model.regresses_covariates
        predictors = [model, find_predictor("seasonal_naive")]

        def held_out(rows: pd.DataFrame) -> tuple[Holdout, list[str]]:
            held = hold_out(rows, horizon=horizon, known=known, covariates=read_covariates, **arguments)
            return held, score_holdout(held.frame, predictors, horizon=horizon, covariates=covariates)

        (held, scores), failed = without_failed_items(held_out, df, settings_of(arguments))
        failed.timestamps.clear()  # they would be those after the held-out steps
        lines += scores
        if (verdict := check_seen(predictor, lambda: whole_series(held.frame))) is not None:
            lines.append(f"{model.name}: {verdict}")
        past, actual, future_df, arguments = held.past, held.actual, held.future_df, held.options
    forecast = model.predict_df(
        past, horizon, future_df=future_df, quantile_levels=quantile_levels, covariates=covariates,
        lower=lower, upper=upper, **arguments,
    )  # fmt: skip
    if holdout:
        forecast = finish(forecast, df, failed, add_forecast_rows, settings_of(arguments).errors)
    lines += forecast.attrs.get("explanation", [])
    if out is not None:
        lines.append(write_table(forecast, Path(out)))
    if plot is not None:
        from tsfm.infer.plot import plot as draw_forecast

        draw_forecast(past, forecast, actual=actual, path=plot, title=Path(source).stem, **arguments)
        lines.append(f"drew {plot}")
    if out is None:
        lines.append(forecast.head(PRINTED_ROWS).to_string(index=False))
    return "\n".join(lines)
