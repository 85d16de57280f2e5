"""Labelled anomaly series from the raw files of TSFM_DATA, folder `anomaly`: one frozen value per series.

C channels, L steps. A file is a table in long form: item_id, timestamp, `value` or `values` (a list per row), label (1
is anomalous), split (train, test, or nothing). Names are the file's, or those of `SETS`. Values come as float64; a
float32 is read as the shortest decimal that rounds to it, -0.2 and not -0.20000000298, as its source will have said.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tsfm.messages import did_you_mean
from tsfm.store.catalog import data_roots

if TYPE_CHECKING:
    from jaxtyping import Float, Int8

FOLDER = "anomaly"  # of a data root
SETS = {  # names that are not a file's
    "tsb_ad_u": ("tsb_ad_u_subset",),
    "tsb_ad_m": ("tsb_ad_m_smap", "tsb_ad_m_msl"),
}
NEEDED = {"item_id", "label"}


@dataclass(frozen=True)
class AnomalySeries:
    """A series with a label for each step. The first `train` steps are the part a detector may learn from."""

    item_id: str
    values: Float[np.ndarray, "C L"]
    labels: Int8[np.ndarray, " L"]
    train: int
    stamps: np.ndarray | None = None  # [L] datetime64, as in the file; not always rising

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or not self.values.size:
            raise ValueError(f"{self.item_id}: values have shape {self.values.shape}; expected [channels, steps]")
        steps = self.values.shape[1]
        if self.labels.shape != (steps,) or not np.isin(self.labels, (0, 1)).all():
            raise ValueError(f"{self.item_id}: labels have shape {self.labels.shape}; expected a 0 or 1 for each step")
        if not 0 <= self.train <= steps:
            raise ValueError(f"{self.item_id}: {self.train} train steps of {steps}; expected 0 to {steps}")

    @property
    def steps(self) -> int:
        return self.values.shape[1]


def anomaly_files() -> dict[str, Path]:
    """Name -> file, of every data root; the first root wins."""
    found: dict[str, Path] = {}
    for root in data_roots():
        for path in sorted((root / FOLDER).glob("*.parquet")):
            found.setdefault(path.stem, path)
    return found


def anomaly_names() -> list[str]:
    """All names that `read_anomalies` knows here."""
    files = anomaly_files()
    return sorted([*files, *(name for name, parts in SETS.items() if all(part in files for part in parts))])


def read_anomalies(name: str) -> list[AnomalySeries]:
    """Every series of a set, in the order of its files."""
    files = anomaly_files()
    if not files:
        looked = ", ".join(str(root / FOLDER) for root in data_roots())
        raise ValueError(f"no labelled anomaly files in {looked}; point TSFM_DATA at a folder that holds {FOLDER}/")
    parts = SETS.get(name, (name,))
    if missing := [part for part in parts if part not in files]:
        if name in SETS:
            raise ValueError(f"anomaly set {name!r} needs the file {missing[0]}.parquet, which is not in {FOLDER}/")
        raise ValueError(f"unknown anomaly set {name!r}; {did_you_mean(name, anomaly_names())}")
    return [series for part in parts for series in read_file(files[part])]


def read_file(path: Path) -> list[AnomalySeries]:
    """The series of one file; the rows of an item stand together."""
    table = pd.read_parquet(path)
    if lost := NEEDED - set(table.columns):
        raise ValueError(f"{path.name} has no column {sorted(lost)[0]!r}; found {', '.join(table.columns)}")
    value = next((name for name in ("values", "value") if name in table), None)
    if value is None:
        raise ValueError(f"{path.name} has no column 'value' or 'values'; found {', '.join(table.columns)}")
    return [_series(str(item), rows, value) for item, rows in table.groupby("item_id", sort=False)]


def _series(item: str, rows: pd.DataFrame, value: str) -> AnomalySeries:
    if value == "value":
        values = rows[value].to_numpy()[None]
    else:
        lists = list(rows[value])
        if len({len(each) for each in lists}) > 1:
            raise ValueError(f"{item}: rows of {value!r} differ in their number of channels; give each row all of them")
        values = np.stack(lists, axis=1)
    return AnomalySeries(
        item_id=item,
        values=decimals(values),
        labels=rows["label"].to_numpy(np.int8),
        train=_train(item, rows["split"]) if "split" in rows else 0,
        stamps=rows["timestamp"].to_numpy() if "timestamp" in rows else None,
    )


def decimals(values: np.ndarray) -> Float[np.ndarray, "C L"]:
    """In float64; what was float32 as the shortest decimal that rounds to it."""
    if values.dtype != np.float32:
        return np.ascontiguousarray(values, np.float64)
    known, place = np.unique(values, return_inverse=True)
    return known.astype(str).astype(np.float64)[place].reshape(values.shape)


def _train(item: str, split: Any) -> int:
    """How many leading steps are marked train."""
    train = (split == "train").to_numpy()
    count = int(train.sum())
    if not train[:count].all():
        raise ValueError(f"{item}: the {count} train steps do not stand at its beginning; move them there")
    return count
