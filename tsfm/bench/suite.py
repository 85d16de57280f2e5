"""A board: a forecaster beside the seasonal naive on every set of a role, each by one rule. What it is for is breadth:
on how many kinds of series a model is better than the simplest forecast that knows the season.

Sets of role `benchmark` are scored on their last windows, by GIFT-Eval's rule (arXiv:2410.10393) or over the horizon of
their official test part. Sets of role `corpus` are scored on steps that `tsfm.data.holdout.held_out` keeps from
training: a validation board, by which recipes are chosen. Variates count as series. Of a large set a part is drawn.
W windows, H horizon, L past steps.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tsfm.bench.baselines.simple import SeasonalNaive
from tsfm.bench.gift_configs import num_windows
from tsfm.bench.protocols.gift import geometric_mean, quantiles
from tsfm.data.holdout import held_out, usual_horizon
from tsfm.infer.predictor import DECILES, Predictor
from tsfm.messages import did_you_mean
from tsfm.metrics.forecast import seasonal_error
from tsfm.metrics.forecast_score import ForecastScore
from tsfm.store.catalog import RAW_FOLDER, data_roots, resolve
from tsfm.store.manifest import MANIFEST
from tsfm.store.series_store import SeriesStore
from tsfm.timestamps.frequency import base_freq, season_length

if TYPE_CHECKING:
    from jaxtyping import Float

ROLES = ("benchmark", "corpus")
RECENT = 64  # steps before a window, of which one must be observed: what the shortest context shows
OFFICIAL = re.compile(r"horizon (\d+)|last (\d+) points")  # as the manifest beside the data writes it


@dataclass(frozen=True)
class SuiteSet:
    """A data set of the board. `horizon` is that of its official test part, if it has one; `once`: which is one window,
    as the competitions have it."""

    name: str
    role: str
    horizon: int | None = None
    once: bool = False


@dataclass(frozen=True)
class SuiteLimits:
    """How much of a set is scored. What is drawn depends on the seed and the set alone."""

    series: int = 512  # drawn from the set
    windows: int = 1024  # of a set, unless it has more series
    each: int = 20  # windows of a series
    seed: int = 0

    def __post_init__(self):
        if min(self.series, self.windows, self.each) < 1:
            raise ValueError(
                f"at most {self.series} series, {self.windows} windows of a set and {self.each} of a series were asked "
                "for; each is at least 1"
            )


LIMITS = {"benchmark": SuiteLimits(), "corpus": SuiteLimits(series=64, windows=64, each=1)}


@dataclass
class ForecastTask:
    """Windows of one horizon and season: what is shown, what comes, and MASE's scale, of the whole past."""

    horizon: int
    season: int
    pasts: list[Float[np.ndarray, "1 L"]] = field(default_factory=list)
    truths: list[Float[np.ndarray, "1 H"]] = field(default_factory=list)
    scales: list[Float[np.ndarray, " 1"]] = field(default_factory=list)


@dataclass
class SuiteWindows:
    """All windows of a set and what was left out of it."""

    tasks: list[ForecastTask]
    freqs: list[str]
    series: int = 0  # scored
    not_drawn: int = 0
    too_short: int = 0
    silent_windows: int = 0  # nothing observed shortly before it, or nothing in it


def find_suite_sets(role: str) -> list[SuiteSet]:
    """The sets of a role, as the manifest of the first data root that has one lists them."""
    if role not in ROLES:
        raise ValueError(f"role is {role!r}; {did_you_mean(role, list(ROLES))}")
    for root in data_roots():
        file = root / RAW_FOLDER / MANIFEST
        if not file.is_file():
            continue
        try:
            listed = json.loads(file.read_text(encoding="utf-8"))["datasets"]
            chosen = [(str(one["file"]), str(one.get("official_split") or "")) for one in listed if one["role"] == role]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{file} cannot be read ({error}); it should list files and roles under 'datasets'"
            ) from None
        if not chosen:
            raise ValueError(f"{file} lists no set of role {role!r}")
        return [_entry(name, role, official) for name, official in sorted(chosen, key=lambda one: one[0].lower())]
    looked = ", ".join(str(root / RAW_FOLDER / MANIFEST) for root in data_roots())
    raise FileNotFoundError(f"no list of data sets (looked for {looked}); set TSFM_DATA to a folder that holds one")


def _entry(file: str, role: str, official: str) -> SuiteSet:
    found = OFFICIAL.search(official) if role == "benchmark" else None
    horizon = int(found[1] or found[2]) if found else None
    return SuiteSet(file.rsplit(".", 1)[0], role, horizon, once=official.startswith("official"))


def collect_windows(entry: SuiteSet, store: SeriesStore, limits: SuiteLimits) -> SuiteWindows:
    """The windows of a set; each frequency in it has its own horizon and season."""
    channels = len(store.channels)
    places = np.random.default_rng(limits.seed).permutation(len(store) * channels)[: limits.series]
    posed = SuiteWindows([], [], not_drawn=len(store) * channels - len(places))
    by_freq: dict[str, list[int]] = {}
    for place in sorted(places.tolist()):
        by_freq.setdefault(base_freq(store.freqs[place // channels]), []).append(place)
    budget = max(1, limits.windows // len(places))
    for freq, members in sorted(by_freq.items()):
        task = ForecastTask(entry.horizon or usual_horizon(freq), season_length(freq))
        fits = [place for place in members if _fits(int(store.lengths[place // channels]), task.horizon, entry.role)]
        posed.too_short += len(members) - len(fits)
        if not fits:
            continue
        shortest = min(int(store.lengths[place // channels]) for place in fits)
        count = num_windows(shortest, horizon=task.horizon, m4=entry.once)
        most = held_out(shortest, task.horizon) if entry.role == "corpus" else shortest - 2
        count = min(count, limits.each, budget, most // task.horizon)
        for values in _series(store, fits):
            posed.series += _add(task, values, count, posed)
        if task.pasts:
            posed.tasks.append(task)
            posed.freqs.append(freq)
    return posed


def _fits(length: int, horizon: int, role: str) -> bool:
    """Whether a horizon fits and two steps before it; of a corpus series whether it was never trained on."""
    return held_out(length, horizon) >= horizon if role == "corpus" else length >= horizon + 2


def _series(store: SeriesStore, places: Sequence[int]) -> Iterator[Float[np.ndarray, "1 L"]]:
    """One variate after another; a wide item is read once."""
    channels, last, item = len(store.channels), -1, np.empty((0, 0), np.float32)
    for place in places:
        i, channel = divmod(place, channels)
        if i != last:
            item, last = store.read(i), i
        yield item[channel : channel + 1]


def _add(task: ForecastTask, values: Float[np.ndarray, "1 L"], count: int, posed: SuiteWindows) -> bool:
    """Add the last `count` windows of a series; whether there was one that can be scored."""
    before = len(task.pasts)
    for back in range(count, 0, -1):
        stop = values.shape[1] - back * task.horizon
        past, truth = values[:, :stop], values[:, stop : stop + task.horizon]
        if np.isnan(past[:, -RECENT:]).all() or np.isnan(truth).all():
            posed.silent_windows += 1
            continue
        task.pasts.append(past)
        task.truths.append(truth)
        task.scales.append(seasonal_error(past, task.season))
    return len(task.pasts) > before


def score_windows_of_set(predictor: Predictor, posed: SuiteWindows, *, batch_size: int = 256) -> dict[str, float]:
    """MASE and WQL over all windows of a set, and their number."""
    result = ForecastScore(DECILES)
    for task in posed.tasks:
        reads = quantiles(predictor, task.pasts, horizon=task.horizon, season_length=task.season, size=batch_size)
        result.update(np.stack(task.truths), reads, scale=np.stack(task.scales))
    found = result.result()
    if found["windows"] != (due := sum(len(task.pasts) for task in posed.tasks)):
        raise RuntimeError(f"{found['windows']} windows were scored; there are {due}")
    return found


def score_set(
    predictors: dict[str, Predictor], entry: SuiteSet, limits: SuiteLimits, *, batch_size: int = 256
) -> dict[str, dict[str, Any]]:
    """A row for each predictor on one set, beside the seasonal naive on the same windows."""
    posed = collect_windows(entry, resolve(entry.name), limits)
    if not posed.tasks:
        raise ValueError(
            f"set {entry.name!r} has nothing to score: {posed.too_short} series are too short and "
            f"{posed.silent_windows} windows are unobserved; leave it out"
        )
    naive = score_windows_of_set(SeasonalNaive(), posed, batch_size=batch_size)
    facts = {
        "set": entry.name,
        "freq": " ".join(posed.freqs),
        "horizon": " ".join(dict.fromkeys(str(task.horizon) for task in posed.tasks)),
        "season": " ".join(dict.fromkeys(str(task.season) for task in posed.tasks)),
        "series": posed.series,
        "windows": int(naive["windows"]),
        "not_drawn": posed.not_drawn,
        "too_short": posed.too_short,
        "silent_windows": posed.silent_windows,
    }
    rows = {}
    for name, predictor in predictors.items():
        found = score_windows_of_set(predictor, posed, batch_size=batch_size)
        rows[name] = {**facts, **_beside(found, naive)}
    return rows


def _beside(found: dict[str, float], naive: dict[str, float]) -> dict[str, Any]:
    """Both scores, their ratios, and whether each that is defined is lower; a ratio to 0 is not defined (NaN)."""
    scores: dict[str, Any] = {}
    for metric in ("mase", "wql"):
        ours, theirs = found.get(metric, np.nan), naive.get(metric, np.nan)
        scores |= {metric: ours, f"{metric}_naive": theirs, f"{metric}_relative": ours / theirs if theirs else np.nan}
    both = [metric for metric in ("mase", "wql") if metric in found]
    return scores | {"better": bool(both) and all(found[metric] < naive[metric] for metric in both)}


def summarize(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Geometric means of the relative scores, the share of sets where both are better, and the sets where not."""
    means = {}
    for metric in ("mase", "wql"):
        ratios = [row[f"{metric}_relative"] for row in rows if np.isfinite(row[f"{metric}_relative"])]
        means[metric] = geometric_mean(ratios) if ratios else float("nan")
    return {
        **means,
        "sets": len(rows),
        "better": float(np.mean([row["better"] for row in rows])),
        "not_better": [row["set"] for row in rows if not row["better"]],
        "windows": sum(row["windows"] for row in rows),
    }
