"""The columns of a results store."""

from __future__ import annotations

import pyarrow as pa

DONE, FAILED = "done", "failed"  # values of the column `status`

COLUMNS: dict[str, tuple[pa.DataType, str]] = {
    "job": (pa.string(), "identity of the job: a digest of its settings, data, weights and the version of tsfm"),
    "kind": (pa.string(), "train or eval"),
    "status": (pa.string(), "done, or failed: then metric and value are empty and error says why"),
    "suite": (pa.string(), "suite that the job belongs to; empty without one"),
    "sweep": (pa.string(), "sweep that computed the row; empty for a single job"),
    "model": (pa.string(), "backbone of a training run; model or baseline of an evaluation"),
    "experiment": (pa.string(), "name of the training run; empty for an evaluation"),
    "protocol": (pa.string(), "how it was scored: windows, gift, cases, imputation, anomaly, ..."),
    "data": (pa.string(), "data set"),
    "subset": (pa.string(), "subset of the data that the row is about, such as one series; empty: the whole"),
    "context": (pa.int64(), "past steps that the model reads; null where they vary"),
    "horizon": (pa.int64(), "steps that are forecast; null where they vary, or nothing is forecast"),
    "setting": (pa.string(), "what else was set for the job, as on the command line"),
    "seed": (pa.int64(), "seed of the job; null where it has none"),
    "metric": (pa.string(), "name of the metric"),
    "value": (pa.float64(), "value of the metric; NaN where it is not defined"),
    "published": (pa.float64(), "published value that the experiment names for this metric; else null"),
    "source": (pa.string(), "where that value was published"),
    "windows": (pa.int64(), "scored windows, series or cases; null where they are not counted"),
    "parameters": (pa.int64(), "parameters of the model; null for a baseline"),
    "seconds": (pa.float64(), "wall-clock seconds of the whole job"),
    "zero_shot": (pa.bool_(), "whether the model has not seen the data; null: not known, or it was trained on them"),
    "seen": (pa.string(), "what the leak check found"),
    "data_fingerprint": (pa.string(), "digest of the data"),
    "weights": (pa.string(), "digest of the weights that were scored, or that the training started from"),
    "tsfm": (pa.string(), "version of tsfm"),
    "commit": (pa.string(), "commit of the checkout, with + if files differ from it; empty if installed"),
    "torch": (pa.string(), "version of PyTorch"),
    "python": (pa.string(), "version of Python"),
    "platform": (pa.string(), "operating system"),
    "processor": (pa.string(), "processor"),
    "cores": (pa.int64(), "CPU cores of the machine"),
    "threads": (pa.int64(), "threads of PyTorch"),
    "gpus": (pa.string(), "GPUs, joined by commas"),
    "run_dir": (pa.string(), "directory of the run"),
    "command": (pa.string(), "command line that computes the row"),
    "config": (pa.string(), "complete settings as JSON"),
    "error": (pa.string(), "message of a failed job"),
    "time": (pa.timestamp("us", tz="UTC"), "when the row was written"),
}
SCHEMA = pa.schema([pa.field(name, kind, metadata={"description": text}) for name, (kind, text) in COLUMNS.items()])
