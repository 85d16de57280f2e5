"""Data that a model cannot be trained on, trainings that fail, and run directories that cannot be written."""

from __future__ import annotations

import errno
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from tests.bad_inputs.corruptions import (
    changed_json,
    changed_store,
    combined,
    raising,
    removed,
    truncated,
    unwritable,
    written,
)
from tests.bad_inputs.workspace import Case
from tsfm.training.learner import Learner

NO_NETWORK = urllib.error.URLError("Name or service not known")
FULL_MEMORY = torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def with_constant(rows: pd.DataFrame) -> pd.DataFrame:
    """Add a constant column."""
    return rows.assign(flat=3.0)


def with_late_start(rows: pd.DataFrame) -> pd.DataFrame:
    """Add a column that has values only in the last rows of an item."""
    return rows.assign(late=np.where(np.arange(len(rows)) % 120 < 100, np.nan, 1.0))


def extreme_values(rows: pd.DataFrame) -> pd.DataFrame:
    """Replace the targets by the largest values that float32 holds."""
    return rows.assign(target=np.where(np.arange(len(rows)) % 2, 3e38, -3e38))


CASES = [
    Case(
        "an unknown data set",
        "tsfm train ... data.dataset=etth7",
        ("unknown data set 'etth7'; did you mean 'etth2'?", "`tsfm ingest` adds your own"),
    ),
    Case(
        "a file as a data set",
        "tsfm train ... data.dataset=sales.csv",
        ("sales.csv is a file, not a store; run `tsfm ingest sales.csv",),
    ),
    Case(
        "a data set that cannot be downloaded",
        "tsfm train data=etth1",
        ("data set 'etth1' could not be downloaded from https://", "(Name or service not known); set TSFM_DATA"),
        raising(urllib.request, "urlopen", NO_NETWORK),
    ),
    Case(
        "a data set that cannot be downloaded from anywhere",
        "tsfm train data=exchange",
        ("data set 'exchange' is not on this machine", "set TSFM_DATA"),
    ),
    Case(
        "a store without manifest",
        "tsfm train ... data.dataset=./store",
        ("store is not a store: it has no manifest.json; make a store",),
        removed("store/manifest.json"),
    ),
    Case(
        "a store of a newer version",
        "tsfm train ... data.dataset=./store",
        ("store/manifest.json has schema version 9", "reads up to 1; upgrade tsfm"),
        changed_json("store/manifest.json", schema_version=9),
    ),
    Case(
        "a foreign manifest",
        "tsfm train ... data.dataset=./store",
        ("store/manifest.json is not a store's manifest", "ingest the data again"),
        written("store/manifest.json", "[]"),
    ),
    Case(
        "a manifest with other channels",
        "tsfm train ... data.dataset=./store",
        ("store/part-00000.parquet has rows of [1] channels, its manifest.json names 2; copy the whole folder",),
        changed_json("store/manifest.json", channels=["a", "b"]),
    ),
    Case(
        "a manifest of another store",
        "tsfm train ... data.dataset=./store",
        ("store/_series.parquet lists 2 series that manifest.json does not describe; copy the whole folder",),
        changed_json("store/manifest.json", num_series=7),
    ),
    Case(
        "a store that lacks a shard",
        "tsfm train ... data.dataset=./store",
        ("store store lacks part-00000.parquet; copy the whole folder",),
        removed("store/part-00000.parquet"),
    ),
    Case(
        "a shard cut short",
        "tsfm train ... data.dataset=./store",
        ("store/part-00000.parquet is damaged", "copy it or ingest the data again"),
        truncated("store/part-00000.parquet", 500),
    ),
    Case(
        "a typo in a channel",
        "tsfm train ... data.channels=[tarket]",
        ("data set 'store': no channel 'tarket'; did you mean 'target'?",),
    ),
    Case(
        "a horizon longer than the data",
        "tsfm train ... model.horizon=200",
        (
            "data set 'store', split 'train': no window of context 32 and horizon 200 fits",
            "232 rows needed, at most 84 found",
            "use a shorter horizon",
        ),
    ),
    Case(
        "a split rule that needs more steps",
        "tsfm train ... data.split=ett_hour",
        ("data set 'store': split 'ett_hour' needs a series of 14400 steps, found 120; choose",),
    ),
    Case(
        "a series too short for any split",
        "tsfm train ... data.dataset=./odd",
        ("data set './odd': split 'ratio' needs a series of 5 steps, found 4; choose another split rule",),
        changed_store(lambda rows: rows[:4]),
    ),
    Case(
        "a split without validation",
        "tsfm train ... data.split=all",
        ("data set 'store': data.split=all makes no val part", "choose another data.split"),
    ),
    Case(
        "a constant channel",
        "tsfm train ... data.dataset=./odd data.standardize=true run_dir=new",
        ("data set ./odd: channel 'flat' is constant in the train rows and gets scale 1", "RESULT {"),
        changed_store(with_constant),
        may_create=("new",),
        works=lambda: Path("new/model/model.safetensors").is_file(),
    ),
    Case(
        "a channel without a value in the train rows",
        "tsfm train ... data.dataset=./odd data.standardize=true",
        (
            "data set './odd': channel 'late' has no observed value in the train rows",
            "leave it out with channels=[...]",
        ),
        changed_store(with_late_start),
    ),
    Case(
        "values too large for the loss",
        "tsfm train ... data.dataset=./odd run_dir=new",
        ("the loss is", "at step 0; lower optim.lr", "look for extreme values"),
        changed_store(extreme_values),
        may_create=("new",),
    ),
    Case(
        "a learning rate too high",
        "tsfm train ... optim.lr=1e30 run_dir=new",
        ("the loss is nan at step 1; lower optim.lr (now 1e+30)",),
        may_create=("new",),
    ),
    Case(
        "a learning rate too high, seen by validation only",
        "tsfm train ... optim.lr=1e30 data.batch_size=512 run_dir=new",
        ("validation loss is", "no weights were kept; lower optim.lr (now 1e+30)"),
        may_create=("new",),
    ),
    Case("a run directory that is used", "tsfm train ... run_dir=run", ("run holds a run already; use resume=auto",)),
    Case(
        "a finished run resumed with another config",
        "tsfm train ... run_dir=run resume=auto seed=9",
        ("run was run with another config (differs in: seed", "use another run_dir"),
    ),
    Case(
        "an unfinished run resumed with another config",
        "tsfm train ... run_dir=run resume=auto optim.lr=0.5",
        ("run was run with another config (differs in: optim", "use another run_dir"),
        removed("run/result.json"),
    ),
    Case(
        "a run whose config is damaged",
        "tsfm train ... run_dir=run resume=auto",
        ("run/config.yaml cannot be read", "use another run_dir"),
        written("run/config.yaml", "a: [1"),
    ),
    Case(
        "a run whose last checkpoint is cut short",
        "tsfm train ... trainer.checkpoint_every=1 run_dir=run resume=auto",
        ("run/checkpoints/last.ckpt is damaged or cut short; remove it",),
        combined(removed("run/result.json"), truncated("run/checkpoints/last.ckpt", 500)),
    ),
    Case(
        "a run directory below a file",
        "tsfm train ... run_dir=sales.csv/new",
        ("cannot write sales.csv/new (a file has the name of a folder that is needed)", "run_dir=..."),
    ),
    Case(
        "no permission for the run directory",
        "tsfm train ... run_dir=locked",
        ("cannot write locked (Permission denied); make it writable, or set run_dir=...",),
        unwritable("locked", errno.EACCES),
    ),
    Case(
        "a disk that is full when the run begins",
        "tsfm train ... run_dir=new",
        ("cannot write new (the disk is full); free some space there, or set run_dir=...",),
        unwritable("config.yaml", errno.ENOSPC),
    ),
    Case(
        "a disk that fills up while training",
        "tsfm train ... run_dir=new",
        ("cannot write new (the disk is full); free some space there, then resume it by resume=auto run_dir=new",),
        unwritable("checkpoints", errno.ENOSPC),
        may_create=("new",),
    ),
    Case(
        "a disk that fills up when the model is saved",
        "tsfm train ... run_dir=new",
        ("cannot write new (the disk is full); free some space there, then resume it by resume=auto run_dir=new",),
        unwritable(".model.tsfm-", errno.ENOSPC),
        may_create=("new",),
    ),
    Case(
        "an accelerator whose memory is full",
        "tsfm train ... run_dir=new",
        ("the accelerator's memory is full with data.batch_size=32; lower it", "CUDA out of memory"),
        raising(Learner, "training_step", FULL_MEMORY),
        may_create=("new",),
    ),
]
