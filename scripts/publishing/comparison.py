"""Whether a model is better than an earlier one on the validation suite (`tsfm bench suite NEW OLD --role corpus`)."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

METRICS = ("mase", "wql")


@dataclass(frozen=True)
class Comparison:
    """The first model of a table next to the second.

    Attributes
    ----------
    new, old
        Their names in the table.
    sets
        Number of data sets that were compared.
    gains
        By metric: by how many percent the geometric mean over the sets is lower.
    relative
        By metric: the geometric mean of the first model relative to the seasonal naive.
    """

    new: str
    old: str
    sets: int
    gains: dict[str, float]
    relative: dict[str, float]

    @property
    def gain(self) -> float:
        """Return the mean of the gains in percent."""
        return sum(self.gains.values()) / len(self.gains)

    def __str__(self) -> str:
        gains = ", ".join(f"{metric.upper()} {gain:.2f} %" for metric, gain in self.gains.items())
        return f"{self.gain:.2f} % better than {self.old} on the validation suite of {self.sets} sets ({gains})"


def read_comparison(file: Path) -> Comparison:
    """Read suite.csv of a suite of two models: the new one first.

    Raises
    ------
    ValueError
        If the table is not one of two models over the same sets.
    """
    if not file.is_file():
        raise ValueError(f"there is no {file}; run: tsfm bench suite NEW OLD --role corpus --out {file.parent}")
    by_model: dict[str, dict[str, dict[str, str]]] = defaultdict(dict)
    with file.open(newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            by_model[row.get("model", "")][row.get("set", "")] = row
    if len(by_model) != 2:
        raise ValueError(f"{file} has the models {list(by_model)}; expected two, the new one first")
    (new, new_rows), (old, old_rows) = by_model.items()
    if new_rows.keys() != old_rows.keys():
        raise ValueError(f"{file} has other sets for {new} than for {old}; run the suite again")
    logs: dict[str, tuple[list[float], list[float]]] = {}
    for metric in METRICS:
        ratios, relative = [], []
        for name, row in new_rows.items():
            values = [_number(line, key) for line, key in ((row, metric), (old_rows[name], metric))]
            if min(values) > 0:
                ratios.append(math.log(values[0] / values[1]))
            if (own := _number(row, f"{metric}_relative")) > 0:
                relative.append(math.log(own))
        if not ratios:
            raise ValueError(f"{file} has no set with a {metric.upper()} of both models; run the suite again")
        logs[metric] = (ratios, relative)
    return Comparison(
        new,
        old,
        len(new_rows),
        {metric: 100 * (1 - math.exp(sum(ratios) / len(ratios))) for metric, (ratios, _) in logs.items()},
        {metric: math.exp(sum(own) / len(own)) if own else math.nan for metric, (_, own) in logs.items()},
    )


def _number(row: dict[str, str], key: str) -> float:
    """Return a finite number of a table; 0 where there is none."""
    try:
        value = float(row.get(key) or 0.0)
    except ValueError:
        return 0.0
    return value if math.isfinite(value) else 0.0
