"""tsfm: pre-train, fine-tune, evaluate and use time-series foundation models."""

import os
from typing import TYPE_CHECKING, Any

from tsfm.version import __version__

# Told before torch's import: how its CPU threads wait for each other. By spinning, where another process wants the same
# cores, a step takes two to ten times as long; asleep, a forecast takes half as long again. So they spin for 10,000
# rounds, a fraction of a millisecond, and then sleep; a runtime that is not GNU's lets them sleep at once
if "OMP_WAIT_POLICY" not in os.environ and "GOMP_SPINCOUNT" not in os.environ:
    os.environ |= {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "10000"}

if TYPE_CHECKING:
    from tsfm.estimators.classifier import Classifier as Classifier
    from tsfm.estimators.classifier import Regressor as Regressor
    from tsfm.estimators.detector import Detector as Detector
    from tsfm.estimators.pretrained import load as load
    from tsfm.types import Batch as Batch

# torch takes a second to import, so a face fetches what it shows only when it is looked at
_WHERE = {
    "Batch": "tsfm.types",
    "Classifier": "tsfm.estimators.classifier",
    "Detector": "tsfm.estimators.detector",
    "Regressor": "tsfm.estimators.classifier",
    "load": "tsfm.estimators.pretrained",
}
__all__ = ["Batch", "Classifier", "Detector", "Regressor", "__version__", "load"]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        import importlib

        return getattr(importlib.import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'tsfm' has no attribute {name!r}; it offers {', '.join(__all__)}")


def __dir__() -> list[str]:
    return __all__
