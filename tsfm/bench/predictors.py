"""Predictors and baselines by name, and what an evaluation sets on a trained model. Imports no Lightning."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from tsfm.bench.interfaces import CaseLearner, Imputer, SeriesDetector
from tsfm.infer.load import ModelPredictor, bundled, load
from tsfm.infer.predictor import Predictor
from tsfm.messages import did_you_mean
from tsfm.registry import BASELINES
from tsfm.store.catalog import resolve

if TYPE_CHECKING:
    from tsfm.config import RunConfig
    from tsfm.data.settings import DataConfig

log = logging.getLogger("tsfm")
Interface = TypeVar("Interface")
INTERFACES = {  # of baselines, and what each does
    Predictor: "forecasts",
    Imputer: "fills gaps",
    CaseLearner: "learns labelled cases",
    SeriesDetector: "scores a series for anomalies",
}


def baseline_names(interface: type) -> list[str]:
    """Return the names of all baselines that have an interface, one of the keys of `INTERFACES`."""
    return [entry.name for entry in BASELINES if issubclass(entry.component, interface)]


def find_baseline(name: str, interface: type[Interface], **settings: Any) -> Interface:
    """Build a baseline by its name.

    Parameters
    ----------
    interface
        What the baseline must do, one of the keys of `INTERFACES`.
    settings
        Values of its config that differ from the defaults.

    Raises
    ------
    ValueError
        If there is no such baseline, or it has another interface.
    """
    names = baseline_names(interface)
    if name in names:
        return BASELINES.build(BASELINES.config({"name": name, **settings}))
    if name in BASELINES.names():
        component = BASELINES.entry(name).component
        does = next(words for other, words in INTERFACES.items() if issubclass(component, other))
        raise ValueError(f"baseline {name!r} {does}; what is needed here {INTERFACES[interface]}: {', '.join(names)}")
    raise ValueError(f"no baseline {name!r}; {did_you_mean(name, names)}")


def find_predictor(name: str) -> Predictor:
    """Return a forecasting baseline by its name, else a trained model by its name or directory.

    Raises
    ------
    ValueError
        If there is neither, or the baseline does not forecast.
    """
    if name in BASELINES.names():
        return find_baseline(name, Predictor)  # type: ignore[type-abstract]
    if name in bundled() or Path(name).exists():
        return load(name)
    raise ValueError(
        f"no predictor {name!r}: no folder of a trained model, no bundled model, no baseline; "
        f"{did_you_mean(name, baseline_names(Predictor) + bundled())}"
    )


def prepare_predictor(name: str, *, device: str = "auto", bf16: bool = False, flip: bool = False) -> Predictor:
    """Return a predictor that forecasts, with the settings of an evaluation; they do not concern a baseline.

    Parameters
    ----------
    name
        A forecasting baseline, a bundled model or a model directory.
    device
        Where a trained model computes; auto takes a GPU if there is one.
    bf16
        Compute in bfloat16.
    flip
        Return the mean of the forecasts of the series and of the series times -1.
    """
    predictor = find_predictor(name)
    predictor.check_forecasts()
    if isinstance(predictor, ModelPredictor):
        predictor.model.to(choose_device(device))
        predictor.precision = "bf16" if bf16 else predictor.precision
        predictor.flip = flip or predictor.flip
    return predictor


def table_names(predictors: Sequence[Predictor], arguments: Sequence[str]) -> list[str]:
    """Return a name of each predictor for a table: its own, or where two have the same, the user's argument.

    Raises
    ------
    ValueError
        If two arguments are equal.
    """
    names = [predictor.name for predictor in predictors]
    unique = [name if names.count(name) == 1 else argument for name, argument in zip(names, arguments, strict=True)]
    if len(set(unique)) < len(unique):
        raise ValueError(f"a predictor was named twice among {', '.join(arguments)}; name each once")
    return unique


def num_parameters(predictor: Predictor) -> int | None:
    """Return the number of parameters of a trained model; None for a baseline."""
    return predictor.model.num_parameters() if isinstance(predictor, ModelPredictor) else None


def choose_device(name: str, config: RunConfig | None = None) -> torch.device:
    """Return the device where a trained model is scored.

    Parameters
    ----------
    name
        Such as cpu or cuda:1; auto takes a GPU if there is one.
    config
        Of a run: where its accelerator is the CPU, auto takes no GPU.

    Raises
    ------
    ValueError
        If this machine does not have the device.
    """
    if name == "auto":
        gpu = torch.cuda.is_available() and (config is None or config.trainer.accelerator in ("auto", "gpu", "cuda"))
        return torch.device("cuda" if gpu else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"device is {name!r}, which this machine does not have ({reason}); use device=cpu or device=auto"
        ) from None
    return device


def with_trained_channels(config: DataConfig, predictor: Predictor) -> DataConfig:
    """Return the data settings with the targets and covariates of a model's training, where the settings name none.

    Raises
    ------
    ValueError
        If the data set lacks a covariate of the training.
    """
    trained = predictor.about.trained_on.get("data") or {} if isinstance(predictor, ModelPredictor) else {}
    if not trained.get("calendar") and trained.get("past") is None and trained.get("known") is None:
        return config  # it was trained without covariates
    stored, changes = resolve(config.dataset).channels, {}
    named = {name for key in ("channels", "past", "known") for name in getattr(config, key) or ()}
    for key in ("past", "known") if predictor.uses_covariates else ():
        if getattr(config, key) is None and (names := [name for name in trained.get(key) or () if name not in named]):
            if missing := [name for name in names if name not in stored]:
                raise ValueError(
                    f"{predictor.name} was trained with the covariates {', '.join(missing)}, which data set "
                    f"{config.dataset!r} does not hold; ingest them too, or give data.{key}=[] to score it without"
                )
            changes[key] = names
    covariates = named.union(*changes.values())
    targets = [name for name in trained.get("channels") or () if name not in covariates]
    if config.channels is None and targets and set(targets) <= set(stored):
        changes["channels"] = targets
    if predictor.time_features and not config.calendar:
        changes["calendar"] = list(predictor.time_features)
    if changes:
        log.info("as in training: %s", ", ".join(f"data.{key}=[{','.join(names)}]" for key, names in changes.items()))
    return replace(config, **changes)
