"""Forecast the series of a file, and judge a forecast on steps that were held out: `tsfm forecast`."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tsfm.bench.predictors import find_predictor
from tsfm.files import atomic_file
from tsfm.infer.arguments import check_prediction_length
from tsfm.infer.column_values import is_numeric
from tsfm.infer.columns import ALTERNATIVE_NAMES
from tsfm.infer.frames import Frame, read_frame
from tsfm.infer.predictor import DECILES, Predictor
from tsfm.metrics.forecast_score import ForecastScore
from tsfm.timestamps.frequency import make_timestamps, season_length

ENDINGS = (".csv", ".parquet", ".gz")


def run(args: argparse.Namespace) -> int:
    """Forecast the file and print what was written, or the first rows."""
    print(
        forecast_file(
            Path(args.source), predictor=args.model, horizon=args.horizon, target=args.target, future=args.future,
            quantile_levels=args.quantile_levels, out=args.out, plot=args.plot, holdout=args.holdout, freq=args.freq,
            id_column=args.id_column, timestamp_column=args.timestamp_column,
        )
    )  # fmt: skip
    return 0


def read_table(path: Path, *, id_column: str = "item_id") -> pd.DataFrame:
    """A CSV or Parquet file as a DataFrame; in CSV the ids are text, so that "001" stays itself."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}; check the path")
    if path.suffix not in ENDINGS:
        raise ValueError(f"{path} ends in {path.suffix or 'nothing'}; expected {', '.join(ENDINGS)}")
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        names = {id_column, ALTERNATIVE_NAMES["item_id"]} if id_column == "item_id" else {id_column}
        # pandas passes over names the file has not; round_trip: what is written again is what was read
        exact: dict[str, Any] = {"float_precision": "round_trip"}
        return pd.read_csv(path, dtype=dict.fromkeys(names, str), **exact)
    except Exception as error:  # noqa: BLE001  pandas and pyarrow raise many kinds
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"{path} can't be read as {path.suffix[1:]} ({why}); is it damaged or cut short?") from None


def forecast_file(
    source: Path,
    *,
    predictor: str,
    horizon: int,
    target: Sequence[str] | None,
    future: str | None,
    quantile_levels: Sequence[float] | None,
    out: str | None,
    plot: str | None,
    holdout: bool,
    freq: str | None,
    id_column: str,
    timestamp_column: str,
) -> str:
    """What `tsfm forecast` prints; writes the forecast and the picture where asked."""
    check_prediction_length(horizon)
    if out is not None:  # before any work
        check_ending(Path(out))
    if plot is not None:
        from tsfm.infer.plot import check_figure_path

        check_figure_path(Path(plot))
    model = find_predictor(predictor)
    df = read_table(source, id_column=id_column)
    name = (target[0] if len(target) == 1 else list(target)) if target else "target"
    columns: dict[str, Any] = {"id_column": id_column, "timestamp_column": timestamp_column, "target": name}
    given, truth, lines = df, None, []
    future_df = _like(read_table(Path(future), id_column=id_column), df, id_column) if future else None
    if holdout:
        frame = read_frame(df, prediction_length=horizon, freq=freq, **columns)
        given, truth = without_tail(frame, horizon=horizon), without_tail(frame, horizon=0)
        frame = known_ahead(frame, model.known_covariates if future_df is None else future_df.columns)
        future_df = tail(frame) if frame.known_names else None
        lines += judge(frame, [model, find_predictor("seasonal_naive")], horizon=horizon)
        columns = {"target": frame.targets}
        if len(known := {series.freq for series in frame}) == 1:
            freq = known.pop()  # what is left may be too short to tell
    forecast = model.predict_df(
        given, horizon, future_df=future_df, quantile_levels=quantile_levels, freq=freq, **columns
    )
    if out is not None:
        write_table(forecast, Path(out))
        lines.append(f"wrote {len(forecast):,} rows to {out}")
    if plot is not None:
        from tsfm.infer.plot import plot as draw

        shown = {key: column for key, column in columns.items() if key != "target"}
        draw(given, forecast, actual=truth, path=plot, title=source.stem, **shown)
        lines.append(f"drew {plot}")
    if out is None:
        lines.append(forecast.head(12).to_string(index=False))
    return "\n".join(lines)


def _like(future: pd.DataFrame, df: pd.DataFrame, id_column: str) -> pd.DataFrame:
    """The future with ids of the kind that df has, where one file is CSV (ids are text) and the other is not."""
    for name in {id_column, ALTERNATIVE_NAMES["item_id"]} & set(df.columns) & set(future.columns):
        ours, theirs = pd.Series(df[name]), pd.Series(future[name])
        if is_numeric(ours) != is_numeric(theirs) and bool(theirs.notna().all()):
            with contextlib.suppress(ValueError, TypeError):  # ids that differ are named when both are read
                future = future.assign(**{name: theirs.astype(ours.dtype if is_numeric(ours) else str)})
    return future


def known_ahead(frame: Frame, names: Iterable[str]) -> Frame:
    """A frame read without a future, its covariates of these names known through its last `horizon` steps, which are
    held out. One that misses a step there is known only so far."""
    horizon, asked = frame.horizon, set(map(str, names))
    held = {name: place for place, name in enumerate(frame.past_names) if name in asked}
    known = {
        name: place
        for name, place in held.items()
        if all(np.isfinite(one.past[place, -horizon:]).all() for one in frame)
    }
    past = {name: place for place, name in enumerate(frame.past_names) if name not in known}
    series = [replace(one, past=one.past[[*past.values()]], known=one.past[[*known.values()]]) for one in frame]
    return replace(frame, series=series, past_names=[*past], known_names=[*known])


def tail(frame: Frame) -> pd.DataFrame:
    """The held-out steps of what is known ahead, as a frame of the future."""
    parts = []
    for i, one in enumerate(frame):
        times = make_timestamps(one.start, one.freq, one.known.shape[1])[-frame.horizon :]
        rows = {name: one.known[c, -frame.horizon :] for c, name in enumerate(frame.known_names)}
        parts.append(pd.DataFrame({"item_id": frame.ids[i], "timestamp": times, **rows}))
    return pd.concat(parts, ignore_index=True)


def without_tail(frame: Frame, *, horizon: int) -> pd.DataFrame:
    """All items but for their last `horizon` steps, targets and covariates, on their grid, as a long frame."""
    parts = []
    for i, series in enumerate(frame):
        steps = series.values.shape[1] - horizon
        if steps < 1 or np.isnan(series.values[:, :steps]).all(1).any():
            raise ValueError(
                f"item {series.item_id!r} has {steps + horizon} steps; holding out {horizon} leaves no observed value "
                "to forecast from: choose a shorter horizon, or leave the item out"
            )
        part = {"item_id": frame.ids[i], "timestamp": make_timestamps(series.start, series.freq, steps)}
        part |= {name: series.values[c, :steps] for c, name in enumerate(frame.targets)}
        part |= {name: series.past[c, :steps] for c, name in enumerate(frame.past_names) if name not in part}
        parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True)


def judge(frame: Frame, predictors: Sequence[Predictor], *, horizon: int) -> list[str]:
    """One line per predictor: its scores on the last `horizon` steps of all items, forecast from what stands before
    and from the frame's covariates that are known ahead."""
    lines, groups = [], {}
    for i, series in enumerate(frame):  # what is scored together has one season and one length
        groups.setdefault((season_length(series.freq), series.values.shape[1]), []).append(i)
    past = [replace(one, values=one.values[:, :-horizon], past=one.past[:, :-horizon]) for one in frame]
    past = [replace(one, known=one.known[:, : one.past.shape[1] + horizon]) for one in past]
    before = replace(frame, series=past, horizon=horizon)
    for predictor in predictors:
        levels = predictor.quantile_levels or DECILES
        said = predictor.predict_frame(before, quantile_levels=levels)
        scores: dict[int, ForecastScore] = {}
        for (season, _), places in groups.items():
            whole = np.stack([frame.series[i].values for i in places])
            score = scores.setdefault(season, ForecastScore(levels, season))
            score.update(whole[..., -horizon:], said.quantiles[places], whole[..., :-horizon])
        for season, score in scores.items():
            found = score.result()
            figures = "  ".join(
                f"{name.upper()} {found[name]:{form}}" if name in found else f"{name.upper()} undefined"
                for name, form in (("mase", ".3f"), ("mae", ".4g"), ("wql", ".4f"))
            )
            lines.append(
                f"{predictor.name:20s} {figures}  "
                f"({int(found['windows'])} series, last {horizon} steps held out, season {season})"
            )
    return lines


def check_ending(path: Path) -> None:
    if path.suffix not in (".csv", ".parquet"):
        raise ValueError(f"--out {path} ends in {path.suffix or 'nothing'}; expected .csv or .parquet")


def write_table(table: pd.DataFrame, path: Path) -> None:
    """CSV or Parquet by the ending, written whole."""
    check_ending(path)
    with atomic_file(path) as draft:
        if path.suffix == ".csv":
            table.to_csv(draft, index=False)
        else:
            table.to_parquet(draft)
