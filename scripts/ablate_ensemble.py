"""Measure what each part of effort="best" adds, on held-out ends of corpus series.

    python scripts/ablate_ensemble.py tsfm-small-next --out runs/ensemble              # every second set of the corpus
    python scripts/ablate_ensemble.py tsfm-small-next --out runs/ensemble --every 1    # all sets

Of each set the last one to three windows of at most 48 series are scored. Members are fitted, and their weights found,
on what lies before the first of them. Printed are the quantile loss and the MASE of each variant relative to the
network alone (geometric means over the sets), and the share of sets in which its quantile loss is more than 2 % above
that of the network. The quantiles of a set are kept in --out; a set that is there is not computed again.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tsfm.bench.predictors import prepare_predictor
from tsfm.bench.suite_windows import ForecastTask, SuiteLimits, collect_windows, find_suite_sets
from tsfm.ensemble.fit import NETWORK, num_independent, run_backtest
from tsfm.ensemble.panel import Panel, Windows
from tsfm.ensemble.weights import WeightSettings, fit_weights, pinball
from tsfm.infer.predictor import DECILES, Predictor
from tsfm.store.catalog import resolve

LIMITS = SuiteLimits(series=48, windows=144, each=3)
MAX_STEPS = 30_000  # of a series
MAX_SAVED_STEPS = 64  # of a horizon, evenly spread
TOLERANCE = 0.02


@dataclass(frozen=True)
class Scored:
    """Quantiles [M, W, H, Q] of a set in the back-test and in the scored windows, with what happened [W, H]."""

    names: list[str]
    backtest: np.ndarray
    backtest_actual: np.ndarray
    backtest_scale: np.ndarray
    independent: float
    scored: np.ndarray
    actual: np.ndarray
    mase_scale: np.ndarray

    def losses(self, quantiles: np.ndarray) -> np.ndarray:
        """Return the summed quantile loss and the mean absolute scaled error of quantiles [W, H, Q]."""
        error = np.abs(self.actual - quantiles[..., len(DECILES) // 2]) / self.mase_scale[:, None]
        loss = pinball(self.actual, quantiles, np.asarray(DECILES))
        return np.array([np.nansum(loss.mean(axis=-1)), np.nanmean(np.where(np.isfinite(error), error, np.nan))])

    def weighed(self, names: list[str], settings: WeightSettings) -> np.ndarray:
        """Return the weighted mean of some members, with weights from the back-test."""
        chosen = [self.names.index(name) for name in names]
        weights = fit_weights(
            self.backtest[chosen], self.backtest_actual, scale=self.backtest_scale, quantile_levels=DECILES,
            names=names, num_independent=self.independent, settings=settings,
        )  # fmt: skip
        return np.tensordot(weights, self.scored[chosen], 1)


def forecast_task(task: ForecastTask, network: Predictor) -> Scored | None:
    """Return the quantiles of the network and the members, None where the past is too short for a back-test."""
    groups: dict[int, list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = {}
    for context, y_true, scale in zip(task.contexts, task.y_true, task.scales, strict=True):
        groups.setdefault(context.__array_interface__["data"][0], []).append((context, y_true, scale))
    wholes = [np.concatenate(max(group, key=lambda row: row[0].shape[1])[:2], axis=1) for group in groups.values()]
    cuts = [max(whole.shape[1] - MAX_STEPS, 0) for whole in wholes]
    wholes = [whole[:, cut:] for whole, cut in zip(wholes, cuts, strict=True)]
    origins = [[row[0].shape[1] - cut for row in group] for group, cut in zip(groups.values(), cuts, strict=True)]
    horizon, season = task.horizon, task.season_length

    def forecast(windows: Windows) -> np.ndarray:
        pasts = [wholes[i][:, :t] for i, t in zip(windows.series, windows.origin, strict=True)]
        options: dict[str, Any] = {"prediction_length": horizon, "season_length": season}
        return network.predict(pasts, quantile_levels=list(DECILES), **options).quantiles

    pasts = [whole[:, : min(starts)] for whole, starts in zip(wholes, origins, strict=True)]
    backtest = run_backtest(pasts, forecast, horizon=horizon, season_length=season, quantile_levels=DECILES)
    if backtest is None:
        return None
    history = backtest.history
    panel = Panel((whole[0] for whole in wholes), spread=history.panel.spread)
    positions = [(i, t) for i, starts in enumerate(origins) for t in starts]
    windows = Windows(*(np.array(column) for column in zip(*positions, strict=True)))
    steps = np.unique(np.linspace(0, horizon - 1, min(horizon, MAX_SAVED_STEPS)).astype(int))
    members = [forecast(windows)[:, 0], *(member.quantiles(panel, windows) for member in backtest.members)]
    scales = [float(scale[0]) for group in groups.values() for *_, scale in group]
    return Scored(
        names=list(backtest.names),
        backtest=backtest.quantiles[:, :, steps],
        backtest_actual=history.actual[:, steps],
        backtest_scale=history.panel.scale_of(history.windows),
        independent=num_independent(history.windows, horizon=horizon),
        scored=np.stack(members)[:, :, steps],
        actual=panel.future(windows, horizon)[:, steps],
        mase_scale=np.where(np.array(scales) > 0, scales, np.nan),
    )


def variants(names: list[str]) -> dict[str, Callable[[Scored], np.ndarray]]:
    """Return the variants by their names in the table."""
    default = WeightSettings()

    def weighed(settings: WeightSettings, dropped: str = "") -> Callable[[Scored], np.ndarray]:
        return lambda data: data.weighed([name for name in data.names if name != dropped], settings)

    def alone(name: str) -> Callable[[Scored], np.ndarray]:
        return lambda data: data.scored[data.names.index(name) if name in data.names else 0]

    members = [name for name in names if name != NETWORK]
    return {
        "all": weighed(default),
        **{f"without {name}": weighed(default, name) for name in names},
        **{f"{name} alone": alone(name) for name in members},
        "equal prior": weighed(WeightSettings(dict.fromkeys(members, 1 / len(names)), default.shrinkage)),
        "no shrinkage": weighed(WeightSettings(default.prior, 0.0)),
        "fixed weights": weighed(WeightSettings(default.prior, np.inf)),
    }


def compute(folder: Path, network: Predictor, *, every: int) -> dict[str, Scored]:
    """Return every set's quantiles, from the folder or computed and kept there."""
    out: dict[str, Scored] = {}
    for entry in find_suite_sets("corpus")[::every]:
        file = folder / f"{entry.name}.npz"
        if not file.is_file():
            start = time.perf_counter()
            tasks = collect_windows(entry, resolve(entry.name), LIMITS).tasks
            scored = forecast_task(tasks[0], network) if tasks else None
            save(file, scored)
            print(f"{entry.name}: {time.perf_counter() - start:.1f} s", flush=True)
        scored = read(file)
        if scored is not None:
            out[entry.name] = scored
    return out


def save(file: Path, scored: Scored | None) -> None:
    """Keep the quantiles of a set, or that it has none."""
    draft = file.with_suffix(".tmp")
    with draft.open("wb") as stream:
        np.savez(stream, **({} if scored is None else vars(scored)))
    draft.replace(file)


def read(file: Path) -> Scored | None:
    """Return the quantiles of a set, None if it has none."""
    with np.load(file) as arrays:
        if not arrays.files:
            return None
        values = {name: arrays[name] for name in arrays.files}
    return Scored(**values | {"names": values["names"].tolist(), "independent": float(values["independent"])})


def main() -> None:
    """Compute the sets and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("predictor")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--every", type=int, default=2, help="one of so many sets")
    parser.add_argument("--flip", action="store_true", help="average the network with its forecast of mirrored series")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    network = prepare_predictor(args.predictor, single_pass=True, flip=args.flip)
    sets = compute(args.out, network, every=args.every)
    names = list(dict.fromkeys(name for data in sets.values() for name in data.names))
    print(f"{len(sets)} sets\n\n| variant | quantile loss | MASE | sets more than 2 % worse |\n|---|---|---|---|")
    for label, variant in variants(names).items():
        ratios = np.array([data.losses(variant(data)) / data.losses(data.scored[0]) for data in sets.values()])
        ratios = ratios[np.isfinite(ratios).all(axis=1) & (ratios > 0).all(axis=1)]
        worse = np.mean(ratios[:, 0] > 1 + TOLERANCE)
        loss, mase = np.exp(np.log(ratios).mean(axis=0))
        print(f"| {label} | {loss:.4f} | {mase:.4f} | {worse:.0%} |")


if __name__ == "__main__":
    main()
