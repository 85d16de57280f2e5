"""The models of a back-test, by name or as predictors, each at the requested efforts, and seasonal naive beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tsfm.bench.predictors import find_predictor, is_baseline
from tsfm.ensemble.adaptive import AdaptiveForecaster
from tsfm.infer.arguments import check_choice
from tsfm.infer.dataframe_forecast import EFFORTS
from tsfm.infer.predictor import DECILES, POINT, Predictor
from tsfm.infer.quantiles import TOLERANCE
from tsfm.infer.styles import interval_bounds

REFERENCE = "seasonal_naive"


@dataclass(frozen=True)
class Contender:
    """A forecaster and what it is called in the result.

    Attributes
    ----------
    quantile_levels
        The levels that are forecast, ascending: the nine deciles and the bounds of intervals; 0.5 alone for a
        point forecast.
    intervals
        The central intervals, in percent, that it has.
    """

    label: str
    predictor: Predictor
    quantile_levels: tuple[float, ...]
    intervals: tuple[Any, ...]

    @property
    def fits_series(self) -> bool:
        """Whether a forecast of a series depends on the other series of a call, because something is fitted to all."""
        return type(self.predictor).fitted_to is not Predictor.fitted_to


def find_contenders(models: Any, *, effort: Any, intervals: Sequence[Any]) -> list[Contender]:
    """Return the models of a back-test, with seasonal naive at the end where it is not among them.

    Parameters
    ----------
    models
        A name or predictor, several, or a dict of them by their labels.
    effort
        "fast", "auto" or "best", or several: each trained model is scored at each.
    intervals
        Central intervals in percent, ascending.

    Raises
    ------
    ValueError
        If a model is not known, two have one label, or a model cannot forecast the nine deciles.
    """
    efforts = [effort] if isinstance(effort, str) else list(effort)
    for each in efforts:
        check_choice("effort", each, EFFORTS)
    if not efforts or len(set(efforts)) < len(efforts):
        raise ValueError(f"effort is {effort!r}; give one of {', '.join(EFFORTS)}, or several, each once")
    named: list[tuple[str, Predictor]] = []
    for label, model in _listed(models):
        if isinstance(model, str) and is_baseline(model):
            named.append((label or model, find_predictor(model)))
            continue
        fits_efforts = isinstance(model, str) or model.num_parameters() is not None
        named += [_at_effort(label, model, each) for each in (efforts if fits_efforts else ["auto"])]
    if not any(predictor.name == REFERENCE for _, predictor in named):
        named.append((REFERENCE, find_predictor(REFERENCE)))
    labels = [label for label, _ in named]
    if repeated := [label for label in labels if labels.count(label) > 1]:
        raise ValueError(
            f"two models are called {repeated[0]!r}; name each once, or give labels: models={{'label': model, ...}}"
        )
    return [_contender(label, predictor, intervals) for label, predictor in named]


def _listed(models: Any) -> list[tuple[str | None, Any]]:
    """Return the models with their labels, None where none is given."""
    pairs: list[tuple[str | None, Any]]
    if isinstance(models, Mapping):
        pairs = [(str(label), model) for label, model in models.items()]
    else:
        single = isinstance(models, (str, Path, Predictor))
        pairs = [(None, model) for model in ([models] if single else models)]
    pairs = [(label, str(model) if isinstance(model, Path) else model) for label, model in pairs]
    if wrong := [model for _, model in pairs if not isinstance(model, (str, Predictor))]:
        raise ValueError(
            f"a model is of type {type(wrong[0]).__name__}; expected names of models or baselines, or what tsfm.load "
            "returns"
        )
    if not pairs:
        raise ValueError("there are no models; name at least one, such as models=['tsfm-small', 'auto_ets']")
    return pairs


def _at_effort(label: str | None, model: Any, effort: str) -> tuple[str, Predictor]:
    """Return a model at an effort; what is fitted by a back-test of its own has its effort in the label."""
    if isinstance(model, str):
        predictor = find_predictor(model, effort=effort)
        base = find_predictor(model).name
    elif effort == "best" and not isinstance(model, AdaptiveForecaster):
        predictor, base = AdaptiveForecaster(model), model.name
    else:
        predictor, base = model.with_effort(effort) if effort == "fast" else model, model.name
    base = label or base
    return (base if effort == "auto" else f"{base} ({effort})"), predictor


def _contender(label: str, predictor: Predictor, intervals: Sequence[Any]) -> Contender:
    predictor.check_forecasts()
    available = predictor.quantile_levels
    if available == POINT:
        return Contender(label, predictor, POINT, ())
    if available is not None and (available[0] > DECILES[0] + TOLERANCE or available[-1] < DECILES[-1] - TOLERANCE):
        raise ValueError(
            f"{label} predicts quantiles from {available[0]:g} to {available[-1]:g}; a back-test scores those from "
            f"{DECILES[0]:g} to {DECILES[-1]:g}: train it with these levels"
        )
    bounds = {interval: interval_bounds(interval) for interval in intervals}
    own = tuple(
        interval
        for interval, (low, high) in bounds.items()
        if available is None or (available[0] <= low + TOLERANCE and high - TOLERANCE <= available[-1])
    )
    quantile_levels = sorted({*DECILES, *(level for interval in own for level in bounds[interval])})
    return Contender(label, predictor, tuple(quantile_levels), own)
