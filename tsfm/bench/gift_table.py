"""The means and the table of GIFT-Eval's configurations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tsfm.bench.gift_configs import TERMS


def geometric_mean(values: Sequence[float]) -> float:
    """Return the geometric mean; 0 if one of the values is 0."""
    with np.errstate(divide="ignore"):
        return float(np.exp(np.log(np.asarray(values, np.float64)).mean()))


def means(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return geometric means of the relative scores: over all rows, and over those of each term."""
    result = {metric: geometric_mean([row[f"{metric}_relative"] for row in rows]) for metric in ("mase", "crps")}
    for term in TERMS:
        term_rows = [row for row in rows if row["config"].endswith(f"/{term}")]
        for metric in ("mase", "crps") if term_rows else ():
            result[f"{metric}_{term}"] = geometric_mean([row[f"{metric}_relative"] for row in term_rows])
    return result


def as_text(result: dict[str, Any]) -> str:
    """Return the rows and the geometric means as an aligned table."""
    width = max(len(row["config"]) for row in result["rows"])
    lines = [f"{'':{width}}  windows    MASE    CRPS  relative to seasonal naive: MASE    CRPS"]
    for row in result["rows"]:
        lines.append(
            f"{row['config']:{width}}  {row['windows']:7d} {row['mase']:7.4f} {row['crps']:7.4f}  "
            f"{row['mase_relative']:32.4f} {row['crps_relative']:7.4f}"
        )
    title = f"geometric mean of {len(result['rows'])}"
    lines.append(f"{title:{width}}  {result['windows']:7d} {'':15}  {result['mase']:32.4f} {result['crps']:7.4f}")
    return "\n".join(lines)
