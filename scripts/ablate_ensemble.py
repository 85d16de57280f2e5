"""Measure what each part of effort="best" adds, on held-out ends of corpus series.

    python scripts/ablate_ensemble.py tsfm-small-next --out runs/ensemble              # every second set of the corpus
    python scripts/ablate_ensemble.py tsfm-small-next --out runs/ensemble --every 1    # all sets
    python scripts/ablate_ensemble.py tsfm-small-next --out runs/ensemble --router tsfm/ensemble/router.json

Of each set the last one to three windows of at most 48 series are scored. Members are fitted, and their weights found,
on what lies before the first of them. Printed are the quantile loss and the MASE of each variant relative to the
network alone (geometric means over the sets), and the share of sets in which its quantile loss is more than 2 % above
that of the network. The quantiles of a set are kept in --out; a set that is there is not computed again.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tsfm.bench.predictors import prepare_predictor
from tsfm.bench.suite_windows import ForecastTask, SuiteLimits, collect_windows, find_suite_sets
from tsfm.ensemble.fit import NETWORK, num_independent, run_backtest
from tsfm.ensemble.fitted import route_some, routed_members
from tsfm.ensemble.panel import Panel, Windows
from tsfm.ensemble.router import Router, as_json, describe_windows, fit_router
from tsfm.ensemble.weights import WeightSettings, fit_weights, pinball
from tsfm.files import write_text
from tsfm.infer.predictor import DECILES, Predictor
from tsfm.store.catalog import resolve

LIMITS = SuiteLimits(series=48, windows=144, each=3)
MAX_STEPS = 30_000  # of a series
MAX_SAVED_STEPS = 64  # of a horizon, evenly spread
TOLERANCE = 0.02
SMALLEST_LOSS = 1e-4  # relative to the spread of a series
NUM_FOLDS = 6
ROUTED = ("ridge", "analogues")  # the first members: a router of all of them gained nothing


@dataclass(frozen=True)
class Scored:
    """Quantiles [M, W, H, Q] of a set in the back-test and in the scored windows, with what happened [W, H]."""

    names: list[str]
    backtest: np.ndarray
    backtest_actual: np.ndarray
    backtest_scale: np.ndarray
    backtest_features: np.ndarray
    independent: float
    scored: np.ndarray
    features: np.ndarray
    actual: np.ndarray
    mase_scale: np.ndarray

    def losses(self, quantiles: np.ndarray) -> np.ndarray:
        """Return the summed quantile loss and the mean absolute scaled error of quantiles [W, H, Q]."""
        error = np.abs(self.actual - quantiles[..., len(DECILES) // 2]) / self.mase_scale[:, None]
        loss = pinball(self.actual, quantiles, np.asarray(DECILES))
        return np.array([np.nansum(loss.mean(axis=-1)), np.nanmean(np.where(np.isfinite(error), error, np.nan))])

    def weights(self, names: list[str], settings: WeightSettings) -> np.ndarray:
        """Return the weights of some members, from the back-test."""
        chosen = [self.names.index(name) for name in names]
        return fit_weights(
            self.backtest[chosen], self.backtest_actual, scale=self.backtest_scale, quantile_levels=DECILES,
            names=names, num_independent=self.independent, settings=settings,
        )  # fmt: skip

    def weighed(self, names: list[str], settings: WeightSettings) -> np.ndarray:
        """Return the weighted mean of some members."""
        chosen = [self.names.index(name) for name in names]
        return np.tensordot(self.weights(names, settings), self.scored[chosen], 1)

    def routed(self, router: Router) -> np.ndarray:
        """Return the weighted mean of all members, with weights that a router moves from window to window."""
        weights = self.weights(self.names, WeightSettings())
        if not set(router.names) <= set(self.names):
            return np.tensordot(weights, self.scored, 1)
        usual = router.relative_loss(self.backtest_features).mean(axis=0)
        moved = route_some(router, weights, self.features, usual, routed_members(self.names, router))
        return np.einsum("wm,mwhq->whq", moved, self.scored)

    def training_rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Return features and relative losses of the windows of the back-test, for a router."""
        loss = pinball(self.backtest_actual, self.backtest, np.asarray(DECILES)).mean(axis=-1)  # [M, W, H]
        of_window = np.nanmean(loss / self.backtest_scale[:, None], axis=-1) + SMALLEST_LOSS
        relative = np.clip(np.log(of_window[1:] / of_window[0]), -2, 2)[: len(ROUTED)].T
        return self.backtest_features, relative


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
    quantiles = [forecast(windows)[:, 0], *(member.quantiles(panel, windows) for member in backtest.members)]
    scored = np.stack(quantiles)
    known = np.arange(min(1 + len(ROUTED), len(backtest.names)))
    features = describe_windows(
        scored[known],
        quantile_levels=DECILES,
        spread=panel.scale_of(windows),
        num_past=windows.origin,
        season_length=season,
    )
    scales = [float(scale[0]) for group in groups.values() for *_, scale in group]
    return Scored(
        names=list(backtest.names),
        backtest=backtest.quantiles[:, :, steps],
        backtest_actual=history.actual[:, steps],
        backtest_scale=history.panel.scale_of(history.windows),
        backtest_features=backtest.features(known),
        independent=num_independent(history.windows, horizon=horizon),
        scored=scored[:, :, steps],
        features=features,
        actual=panel.future(windows, horizon)[:, steps],
        mase_scale=np.where(np.array(scales) > 0, scales, np.nan),
    )


def router_of(sets: Sequence[Scored]) -> Router:
    """Return the router that the back-tests of sets give; a set counts as much as any other."""
    names = [NETWORK, *ROUTED]
    rows = [data.training_rows() for data in sets if data.names[: len(names)] == names]
    features, relative_loss = (np.concatenate(column) for column in zip(*rows, strict=True))
    weight = np.concatenate([np.full(len(features_of_set), 1 / len(features_of_set)) for features_of_set, _ in rows])
    observed = np.isfinite(relative_loss).all(axis=1)
    return fit_router(names[1:], features[observed], relative_loss[observed], weight=weight[observed])


def routers_of_others(sets: dict[str, Scored]) -> dict[str, Router]:
    """Return for each set a router that other sets gave."""
    out: dict[str, Router] = {}
    for fold in range(NUM_FOLDS):
        left_out = list(sets)[fold::NUM_FOLDS]
        router = router_of([data for name, data in sets.items() if name not in left_out])
        out |= dict.fromkeys(left_out, router)
    return out


def variants(sets: dict[str, Scored]) -> dict[str, Callable[[str, Scored], np.ndarray]]:
    """Return the variants by their names in the table; each gives the quantiles of a set."""
    default = WeightSettings()
    names = list(dict.fromkeys(name for data in sets.values() for name in data.names))
    members = [name for name in names if name != NETWORK]
    routers = routers_of_others(sets)

    def weighed(settings: WeightSettings, dropped: str = "") -> Callable[[str, Scored], np.ndarray]:
        return lambda _, data: data.weighed([name for name in data.names if name != dropped] or data.names, settings)

    def alone(member: str) -> Callable[[str, Scored], np.ndarray]:
        return lambda _, data: data.scored[data.names.index(member) if member in data.names else 0]

    return {
        "all, with a router fitted on other sets": lambda name, data: data.routed(routers[name]),
        "without a router": weighed(default),
        **{f"without a router and {name}": weighed(default, name) for name in names},
        **{f"{name} alone": alone(name) for name in members},
        "without a router, equal prior": weighed(WeightSettings(dict.fromkeys(names, 1.0), default.shrinkage)),
        "without a router, no shrinkage": weighed(WeightSettings(default.prior, 0.0)),
        "without a router, fixed weights": weighed(WeightSettings(default.prior, np.inf)),
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
    parser.add_argument("--router", type=Path, help="also write the router that all these sets give")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    network = prepare_predictor(args.predictor, single_pass=True, flip=args.flip)
    sets = compute(args.out, network, every=args.every)
    if args.router is not None:
        write_text(args.router, as_json(router_of(list(sets.values()))))
    print(f"{len(sets)} sets\n\n| variant | quantile loss | MASE | sets more than 2 % worse |\n|---|---|---|---|")
    for label, variant in variants(sets).items():
        ratios = np.array(
            [data.losses(variant(name, data)) / data.losses(data.scored[0]) for name, data in sets.items()]
        )
        ratios = ratios[np.isfinite(ratios).all(axis=1) & (ratios > 0).all(axis=1)]
        worse = np.mean(ratios[:, 0] > 1 + TOLERANCE)
        loss, mase = np.exp(np.log(ratios).mean(axis=0))
        print(f"| {label} | {loss:.4f} | {mase:.4f} | {worse:.0%} |")


if __name__ == "__main__":
    main()
