"""How GIFT-Eval scores a zero-shot forecaster (arXiv:2410.10393): every window of every configuration, each beside the
seasonal naive; the geometric means of what is divided by it.

N series, C variates, W windows, H horizon, L past steps, Q = 9 quantile levels.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional

import numpy as np
from tqdm import tqdm

from tsfm.bench.gift_data import TERMS, GiftConfig, chosen
from tsfm.infer.predictor import DECILES, POINT, Predictor
from tsfm.metrics.forecast import ForecastScore, seasonal_error
from tsfm.registry import schema

if TYPE_CHECKING:
    from jaxtyping import Float

METRICS = ("mase", "crps", *(f"{metric}_{term}" for term in TERMS for metric in ("mase", "crps")))
CELLS = 2**25  # values of the past that are handed over at once, 128 MiB in float32


# Optional[...], not `X | None`: OmegaConf resolves the hints of structured configs on Python 3.10.
@schema("bench", "gift")
@dataclass
class GiftBench:
    """Configurations of GIFT-Eval, zero-shot: `mase` and `crps` (the mean weighted quantile loss over 0.1 ... 0.9) are
    geometric means of each one's value divided by the seasonal naive's."""

    name: str = "gift"
    configs: Optional[list[str]] = None  # noqa: UP045  such as ett1/H/short; null: all 32 whose data is public here
    multivariate: bool = False  # the variates of a set at once, for a model that mixes channels; else one by one
    batch_size: int = 256  # series at a time

    def __post_init__(self):
        if self.batch_size < 1:
            raise ValueError(f"bench.batch_size is {self.batch_size}; expected at least 1 series")
        chosen(self.configs)


def score_gift(predictor: Predictor, bench: GiftBench, *, context: int | None = None) -> dict[str, Any]:
    """The geometric means, those of each term, and the rows they are of. `context` None shows the whole past, of which
    the predictor takes what it can."""
    check_predictor(predictor)
    if context is not None and context < 1:
        raise ValueError(f"context is {context}; it is a number of past steps, at least 1")
    rows, digest = [], hashlib.blake2b(digest_size=16)
    for entry in tqdm(entries := chosen(bench.configs), desc="gift", disable=None):
        series = entry.read()
        for one in series:
            digest.update(one.tobytes())
        if not bench.multivariate:
            series = [variate[None] for one in series for variate in one]
        rows.append(score_config(predictor, entry, series, context=context, batch_size=bench.batch_size))
    return {
        **means(rows),
        "configs": len(entries),
        "windows": sum(row["windows"] for row in rows),
        "context": context or predictor.max_context_length,
        "levels": list(DECILES),
        "point_forecast": predictor.quantile_levels == POINT,
        "multivariate": bench.multivariate,
        "fingerprint": digest.hexdigest(),
        "rows": rows,
    }


def check_predictor(predictor: Predictor) -> None:
    """Refuse what cannot forecast a series that it knows nothing of but its past."""
    predictor.check_forecasts()
    if predictor.time_features:
        raise ValueError(
            f"{predictor.name} needs the time features {', '.join(predictor.time_features)}, which zero-shot "
            "series do not have here; score a model that was trained without data.calendar"
        )
    predictor.channel_units(["of an unknown series"])


def score_config(
    predictor: Predictor,
    entry: GiftConfig,
    series: Sequence[Float[np.ndarray, "C L"]],
    *,
    context: int | None = None,
    batch_size: int = 256,
) -> dict[str, Any]:
    """One row: MASE and CRPS over all cells (series, variates, windows, steps), absolute and relative."""
    begun = time.perf_counter()
    starts = [one.shape[1] - entry.horizon * back for one in series for back in range(entry.windows, 0, -1)]
    owners = [one for one in series for _ in range(entry.windows)]
    if min(starts) < 1:
        raise ValueError(
            f"{entry.name}: a series of {min(one.shape[1] for one in series)} steps has no past before its "
            f"{entry.windows} windows of {entry.horizon}; give the whole file {entry.file}.parquet"
        )
    score = ForecastScore(DECILES, entry.season)
    seconds = 0.0
    for part in _parts([first * one.shape[0] for one, first in zip(owners, starts, strict=True)]):
        past = [owners[i][:, : starts[i]] for i in part]
        truth = np.stack([owners[i][:, starts[i] : starts[i] + entry.horizon] for i in part])
        asked = time.perf_counter()
        reads = quantiles(
            predictor, past, horizon=entry.horizon, season_length=entry.season, context=context, size=batch_size
        )
        seconds += time.perf_counter() - asked
        score.update(truth, reads, scale=np.stack([seasonal_error(one, entry.season) for one in past]))
    found = score.result()
    if found["windows"] != len(starts):
        raise RuntimeError(f"{entry.name}: {found['windows']} windows were scored; there are {len(starts)}")
    return {
        "config": entry.name,
        "series": len(series),
        "windows": int(found["windows"]),
        "prediction_length": entry.horizon,
        "season": entry.season,
        "mase": found["mase"],
        "crps": found["wql"],
        "mase_relative": found["mase"] / entry.mase,
        "crps_relative": found["wql"] / entry.crps,
        "seconds_forecasting": round(seconds, 3),
        "seconds": round(time.perf_counter() - begun, 3),
    }


def quantiles(
    predictor: Predictor,
    past: Sequence[Float[np.ndarray, "C L"]],
    *,
    horizon: int,
    season_length: int,
    context: int | None = None,
    size: int = 256,
) -> Float[np.ndarray, "W C H 9"]:
    """The nine levels of GIFT-Eval; what a point model reads stands for each of them, as on its board."""
    shown = list(past) if context is None else [one[:, -context:] for one in past]
    levels = POINT if predictor.quantile_levels == POINT else DECILES
    reads = predictor.predict(
        shown, prediction_length=horizon, quantile_levels=levels, season_length=season_length, batch_size=size
    ).quantiles
    return np.repeat(reads, len(DECILES), axis=-1) if levels == POINT else reads


def _parts(cells: Sequence[int]) -> Iterator[range]:
    """Runs of windows whose pasts hold at most CELLS values."""
    first, held = 0, 0
    for place, count in enumerate(cells):
        if held and held + count > CELLS:
            yield range(first, place)
            first, held = place, 0
        held += count
    yield range(first, len(cells))


def geometric_mean(values: Sequence[float]) -> float:
    """exp of the mean logarithm; 0 if one of them is."""
    with np.errstate(divide="ignore"):
        return float(np.exp(np.log(np.asarray(values, np.float64)).mean()))


def means(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Geometric means of the relative scores: over all rows, and over those of each term."""
    found = {metric: geometric_mean([row[f"{metric}_relative"] for row in rows]) for metric in ("mase", "crps")}
    for term in TERMS:
        some = [row for row in rows if row["config"].endswith(f"/{term}")]
        for metric in ("mase", "crps") if some else ():
            found[f"{metric}_{term}"] = geometric_mean([row[f"{metric}_relative"] for row in some])
    return found


def as_text(result: dict[str, Any]) -> str:
    """The rows and the geometric means, aligned for a terminal."""
    width = max(len(row["config"]) for row in result["rows"])
    lines = [f"{'':{width}}  windows    MASE    CRPS  relative to seasonal naive: MASE    CRPS"]
    for row in result["rows"]:
        lines.append(
            f"{row['config']:{width}}  {row['windows']:7d} {row['mase']:7.4f} {row['crps']:7.4f}  "
            f"{row['mase_relative']:32.4f} {row['crps_relative']:7.4f}"
        )
    title = f"geometric mean of {len(result['rows'])}"
    lines.append(f"{title:{width}}  {result['windows']:7d} {'':15}  {result['mase']:32.4f} {result['crps']:7.4f}")
    return "\n".join(lines)
