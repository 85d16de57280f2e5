"""Every door by which tables come in, as functions of one form: a DataFrame and reading options in, numbers out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import tsfm
from tests.estimators.small import trained
from tests.infer.small_models import label_model, step_model
from tsfm.commands import cli
from tsfm.infer.model_predictor import ModelPredictor
from tsfm.infer.plot import plot
from tsfm.model.checkpoint import save
from tsfm.store.series_store import SeriesStore

HORIZON = 16
NUMBERS = {"loc": 50.0, "scale": 10.0}


class Refused(ValueError):
    """A command printed an error."""


@cache
def model(kind: str) -> ModelPredictor:
    return {
        "steps": step_model,
        "classes": label_model,
        "numbers": lambda: label_model(labels=NUMBERS),
    }[kind]()


def _numbers(table: pd.DataFrame) -> np.ndarray:
    return table.select_dtypes("number").to_numpy(float)


def predict_df(df: pd.DataFrame, folder: Path, **options: Any) -> np.ndarray:
    return _numbers(model("steps").predict_df(df, HORIZON, **options))


def impute_df(df: pd.DataFrame, folder: Path, **options: Any) -> np.ndarray:
    filled = model("steps").impute_df(df, quantile_levels=[0.1, 0.9], fill_gaps=True, **options)
    return filled.iloc[:, -2:].to_numpy(float)


def detect_df(df: pd.DataFrame, folder: Path, **options: Any) -> np.ndarray:
    return model("steps").detect_df(df, 0.9, **options)[["score", "threshold"]].to_numpy(float)


def detect_df_calibration(df: pd.DataFrame, folder: Path, **options: Any) -> np.ndarray:
    return model("steps").detect_df(df, 0.9, df, **options)[["score", "threshold"]].to_numpy(float)


def embed_df(df: pd.DataFrame, folder: Path, **options: Any) -> np.ndarray:
    return _numbers(model("steps").embed_df(df, **options))


def classify_df(df: pd.DataFrame, folder: Path, **options: Any) -> np.ndarray:
    return _numbers(model("classes").classify_df(df, **options))


def classify_df_numbers(df: pd.DataFrame, folder: Path, **options: Any) -> np.ndarray:
    return _numbers(model("numbers").classify_df(df, **options))


def fit_df(df: pd.DataFrame, folder: Path, **options: Any) -> np.ndarray:
    overrides = ["data.batches_per_epoch=1", "trainer.max_epochs=1"]
    fitted = trained().fit_df(df, device="cpu", keep_better=False, overrides=overrides, **options)
    return np.concatenate([tensor.detach().numpy().ravel() for tensor in fitted.model.parameters()])


def forecaster(df: pd.DataFrame, folder: Path, **options: Any) -> np.ndarray:
    return _numbers(tsfm.Forecaster(trained(), device="cpu", **options).fit(df).predict(HORIZON))


def draw(df: pd.DataFrame, folder: Path, **options: Any) -> np.ndarray:
    figure = plot(df, model("steps").predict_df(df, HORIZON, **options), **options)
    lines = [line for axes in figure.axes for line in axes.lines[:1]]
    return np.concatenate([np.asarray(line.get_ydata(), float) for line in lines])


def ingest(df: pd.DataFrame, folder: Path, **options: Any) -> np.ndarray:
    return _stored(tsfm.ingest(df, folder / "store", overwrite=True, progress=False, **options).path)


def _stored(folder: Path) -> np.ndarray:
    store = SeriesStore.open(folder)
    return np.concatenate([store.read(i).ravel() for i in range(len(store))])


FRAME_DOORS: dict[str, Callable[..., np.ndarray]] = {
    door.__name__: door
    for door in (
        predict_df, impute_df, detect_df, detect_df_calibration, embed_df, classify_df, classify_df_numbers, fit_df,
        forecaster, draw, ingest,
    )
}  # fmt: skip
COMMANDS = {  # the arguments of each command, after its file
    "forecast": ["--model", "steps", "--horizon", str(HORIZON)],
    "forecast --holdout": ["--model", "steps", "--horizon", str(HORIZON), "--holdout"],
    "impute": ["--model", "steps", "--quantile-levels", "0.1", "0.9", "--fill-gaps"],
    "detect": ["--model", "steps", "--level", "0.9"],
    "detect --calibration": ["--model", "steps", "--level", "0.9", "--calibration", "SOURCE"],
    "embed": ["--model", "steps"],
    "classify": ["--model", "classes"],
    "ingest": [],
}


def run(arguments: list[str], caplog: Any) -> str:
    """Run a command; a refusal is raised, and what it printed about the files is returned."""
    caplog.clear()
    with caplog.at_level(logging.INFO):
        status = cli.main(arguments)
    if status:
        raise Refused(status)
    return caplog.text


def as_flags(options: dict[str, Any]) -> list[str]:
    """Reading options as flags of the command line."""
    flags: list[str] = []
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            flags.append(flag if value else flag.replace("--", "--no-"))
        else:
            flags.append(f"{flag}={value}")
    return flags


def save_models(folder: Path) -> None:
    for name in ("steps", "classes"):
        save(model(name).model, folder / name, about=model(name).about)


def command(name: str, file: str, folder: Path, caplog: Any, **options: Any) -> np.ndarray:
    """Run a command on a file of the current folder, and return the numbers of its table or of its store."""
    verb, arguments = name.split()[0], [a.replace("SOURCE", file) for a in COMMANDS[name]]
    out = "store" if verb == "ingest" else "out.parquet"
    extra = ["--overwrite"] if verb == "ingest" else []
    run([verb, file, *arguments, "--out", out, *extra, *as_flags(options)], caplog)
    if verb == "ingest":
        return _stored(folder / out)
    table = pd.read_parquet(folder / out)
    added = {"impute": table.columns[-2:], "detect": ["score", "threshold"]}.get(verb)
    return _numbers(table if added is None else table[added])
