"""The machine-readable line that ends a job."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def print_result(result: Mapping[str, Any]) -> None:
    """Print the machine-readable line `RESULT {json}`; a number that is not finite is null."""
    finite = {k: v if not isinstance(v, float) or math.isfinite(v) else None for k, v in result.items()}
    print("RESULT " + json.dumps(finite, allow_nan=False), flush=True)
