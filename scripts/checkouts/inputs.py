"""What checkouts are measured with: series, a data frame, and the settings of short trainings and evaluations."""

from __future__ import annotations

import numpy as np
import pandas as pd

BUNDLED = ("tsfm-mini", "tsfm-mini-inverted", "tsfm-mini-mamba", "tsfm-mini-mixer", "tsfm-small", "tsfm-small-next")

CPU = ["trainer.progress=false", "trainer.accelerator=cpu"]
STEPS = ["trainer.max_epochs=-1", "trainer.max_steps=50", "trainer.val_every=25"]
TINY = [*CPU, *STEPS, "data=store", "data.batch_size=16", "model.context=64", "model.horizon=16", "model.width=16"]
EIGHT = ["model.patch=8", "model.stride=8"]
WHOLE = ["model.patch=64", "model.stride=64"]
ATTENTION = ["backbone.heads=2", "backbone.hidden=32"]
# name -> settings; the store is added. Together they use each backbone, optimizer and precision, and most tasks.
TRAININGS = {
    "patch_transformer": [
        *TINY, *ATTENTION, "model.patch=8", "model.stride=4", "model.pad_end=true", "backbone.depth=2",
    ],
    "inverted": [
        *TINY, *WHOLE, "backbone=inverted", "backbone.depth=1", *ATTENTION, "optim=muon", "data.channels=[target]",
        "data.past=[load]", "data.time_features=true",
    ],
    "mamba": [
        *TINY, *EIGHT, "backbone=mamba", "backbone.depth=1", "backbone.head=8", "backbone.state=8", "backbone.chunk=4",
        "backbone.hidden=32", "head=patch_quantiles", "model.embed=residual", "task.loss=pinball", "trainer.ema=0.9",
    ],
    "mixer": [
        *TINY, *EIGHT, "backbone=mixer", "backbone.depth=2", "backbone.dropout=0.1", "optim=adam",
        "optim.schedule=onecycle", "trainer.precision=bf16",
    ],
    "dilated_conv": [
        *TINY, *EIGHT, "backbone=dilated_conv", "backbone.hidden=32", "head=patch_quantiles", "model.embed=residual",
        "task.loss=pinball",
    ],
    "dlinear": [*TINY, *WHOLE, "backbone=dlinear", "model.embed=values_visible", "scaler=none"],
    "nlinear": [*TINY, *WHOLE, "backbone=nlinear", "model.embed=values", "scaler=last", "optim=sgd"],
    "pretrain": [
        *CPU, "experiment=pretrain/nano_cpu", "model.context=96", "model.horizon=64", "model.patch=16",
        "model.stride=16", "model.width=32", "backbone.depth=2", "backbone.hidden=48", "head.hidden=32",
        "task.patch=16", "task.max_tail_patches=4", "data.lengths=[64,128]", "data.length_weights=[0.5,0.5]",
        "data.batch_values=1024", "data.batches_per_epoch=11", "data.val_windows=8", "trainer.max_steps=20",
        "trainer.ema=0.9",
    ],
    "finetune": [
        *CPU, "experiment=finetune/series", "init.from=tsfm-mini-mixer", "task=forecast", "task.loss=pinball",
        "model.context=256", "model.horizon=32", "data.batch_size=8", "data.batches_per_epoch=5",
        "trainer.max_epochs=1",
    ],
    "impute": [
        *CPU, "trainer.max_epochs=-1", "trainer.max_steps=10", "trainer.val_every=5", "experiment=impute/points_etth1",
        "data=store", "model.width=16", "model.context=64", "backbone.depth=1", "head.hidden=16",
    ],
    "detect": [
        *CPU, "experiment=detect/patch_transformer", "model.context=64", "model.width=16", "backbone.depth=1",
        "backbone.heads=2", "backbone.hidden=16", "head.hidden=16", "data.batches_per_epoch=10", "data.batch_size=8",
        "trainer.max_epochs=1",
    ],
}  # fmt: skip
EVALUATIONS = {
    "seasonal_naive": ["predictor=seasonal_naive", "data=etth1", "context=336", "horizon=96", "bench.stride=96"],
    "tsfm-mini": ["predictor=tsfm-mini", "data=etth1", "context=336", "horizon=96", "bench.stride=96"],
    "imputation": ["predictor=tsfm-mini", "data=etth1", "bench=imputation", "bench.stride=960", "bench.rates=[0.25]"],
    "gift": ["predictor=tsfm-mini", "bench=gift", "bench.configs=[us_births/D/short]"],
}


def synthetic_series() -> list[np.ndarray]:
    """Return six series from 30 to 3000 steps: daily and hourly cycles, trends, a gap, single missing values."""
    rng = np.random.default_rng(14)
    series = []
    for index, length in enumerate((30, 60, 200, 700, 1500, 3000)):
        time = np.arange(length)
        values = np.sin(time * 2 * np.pi / 24) + 0.5 * np.sin(time * 2 * np.pi / 96 + index) + 0.002 * index * time
        values = 10.0 ** (index - 2) * (values + 0.1 * rng.normal(size=length)) + 5 * index
        values[rng.random(length) < 0.03] = np.nan
        values[length // 3 : length // 3 + length // 10 * (index % 2)] = np.nan
        values[-1] = index
        series.append(values)
    return series


def synthetic_frame() -> pd.DataFrame:
    """Return three hourly items of 700 steps with two value columns, missing values and missing rows."""
    rng, time = np.random.default_rng(15), np.arange(700)
    items = []
    for index in range(3):
        target = 10 * index + (index + 1) * np.sin(time * 2 * np.pi / 24) + 0.02 * time + rng.normal(0, 0.3, 700)
        item = pd.DataFrame({"item_id": f"s{index}", "timestamp": pd.date_range("2024-01-01", periods=700, freq="h")})
        items.append(item.assign(target=target, load=rng.normal(size=700).cumsum()))
    items[1].loc[100:130, "target"] = np.nan
    items[1] = items[1].drop(index=range(300, 310))
    return pd.concat(items, ignore_index=True)
