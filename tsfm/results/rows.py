"""Rows of a results store, made from the result of a job."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, NamedTuple

from tsfm.results.schema import DONE, FAILED

ZERO_SHOT = {"true": True, "false": False}  # verdicts of the leak check in results; others are null: not known


class Measure(NamedTuple):
    """One metric of a job: of a subset of the data, or of the whole (an empty `subset`)."""

    metric: str
    value: float
    subset: str = ""
    windows: int | None = None


@dataclass(frozen=True)
class Provenance:
    """What a row says of the job that computed it.

    Attributes
    ----------
    job, kind
        Identity; `train` or `eval`.
    model, experiment, protocol, data, context, horizon, setting, seed
        As in the columns of the store.
    command, config
        The command line, and the complete settings.
    environment
        Versions, commit and hardware, as `tsfm.training.environment.environment` returns them.
    suite, sweep, weights
        As in the columns of the store.
    """

    job: str
    kind: str
    model: str
    protocol: str
    data: str
    experiment: str = ""
    context: int | None = None
    horizon: int | None = None
    setting: str = ""
    seed: int | None = None
    command: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    suite: str = ""
    sweep: str = ""
    weights: str | None = None

    def columns(self) -> dict[str, Any]:
        """Return the columns that all rows of the job share."""
        versions, environment = self.environment.get("versions", {}), self.environment
        return {
            **{name: getattr(self, name) for name in ("job", "kind", "suite", "sweep", "model", "experiment")},
            **{name: getattr(self, name) for name in ("protocol", "data", "context", "horizon", "setting", "seed")},
            **{name: getattr(self, name) for name in ("command", "weights")},
            "config": json.dumps(self.config, sort_keys=True),
            **{name: versions.get(name) for name in ("tsfm", "torch", "python")},
            **{name: environment.get(name) for name in ("platform", "processor", "cores", "threads")},
            "commit": environment.get("commit") or "",
            "gpus": ", ".join(environment.get("gpus", ())),
            "time": datetime.now(timezone.utc),
        }


def measured_rows(
    provenance: Provenance, measures: Iterable[Measure], result: Mapping[str, Any], *, sources: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return a row per measure.

    Parameters
    ----------
    provenance
        Of the job.
    measures
        Its metrics.
    result
        Of the job: seconds, parameters, leak verdict, published values and directory are taken from it.
    sources
        Where the published value of a metric is from.

    Raises
    ------
    ValueError
        If nothing was measured, or a metric of a subset was measured twice.
    """
    shared = provenance.columns() | {
        "status": DONE,
        "parameters": result.get("parameters"),
        "seconds": result.get("seconds"),
        "zero_shot": ZERO_SHOT.get(str(result.get("zero_shot")).lower()),
        "seen": json.dumps(result["seen"]) if isinstance(result.get("seen"), (dict, list)) else result.get("seen"),
        "context": result.get("context", provenance.context),
        "horizon": result.get("horizon", provenance.horizon),
        "data_fingerprint": result.get("fingerprint"),
        "run_dir": result.get("run_dir"),
    }
    published = {claim["metric"]: claim["expected"] for claim in result.get("expect", ())}
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for measure in measures:
        key = (measure.subset, measure.metric)
        if key in rows:
            raise ValueError(f"metric {measure.metric!r} of {measure.subset or provenance.data} was measured twice")
        known = published.get(measure.metric) if not measure.subset else None
        rows[key] = shared | {
            "metric": measure.metric,
            "value": float(measure.value),
            "subset": measure.subset,
            "windows": measure.windows,
            "published": known,
            "source": sources.get(measure.metric) if known is not None else None,
        }
    if not rows:
        raise ValueError(f"job {provenance.job} of {provenance.model} on {provenance.data} has no metric to record")
    return list(rows.values())


def failed_row(provenance: Provenance, error: str, *, seconds: float) -> dict[str, Any]:
    """Return the row of a job that failed."""
    return provenance.columns() | {
        "status": FAILED, "error": error, "seconds": seconds, "metric": "", "subset": "", "value": math.nan,
    }  # fmt: skip
