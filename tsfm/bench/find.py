"""Any predictor by name: a baseline, a bundled model, a directory. Free of Lightning: a forecast starts fast."""

from __future__ import annotations

from pathlib import Path

from tsfm.infer.load import bundled, load
from tsfm.infer.predictor import Predictor
from tsfm.registry import BASELINES, closest


def find_predictor(name: str) -> Predictor:
    """A baseline by its name, else a model by its name or directory."""
    if name in BASELINES.names():
        return BASELINES.build(BASELINES.config({"name": name}))
    if name in bundled() or Path(name).exists():
        return load(name)
    raise ValueError(
        f"no predictor {name!r}: no folder of a trained model, no bundled model, no baseline; "
        f"{closest(name, BASELINES.names() + bundled())}"
    )
