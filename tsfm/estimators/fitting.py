"""One training run like `tsfm train`, in a temporary directory: settings and data in, a predictor out.

C channels, L steps.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tsfm.config import RunConfig, compose, options, typed
from tsfm.estimators.devices import accelerator, resolve_device
from tsfm.estimators.tuning import quote
from tsfm.infer.load import load
from tsfm.infer.model_predictor import ModelPredictor
from tsfm.messages import did_you_mean
from tsfm.model.checkpoint import save
from tsfm.registry import BACKBONES

if TYPE_CHECKING:
    from tsfm.data.case_data import CaseData

log = logging.getLogger("tsfm")
# how a trained model is adapted, as settings of `init`
METHODS: dict[str, list[str]] = {"full": [], "head": ["init.freeze=[all_but_head]"], "lora": ["init.lora.rank=8"]}
IN_MEMORY_SERIES = "series from memory"  # name of the data in the checkpoint


@dataclass
class StartingPoint:
    """What training starts from: a backbone with random weights, or a trained model."""

    backbone: str | None = None
    predictor: ModelPredictor | None = None

    def recipe(self, kind: str, *, tuned: str) -> str:
        """Return the name of the experiment: `tuned` for a trained model, else that of the backbone or the default."""
        if self.predictor is not None:
            return f"finetune/{tuned}"
        own = f"{kind}/{self.backbone}"
        return own if own in options("experiment") else f"{kind}/default"


def find_starting_point(model: Any, *, device: str) -> StartingPoint:
    """Return the starting point from the name of a backbone, a loaded model, or the name or directory of a model."""
    if isinstance(model, ModelPredictor):
        return StartingPoint(predictor=model)
    if isinstance(model, str) and model in BACKBONES.names():
        return StartingPoint(backbone=model)
    if not isinstance(model, (str, Path)):
        raise ValueError(
            f"model is of type {type(model).__name__}; expected a backbone ({', '.join(BACKBONES.names())}), a model "
            "directory, the name of a bundled model, or what tsfm.load gives"
        )
    try:
        return StartingPoint(predictor=load(model, device=resolve_device(device)))
    except FileNotFoundError as error:
        raise ValueError(
            f"model: no backbone of that name ({did_you_mean(str(model), BACKBONES.names())}), and {error}"
        ) from None


def init_overrides(path: Path, method: str) -> list[str]:
    """Return the settings that initialize from the checkpoint at `path` by a method of `METHODS`."""
    if method not in METHODS:
        raise ValueError(f"method is {method!r}; {did_you_mean(str(method), list(METHODS))}")
    return [f"init.from={quote(path)}", *METHODS[method]]


@contextmanager
def temporary_run() -> Iterator[Path]:
    """Provide a folder that is removed afterwards; the state of torch's random generators is restored."""
    devices = list(range(torch.cuda.device_count()))
    with tempfile.TemporaryDirectory(prefix="tsfm-") as folder, torch.random.fork_rng(devices=devices):
        yield Path(folder)


def save_source(source: ModelPredictor, folder: Path) -> Path:
    """Save the model that training starts from as a directory; the predictor is not modified."""
    return save(source.model, folder / "source", about=source.about)


def compose_config(settings: Sequence[str], overrides: Sequence[str]) -> RunConfig:
    """Compose the typed config of these settings and of the user's overrides, which win."""
    from tsfm.training.init_config import compose_with_checkpoint

    if isinstance(overrides, str) or not all(isinstance(setting, str) for setting in overrides):
        raise ValueError(f"overrides are {overrides!r}; expected a list of settings such as ['optim.lr=1e-3']")
    for setting in overrides:
        key = setting.partition("=")[0]
        if key in ("backbone", "experiment"):
            raise ValueError(f"overrides hold {setting!r}; choose it by {'model' if key == 'backbone' else key}=...")
    settings = [*settings, *overrides]
    from_checkpoint = any(setting.lstrip("+").startswith("init.from=") for setting in settings)
    return typed(compose_with_checkpoint(settings) if from_checkpoint else compose("train", settings))


def train_predictor(
    config: RunConfig,
    folder: Path,
    *,
    device: str,
    verbose: bool,
    name: str,
    cases: CaseData | None = None,
    source: str | None = None,
) -> ModelPredictor:
    """Train as configured and return the model on the device.

    Parameters
    ----------
    folder
        From `temporary_run`; the run directory is made in it.
    cases
        Labelled cases in memory; None reads the data set of the config.
    source
        The name of the model that training starts from, for the checkpoint.
    """
    from tsfm.training.training_run import train_config

    run_dir = folder / "run"
    trainer = replace(config.trainer, progress=verbose, loggers=[], accelerator=accelerator(device))
    config = replace(config, trainer=trainer, run_dir=str(run_dir), resume="never", expect=[])
    try:
        trained = train_config(config, data=cases)
    except ValueError as error:
        stored = f"data set {str(folder / 'store')!r}"
        if stored not in str(error):
            raise
        raise ValueError(str(error).replace(stored, "the series given")) from None
    finally:
        shutil.rmtree(run_dir, ignore_errors=True)
    about = trained.about
    if str(folder) in str(about.trained_on.get("dataset")):
        about.trained_on["dataset"] = IN_MEMORY_SERIES
        about.trained_on["data"]["dataset"] = IN_MEMORY_SERIES
    if isinstance(init := about.trained_on.get("init"), dict) and source is not None:
        init["from"] = source
    return ModelPredictor(trained.model, name=name, about=about, device=resolve_device(device))


def write_store(series: Sequence[np.ndarray], folder: Path) -> Path:
    """Write series [C, L] without timestamps as a store; returns its folder."""
    from tsfm.store.series_store import StoreWriter

    names = [f"channel_{channel}" for channel in range(len(series[0]))]
    with StoreWriter(folder / "store", channels=names) as writer:
        for i, values in enumerate(series):
            writer.add(f"series {i}", values, np.datetime64("2000-01-01"), "s")
    return folder / "store"
