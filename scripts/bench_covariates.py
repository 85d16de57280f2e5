"""Measure what a model gains from covariates that it was never trained on, and what irrelevant ones cost.

    python scripts/bench_covariates.py --model tsfm-mini-inverted --model runs/pretrain/nano_covariates
    python scripts/bench_covariates.py --model DIR --csv runs/covariates.csv --no-real
    python scripts/bench_covariates.py --model DIR --quick          # few windows, to see that it runs

Each row compares the MAE of the median with covariates, whose values are given through the horizon, to that without, on
the same windows. Synthetic cases: the target is 20 + 5 e + 0.1 n, where n is white noise and e the effect of a
covariate c with unit variance; `floor` is the MAE of who knows e, mean |0.1 n|. In the irrelevant cases the target is a
weekly pattern plus noise, and the covariates are white noise or random walks. Real cases are sets of the corpus with
weather or forecasts of the load, measured in the last tenth of each series, which is never trained on; their
covariates are the observed values, so that the gain is that of a perfect forecast of them.
"""

from __future__ import annotations

import argparse
import csv
import zlib
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tsfm.data.splits import holdout_length
from tsfm.infer.frame_forecast import COVARIATE_CHOICES
from tsfm.infer.load import load
from tsfm.infer.model_predictor import ModelPredictor
from tsfm.store.catalog import resolve
from tsfm.timestamps.frequency import season_length

NOISE, LAG, PROMOTION_RATE, WEEK = 0.1, 3, 0.15, 7
CASES = ("white noise", "random walk", "promotions", "weekday x noise", "lagged noise")
IRRELEVANT = {"irrelevant: 1 noise": 1, "irrelevant: 3 noise": 3, "irrelevant: 3 walks": 3}
# set -> targets and covariates, by the beginning of the names of its channels
REAL = {
    "gefcom2014_extended_hourly": (["load"], ["T"]),
    "gefcom2014_load_hourly": (["LOAD"], ["w1", "w2", "w3"]),
    "gefcom2014_price_hourly": (["Zonal Price"], ["Forecasted"]),
    "vic_elec_30min": (["Demand"], ["Temperature", "Holiday"]),
    "kiel_pedestrians_hourly": (["pedestrians"], ["temperature"]),
    "kiel_bakery_daily": ([f"sales_group_{group}" for group in range(1, 6)], ["cloud", "temperature", "wind"]),
    "water_demand_districts_hourly": (["inflow_"], ["weather_"]),
}


class Case(NamedTuple):
    """Windows of a target, `[windows, time]`, and covariates, `[windows, covariates, time]`; NaN where missing."""

    name: str
    target: np.ndarray
    covariates: np.ndarray
    season_length: int
    floor: float | None = None


def synthetic_cases(num: int, length: int) -> Iterator[Case]:
    """Yield the synthetic cases; each has a random state of its own."""
    for name in CASES:
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        noise, white = NOISE * rng.normal(size=(num, length)), rng.normal(size=(num, length))
        c = effect = white
        if name == "random walk":
            c = effect = zscore(white.cumsum(axis=-1))
        elif name == "promotions":
            c = effect = (rng.random((num, length)) < PROMOTION_RATE).astype(float)
        elif name == "weekday x noise":
            phase = (np.arange(length) + rng.integers(WEEK, size=(num, 1))) % WEEK
            effect = np.take_along_axis(rng.uniform(0, 2, size=(num, WEEK)), phase, axis=1) * c
        elif name == "lagged noise":
            effect = np.roll(c, LAG, axis=-1)
        yield Case(name, 20 + 5 * effect + noise, c[:, None], WEEK, floor=float(NOISE * np.sqrt(2 / np.pi)))
    for name, count in IRRELEVANT.items():
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        phase = (np.arange(length) + rng.integers(WEEK, size=(num, 1))) % WEEK
        pattern = np.take_along_axis(rng.normal(size=(num, WEEK)), phase, axis=1)
        covariates = rng.normal(size=(num, count, length))
        covariates = covariates.cumsum(axis=-1) if name.endswith("walks") else covariates
        yield Case(name, 20 + 5 * pattern + rng.normal(size=(num, length)), covariates, WEEK)


def zscore(x: np.ndarray) -> np.ndarray:
    """Return each row with mean 0 and standard deviation 1."""
    return (x - x.mean(axis=-1, keepdims=True)) / x.std(axis=-1, keepdims=True)


def real_case(name: str, *, num: int, context: int, horizon: int) -> Case:
    """Return evenly spaced windows of a set whose horizons lie in its held-out end, as many for each target."""
    store = resolve(name)
    columns = [
        [i for i, channel in enumerate(store.channels) if any(channel.startswith(prefix) for prefix in prefixes)]
        for prefixes in REAL[name]
    ]
    values = store.read(0)
    length = values.shape[-1]
    first = max(length - holdout_length(length, horizon), context)
    origins = np.unique(np.linspace(first, length - horizon, max(2, num // len(columns[0]))).astype(int))
    windows = np.stack([values[:, origin - context : origin + horizon] for origin in origins])
    target = windows[:, columns[0]].reshape(-1, context + horizon)
    covariates = np.repeat(windows[:, columns[1]], len(columns[0]), axis=0)
    usable = np.isfinite(target[:, context:]).any(axis=-1) & (np.isfinite(target[:, :context]).mean(axis=-1) > 0.5)
    return Case(name, target[usable], covariates[usable], season_length(store.freqs[0]))


def measure(model: ModelPredictor, case: Case, *, horizon: int, covariates: str) -> dict[str, str | int | float]:
    """Return errors of `predict` without and with covariates, and the ratios."""
    context, y_true = case.target[:, None, :-horizon], case.target[:, None, -horizon:]
    maes, losses = [], []
    for known in (None, list(case.covariates)):
        forecast = model.predict(
            context, prediction_length=horizon, season_length=case.season_length, known=known, covariates=covariates
        )
        maes.append(float(np.nanmean(np.abs(forecast.predictions - y_true))))
        losses.append(float(np.nanmean(pinball(y_true, forecast.quantiles, forecast.quantile_levels))))
    row: dict[str, str | int | float] = {"model": model.name, "covariates": covariates, "case": case.name}
    row |= {"windows": len(y_true), "mae_without": maes[0], "mae_with": maes[1], "ratio": maes[1] / maes[0]}
    return row | {"wql_ratio": losses[1] / losses[0], "floor": "" if case.floor is None else case.floor}


def pinball(y_true: np.ndarray, quantiles: np.ndarray, quantile_levels: Sequence[float]) -> np.ndarray:
    """Return the quantile loss of each value and level."""
    error, probability = y_true[..., None] - quantiles, np.asarray(quantile_levels)
    return np.maximum(probability * error, (probability - 1) * error)


def main() -> None:
    """Measure the models of the command line, print a table and write a CSV file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", action="append", required=True, help="name of a bundled model, or a directory")
    parser.add_argument("--windows", type=int, default=64, help="windows of a case")
    parser.add_argument("--context", type=int, default=512, help="steps")
    parser.add_argument("--horizon", type=int, default=28, help="steps")
    parser.add_argument("--covariates", action="append", choices=COVARIATE_CHOICES, help="how they are used (auto)")
    parser.add_argument("--no-real", action="store_true", help="synthetic cases alone")
    parser.add_argument("--quick", action="store_true", help="8 windows")
    parser.add_argument("--csv", type=Path)
    args = parser.parse_args()
    num = 8 if args.quick else args.windows
    cases = list(synthetic_cases(num, args.context + args.horizon))
    if not args.no_real:
        cases += [real_case(name, num=num, context=args.context, horizon=args.horizon) for name in REAL]
    rows = []
    print("| model | covariates | case | windows | MAE without | MAE with | with / without | WQL | floor |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in args.model:
        model = load(name)
        for case, covariates in product(cases, args.covariates or ["auto"]):
            rows.append(row := measure(model, case, horizon=args.horizon, covariates=covariates))
            cells = [f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in row.values()]
            print("|", " | ".join(cells), "|", flush=True)
    if args.csv is not None and rows:
        args.csv.parent.mkdir(parents=True, exist_ok=True)
        with args.csv.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        print(f"written to {args.csv}")


if __name__ == "__main__":
    main()
