"""The data sets of the benchmark suite and the windows that are scored of each.

Of a large set a sample is scored. H horizon, L steps of a series.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from tsfm.bench.gift_configs import num_windows
from tsfm.data.base import SourceSeries
from tsfm.data.splits import holdout_length, typical_horizon
from tsfm.data.store_data import stored_series
from tsfm.messages import did_you_mean
from tsfm.metrics.forecast import seasonal_error
from tsfm.store.catalog import RAW_FOLDER, data_roots, resolve
from tsfm.store.manifest import MANIFEST
from tsfm.store.series_store import SeriesStore
from tsfm.timestamps.frequency import base_freq, season_length

if TYPE_CHECKING:
    from jaxtyping import Float, Int

ROLES = ("benchmark", "corpus")
RECOGNISABLE = 4096  # last steps of a corpus series by which the leak check recognises it
RECENT = 64  # steps before a window, of which one must be observed: the context of the shortest models
OFFICIAL = re.compile(r"horizon (\d+)|last (\d+) points")  # as the manifest of the data sets writes it


@dataclass(frozen=True)
class SuiteSet:
    """A data set of the suite.

    Attributes
    ----------
    name, role
        The stem of its file, and one of `ROLES`.
    horizon
        Of its official test part, if it has one.
    once
        Whether that is a single window, as in forecasting competitions.
    """

    name: str
    role: str
    horizon: int | None = None
    once: bool = False


@dataclass(frozen=True)
class SuiteLimits:
    """How much of a set is scored. The sample depends only on the seed and the set."""

    series: int = 512  # drawn from the set
    windows: int = 1024  # of a set, unless it has more series
    each: int = 20  # windows of a series
    seed: int = 0

    def __post_init__(self):
        if min(self.series, self.windows, self.each) < 1:
            raise ValueError(
                f"the limits are {self.series} series and {self.windows} windows of a set, and {self.each} windows of "
                "a series; each must be at least 1"
            )


LIMITS = {"benchmark": SuiteLimits(), "corpus": SuiteLimits(series=64, windows=64, each=1)}


@dataclass
class ForecastTask:
    """Windows of one horizon and season; the scale of MASE is that of the whole context.

    `starts` are the timestamps of the first steps of the contexts, `freqs` their frequencies, `series` the numbers of
    the series they belong to.
    """

    horizon: int
    season_length: int
    contexts: list[Float[np.ndarray, "1 _"]] = field(default_factory=list)
    y_true: list[Float[np.ndarray, "1 H"]] = field(default_factory=list)
    scales: list[Float[np.ndarray, " 1"]] = field(default_factory=list)
    starts: list[np.datetime64] = field(default_factory=list)
    freqs: list[str] = field(default_factory=list)
    series: list[int] = field(default_factory=list)

    def pasts(self) -> list[Float[np.ndarray, "1 _"]]:
        """Return what lies before the first window of each series: nothing of it is scored."""
        first: dict[int, Float[np.ndarray, "1 _"]] = {}
        for number, context in zip(self.series, self.contexts, strict=True):
            if number not in first or context.shape[1] < first[number].shape[1]:
                first[number] = context
        return list(first.values())


@dataclass
class SuiteWindows:
    """All windows of a set, and counts of what was left out."""

    tasks: list[ForecastTask]
    freqs: list[str]
    series: int = 0  # scored
    not_drawn: int = 0
    too_short: int = 0
    unobserved_windows: int = 0  # without observed values in the window, or in the `RECENT` steps before it


def find_suite_sets(role: str) -> list[SuiteSet]:
    """Return the sets of a role, as the manifest of the first data root that has one lists them.

    Raises
    ------
    FileNotFoundError
        If no data root has a manifest.
    ValueError
        If the role is unknown, or the manifest cannot be read or lists no set of the role.
    """
    if role not in ROLES:
        raise ValueError(f"role is {role!r}; {did_you_mean(role, list(ROLES))}")
    for root in data_roots():
        file = root / RAW_FOLDER / MANIFEST
        if not file.is_file():
            continue
        try:
            listed = json.loads(file.read_text(encoding="utf-8"))["datasets"]
            chosen = [
                (str(line["file"]), str(line.get("official_split") or "")) for line in listed if line["role"] == role
            ]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{file} cannot be read ({error}); it should list files and roles under 'datasets'"
            ) from None
        if not chosen:
            raise ValueError(f"{file} lists no set of role {role!r}")
        chosen.sort(key=lambda pair: pair[0].lower())
        return [_suite_set(name, role, official_split) for name, official_split in chosen]
    searched = ", ".join(str(root / RAW_FOLDER / MANIFEST) for root in data_roots())
    raise FileNotFoundError(f"no list of data sets (searched {searched}); set TSFM_DATA to a folder that holds one")


def _suite_set(file: str, role: str, official_split: str) -> SuiteSet:
    match = OFFICIAL.search(official_split) if role == "benchmark" else None
    horizon = int(match[1] or match[2]) if match else None
    return SuiteSet(file.rsplit(".", 1)[0], role, horizon, once=official_split.startswith("official"))


def collect_windows(entry: SuiteSet, store: SeriesStore, limits: SuiteLimits) -> SuiteWindows:
    """Return the windows of a set that are scored; each frequency in it has its own horizon and season."""
    channels = len(store.channels)
    drawn = draw_variates(store, limits)
    windows = SuiteWindows([], [], not_drawn=len(store) * channels - len(drawn))
    by_freq: dict[str, list[int]] = {}
    for variate in sorted(drawn.tolist()):  # item * channels + channel
        by_freq.setdefault(base_freq(store.freqs[variate // channels]), []).append(variate)
    windows_per_series = max(1, limits.windows // len(drawn))
    for freq, variates in sorted(by_freq.items()):
        task = ForecastTask(entry.horizon or typical_horizon(freq), season_length(freq))
        lengths = {variate: int(store.lengths[variate // channels]) for variate in variates}
        long_enough = [variate for variate in variates if _fits(lengths[variate], task.horizon, entry.role)]
        windows.too_short += len(variates) - len(long_enough)
        if not long_enough:
            continue
        shortest = min(lengths[variate] for variate in long_enough)
        count = num_windows(shortest, horizon=task.horizon, m4=entry.once)
        max_steps = holdout_length(shortest, task.horizon) if entry.role == "corpus" else shortest - 2
        count = min(count, limits.each, windows_per_series, max_steps // task.horizon)
        for variate, values in zip(long_enough, _read_variates(store, long_enough), strict=True):
            num_contexts = len(task.contexts)
            windows.series += _add_windows(task, values, count, windows)
            added, item = len(task.contexts) - num_contexts, variate // channels
            task.starts += [store.starts[item]] * added
            task.freqs += [store.freqs[item]] * added
            task.series += [variate] * added
        if task.contexts:
            windows.tasks.append(task)
            windows.freqs.append(freq)
    return windows


def draw_variates(store: SeriesStore, limits: SuiteLimits) -> Int[np.ndarray, " N"]:
    """Return the variates that are scored at most, item * channels + channel, in the order of the draw."""
    return np.random.default_rng(limits.seed).permutation(len(store) * len(store.channels))[: limits.series]


def source_series(entry: SuiteSet, limits: SuiteLimits) -> SourceSeries:
    """Return the series of a set for the leak check: all of them, or of a corpus set the last steps of those drawn.

    The model of a corpus has seen all its series, so that a part is enough.
    """
    store = resolve(entry.name)
    if entry.role != "corpus":
        return stored_series(store)
    variates = sorted(draw_variates(store, limits).tolist())
    items = [variate // len(store.channels) for variate in variates]
    recent = (values[:, -RECOGNISABLE:] for values in _read_variates(store, variates))
    return SourceSeries([store.ids[i] for i in items], recent, [store.fingerprints[i] for i in items])


def _fits(length: int, horizon: int, role: str) -> bool:
    """Whether a horizon fits and two steps before it; in a corpus series, into the part excluded from training."""
    return holdout_length(length, horizon) >= horizon if role == "corpus" else length >= horizon + 2


def _read_variates(store: SeriesStore, variates: Sequence[int]) -> Iterator[Float[np.ndarray, "1 _"]]:
    """One variate after another; an item of many channels is read once."""
    channels, last, item = len(store.channels), -1, np.empty((0, 0), np.float32)
    for variate in variates:
        i, channel = divmod(variate, channels)
        if i != last:
            item, last = store.read(i), i
        yield item[channel : channel + 1]


def _add_windows(task: ForecastTask, values: Float[np.ndarray, "1 L"], count: int, windows: SuiteWindows) -> bool:
    """Add the last `count` windows of a series; return whether one of them can be scored."""
    before = len(task.contexts)
    for k in range(count, 0, -1):
        stop = values.shape[1] - k * task.horizon
        context, y_true = values[:, :stop], values[:, stop : stop + task.horizon]
        if np.isnan(context[:, -RECENT:]).all() or np.isnan(y_true).all():
            windows.unobserved_windows += 1
            continue
        task.contexts.append(context)
        task.y_true.append(y_true)
        task.scales.append(seasonal_error(context, task.season_length))
    return len(task.contexts) > before
