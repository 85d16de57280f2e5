"""How imputation is scored: observed steps hidden by seeded masks, every window once, errors on what was hidden alone.

B windows, C channels, T steps of a window.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Optional

import numpy as np
import torch
from torch import Tensor

from tsfm.bench.interfaces import Imputer
from tsfm.data.window_data import WindowData
from tsfm.data.windows import WindowIndex
from tsfm.infer.cross_channel import correct_across_channels, use_cross_channel
from tsfm.messages import did_you_mean
from tsfm.model.model import Model
from tsfm.registry import TASKS, schema
from tsfm.tasks.impute import Impute
from tsfm.types import Problem

SPLITS = ("train", "val", "test")
KINDS = ("points", "blocks", "hybrid")
METRICS = ("mse", "mae")
Filler = Callable[[Problem], Tensor]  # the filled windows [B, C, T]


# Optional[...], not `X | None`: OmegaConf resolves the hints of structured configs on Python 3.10.
@schema("bench", "imputation")
@dataclass
class ImputationConfig:
    """Each kind of mask at each rate, over the windows of a split, in the units of the data set.

    points: each step by itself (TimesNet, arXiv:2210.02186, section 4.3, lookback 96). blocks and hybrid: whole patches
    of `block` steps, or half of the hidden steps in such patches and half single, drawn for each window and channel
    (TSPulse, arXiv:2505.13033, context 512). As there, windows of a split begin one window before it, and `mse` is
    the mean over the masks and rates. With a stride the windows are fewer; with 1 there is every one."""

    name: str = "imputation"
    split: str = "test"  # train | val | test
    stride: Optional[int] = None  # noqa: UP045  steps from one window to the next; null: 1
    masks: list[str] = field(default_factory=lambda: ["blocks", "hybrid"])  # of points, blocks, hybrid
    rates: list[float] = field(default_factory=lambda: [0.125, 0.25, 0.375, 0.5])
    block: int = 8  # steps
    coupled: Optional[bool] = None  # noqa: UP045  use how channels err together; null: of models that read each alone
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
            if mask not in KINDS:
                raise ValueError(f"bench.masks has {mask!r}; {did_you_mean(mask, list(KINDS))}")
        if not all(0 < rate < 1 for rate in self.rates) or self.block < 1:
            raise ValueError(
                f"bench.rates is {list(self.rates)} and block {self.block}; expected shares of steps between 0 and 1, "
                "and blocks of at least 1 step"
            )
        if (self.stride is not None and self.stride < 1) or self.batch_size < 1:
            raise ValueError(f"bench.stride {self.stride} and bench.batch_size {self.batch_size} must be at least 1")


def score_imputation(filler: Filler, data: WindowData, bench: ImputationConfig) -> dict[str, Any]:
    """MSE and MAE of each mask and rate, and their means; refuses to report when a window was lost."""
    windows = data.windows(bench.split, stride=bench.stride or 1)
    if not len(windows):
        raise ValueError(
            f"data set {data.config.dataset!r}: data.split={data.config.split} makes no {bench.split} part to score; "
            "choose another data.split or bench.split"
        )
    cells: dict[str, dict[str, float]] = {}
    for mask in bench.masks:
        for place, rate in enumerate(bench.rates):
            task = TASKS.build(
                TASKS.config({"name": "impute", "mask": mask, "rates": [rate], "block": bench.block}), horizon=0
            )
            generator = torch.Generator().manual_seed(bench.seed + 1000 * KINDS.index(mask) + place)
            cell = _score(filler, windows, task, generator, batch_size=bench.batch_size)
            if not cell["count"]:
                raise ValueError(
                    f"bench.masks={mask} at rate {rate:g} with blocks of {bench.block} steps hides nothing in windows "
                    f"of {data.context + data.horizon}; use smaller blocks or a larger rate"
                )
            cells[f"{mask}_{rate:g}"] = cell
    means = {f"{name}_{metric}": cell[metric] for name, cell in cells.items() for metric in METRICS}
    for mask in bench.masks:
        means[f"{mask}_mse"] = float(np.mean([cells[f"{mask}_{rate:g}"]["mse"] for rate in bench.rates]))
    return {
        **{metric: float(np.mean([cell[metric] for cell in cells.values()])) for metric in METRICS},
        **means,
        "windows": len(windows),
        "asked_steps": {name: int(cell["count"]) for name, cell in cells.items()},
        "split": bench.split,
        "stride": windows.stride,
        "context": data.context + data.horizon,
        "masks": list(bench.masks),
        "rates": list(bench.rates),
        "standardized": data.standardizer is not None,
        "targets": list(windows.targets),
        "skipped_series": len(windows.skipped),
        "fingerprint": data.fingerprint,
    }


def _score(
    filler: Filler, windows: WindowIndex, task: Impute, generator: torch.Generator, *, batch_size: int
) -> dict[str, float]:
    squares, sizes, count = 0.0, 0.0, 0
    for first in range(0, len(windows), batch_size):
        batch = windows.gather(np.arange(first, min(first + batch_size, len(windows))))
        problem = task.pose(batch, generator)
        error = (filler(problem) - problem.values)[problem.wanted].double()
        if not torch.isfinite(error).all():
            raise ValueError("a hidden step was filled with a value that is not finite, so no score is told")
        squares, sizes, count = (
            squares + error.square().sum().item(),
            sizes + error.abs().sum().item(),
            count + len(error),
        )
    return {"mse": squares / max(count, 1), "mae": sizes / max(count, 1), "count": count}


def of_model(model: Model, *, bf16: bool = False, flip: bool = False, coupled: bool | None = None) -> Filler:
    """The medians of a trained model, computed in bfloat16 if asked; with `flip` the mean of those of the window and of
    its mirror image; `coupled` is ModelPredictor.impute's `cross_channel`."""
    if not model.head.reads_window or model.head.predicts != "steps":
        raise ValueError("this model does not answer for the steps it is shown; train one with head=patch_quantiles")
    device, middle = next(model.parameters()).device, len(model.quantile_levels) // 2
    together = use_cross_channel(model, coupled)

    def quantiles(problem: Problem) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            read = model(problem).prediction.sort(dim=-1).values
            if flip:
                mirrored = model(replace(problem, values=-problem.values)).prediction.sort(dim=-1).values
                read = (read - mirrored.flip(-1)) / 2
        return read.float()

    @torch.no_grad()
    def fill(problem: Problem) -> Tensor:
        problem = problem.to(device)
        return (correct_across_channels(quantiles, problem) if together else quantiles(problem))[..., middle].cpu()

    return fill


def of_baseline(imputer: Imputer, *, season: int) -> Filler:
    """What a baseline fills in."""

    def fill(problem: Problem) -> Tensor:
        given = torch.where(problem.visible, problem.values, torch.nan).numpy()
        return torch.from_numpy(imputer.impute(given, season=season))

    return fill
