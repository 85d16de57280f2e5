"""tsfm: pre-train, fine-tune, evaluate and use time-series foundation models."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from tsfm.infer.load import load as load
    from tsfm.types import Batch as Batch

# torch takes a second to import, so a face fetches what it shows only when it is looked at
_WHERE = {"load": "tsfm.infer.load", "Batch": "tsfm.types"}
__all__ = ["Batch", "__version__", "load"]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        import importlib

        return getattr(importlib.import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'tsfm' has no attribute {name!r}; it offers {', '.join(__all__)}")


def __dir__() -> list[str]:
    return __all__
