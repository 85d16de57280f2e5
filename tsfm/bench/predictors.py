"""Predictors by name: baselines, bundled models and model directories; their devices and the columns they use.

Imports nothing of Lightning, so that a forecast starts fast.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from tsfm.bench.interfaces import CaseLearner, Imputer, SeriesDetector
from tsfm.bench.mean_predictor import MeanPredictor
from tsfm.config import RunConfig
from tsfm.data.settings import DataConfig
from tsfm.ensemble.adaptive import AdaptiveForecaster
from tsfm.infer.arguments import check_choice
from tsfm.infer.dataframe_forecast import EFFORTS
from tsfm.infer.load import bundled, load
from tsfm.infer.model_predictor import ModelPredictor
from tsfm.infer.predictor import Predictor
from tsfm.messages import did_you_mean
from tsfm.registry import BASELINES

log = logging.getLogger("tsfm")
Kind = TypeVar("Kind")
DESCRIPTIONS = {
    Predictor: "forecasts",
    Imputer: "fills gaps",
    CaseLearner: "learns labelled cases",
    SeriesDetector: "scores a series for anomalies",
}


def is_baseline(name: str) -> bool:
    """Return whether `name` is a registered baseline of any kind."""
    return name in BASELINES.names()


def is_model(name: str) -> bool:
    """Return whether `name` is a bundled model or an existing directory."""
    return name in bundled() or Path(name).exists()


def baselines(kind: type) -> list[str]:
    """Return the names of all baselines of a kind, a key of `DESCRIPTIONS`."""
    return [entry.name for entry in BASELINES if issubclass(entry.component, kind)]


def find_baseline(name: str, kind: type[Kind], **settings: Any) -> Kind:
    """Return the baseline `name` of a kind, with settings that differ from its defaults.

    Raises
    ------
    ValueError
        If there is no such baseline, or it is of another kind.
    """
    known = baselines(kind)
    if name in known:
        return BASELINES.build(BASELINES.config({"name": name, **settings}))
    if is_baseline(name):
        component = BASELINES.entry(name).component
        does = next(text for other, text in DESCRIPTIONS.items() if issubclass(component, other))
        raise ValueError(f"baseline {name!r} {does}; expected one that {DESCRIPTIONS[kind]}: {', '.join(known)}")
    raise ValueError(f"no baseline {name!r}; {did_you_mean(name, known)}")


def find_predictor(name: str, *, effort: str = "auto") -> Predictor:
    """Return a forecasting baseline by its name, else a model by its name or directory.

    `effort` is that of `Predictor.predict_df`; baselines have one only.
    """
    check_choice("effort", effort, EFFORTS)
    if is_baseline(name):
        return find_baseline(name, Predictor)  # type: ignore[type-abstract]
    if is_model(name):
        model = load(name)
        return AdaptiveForecaster(model) if effort == "best" else model.with_effort(effort)
    raise ValueError(
        f"no predictor {name!r}: no folder of a trained model, no bundled model, no baseline; "
        f"{did_you_mean(name, baselines(Predictor) + bundled())}"
    )


def find_model(name: str, *, kind: type, device: str) -> ModelPredictor:
    """Return a trained model on a device; the error lists the baselines of `kind`, which could also be meant."""
    if is_model(name):
        return load(name, device=str(pick_device(device)))
    raise ValueError(
        f"no predictor {name!r}: no folder of a trained model, no bundled model, no baseline that "
        f"{DESCRIPTIONS[kind]}; {did_you_mean(name, baselines(kind) + bundled())}"
    )


def prepare_predictor(
    name: str,
    *,
    device: str = "auto",
    bf16: bool = False,
    flip: bool = False,
    single_pass: bool = False,
    effort: str = "auto",
) -> Predictor:
    """Return a forecaster that is ready to compute.

    Parameters
    ----------
    name
        A forecasting baseline, a bundled model or a model directory; or several joined by `+`, whose quantiles are
        averaged.
    device, bf16, flip
        Of trained models: where they compute, whether in bfloat16, and whether the mean with the forecast of the
        mirrored series is taken. Baselines ignore them.
    single_pass
        Leave out what trained models add for short histories (`extend_short_pasts`).
    effort
        "best": a trained model is weighed with simpler members by a back-test on the series that are scored, before
        their first scored window.
    """
    if "+" in name and not is_model(name):
        options: dict[str, Any] = {"device": device, "bf16": bf16, "flip": flip, "single_pass": single_pass}
        options["effort"] = effort
        return MeanPredictor([prepare_predictor(member, **options) for member in name.split("+")])
    if is_baseline(name) or not is_model(name):
        predictor = find_predictor(name)
    else:
        precision = "bf16" if bf16 else "32"
        device = str(pick_device(device))
        predictor = load(name, device=device, precision=precision, flip=flip, extend_short_pasts=not single_pass)
        predictor = AdaptiveForecaster(predictor) if effort == "best" else predictor
    predictor.check_forecasts()
    return predictor


def unique_labels(predictors: Sequence[Predictor], names: Sequence[str]) -> list[str]:
    """Return a label in tables for each predictor: its own name, or the name it was given by where two are equal."""
    own = [predictor.name for predictor in predictors]
    labels = [label if own.count(label) == 1 else name for label, name in zip(own, names, strict=True)]
    if len(set(labels)) < len(labels):
        raise ValueError(f"a predictor was named twice among {', '.join(names)}; name each once")
    return labels


def pick_device(name: str, config: RunConfig | None = None) -> torch.device:
    """Return the device by its name; "auto" takes a GPU if there is one and the run did not use the CPU."""
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


def with_trained_columns(config: DataConfig, predictor: Predictor, *, stored: Sequence[str]) -> DataConfig:
    """Return data settings with the targets and covariates of the model's training, where the settings name none.

    Parameters
    ----------
    stored
        The channels that the data set holds.

    Raises
    ------
    ValueError
        If the data set lacks a covariate of the training.
    """
    trained = predictor.trained_data
    if not trained.get("time_features") and trained.get("past") is None and trained.get("known") is None:
        return config  # it was not trained with covariates
    changes: dict[str, list[str]] = {}
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
    if predictor.time_features and not config.time_features:
        changes["time_features"] = list(predictor.time_features)
    if changes:
        settings = ", ".join(f"data.{key}=[{','.join(names)}]" for key, names in changes.items())
        log.info("as in training: %s", settings)
    return replace(config, **changes)
