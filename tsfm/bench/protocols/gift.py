"""GIFT-Eval (arXiv:2410.10393): every window of every configuration, relative to the seasonal naive forecast.

C variates, L steps of a series, W windows, H horizon, 9 quantile levels.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

import numpy as np
from tqdm import tqdm
from typing_extensions import override

from tsfm.bench.gift_configs import TERMS, GiftConfig, find_file, select_configs
from tsfm.bench.gift_table import as_text, means
from tsfm.bench.predictors import prepare_predictor
from tsfm.bench.protocol import Protocol
from tsfm.bench.report import as_csv
from tsfm.config import EvalConfig
from tsfm.data.base import SourceSeries
from tsfm.files import write_text
from tsfm.fingerprint import files_digest
from tsfm.infer.predictor import DECILES, POINT, Predictor
from tsfm.metrics.forecast import seasonal_error
from tsfm.metrics.forecast_score import ForecastScore, added_scores
from tsfm.registry import PROTOCOLS
from tsfm.results.rows import Measure
from tsfm.timestamps.offsets import season_length as usual_season_length

if TYPE_CHECKING:
    from jaxtyping import Float

log = logging.getLogger("tsfm")
METRICS = ("mase", "crps", *(f"{metric}_{term}" for term in TERMS for metric in ("mase", "crps")))
MAX_VALUES = 2**25  # context values of one batch, 128 MiB in float32


class GiftData(NamedTuple):
    """Configurations with their series, and the context length (None: all past steps)."""

    configs: list[GiftConfig]
    series: list[list[Float[np.ndarray, "C _"]]]
    context: int | None


@PROTOCOLS("gift")
class GiftProtocol(Protocol):
    """Configurations of GIFT-Eval, zero-shot.

    `mase` and `crps` (the mean weighted quantile loss over 0.1 ... 0.9) are geometric means over configurations of the
    value divided by that of the seasonal naive forecast.
    """

    # Optional[...], not `X | None`: OmegaConf resolves the hints of structured configs on Python 3.10.
    @dataclass
    class Config:
        """Settings of bench=gift."""

        configs: Optional[list[str]] = None  # noqa: UP045  such as ett1/H/short; null: all 32 with public data
        multivariate: bool = False  # the variates of a series at once, for a model that mixes channels; else one by one
        batch_size: int = 256  # series at a time

        def __post_init__(self):
            if self.batch_size < 1:
                raise ValueError(f"bench.batch_size is {self.batch_size}; expected at least 1 series")
            select_configs(self.configs)

    metrics = METRICS
    uses = ("context",)

    def load_predictor(self, config: EvalConfig) -> Predictor:
        """Return a forecaster on its device; a trained model forecasts in a single pass, as published ones do."""
        return prepare_predictor(config.predictor, device=config.device, single_pass=True)

    def load_data(self, config: EvalConfig, predictor: Predictor) -> GiftData:
        """Read the series of every configuration."""
        check_predictor(predictor)
        return read_configs(self.config.configs, context=config.context)

    def scored_series(self, data: GiftData) -> SourceSeries:
        """Return the series of all configurations."""
        names = [entry.name for entry, series in zip(data.configs, data.series, strict=True) for _ in series]
        return SourceSeries(names, [values for series in data.series for values in series])

    def score(self, predictor: Predictor, data: GiftData) -> dict[str, Any]:
        """See `score_gift`."""
        return score_gift(predictor, self.config, data)

    @override
    def data_digest(self, config: EvalConfig) -> str:
        """Return the digest of the files of the configurations."""
        files = dict.fromkeys(entry.file for entry in select_configs(self.config.configs))
        return files_digest([find_file(file) for file in files])

    @override
    def data_name(self, config: EvalConfig) -> str:
        """Return "gift": the protocol has data of its own."""
        return "gift"

    @override
    def measures(self, scores: Mapping[str, Any]) -> list[Measure]:
        """Return scores relative to the seasonal naive, of the whole and of each configuration; of the latter also MASE
        and CRPS themselves.
        """
        measured = super().measures(scores)
        for row in scores["rows"]:
            name, windows = row["config"], row["windows"]
            for metric in ("mase", "crps"):
                measured.append(Measure(metric, row[f"{metric}_relative"], name, windows))
                measured.append(Measure(f"{metric}_absolute", row[metric], name, windows))
        return measured

    def write_tables(self, scores: dict[str, Any], folder: Path | None) -> None:
        """Log the table of configurations, and write it to gift.csv."""
        log.info("%s", as_text(scores))
        if folder is not None:
            write_text(folder / "gift.csv", as_csv(scores["rows"]))


def read_configs(names: Sequence[str] | None = None, *, context: int | None = None) -> GiftData:
    """Return the named configurations (None: all) with their series."""
    if context is not None and context < 1:
        raise ValueError(f"context is {context}; it is a number of past steps, at least 1")
    entries = select_configs(names)
    return GiftData(entries, [entry.read() for entry in entries], context)


def score_gift(predictor: Predictor, config: Any, data: GiftData) -> dict[str, Any]:
    """Return the geometric means over all configurations and over those of each term, and their rows.

    Parameters
    ----------
    config
        Settings of bench=gift: `multivariate` and `batch_size` are used.
    """
    check_predictor(predictor)
    rows, digest, context = [], hashlib.blake2b(digest_size=16), data.context
    pairs = list(zip(data.configs, data.series, strict=True))
    for entry, whole_series in tqdm(pairs, desc="gift", disable=None):
        series = whole_series
        for values in series:
            digest.update(values.tobytes())
        if not config.multivariate:
            series = [variate[None] for values in series for variate in values]
        rows.append(score_config(predictor, entry, series, context=context, batch_size=config.batch_size))
    return {
        **means(rows),
        "configs": len(rows),
        "windows": sum(row["windows"] for row in rows),
        "context": context or predictor.max_context_length,
        "quantile_levels": list(DECILES),
        "point_forecast": predictor.quantile_levels == POINT,
        "multivariate": config.multivariate,
        "fingerprint": digest.hexdigest(),
        "rows": rows,
    }


def check_predictor(predictor: Predictor) -> None:
    """Raise a ValueError if a predictor cannot forecast a series from its past values only."""
    predictor.check_forecasts()
    if predictor.time_features:
        raise ValueError(
            f"{predictor.name} needs the time features {', '.join(predictor.time_features)}, which zero-shot "
            "series do not have here; score a model that was trained without data.time_features"
        )
    predictor.channel_units(["of an unknown series"])


def score_config(
    predictor: Predictor,
    entry: GiftConfig,
    series: Sequence[Float[np.ndarray, "C _"]],
    *,
    context: int | None = None,
    batch_size: int = 256,
) -> dict[str, Any]:
    """Return one row: MASE and CRPS over all series, variates, windows and steps, absolute and relative.

    Parameters
    ----------
    series
        Arrays [channels, time] of any lengths and one number of channels.
    context
        Last past steps that the predictor gets; None: all. The scale of MASE is that of all past steps.

    Raises
    ------
    ValueError
        If a series is too short for the windows.
    RuntimeError
        If a window was lost.
    """
    start = time.perf_counter()
    starts = [values.shape[1] - entry.horizon * k for values in series for k in range(entry.windows, 0, -1)]
    owners = [values for values in series for _ in range(entry.windows)]
    if min(starts) < 1:
        raise ValueError(
            f"{entry.name}: a series of {min(values.shape[1] for values in series)} steps has no past before its "
            f"{entry.windows} windows of {entry.horizon}; give the whole file {entry.file}.parquet"
        )
    score = ForecastScore(DECILES, entry.season_length)
    season_length = forecast_season(predictor, entry)
    forecaster = predictor.fitted_to(
        [values[:, : values.shape[1] - entry.horizon * entry.windows] for values in series],
        prediction_length=entry.horizon, season_length=season_length,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    for batch in _batches([first * values.shape[0] for values, first in zip(owners, starts, strict=True)]):
        contexts = [owners[i][:, : starts[i]] for i in batch]
        y_true = np.stack([owners[i][:, starts[i] : starts[i] + entry.horizon] for i in batch])
        forecast_start = time.perf_counter()
        predicted = forecast_deciles(
            forecaster, contexts, horizon=entry.horizon, season_length=season_length, context=context,
            batch_size=batch_size,
        )  # fmt: skip
        seconds += time.perf_counter() - forecast_start
        scale = np.stack([seasonal_error(values, entry.season_length) for values in contexts])
        score.update(y_true, predicted, scale=scale)
    metrics = score.result()
    if metrics["windows"] != len(starts):
        raise RuntimeError(f"{entry.name}: {metrics['windows']} windows were scored; there are {len(starts)}")
    return {
        "config": entry.name,
        "series": len(series),
        "windows": int(metrics["windows"]),
        "prediction_length": entry.horizon,
        "season": entry.season_length,
        "mase": metrics["mase"],
        "crps": metrics["wql"],
        "mase_relative": metrics["mase"] / entry.mase,
        "crps_relative": metrics["wql"] / entry.crps,
        **added_scores(metrics),
        "seconds_forecasting": round(seconds, 3),
        "seconds": round(time.perf_counter() - start, 3),
    }


def forecast_season(predictor: Predictor, entry: GiftConfig) -> int:
    """Return the season length in steps that a forecaster is given.

    A trained model gets the usual one of the frequency: that of GIFT-Eval, the base of MASE and the seasonal naive,
    is 1 for days and weeks.
    """
    return entry.season_length if predictor.num_parameters() is None else usual_season_length(entry.freq)


def forecast_deciles(
    predictor: Predictor,
    past: Sequence[Float[np.ndarray, "C _"]],
    *,
    horizon: int,
    season_length: int,
    context: int | None = None,
    batch_size: int = 256,
    starts: Sequence[np.datetime64] | None = None,
    freq: Sequence[str] | None = None,
) -> Float[np.ndarray, "W C H 9"]:
    """Return quantiles at the nine levels of GIFT-Eval; a point forecast is repeated for each level, as there.

    `starts` are the timestamps of the first steps of `past`, which then has to be used whole.
    """
    assert starts is None or context is None
    contexts = list(past) if context is None else [values[:, -context:] for values in past]
    quantile_levels = POINT if predictor.quantile_levels == POINT else DECILES
    predicted = predictor.predict(
        contexts,
        prediction_length=horizon,
        quantile_levels=quantile_levels,
        season_length=season_length,
        batch_size=batch_size,
        starts=starts,
        freq=freq,
    ).quantiles
    return np.repeat(predicted, len(DECILES), axis=-1) if quantile_levels == POINT else predicted


def _batches(sizes: Sequence[int]) -> Iterator[range]:
    """Consecutive windows whose contexts hold at most MAX_VALUES values."""
    first, total = 0, 0
    for index, size in enumerate(sizes):
        if total and total + size > MAX_VALUES:
            yield range(first, index)
            first, total = index, 0
        total += size
    yield range(first, len(sizes))
