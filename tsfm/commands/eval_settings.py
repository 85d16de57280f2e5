"""Which settings of `tsfm eval` decide a result."""

from __future__ import annotations

from typing import Any

from tsfm.config import EvalConfig, plain

NOT_DECIDING = ("out", "results", "device", "expect")


def deciding_settings(config: EvalConfig) -> dict[str, Any]:
    """Return the settings that decide a result, by name."""
    return {key: value for key, value in plain(config).items() if key not in NOT_DECIDING}
