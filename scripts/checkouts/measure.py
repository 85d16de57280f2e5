"""Measure one checkout of tsfm for scripts/compare_checkouts.py: forecasts, inference, trainings and scores as arrays.

    PYTHONPATH=CHECKOUT:scripts python -m checkouts.measure CHECKOUT SECTION,SECTION FOLDER

Write SECTION.npz for each section, and failures.json with the traceback of each check that failed, into FOLDER. An
array is called "section/check: name". Run it in an empty working directory.

The same file measures old and new checkouts, so it uses the stable surface: `tsfm.load`, the DataFrame methods, the
estimators and the command line. Names that were changed are in the tables of alternatives, the current one first.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import load_file

import tsfm
from checkouts.inputs import BUNDLED, EVALUATIONS, TRAININGS, synthetic_frame, synthetic_series

COMMANDS = ("tsfm.commands.cli", "tsfm.cli")  # module of the command line
KEYWORDS = {"quantile_levels": "levels", "season_length": "season"}  # of functions, and keys of result.json
SETTINGS = {  # of the command line
    "task.max_tail_patches": "task.longest",
    "data.time_features": "data.calendar",
    "data.length_weights": "data.shares",
    "data.batch_values": "data.points",
}
OPTIONS = {"precision": "precision", "stride": "thin", "flip": "flip", "context_lengths": "contexts"}  # of tsfm.load

Check = tuple[str, Callable[[], dict[str, Any]]]


# ---- names that differ between checkouts -------------------------------------------------------------------------


def call(function: Callable[..., Any], *values: Any, **keywords: Any) -> Any:
    """Call a function with the current names of its keyword arguments, or the older names where it has those."""
    known = inspect.signature(function).parameters
    names = {name: name if name in known else KEYWORDS.get(name, name) for name in keywords}
    return function(*values, **{names[name]: value for name, value in keywords.items()})


def load_with(name: str, **options: Any) -> Any:
    """Load a bundled model with options of inference; older checkouts set them as attributes."""
    try:
        return tsfm.load(name, **options)
    except TypeError:
        model = tsfm.load(name)
        for option, value in options.items():
            setattr(model, option if hasattr(model, option) else OPTIONS[option], value)
        return model


def run_command(*arguments: str) -> None:
    """Run the command line in a process of its own; settings fall back on their older names."""
    module = next(name for name in COMMANDS if is_module(name))
    code = f"import sys; from {module} import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    older = [older_setting(argument) for argument in arguments]
    if done.returncode and "is not a setting" in done.stderr and older != list(arguments):
        return run_command(*older)
    if done.returncode:
        raise RuntimeError(f"tsfm {' '.join(arguments)}: {done.stderr.strip().splitlines()[-1]}")
    return None


def is_module(name: str) -> bool:
    """Return whether a module of the checkout has this name."""
    package = name.rpartition(".")[0]
    return (package == "tsfm" or is_module(package)) and importlib.util.find_spec(name) is not None


def older_setting(argument: str) -> str:
    """Return a setting under its older name."""
    key, equals, value = argument.partition("=")
    return f"{SETTINGS.get(key, key)}{equals}{value}"


# ---- what is kept ------------------------------------------------------------------------------------------------


def forecasts(model: Any, series: list[np.ndarray], horizons: tuple[int, ...], **options: Any) -> dict[str, Any]:
    """Return point forecasts and quantiles of each horizon."""
    arrays = {}
    for horizon in horizons:
        forecast = call(model.predict, series, prediction_length=horizon, **options)
        arrays |= {f"predictions of {horizon}": forecast.predictions, f"quantiles of {horizon}": forecast.quantiles}
    return arrays


def columns(frame: pd.DataFrame) -> dict[str, Any]:
    """Return the columns of a frame and their names; text and times as text."""
    arrays: dict[str, Any] = {"columns": np.array(list(map(str, frame.columns)))}
    for name, column in frame.items():
        is_number = pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)
        arrays[f"column {name}"] = column.to_numpy() if is_number else column.astype(str).to_numpy(dtype=str)
    return arrays


def metrics(folder: Path) -> dict[str, Any]:
    """Return the numbers of result.json, without durations, and the fingerprint of the data."""
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    older = {old: name for name, old in KEYWORDS.items()}
    kept = {key: value for key, value in result.items() if not key.startswith("seconds")}
    numbers = {key: value for key, value in kept.items() if isinstance(value, (int, float)) or key == "fingerprint"}
    return {f"metric {older.get(key, key)}": value for key, value in numbers.items()}


def weights(folder: Path) -> dict[str, Any]:
    """Return the tensors of a model and their names."""
    tensors = load_file(folder / "model.safetensors")
    return {"names": np.array(sorted(tensors))} | {f"weights {name}": tensors[name] for name in sorted(tensors)}


# ---- the sections ------------------------------------------------------------------------------------------------


def golden(checkout: Path) -> Iterator[Check]:
    """Forecast with each golden checkpoint: within and beyond the trained horizon of 16 steps, one and two channels."""
    short = [values for values in synthetic_series() if len(values) < 1000]
    pairs = [np.stack([values, values[::-1]]) for values in short[1:]]

    def compute(folder: Path) -> dict[str, Any]:
        model = tsfm.load(folder)
        both = {f"{key}, 2 channels": array for key, array in forecasts(model, pairs, (16,)).items()}
        return forecasts(model, short, (1, 16, 40)) | both

    for file in sorted((checkout / "tests" / "golden").glob("*/config.json")):
        yield file.parent.name, lambda folder=file.parent: compute(folder)


def bundled(_checkout: Path) -> Iterator[Check]:
    """Forecast with each bundled model; one of them also with each option of inference, which must have an effect."""
    series = synthetic_series()

    def compute(name: str) -> dict[str, Any]:
        model = tsfm.load(name)
        daily = forecasts(model, series, (24,), season_length=96, quantile_levels=[0.1, 0.25, 0.5, 0.9])
        return forecasts(model, series, (1, 96, 800)) | {f"{key}, season 96": array for key, array in daily.items()}

    def option(**options: Any) -> dict[str, Any]:
        default, changed = (
            forecasts(model, series, (48,), season_length=96)
            for model in (tsfm.load("tsfm-small"), load_with("tsfm-small", **options))
        )
        if all(np.array_equal(default[key], changed[key]) for key in default):
            raise RuntimeError(f"{options} has no effect on the forecasts")
        return changed

    for name in BUNDLED:
        yield name, lambda name=name: compute(name)
    yield "precision", lambda: option(precision="bf16")
    yield "stride", lambda: option(stride=1)
    yield "flip", lambda: option(flip=True)
    yield "context_lengths", lambda: option(context_lengths=(256, 1056))


def verbs(_checkout: Path) -> Iterator[Check]:
    """Run the methods that take frames, one command that writes a file, and the estimators."""
    frame, model = synthetic_frame(), tsfm.load("tsfm-mini")
    target = ["target", "load"]

    def command() -> dict[str, Any]:
        frame.to_csv("frame.csv", index=False)
        run_command("forecast", "frame.csv", "--model", "tsfm-mini-mixer", "--horizon", "30", "--out", "forecast.csv")
        return {"lines": np.array(Path("forecast.csv").read_text(encoding="utf-8").splitlines())}

    def classifier(*values: Any, **options: Any) -> dict[str, Any]:
        cases = np.stack(
            [values for _, item in frame.groupby("item_id") for values in item["load"].to_numpy()[:640].reshape(10, 64)]
        )
        estimator = tsfm.Classifier(*values, device="cpu", **options)
        return {"probabilities": estimator.fit(cases, np.repeat(["a", "b", "c"], 10)).predict_proba(cases)}

    def detector() -> dict[str, Any]:
        values = frame["load"].to_numpy()[:700]
        estimator = tsfm.Detector("tsfm-mini", device="cpu").fit(values[:500])
        return {"scores": estimator.decision_function(values), "threshold": estimator.threshold_}

    yield "predict_df", lambda: columns(model.predict_df(frame, 48, target=target, quantile_levels=[0.1, 0.25, 0.9]))
    yield "impute_df", lambda: columns(model.impute_df(frame, target=target, quantile_levels=[0.1, 0.9]))
    yield "detect_df", lambda: columns(model.detect_df(frame, target=target, level=0.95))
    yield "embed_df", lambda: columns(model.embed_df(frame, target=target))
    yield "forecast command", command
    yield "Classifier", lambda: classifier("mixer", overrides=["trainer.max_steps=10"])
    yield "Classifier probe", lambda: classifier("tsfm-mini", method="probe")
    yield "Detector", detector


def training(_checkout: Path) -> Iterator[Check]:
    """Ingest a CSV file and train on its store; the weights and the metrics are kept."""

    def ingest() -> dict[str, Any]:
        synthetic_frame().to_csv("series.csv", index=False)
        run_command("ingest", "series.csv", "--target", "target", "--target", "load", "--out", "store")
        return {"shards": len(list(Path("store").rglob("*.parquet")))}

    def train(name: str) -> dict[str, Any]:
        data = "data.sets=[store]" if name == "pretrain" else "data.dataset=store"
        run_command("train", *TRAININGS[name], data, f"run_dir={name}")
        return weights(Path(name, "model")) | metrics(Path(name))

    yield "ingest", ingest
    for name in TRAININGS:
        yield name, lambda name=name: train(name)


def scores(_checkout: Path) -> Iterator[Check]:
    """Score a baseline and a bundled model by each protocol."""

    def evaluate(name: str) -> dict[str, Any]:
        run_command("eval", *EVALUATIONS[name], f"out=scores-{name}")
        return metrics(Path(f"scores-{name}"))

    for name in EVALUATIONS:
        yield name, lambda name=name: evaluate(name)


SECTIONS = {"golden": golden, "bundled": bundled, "verbs": verbs, "training": training, "scores": scores}


def main(checkout: Path, sections: list[str], folder: Path) -> None:
    """Measure each section and write its arrays; a check that fails does not stop the others."""
    if not Path(str(tsfm.__file__)).resolve().is_relative_to(checkout):
        raise SystemExit(f"error: tsfm comes from {tsfm.__file__}, not from {checkout}; set PYTHONPATH={checkout}")
    failures: dict[str, str] = {}
    for section in sections:
        arrays: dict[str, np.ndarray] = {}
        for name, compute in SECTIONS[section](checkout):
            check, started = f"{section}/{name}", time.perf_counter()
            try:
                arrays |= {f"{check}: {key}": np.asarray(value) for key, value in compute().items()}
            except Exception:  # noqa: BLE001  a check that fails is reported, and the others go on
                failures[check] = traceback.format_exc().strip()
                print(failures[check], flush=True)
            print(f"  {check}: {time.perf_counter() - started:.1f} s", flush=True)
        np.savez(folder / f"{section}.npz", **arrays)  # type: ignore[arg-type]
    (folder / "failures.json").write_text(json.dumps(failures), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2].split(","), Path(sys.argv[3]))
