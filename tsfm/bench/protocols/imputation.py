"""Imputation: observed steps are hidden by seeded masks, every window once, and only hidden steps are scored.

B windows, C channels, T steps of a window.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Optional

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from tsfm.bench.interfaces import Imputer
from tsfm.bench.predictors import find_baseline, find_model, is_baseline
from tsfm.bench.protocol import Protocol
from tsfm.bench.protocols.windows import load_windows
from tsfm.config import EvalConfig
from tsfm.data.base import SourceSeries
from tsfm.data.window_data import WindowData
from tsfm.data.windows import WindowIndex
from tsfm.infer.cross_channel import correct_across_channels, use_cross_channel
from tsfm.infer.model_predictor import ModelPredictor
from tsfm.messages import did_you_mean
from tsfm.model.model import Model
from tsfm.registry import DATA_MODULES, PROTOCOLS, TASKS
from tsfm.tasks.impute import Impute
from tsfm.training.training_run import TrainedRun
from tsfm.types import Problem

SPLITS = ("train", "val", "test")
MASKS = ("points", "blocks", "hybrid")
METRICS = ("mse", "mae")
Filler = Callable[[Problem], Tensor]  # the filled windows [B, C, T]


@dataclass(frozen=True)
class WindowImputer:
    """A baseline or a trained model, as a function of the data that returns the function that fills its windows."""

    fill_by: Callable[[WindowData], Filler]
    predictor: ModelPredictor | None = None  # None: a baseline


@PROTOCOLS("imputation")
class ImputationProtocol(Protocol):
    """Each kind of mask at each rate, over the windows of a split, in the units of the data set.

    points: single steps (TimesNet, arXiv:2210.02186, section 4.3, lookback 96). blocks and hybrid: whole blocks of
    `block` steps, or half of the hidden steps in such blocks and half single, drawn for each window and channel
    (TSPulse, arXiv:2505.13033, context 512). As there, the first window of a split begins one window before it, and
    `mse` is the mean over masks and rates.
    """

    # Optional[...], not `X | None`: OmegaConf resolves the hints of structured configs on Python 3.10.
    @dataclass
    class Config:
        """Settings of bench=imputation."""

        split: str = "test"  # train | val | test
        stride: Optional[int] = None  # noqa: UP045  steps from one window to the next; null: 1
        masks: list[str] = field(default_factory=lambda: ["blocks", "hybrid"])  # of points, blocks, hybrid
        rates: list[float] = field(default_factory=lambda: [0.125, 0.25, 0.375, 0.5])
        block: int = 8  # steps
        cross_channel: Optional[bool] = None  # noqa: UP045  use correlations of errors of channels; null: of models that mix none
        batch_size: int = 128  # windows
        seed: int = 42  # of the masks

        def __post_init__(self):
            if self.split not in SPLITS:
                raise ValueError(f"bench.split is {self.split!r}; {did_you_mean(self.split, list(SPLITS))}")
            if not self.masks or not self.rates:
                raise ValueError(
                    f"bench.masks is {list(self.masks)} and rates {list(self.rates)}; name at least one of each"
                )
            for mask in self.masks:
                if mask not in MASKS:
                    raise ValueError(f"bench.masks has {mask!r}; {did_you_mean(mask, list(MASKS))}")
            if not all(0 < rate < 1 for rate in self.rates) or self.block < 1:
                raise ValueError(
                    f"bench.rates is {list(self.rates)} and block {self.block}; expected shares of steps between 0 "
                    "and 1, "
                    "and blocks of at least 1 step"
                )
            if (self.stride is not None and self.stride < 1) or self.batch_size < 1:
                raise ValueError(
                    f"bench.stride {self.stride} and bench.batch_size {self.batch_size} must be at least 1"
                )

    metrics = METRICS
    tasks = ("impute",)
    default_for = ("impute",)
    uses = ("context",)

    def known_metrics(self) -> list[str]:
        """Return also the names of the metrics of single masks and rates."""
        config = self.config
        names = [f"{mask}_mse" for mask in config.masks]
        names += [f"{mask}_{rate:g}_{metric}" for mask in config.masks for rate in config.rates for metric in METRICS]
        return [*super().known_metrics(), *names]

    def load_predictor(self, config: EvalConfig) -> WindowImputer:
        """Return a baseline or a trained model as a function that fills windows."""
        if DATA_MODULES.component_of(config.data).labelled:
            raise ValueError(f"data set {config.data.dataset!r} holds labelled cases; score them by bench=cases")
        if is_baseline(config.predictor):
            imputer = find_baseline(config.predictor, Imputer)  # type: ignore[type-abstract]
            if config.context is None:
                raise ValueError(f"{config.predictor} has no window of its own; give context=512, say")
            return WindowImputer(fill_by=lambda data: fill_with_baseline(imputer, season_length=data.season_length))
        predictor = find_model(config.predictor, kind=Imputer, device=config.device)
        model = predictor.model
        return WindowImputer(
            fill_by=lambda _: fill_with_model(model, cross_channel=self.config.cross_channel),
            predictor=predictor,
        )

    def load_data(self, config: EvalConfig, predictor: WindowImputer) -> WindowData:
        """Return the data set in windows of the context, by default the whole window of the model."""
        if predictor.predictor is None:
            assert config.context is not None
            data = WindowData(config.data, context=config.context, horizon=0)
            data.setup()
            return data
        model = predictor.predictor.model
        context = config.context or model.config.context + model.config.horizon
        return load_windows(
            config.data, predictor.predictor, context=context, horizon=0, covariates=model.mixes_channels
        )

    def scored_series(self, data: WindowData) -> SourceSeries:
        """Return every series of the store, with timestamps and fingerprints."""
        return data.source_series()

    def score(self, predictor: WindowImputer, data: WindowData) -> dict[str, Any]:
        """See `score_imputation`."""
        return score_imputation(predictor.fill_by(data), data, self.config)

    @override
    def score_run(self, run: TrainedRun, *, name: str) -> dict[str, Any]:
        """Score a run of task=impute on the windows of its data module."""
        fill = fill_with_model(run.model, cross_channel=self.config.cross_channel)
        return score_imputation(fill, run.data, self.config)


def score_imputation(filler: Filler, data: WindowData, config: Any) -> dict[str, Any]:
    """Return MSE and MAE of each mask and rate, and their means.

    Parameters
    ----------
    filler
        Returns the filled windows [B, C, T] of a problem.
    config
        Settings of bench=imputation.
    """
    windows = data.windows(config.split, stride=config.stride or 1)
    if not len(windows):
        raise ValueError(
            f"data set {data.config.dataset!r}: data.split={data.config.split} makes no {config.split} part to score; "
            "choose another data.split or bench.split"
        )
    cells: dict[str, dict[str, float]] = {}
    for mask in config.masks:
        for index, rate in enumerate(config.rates):
            task = TASKS.build(
                TASKS.config({"name": "impute", "mask": mask, "rates": [rate], "block": config.block}), horizon=0
            )
            generator = torch.Generator().manual_seed(config.seed + 1000 * MASKS.index(mask) + index)
            cell = _score(filler, windows, task, generator, batch_size=config.batch_size)
            if not cell["count"]:
                raise ValueError(
                    f"bench.masks={mask} at rate {rate:g} with blocks of {config.block} steps hides nothing in windows "
                    f"of {data.context + data.horizon}; use smaller blocks or a larger rate"
                )
            cells[f"{mask}_{rate:g}"] = cell
    means = {f"{name}_{metric}": cell[metric] for name, cell in cells.items() for metric in METRICS}
    for mask in config.masks:
        means[f"{mask}_mse"] = float(np.mean([cells[f"{mask}_{rate:g}"]["mse"] for rate in config.rates]))
    return {
        **{metric: float(np.mean([cell[metric] for cell in cells.values()])) for metric in METRICS},
        **means,
        "windows": len(windows),
        "steps_scored": {name: int(cell["count"]) for name, cell in cells.items()},
        "split": config.split,
        "stride": windows.stride,
        "context": data.context + data.horizon,
        "masks": list(config.masks),
        "rates": list(config.rates),
        "standardized": data.standardizer is not None,
        "targets": list(windows.targets),
        "skipped_series": len(windows.skipped),
        "fingerprint": data.fingerprint,
    }


def _score(
    filler: Filler, windows: WindowIndex, task: Impute, generator: torch.Generator, *, batch_size: int
) -> dict[str, float]:
    squared, absolute, count = 0.0, 0.0, 0
    for first in range(0, len(windows), batch_size):
        batch = windows.gather(np.arange(first, min(first + batch_size, len(windows))))
        problem = task.pose(batch, generator)
        error = (filler(problem) - problem.values)[problem.wanted].double()
        if not torch.isfinite(error).all():
            raise ValueError("a hidden step was filled with a value that is not finite, so it cannot be scored")
        squared += error.square().sum().item()
        absolute += error.abs().sum().item()
        count += len(error)
    return {"mse": squared / max(count, 1), "mae": absolute / max(count, 1), "count": count}


def fill_with_model(
    model: Model, *, bf16: bool = False, flip: bool = False, cross_channel: bool | None = None
) -> Filler:
    """Return a function that fills windows with the medians of a trained model.

    Parameters
    ----------
    bf16
        Compute in bfloat16.
    flip
        Take the mean of the medians of the window and of the mirrored window.
    cross_channel
        As in `ModelPredictor.impute`.
    """
    if not model.head.reads_window or model.head.predicts != "steps":
        raise ValueError("this model does not predict the steps of its context; train one with head=patch_quantiles")
    device, middle = next(model.parameters()).device, len(model.quantile_levels) // 2
    correct = use_cross_channel(model, cross_channel)

    def quantiles(problem: Problem) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            predicted = model(problem).prediction.sort(dim=-1).values
            if flip:
                mirrored = model(replace(problem, values=-problem.values)).prediction.sort(dim=-1).values
                predicted = (predicted - mirrored.flip(-1)) / 2
        return predicted.float()

    @torch.no_grad()
    def fill(problem: Problem) -> Tensor:
        problem = problem.to(device)
        return (correct_across_channels(quantiles, problem) if correct else quantiles(problem))[..., middle].cpu()

    return fill


def fill_with_baseline(imputer: Imputer, *, season_length: int) -> Filler:
    """Return a function that fills windows with a baseline."""

    def fill(problem: Problem) -> Tensor:
        visible = torch.where(problem.visible, problem.values, torch.nan).numpy()
        return torch.from_numpy(imputer.impute(visible, season_length=season_length))

    return fill
