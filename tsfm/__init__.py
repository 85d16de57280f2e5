"""tsfm: pre-train, fine-tune, evaluate and use time-series foundation models."""

from typing import TYPE_CHECKING, Any

from tsfm.version import __version__

if TYPE_CHECKING:
    from tsfm.backtesting.backtest import backtest as backtest
    from tsfm.commands.evaluate import evaluate as evaluate
    from tsfm.commands.train import train as train
    from tsfm.ensemble.online import Online as Online
    from tsfm.estimators.classifier import Classifier as Classifier
    from tsfm.estimators.classifier import Regressor as Regressor
    from tsfm.estimators.detector import Detector as Detector
    from tsfm.estimators.forecaster import Forecaster as Forecaster
    from tsfm.estimators.pretrained import load as load
    from tsfm.infer.inference_config import InferenceConfig as InferenceConfig
    from tsfm.messages import AssumptionWarning as AssumptionWarning
    from tsfm.messages import FailedItemWarning as FailedItemWarning
    from tsfm.results.store import read_results as read_results
    from tsfm.store.ingest import ingest as ingest
    from tsfm.store.read_table import read_table as read_table
    from tsfm.threads import set_threads as set_threads
    from tsfm.training.lightning import LightningDataModule as LightningDataModule
    from tsfm.training.lightning import LightningModule as LightningModule
    from tsfm.training.runs import compare_runs as compare_runs
    from tsfm.training.runs import list_runs as list_runs
    from tsfm.types import Batch as Batch

# Each public name and the module that defines it, which is imported at the first use: torch takes a second to import.
_MODULES = {
    "AssumptionWarning": "tsfm.messages",
    "Batch": "tsfm.types",
    "Classifier": "tsfm.estimators.classifier",
    "Detector": "tsfm.estimators.detector",
    "FailedItemWarning": "tsfm.messages",
    "Forecaster": "tsfm.estimators.forecaster",
    "InferenceConfig": "tsfm.infer.inference_config",
    "LightningDataModule": "tsfm.training.lightning",
    "LightningModule": "tsfm.training.lightning",
    "Online": "tsfm.ensemble.online",
    "Regressor": "tsfm.estimators.classifier",
    "backtest": "tsfm.backtesting.backtest",
    "compare_runs": "tsfm.training.runs",
    "evaluate": "tsfm.commands.evaluate",
    "ingest": "tsfm.store.ingest",
    "list_runs": "tsfm.training.runs",
    "load": "tsfm.estimators.pretrained",
    "read_results": "tsfm.results.store",
    "read_table": "tsfm.store.read_table",
    "set_threads": "tsfm.threads",
    "train": "tsfm.commands.train",
}
__all__ = [
    "AssumptionWarning",
    "Batch",
    "Classifier",
    "Detector",
    "FailedItemWarning",
    "Forecaster",
    "InferenceConfig",
    "LightningDataModule",
    "LightningModule",
    "Online",
    "Regressor",
    "__version__",
    "backtest",
    "compare_runs",
    "evaluate",
    "ingest",
    "list_runs",
    "load",
    "read_results",
    "read_table",
    "set_threads",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'tsfm' has no attribute {name!r}; it offers {', '.join(__all__)}")
    import importlib

    globals()[name] = value = getattr(importlib.import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
