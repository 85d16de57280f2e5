"""A trained model as an evaluation takes it: where it computes, and on the channels and covariates of its training."""

from __future__ import annotations

import logging
from dataclasses import replace

import torch

from tsfm.config import RunConfig
from tsfm.data.settings import DataConfig
from tsfm.infer.load import ModelPredictor
from tsfm.infer.predictor import Predictor
from tsfm.store.catalog import resolve

log = logging.getLogger("tsfm")


def pick_device(asked: str, config: RunConfig | None = None) -> torch.device:
    """Where a trained model is scored: as asked; auto takes a GPU if there is one and the run did not avoid it."""
    if asked == "auto":
        gpu = torch.cuda.is_available() and (config is None or config.trainer.accelerator in ("auto", "gpu", "cuda"))
        return torch.device("cuda" if gpu else "cpu")
    try:
        device = torch.device(asked)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        why = str(error).splitlines()[0]
        raise ValueError(f"device is {asked!r}, which is not here ({why}); use device=cpu or device=auto") from None
    return device


def as_trained(config: DataConfig, predictor: Predictor) -> DataConfig:
    """The data settings with the targets and covariates that the model was trained with, where they name none."""
    trained = predictor.about.trained_on.get("data") or {} if isinstance(predictor, ModelPredictor) else {}
    if not trained.get("calendar") and trained.get("past") is None and trained.get("known") is None:
        return config  # covariates were no part of its training
    stored, changes = resolve(config.dataset).channels, {}
    given = {name for key in ("channels", "past", "known") for name in getattr(config, key) or ()}
    for key in ("past", "known") if predictor.uses_covariates else ():
        if getattr(config, key) is None and (names := [name for name in trained.get(key) or () if name not in given]):
            if lost := [name for name in names if name not in stored]:
                raise ValueError(
                    f"{predictor.name} was trained with the covariates {', '.join(lost)}, which data set "
                    f"{config.dataset!r} does not hold; ingest them too, or give data.{key}=[] to score it without"
                )
            changes[key] = names
    taken = given.union(*changes.values())
    targets = [name for name in trained.get("channels") or () if name not in taken]
    if config.channels is None and targets and set(targets) <= set(stored):
        changes["channels"] = targets
    if predictor.time_features and not config.calendar:
        changes["calendar"] = list(predictor.time_features)
    if changes:
        log.info("as in training: %s", ", ".join(f"data.{key}=[{','.join(names)}]" for key, names in changes.items()))
    return replace(config, **changes)
