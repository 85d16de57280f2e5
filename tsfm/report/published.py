"""Published numbers to print next to the measured ones: tables of one's own, or the files of a folder of anchors.

A table is a CSV file with the columns `protocol`, `data`, `metric`, `model`, `value`, `source` and, where they are
needed to say what was scored, `subset` and `horizon`. Names of data sets are compared without case and punctuation.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tsfm.report.frame import Frame

REQUIRED = ["protocol", "data", "metric", "model", "value", "source"]
COLUMNS = [*REQUIRED, "subset", "horizon"]
FOLDER_VARIABLE = "TSFM_ANCHORS"


def read_published(tables: Sequence[str | Path] = (), folder: str | Path | None = None) -> Frame:
    """Return published values, a row each, with the columns `COLUMNS`.

    Parameters
    ----------
    tables
        CSV files with the columns of the module's description.
    folder
        Folder of anchors, whose files have the columns of their sources: `classification_published.csv`,
        `regression_published.csv`, `ltsf_published.csv`, `anomaly_published.csv` and `gift_eval_per_config.csv`, as far
        as they exist. Default: the folder that the variable TSFM_ANCHORS names, if it is set.

    Raises
    ------
    ValueError
        If a table lacks a column, a value is not a number, or the folder has none of the files.
    FileNotFoundError
        If a table or the folder does not exist.
    """
    folder = folder if folder is not None else os.environ.get(FOLDER_VARIABLE) or None
    frames = [_read_table(Path(path)) for path in tables]
    if folder is not None:
        frames += _read_folder(Path(folder))
    if not frames:
        return pd.DataFrame({name: pd.Series(dtype=object) for name in COLUMNS})
    frame = pd.concat([table.reindex(columns=COLUMNS) for table in frames], ignore_index=True)
    frame["horizon"] = pd.to_numeric(frame["horizon"], errors="coerce")
    for name in ("subset", "source", "protocol", "data", "metric", "model"):
        frame[name] = frame[name].fillna("").astype(str)
    return frame[np.isfinite(frame["value"])].reset_index(drop=True)


def claims(measured: Frame) -> Frame:
    """Return the published values that experiments claim to reproduce, as `read_published` does."""
    rows = measured[measured["published"].notna()]
    table = rows.drop(columns=["value", "model"]).rename(columns={"published": "value", "competitor": "model"})
    table = table[COLUMNS].assign(
        source=table["source"].fillna(""), model=table["model"] + ", as its experiment names it"
    )
    return table.drop_duplicates().reset_index(drop=True)


def match_published(published: Frame, tasks: Frame, *, protocol: str, metric: str) -> Frame:
    """Return the published values of tasks: the columns `task`, `model`, `value` and `source`.

    Parameters
    ----------
    published
        Of `read_published`.
    tasks
        The columns `task`, `data`, `subset` and `horizon`.
    protocol, metric
        What is compared.
    """
    wanted = published[(published["protocol"] == protocol) & (published["metric"] == metric)]
    known = tasks.drop_duplicates("task").assign(key=_keys(tasks.drop_duplicates("task")))
    matched = known[["key", "task"]].merge(wanted.assign(key=_keys(wanted)), on="key")
    matched = matched.sort_values(["task", "model", "source"], kind="stable").drop_duplicates(["task", "model"])
    return matched[["task", "model", "value", "source"]].reset_index(drop=True)


def _keys(rows: Frame) -> list[tuple[str, str, int]]:
    columns = (rows["data"], rows["subset"], rows["horizon"])
    return [(_plain(data), _plain(subset), _steps(horizon)) for data, subset, horizon in zip(*columns, strict=True)]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", str(name).removesuffix(".csv").lower())


def _steps(horizon: object) -> int:
    return -1 if pd.isna(horizon) else int(horizon)  # type: ignore[arg-type]


def _read_table(path: Path) -> Frame:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not a file; name a CSV file with the columns {', '.join(REQUIRED)}")
    table = pd.read_csv(path)
    if missing := [name for name in REQUIRED if name not in table.columns]:
        raise ValueError(
            f"{path} has no column {missing[0]!r}; expected {', '.join(REQUIRED)}, and where they apply subset, horizon"
        )
    values: Frame = pd.to_numeric(table["value"], errors="coerce")
    if wrong := [str(value) for value in table.loc[values.isna(), "value"]]:
        raise ValueError(f"{path} has the value {wrong[0]!r}; expected a number in each row of the column value")
    return table.assign(value=values)


def _read_folder(folder: Path) -> list[Frame]:
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder; it holds tables such as {next(iter(READERS))}")
    tables = [
        read(pd.read_csv(folder / name, low_memory=False))
        for name, read in READERS.items()
        if (folder / name).is_file()
    ]
    if not tables:
        raise ValueError(f"{folder} has no published numbers; expected at least one of {', '.join(READERS)}")
    return tables


def _cases(table: Frame) -> Frame:
    """Return the values on the archive's split; others do not compare with a score of it."""
    table = table[table["protocol"].str.startswith("default_split")].rename(
        columns={"dataset": "data", "method": "model"}
    )
    if "accuracy" in table:
        table = table.rename(columns={"accuracy": "value"}).assign(metric="accuracy")
    return table.assign(protocol="cases")


def _long_horizon(table: Frame) -> Frame:
    """Return MSE and MAE; the lookback decides much of them, so it is part of the name."""
    names = table["model"] + " (" + table["setting"].astype(str) + ", lookback " + table["lookback"].astype(str) + ")"
    table = table.assign(model=names, protocol="windows").rename(columns={"dataset": "data"})
    horizons: Frame = pd.to_numeric(table["horizon"], errors="coerce")
    table = table[horizons.notna()]
    both = [table.assign(metric=name.lower(), value=table[name]) for name in ("MSE", "MAE")]
    return pd.concat(both, ignore_index=True)


def _anomaly(table: Frame) -> Frame:
    table = table.rename(columns={"method": "model", "VUS-PR": "value", "file": "subset"})
    return table.assign(protocol="anomaly", metric="vus_pr", data="tsb_ad_" + table["track"].str.lower())


def _gift(table: Frame) -> Frame:
    table = table.assign(protocol="gift", data="gift", subset=table["config"], horizon=np.nan)
    table["source"] = "result files of the GIFT-Eval leaderboard"
    pairs = {"mase": "MASE_rel", "crps": "CRPS_rel"}
    return pd.concat([table.assign(metric=name, value=table[column]) for name, column in pairs.items()])


READERS: dict[str, Callable[[Frame], Frame]] = {
    "classification_published.csv": _cases,
    "regression_published.csv": _cases,
    "ltsf_published.csv": _long_horizon,
    "anomaly_published.csv": _anomaly,
    "gift_eval_per_config.csv": _gift,
}
