"""Any predictor by name: a baseline, a bundled model, a directory. Free of Lightning: a forecast starts fast."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from tsfm.bench.interfaces import CaseLearner, Imputer, SeriesDetector
from tsfm.infer.load import bundled, load
from tsfm.infer.predictor import Predictor
from tsfm.messages import did_you_mean
from tsfm.registry import BASELINES

Kind = TypeVar("Kind")
DOES = {
    Predictor: "forecasts",
    Imputer: "fills gaps",
    CaseLearner: "learns labelled cases",
    SeriesDetector: "scores a series for anomalies",
}


def baselines(kind: type) -> list[str]:
    """The names of all baselines of a kind."""
    return [entry.name for entry in BASELINES if issubclass(entry.component, kind)]


def find_baseline(name: str, kind: type[Kind], **settings: Any) -> Kind:
    """A baseline of one of the kinds of DOES by its name, with settings of its own."""
    known = baselines(kind)
    if name in known:
        return BASELINES.build(BASELINES.config({"name": name, **settings}))
    if name in BASELINES.names():
        does = next(words for other, words in DOES.items() if issubclass(BASELINES.entry(name).component, other))
        raise ValueError(f"baseline {name!r} {does}; what is needed here {DOES[kind]}: {', '.join(known)}")
    raise ValueError(f"no baseline {name!r}; {did_you_mean(name, known)}")


def find_predictor(name: str) -> Predictor:
    """A forecasting baseline by its name, else a model by its name or directory."""
    if name in BASELINES.names():
        return find_baseline(name, Predictor)  # type: ignore[type-abstract]
    if name in bundled() or Path(name).exists():
        return load(name)
    raise ValueError(
        f"no predictor {name!r}: no folder of a trained model, no bundled model, no baseline; "
        f"{did_you_mean(name, baselines(Predictor) + bundled())}"
    )
