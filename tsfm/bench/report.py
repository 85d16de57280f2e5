"""Rows of results as text: CSV for machines, Markdown for people."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any


def as_csv(rows: Sequence[dict[str, Any]], *, digits: int = 6) -> str:
    """Return the rows as CSV; floats have `digits` significant digits, and columns are in order of appearance."""
    if not rows:
        raise ValueError("there are no rows to write")
    keys = list(dict.fromkeys(key for row in rows for key in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, keys, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: f"{cell:.{digits}g}" if isinstance(cell, float) else cell for key, cell in row.items()})
    return out.getvalue()


def as_markdown(rows: Sequence[dict[str, Any]], *, digits: int = 4) -> str:
    """Return the rows as a Markdown table; floats have `digits` decimals, and what a row lacks is empty, as is None."""
    if not rows:
        raise ValueError("there are no rows to write")
    keys = list(dict.fromkeys(key for row in rows for key in row))
    numeric = [all(row.get(key) is None or isinstance(row[key], (int, float)) for row in rows) for key in keys]
    lines = [
        "| " + " | ".join(keys) + " |",
        "|" + "|".join("---:" if right else "---" for right in numeric) + "|",
    ]
    for row in rows:
        lines.append("| " + " | ".join(_cell(row.get(key, ""), digits) for key in keys) + " |")
    return "\n".join(lines) + "\n"


def _cell(value: Any, digits: int) -> str:
    text = f"{value:.{digits}f}" if isinstance(value, float) else "" if value is None else str(value)
    return text.replace("|", "\\|")
