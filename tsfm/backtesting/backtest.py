"""`tsfm.backtest`: forecast a DataFrame from rolling origins, as if each of them was today."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd

from tsfm.backtesting.forecasting import WindowForecasts, forecast_windows
from tsfm.backtesting.models import Contender, find_contenders
from tsfm.backtesting.reading import read_windows
from tsfm.backtesting.result import Backtest, forecast_table
from tsfm.backtesting.windows import BacktestWindows
from tsfm.infer import styles
from tsfm.infer.arguments import check_choice, check_count, check_prediction_length
from tsfm.infer.bounds import AUTO, Bound
from tsfm.infer.failed_items import settings_of, without_failed_items
from tsfm.infer.frame_forecast import COVARIATE_CHOICES
from tsfm.infer.progress import SeriesProgress, check_progress
from tsfm.messages import announce, warn_of_failed_items
from tsfm.store.foreign_frames import read_foreign
from tsfm.store.read_options import ReadOptions, takes_options

if TYPE_CHECKING:
    from typing_extensions import Unpack


@takes_options
def backtest(
    df: pd.DataFrame,
    horizon: int,
    *,
    windows: int = 3,
    step: int | None = None,
    models: Any = ("tsfm-small",),
    effort: str | Sequence[str] = "auto",
    refit: bool = True,
    known: Sequence[str] = (),
    covariates: str = "auto",
    level: Sequence[float] = (80, 95),
    style: str = "chronos",
    lower: Bound = AUTO,
    upper: Bound = None,
    batch_size: int = 256,
    progress: bool | None = None,
    **options: Unpack[ReadOptions],
) -> Backtest:
    """Forecast the last windows of every item from the steps before each, and score the forecasts.

    Every forecast reads what was there at its cutoff: values of targets and of past-only covariates up to it, and known
    covariates through the horizon. The seasonal naive forecast is always among the models.

    Parameters
    ----------
    df
        One row for each item and timestamp, as for `predict_df`, with what became true.
    horizon
        Steps of each forecast.
    windows, step
        Windows of each item, and steps from one to the next (None: the horizon). The last one ends with the last
        observed step. Items with fewer windows have those that fit.
    models
        Names of bundled models, model directories, baselines such as "auto_ets", or what `tsfm.load` returns; or a dict
        of them by the names that they have in the result.
    effort
        What trained models compute, see `predict_df`: "fast", "auto", "best", or several of them to compare.
    refit
        Whether ``effort="best"`` is fitted at every cutoff, or once, to what lies before the first window of each item.
        Statistical baselines are always fitted to the past of each window.
    known
        Columns whose future is known; other covariates end with the past.
    covariates, lower, upper, batch_size, progress
        As in `predict_df`.
    level
        Central intervals in percent.
    style
        "chronos": the columns of `df`. "nixtla": unique_id, ds, cutoff, y, as of ``cross_validation``.
    **options
        How `df` is read; see `tsfm.store.read_options.ReadOptions`. Items that cannot be used, such as one without a
        past before its last window, have no rows, and a `tsfm.FailedItemWarning` names them.

    Returns
    -------
    Backtest
        Its ``forecasts`` are a DataFrame of the library of `df`, ``scores()`` a table, ``plot()`` a picture.

    Raises
    ------
    ValueError
        When an argument, a column, a timestamp or a value cannot be used.

    Examples
    --------
    >>> import pandas as pd, tsfm
    >>> days = pd.date_range("2024-01-01", periods=60, freq="D")
    >>> df = pd.DataFrame({"item_id": "shop", "timestamp": days, "target": [10.0 + day.weekday() for day in days]})
    >>> result = tsfm.backtest(df, 7, windows=2, models=["drift"])
    >>> result.scores()[["model", "wql", "windows"]].round(2).to_string(index=False).splitlines()[1:]
    ['         drift 0.13        2', 'seasonal_naive 0.00        2']
    >>> result.forecasts["cutoff"].dt.strftime("%d %B").unique().tolist()
    ['15 February', '22 February']
    """
    horizon = check_prediction_length(horizon)
    num_windows, batch_size = check_count("windows", windows), check_count("batch_size", batch_size, unit="series")
    step = horizon if step is None else check_count("step", step, unit="steps")
    check_choice("style", style, styles.STYLES)
    check_choice("covariates", covariates, COVARIATE_CHOICES)
    progress, intervals = check_progress(progress), styles.read_level(level)
    contenders = find_contenders(models, effort=effort, intervals=intervals)
    foreign = read_foreign(df, label="df")
    table = df if foreign is None else foreign.pandas
    reading: Any = styles.nixtla_options(table, options) if style == styles.NIXTLA else options
    placing: Any = {"horizon": horizon, "num_windows": num_windows, "step": step, "recent": _recent(contenders)}
    placing["known"] = [known] if isinstance(known, str) else [*known]
    placing["select"] = partial(_used_by_any, contenders, covariates)
    forecasting: Any = {"refit": refit, "covariates": covariates, "lower": lower, "upper": upper}

    def run(rows: pd.DataFrame) -> tuple[BacktestWindows, list[str], list[WindowForecasts]]:
        read, notes = read_windows(rows, **placing, **reading)
        if style == styles.NIXTLA:
            styles.check_one_target(read.frame.targets)
        with SeriesProgress(len(read) * len(contenders), progress=progress) as bar:
            by_model = [
                forecast_windows(read, contender, **forecasting, batch_size=batch_size, bar=bar)
                for contender in contenders
            ]
        return read, notes, by_model

    settings = settings_of(reading)
    (read, notes, by_model), failed = without_failed_items(run, table, settings)
    notes += [*_absent_intervals(contenders, intervals), *(note for each in by_model for note in each.notes)]
    announce(notes)
    notes = [*read.frame.announcements, *notes]
    if failed.reasons:
        notes.append(failed.describe("skip"))
        if settings.errors == "warn":
            warn_of_failed_items(notes[-1])
    forecasts = forecast_table(read, by_model, style=style, options=options)
    forecasts.attrs["announcements"] = notes
    return Backtest(
        forecasts if foreign is None else foreign.restore(forecasts),
        notes,
        [line for each in by_model for line in each.explanation],
        {str(name): reason for name, reason in failed.reasons.items()},
        read,
        by_model,
        intervals,
    )


def _used_by_any(
    contenders: Sequence[Contender], covariates: str, past: list[str], known: list[str]
) -> tuple[list[str], list[str]]:
    """Return the covariates that a model uses, in their order, and what to announce."""
    used: set[str] = set()
    notes: dict[str, None] = {}
    for contender in contenders:
        names, more = contender.predictor.used_covariates(past, known, choice=covariates)
        used |= set(names)
        if contender.predictor.num_parameters() is not None:
            notes |= dict.fromkeys(more)
    return [name for name in [*past, *known] if name in used], [*notes]


def _recent(contenders: Sequence[Contender]) -> int | None:
    """Return the past steps that every model reads; None: all."""
    limits = [limit for each in contenders if (limit := each.predictor.max_context_length) is not None]
    return min(limits, default=None)


def _absent_intervals(contenders: Sequence[Contender], intervals: Sequence[Any]) -> list[str]:
    """Return which models have no interval of a requested level."""
    return [
        f"{contender.label} predicts no interval of {', '.join(f'{interval:g} %' for interval in absent)}"
        for contender in contenders
        if (absent := [interval for interval in intervals if interval not in contender.intervals])
    ]
