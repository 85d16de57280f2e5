"""tsfm: pre-train, fine-tune, evaluate and use time-series foundation models."""

from typing import TYPE_CHECKING, Any

from tsfm.version import __version__

if TYPE_CHECKING:
    from tsfm.estimators.classifier import Classifier as Classifier
    from tsfm.estimators.classifier import Regressor as Regressor
    from tsfm.estimators.detector import Detector as Detector
    from tsfm.estimators.forecaster import Forecaster as Forecaster
    from tsfm.estimators.pretrained import load as load
    from tsfm.store.ingest import ingest as ingest
    from tsfm.threads import set_threads as set_threads
    from tsfm.types import Batch as Batch

# Each public name and the module that defines it, which is imported at the first use: torch takes a second to import.
_MODULES = {
    "Batch": "tsfm.types",
    "Classifier": "tsfm.estimators.classifier",
    "Detector": "tsfm.estimators.detector",
    "Forecaster": "tsfm.estimators.forecaster",
    "Regressor": "tsfm.estimators.classifier",
    "ingest": "tsfm.store.ingest",
    "load": "tsfm.estimators.pretrained",
    "set_threads": "tsfm.threads",
}
__all__ = ["Batch", "Classifier", "Detector", "Forecaster", "Regressor", "__version__", "ingest", "load", "set_threads"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'tsfm' has no attribute {name!r}; it offers {', '.join(__all__)}")
    import importlib

    globals()[name] = value = getattr(importlib.import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
