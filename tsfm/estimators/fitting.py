"""One training run as `tsfm train` would do it, in a temporary directory: settings and data in, a predictor out.

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
from tsfm.estimators.portable import accelerator, place
from tsfm.estimators.tuning import quoted
from tsfm.infer.load import ModelPredictor, load
from tsfm.messages import did_you_mean
from tsfm.model.checkpoint import save
from tsfm.registry import BACKBONES

if TYPE_CHECKING:
    from tsfm.data.cases import CaseData

log = logging.getLogger("tsfm")
# how a trained model is adapted, as settings of `init`
METHODS: dict[str, list[str]] = {"full": [], "head": ["init.freeze=[all_but_head]"], "lora": ["init.lora.rank=8"]}
SERIES = "series from memory"  # what a checkpoint says of data that no catalog knows


@dataclass
class Begin:
    """What a fit begins from: a backbone to train from random weights, or a trained model."""

    backbone: str | None = None
    predictor: ModelPredictor | None = None

    def recipe(self, kind: str, *, tuned: str) -> str:
        """The experiment of this kind: for this backbone if there is one, else the default; `tuned` for a model."""
        if self.predictor is not None:
            return f"finetune/{tuned}"
        own = f"{kind}/{self.backbone}"
        return own if own in options("experiment") else f"{kind}/default"


def begin(model: Any, *, device: str) -> Begin:
    """From a backbone's name, a loaded model (which stays where it is), or the name or directory of one."""
    if isinstance(model, ModelPredictor):
        return Begin(predictor=model)
    if isinstance(model, str) and model in BACKBONES.names():
        return Begin(backbone=model)
    if not isinstance(model, (str, Path)):
        raise ValueError(
            f"model is of type {type(model).__name__}; expected a backbone ({', '.join(BACKBONES.names())}), a model "
            "directory, the name of a bundled model, or what tsfm.load gives"
        )
    try:
        return Begin(predictor=load(model, device=place(device)))
    except FileNotFoundError as error:
        raise ValueError(
            f"model: no backbone of that name ({did_you_mean(str(model), BACKBONES.names())}), and {error}"
        ) from None


def init_words(place: Path, method: str) -> list[str]:
    """The settings that begin from the checkpoint at `place`."""
    if method not in METHODS:
        raise ValueError(f"method is {method!r}; {did_you_mean(str(method), list(METHODS))}")
    return [f"init.from={quoted(place)}", *METHODS[method]]


@contextmanager
def workshop() -> Iterator[Path]:
    """A folder for the files of a run, removed afterwards; the state of torch's generators comes back."""
    devices = list(range(torch.cuda.device_count()))
    with tempfile.TemporaryDirectory(prefix="tsfm-") as folder, torch.random.fork_rng(devices=devices):
        yield Path(folder)


def keep_source(source: ModelPredictor, folder: Path) -> Path:
    """The model that a run begins from as a directory; the predictor itself is never touched."""
    return save(source.model, folder / "source", about=source.about)


def describe(words: Sequence[str], overrides: Sequence[str]) -> RunConfig:
    """The typed config of these settings and a user's own, which come last."""
    from tsfm.training.init_config import compose_with_checkpoint

    if isinstance(overrides, str) or not all(isinstance(word, str) for word in overrides):
        raise ValueError(f"overrides are {overrides!r}; expected a list of settings such as ['optim.lr=1e-3']")
    for word in overrides:
        key = word.partition("=")[0]
        if key in ("backbone", "experiment"):
            raise ValueError(f"overrides hold {word!r}; choose it by {'model' if key == 'backbone' else key}=...")
    words = [*words, *overrides]
    begins = any(word.lstrip("+").startswith("init.from=") for word in words)
    return typed(compose_with_checkpoint(words) if begins else compose("train", words))


def fit(
    config: RunConfig,
    folder: Path,
    *,
    device: str,
    verbose: bool,
    name: str,
    cases: CaseData | None = None,
    source: str | None = None,
) -> ModelPredictor:
    """Train as configured; the model is on the device afterwards, and `source` names what it began from."""
    from tsfm.training.training_run import train

    run_dir = folder / "run"
    trainer = replace(config.trainer, progress=verbose, loggers=[], accelerator=accelerator(device))
    config = replace(config, trainer=trainer, run_dir=str(run_dir), resume="never", expect=[])
    try:
        trained = train(config, cases=cases)
    except ValueError as error:
        stored = f"data set {str(folder / 'store')!r}"
        if stored not in str(error):
            raise
        raise ValueError(str(error).replace(stored, "the series given")) from None
    finally:
        shutil.rmtree(run_dir, ignore_errors=True)
    about = trained.about
    if str(folder) in str(about.trained_on.get("dataset")):
        about.trained_on["dataset"] = SERIES
        about.trained_on["data"]["dataset"] = SERIES
    if isinstance(init := about.trained_on.get("init"), dict) and source is not None:
        init["from"] = source
    return ModelPredictor(trained.model, name=name, about=about, device=place(device))


def write_store(series: Sequence[np.ndarray], folder: Path) -> Path:
    """A store of series [C, L] without stamps of their own."""
    from tsfm.store.series_store import StoreWriter

    names = [f"channel_{channel}" for channel in range(len(series[0]))]
    with StoreWriter(folder / "store", channels=names) as writer:
        for i, values in enumerate(series):
            writer.add(f"series {i}", values, np.datetime64("2000-01-01"), "s")
    return folder / "store"
