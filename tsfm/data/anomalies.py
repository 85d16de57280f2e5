"""Read series with anomaly labels from the folder `anomaly` of the data roots. C channels, L steps.

A file is a table in long form: item_id, timestamp, `value` or `values` (a list per row), label (1 is anomalous), split
(train, test or empty). Names of data sets are those of files, or of `ANOMALY_SETS`. Values are float64: a float32 is
read as the shortest decimal that rounds to it, -0.2 and not -0.20000000298, which is most likely that of its source.
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
ANOMALY_SETS = {  # names of several files
    "tsb_ad_u": ("tsb_ad_u_subset",),
    "tsb_ad_m": ("tsb_ad_m_smap", "tsb_ad_m_msl"),
}
REQUIRED = {"item_id", "label"}


@dataclass(frozen=True)
class AnomalySeries:
    """A series with a label for each step."""

    item_id: str
    values: Float[np.ndarray, "C L"]
    labels: Int8[np.ndarray, " L"]
    train_length: int  # first steps that a detector may learn from
    timestamps: np.ndarray | None = None  # [L] datetime64, as in the file; not always increasing

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or not self.values.size:
            raise ValueError(
                f"{self.item_id}: values have shape {self.values.shape}; expected [channels, steps], none of them 0"
            )
        steps = self.values.shape[1]
        if self.labels.shape != (steps,) or not np.isin(self.labels, (0, 1)).all():
            raise ValueError(f"{self.item_id}: labels have shape {self.labels.shape}; expected a 0 or 1 for each step")
        if not 0 <= self.train_length <= steps:
            raise ValueError(f"{self.item_id}: {self.train_length} train steps of {steps}; expected 0 to {steps}")

    @property
    def num_steps(self) -> int:
        """Steps of the series."""
        return self.values.shape[1]


def anomaly_files() -> dict[str, Path]:
    """Return name -> file of every data root; the first root has precedence."""
    files: dict[str, Path] = {}
    for root in data_roots():
        for path in sorted((root / FOLDER).glob("*.parquet")):
            files.setdefault(path.stem, path)
    return files


def anomaly_names() -> list[str]:
    """Return all names that `read_anomalies` knows on this machine."""
    files = anomaly_files()
    return sorted([*files, *(name for name, stems in ANOMALY_SETS.items() if all(stem in files for stem in stems))])


def read_anomalies(name: str) -> list[AnomalySeries]:
    """Return every series of a data set, in the order of its files.

    Raises
    ------
    ValueError
        When there is no such data set, or a file does not hold what is expected.
    """
    return [series for file in files_of(name) for series in read_file(file)]


def files_of(name: str) -> list[Path]:
    """Return the files of a data set.

    Raises
    ------
    ValueError
        When no data set has that name.
    """
    files = anomaly_files()
    if not files:
        folders = ", ".join(str(root / FOLDER) for root in data_roots())
        raise ValueError(f"no labelled anomaly files in {folders}; point TSFM_DATA at a folder that holds {FOLDER}/")
    stems = ANOMALY_SETS.get(name, (name,))
    if missing := [stem for stem in stems if stem not in files]:
        if name in ANOMALY_SETS:
            raise ValueError(f"anomaly set {name!r} needs the file {missing[0]}.parquet, which is not in {FOLDER}/")
        raise ValueError(f"unknown anomaly set {name!r}; {did_you_mean(name, anomaly_names())}")
    return [files[stem] for stem in stems]


def read_file(path: Path) -> list[AnomalySeries]:
    """Return the series of one file, in the order of their first rows."""
    table = pd.read_parquet(path)
    if missing := REQUIRED - set(table.columns):
        raise ValueError(f"{path.name} has no column {sorted(missing)[0]!r}; found {', '.join(table.columns)}")
    value = next((name for name in ("values", "value") if name in table), None)
    if value is None:
        raise ValueError(f"{path.name} has no column 'value' or 'values'; found {', '.join(table.columns)}")
    return [_series(str(item), rows, value) for item, rows in table.groupby("item_id", sort=False)]


def _series(item: str, rows: pd.DataFrame, value: str) -> AnomalySeries:
    if value == "value":
        values = rows[value].to_numpy()[None]
    else:
        lists = list(rows[value])
        if len({len(channels) for channels in lists}) > 1:
            raise ValueError(f"{item}: rows of {value!r} differ in their number of channels; give each row all of them")
        values = np.stack(lists, axis=1)
    return AnomalySeries(
        item_id=item,
        values=shortest_decimals(values),
        labels=rows["label"].to_numpy(np.int8),
        train_length=_train_length(item, rows["split"]) if "split" in rows else 0,
        timestamps=rows["timestamp"].to_numpy() if "timestamp" in rows else None,
    )


def shortest_decimals(values: np.ndarray) -> Float[np.ndarray, "C L"]:
    """Return values in float64; a float32 becomes the shortest decimal that rounds to it."""
    if values.dtype != np.float32:
        return np.ascontiguousarray(values, np.float64)
    unique, inverse = np.unique(values, return_inverse=True)
    return unique.astype(str).astype(np.float64)[inverse].reshape(values.shape)


def _train_length(item: str, split: Any) -> int:
    """Count the first steps, which are marked train."""
    train = (split == "train").to_numpy()
    count = int(train.sum())
    if not train[:count].all():
        raise ValueError(f"{item}: the {count} train steps are not its first steps; sort the rows so that they are")
    return count
