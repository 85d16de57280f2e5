"""Synthetic series whose best forecast is known: how far a forecaster is above it, by capability.

Trends, periods and anomalies of SynTSBench (arXiv:2510.20273), autoregressions (arXiv:2510.09776), recall
(arXiv:2312.04927) and dynamical systems (arXiv:2505.13192). See `tsfm.synthetic.known` and `tsfm.bench.known_scores`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, Optional

import numpy as np
from tqdm import tqdm
from typing_extensions import override

from tsfm.bench.known_scores import ORACLE, Forecaster, KnownSettings, Oracle, PointForecaster, score_kind
from tsfm.bench.predictors import is_model, prepare_predictor
from tsfm.bench.protocol import Protocol
from tsfm.bench.protocols.gift import check_predictor
from tsfm.bench.report import as_csv
from tsfm.config import EvalConfig
from tsfm.data.base import SourceSeries
from tsfm.files import write_text
from tsfm.fingerprint import content_digest, joint_fingerprint
from tsfm.registry import PROTOCOLS
from tsfm.synthetic.known import CAPABILITIES, VERSION, select_kinds
from tsfm.synthetic.known_base import KnownKind

log = logging.getLogger("tsfm")
CONTEXT, HORIZON = 512, 96  # where `tsfm eval` names none
OF_FREE_RUNS = ("d_stsp", "d_stsp_floor", "d_h", "d_h_floor")
METRICS = (
    "excess", *(f"excess_{capability}" for capability in CAPABILITIES), "excess_se", "optimum", "first_step",
    *OF_FREE_RUNS,
)  # fmt: skip


class KnownData(NamedTuple):
    """Kinds of series, drawn as they are scored."""

    kinds: list[KnownKind]
    settings: KnownSettings


@PROTOCOLS("known")
class KnownProtocol(Protocol):
    """Squared error above the lowest possible one, in variances of the past of each channel.

    `excess` is the mean over capabilities, `excess_X` that over the kinds of capability X, and each kind has a row.
    `predictor=oracle` scores the equations that generated the series.
    """

    # Optional[...], not `X | None`: OmegaConf resolves the hints of structured configs on Python 3.10.
    @dataclass
    class Config:
        """Settings of bench=known."""

        kinds: Optional[list[str]] = None  # noqa: UP045  kinds or capabilities; null: all that no generator holds
        windows: int = 32  # of each kind, independent of each other
        seed: int = 0  # of the series
        season: bool = True  # whether a forecaster is given the true period, where there is one
        free_run: int = 0  # steps that dynamical systems are forecast for D_stsp and D_H, such as 1000; 0: none
        bins: int = 10  # of each axis, for D_stsp; 30 needs a free_run of 10000
        batch_size: int = 256  # windows at a time

        def __post_init__(self):
            for name, least in (("windows", 1), ("batch_size", 1), ("bins", 2), ("seed", 0)):
                if (value := getattr(self, name)) < least:
                    raise ValueError(f"bench.{name} is {value}; expected at least {least}")
            if self.free_run != 0 and self.free_run < 16:
                raise ValueError(f"bench.free_run is {self.free_run}; give 16 steps or more, or 0 for no free run")
            select_kinds(self.kinds)

    metrics = METRICS
    uses = ("context", "horizon")
    synthetic = True
    subset_key = "kind"

    @override
    def check(self, config: EvalConfig) -> None:
        """Raise a ValueError for a context that is too short for a kind, and for zero_shot=true with seen equations."""
        super().check(config)
        for kind in select_kinds(self.config.kinds):
            if (context := config.context or CONTEXT) < kind.min_context:
                raise ValueError(
                    f"context is {context}; kind {kind.name} needs {kind.min_context} past steps or more: give them, "
                    "or leave the kind out of bench.kinds"
                )
            if config.zero_shot and kind.in_generators and is_model(config.predictor):
                raise ValueError(
                    f"zero_shot=true, but {kind.name} is a flow of the generator chaos, which the pre-training uses; "
                    "leave it out of bench.kinds, or leave zero_shot out"
                )

    def load_predictor(self, config: EvalConfig) -> Forecaster:
        """Return a forecaster on its device, or the oracle."""
        if config.predictor == ORACLE:
            return Oracle()
        predictor = prepare_predictor(config.predictor, device=config.device)
        check_predictor(predictor)
        return PointForecaster(predictor, self.config.batch_size)

    @override
    def load_data(self, config: EvalConfig, predictor: Forecaster) -> KnownData:
        """Return the kinds and what decides their series."""
        del predictor
        return KnownData(select_kinds(self.config.kinds), self._settings(config))

    def _settings(self, config: EvalConfig) -> KnownSettings:
        own = self.config
        return KnownSettings(
            config.context or CONTEXT, config.horizon or HORIZON, own.windows, own.seed, own.season, own.free_run,
            own.bins,
        )  # fmt: skip

    def scored_series(self, data: KnownData) -> SourceSeries:
        """Return no series: they are drawn for the score."""
        del data
        return SourceSeries([], [])

    def score(self, predictor: Forecaster, data: KnownData) -> dict[str, Any]:
        """See `score_known`."""
        return score_known(predictor, data)

    @override
    def data_name(self, config: EvalConfig) -> str:
        """Return "known": the protocol has data of its own."""
        return "known"

    @override
    def data_digest(self, config: EvalConfig) -> str:
        """Return a digest of what decides the series."""
        settings = self._settings(config)
        names = [kind.name for kind in select_kinds(self.config.kinds)]
        return content_digest({"version": VERSION, "kinds": names, **asdict(settings)})

    @override
    def write_tables(self, scores: dict[str, Any], folder: Path | None) -> None:
        """Log the tables by capability and by kind, and write the latter to known.csv."""
        log.info("%s", as_text(scores))
        if folder is not None:
            write_text(folder / "known.csv", as_csv(scores["rows"]))


def score_known(forecaster: Forecaster, data: KnownData) -> dict[str, Any]:
    """Return the excess over the optimum, its means over capabilities and kinds, and the rows of all kinds."""
    bar = tqdm(data.kinds, desc="known", disable=None)
    rows = [score_kind(forecaster, kind, data.settings) for kind in bar]
    prints = [row.pop("fingerprint") for row in rows]
    seen = [kind.name for kind in data.kinds if kind.in_generators]
    return {
        **means(rows),
        "kinds": len(rows),
        "windows": sum(row["windows"] for row in rows),
        "context": data.settings.context,
        "horizon": data.settings.horizon,
        "season_given": data.settings.season,
        "seed": data.settings.seed,
        "leak_check": "none: the series are synthetic",
        **({"kinds_of_generators": seen} if seen else {}),
        "fingerprint": joint_fingerprint(prints),
        "rows": rows,
    }


def means(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return the mean excess over capabilities and over the kinds of each, and of free runs."""
    by_capability = {
        f"excess_{capability}": float(np.mean(values))
        for capability in CAPABILITIES
        if (values := [row["excess"] for row in rows if row["capability"] == capability])
    }
    others = {
        name: float(np.mean(values)) for name in OF_FREE_RUNS if (values := [row[name] for row in rows if name in row])
    }
    return {"excess": float(np.mean(list(by_capability.values()))), **by_capability, **others}


def as_text(result: dict[str, Any]) -> str:
    """Return the table by capability and the table by kind, aligned."""
    lines = [f"{'kind':18} {'capability':16} horizon     mse optimum  excess (standard error)"]
    for row in result["rows"]:
        line = (
            f"{row['kind']:18} {row['capability']:16} {row['horizon']:7d} {row['mse']:7.4f} {row['optimum']:7.4f} "
            f"{row['excess']:7.4f} ({row['excess_se']:.4f})"
        )
        if "d_stsp" in row:
            line += (
                f"  free run: D_stsp {row['d_stsp']:.2f} (another true one {row['d_stsp_floor']:.2f}), "
                f"D_H {row['d_h']:.3f} ({row['d_h_floor']:.3f})"
            )
        lines.append(line)
    lines.append(f"excess over the optimum, in variances of the past; {result['windows']} windows")
    lines += [
        f"{capability:18} {result[f'excess_{capability}']:.4f}"
        for capability in CAPABILITIES
        if f"excess_{capability}" in result
    ]
    lines.append(f"{'mean':18} {result['excess']:.4f}")
    if seen := result.get("kinds_of_generators"):
        lines.append(f"the generators of the pre-training hold the equations of {', '.join(seen)}")
    return "\n".join(lines)
