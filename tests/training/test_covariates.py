"""Covariates in trainings: one that determines the target lowers the error by a large factor, one that is noise does no
harm, and a trained model is scored with the channels that it was trained with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import tsfm
from tsfm.commands.evaluate import evaluate_config
from tsfm.commands.train import train_and_score
from tsfm.config import compose, typed
from tsfm.registry import BACKBONES
from tsfm.store.series_store import StoreWriter

STEPS, CONTEXT, HORIZON, LEAD, START = 6000, 32, 8, 8, "2024-01-01"

COMMON = [
    "data=store", "head=patch_quantiles", "task.loss=pinball", "task.units=scaled", "backbone.depth=2",
    f"model.context={CONTEXT}", f"model.horizon={HORIZON}", "model.embed=residual", "optim.schedule=cosine",
    "data.sampling=random", "trainer.max_epochs=1", "trainer.progress=false", "trainer.accelerator=cpu",
    "trainer.loggers=[]", f"bench.stride={HORIZON}", "backbone.dropout=0",
]  # fmt: skip
PATCHED = [
    "backbone.mix_every=1", "model.patch=4", "model.stride=4", "model.width=32", "head.hidden=64", "optim.lr=3e-3",
    "data.batch_size=32", "data.batches_per_epoch=150",
]  # fmt: skip
WHOLE = [
    "model.patch=40", "model.stride=40", "model.width=96", "head.hidden=128", "optim.lr=2e-3", "data.batch_size=64",
    "data.batches_per_epoch=300",
]  # fmt: skip
BACKBONE_SETTINGS: dict[str, list[str]] = {
    "patch_transformer": [
        *PATCHED, "backbone.heads=2", "backbone.hidden=64", "backbone.norm=rms", "backbone.pre_norm=true",
        "backbone.positions=rotary", "backbone.gated=true",
    ],
    "mamba": [*PATCHED, "backbone.head=16", "backbone.state=8", "backbone.hidden=64", "backbone.bidirectional=true"],
    "mixer": [*PATCHED, "backbone.max_patches=10"],
    "dilated_conv": [*PATCHED, "backbone.hidden=64", "backbone.causal=false"],
    "inverted": [*WHOLE, "backbone.heads=2", "backbone.hidden=128"],
}  # fmt: skip


def mixing() -> list[Any]:
    """Every backbone with group attention or another way to mix channels; all but one are slow."""
    names = [entry.name for entry in BACKBONES if "mix_every" in entry.config.__dataclass_fields__] + ["inverted"]
    return [pytest.param(name, marks=() if name == "patch_transformer" else pytest.mark.slow) for name in names]


EVERY = [param.values[0] for param in mixing()]
EACH = pytest.mark.parametrize("backbone", mixing())


def draw(kind: str) -> np.ndarray:
    """[2, STEPS]: the target and the covariate x; `kind` is how the target follows from it."""
    noise = np.random.default_rng(0)
    x = noise.normal(size=STEPS)
    if kind == "determined":  # x is white noise, so without it the target is too
        y = 2 * np.sin(x) + 0.05 * noise.normal(size=STEPS)
    elif kind == "leading":  # x is ahead of the target by LEAD steps
        for t in range(1, STEPS):
            x[t] += 0.9 * x[t - 1]
        y = np.concatenate([x[:LEAD], x[:-LEAD]]) + 0.05 * noise.normal(size=STEPS)
    elif kind == "unrelated":  # predictable from its own past, and x is noise
        y = np.sin(np.arange(STEPS) * 2 * np.pi / 16) + 0.3 * noise.normal(size=STEPS)
    else:  # a level for each day of the week, in hours: the context is too short to show the week
        day = np.arange(STEPS) // 24 % 7
        y = np.array([0.0, 3, -2, 1, -3, 2, -1])[day] + 0.1 * noise.normal(size=STEPS)
    return np.stack([y, x]).astype(np.float32)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # models this small only wait for a second thread
    yield tmp_path_factory.mktemp("covariates")
    torch.set_num_threads(threads)


@cache
def store(root: Path, kind: str) -> Path:
    with StoreWriter(root / kind, channels=["y", "x"]) as writer:
        writer.add("s", draw(kind), np.datetime64(START, "us"), "h")
    return root / kind


@cache
def trained(root: Path, kind: str, backbone: str, covariates: str, seed: int = 0) -> dict[str, Any]:
    """The result of one training; y is the only target."""
    settings = [
        *COMMON,
        f"backbone={backbone}",
        *BACKBONE_SETTINGS.get(backbone, PATCHED),
        f"data.dataset={store(root, kind)}",
    ]
    folder = root / f"{kind}-{backbone}-{re.sub('[^a-z_]', '-', covariates)}-{seed}"
    settings += [f"data.dataset={store(root, kind)}", "data.channels=[y]", f"seed={seed}", f"run_dir={folder}"]
    return train_and_score(typed(compose("train", settings + ([covariates] if covariates else []))))


@EACH
def test_a_covariate_that_determines_the_target_lowers_the_error_by_a_large_factor(root: Path, backbone: str) -> None:
    with_it = trained(root, "determined", backbone, "data.known=[x]")
    without = trained(root, "determined", backbone, "")
    assert 5 * with_it["mse"] < min(without["mse"], 1.0)  # 1 is the variance of the target, which is white
    assert with_it["windows"] == without["windows"]
    assert with_it["steps_scored"] == without["steps_scored"]  # y alone is scored
    assert with_it["covariates"] == ["x"]


@pytest.mark.slow
@pytest.mark.parametrize("backbone", EVERY)
def test_a_past_covariate_that_leads_the_target_helps(root: Path, backbone: str) -> None:
    with_it = trained(root, "leading", backbone, "data.past=[x]")
    assert 2 * with_it["mse"] < trained(root, "leading", backbone, "")["mse"]


@pytest.mark.slow
@pytest.mark.parametrize("backbone", EVERY)
def test_pure_noise_does_no_harm(root: Path, backbone: str) -> None:
    with_it = [trained(root, "unrelated", backbone, "data.known=[x]", seed)["mse"] for seed in (0, 1)]
    without = [trained(root, "unrelated", backbone, "", seed)["mse"] for seed in (0, 1)]
    assert np.mean(without) < 0.5  # of the variance: the target is learnt
    assert np.mean(with_it) < 1.05 * np.mean(without)


def table(kind: str, *, items: int = 1, steps: int = 100) -> pd.DataFrame:
    """Stretches of a series as items that all begin at START, one below the other."""
    y, x = draw(kind)[:, : items * steps]
    stamps = np.tile(pd.date_range(START, periods=steps, freq="h"), items)
    return pd.DataFrame({"item_id": np.repeat(np.arange(items), steps), "timestamp": stamps, "y": y, "x": x})


def test_a_trained_model_follows_the_future_of_its_covariate(root: Path) -> None:
    result = trained(root, "determined", "patch_transformer", "data.known=[x]")
    model, whole = tsfm.load(result["run_dir"]), table("determined", items=40)
    index = whole.groupby("item_id").cumcount()
    past, future = whole[index < 76], whole[index >= 76].drop(columns="y")
    y_true = whole["y"].to_numpy().reshape(40, -1)[:, 76:]
    informed, far, uninformed = (
        model.predict_df(past, steps, future_df=future_df, target="y")
        for steps, future_df in ((HORIZON, future), (3 * HORIZON, future), (HORIZON, None))
    )
    near, rolled, without = (
        np.mean((forecast["predictions"].to_numpy().reshape(40, -1) - y_true[:, : len(forecast) // 40]) ** 2)
        / y_true.var()
        for forecast in (informed, far, uninformed)
    )
    assert near < 0.2 < 0.8 < without
    assert rolled < 0.2  # rolled out, the future stays known
    assert f"{model.name} uses the covariates x (past and future)" in informed.attrs["announcements"]
    assert any("x is not in future_df" in note for note in uninformed.attrs["announcements"])
    again = rescored(result, "determined", root)
    assert again["mse"] == pytest.approx(result["mse"], rel=1e-6)  # its channels are taken as in training
    assert (again["targets"], again["covariates"]) == (["y"], ["x"])


def rescored(result: dict[str, Any], kind: str, root: Path, *more: str) -> dict[str, Any]:
    """tsfm eval of a trained model without settings of targets and covariates."""
    settings = [f"predictor={result['run_dir']}", "data=store", f"data.dataset={store(root, kind)}", *more]
    return evaluate_config(typed(compose("eval", [*settings, f"bench.stride={HORIZON}", "device=cpu"])))


@pytest.mark.slow
def test_time_features_show_a_season_longer_than_the_context(root: Path) -> None:
    result = trained(root, "weekly", "patch_transformer", "data.time_features=[hour,day_of_week]")
    without = trained(root, "weekly", "patch_transformer", "")
    assert 3 * result["mse"] < without["mse"]
    assert result["covariates"] == ["calendar_hour", "calendar_day_of_week"]
    model, df = tsfm.load(result["run_dir"]), table("weekly").drop(columns="x")
    assert model.time_features == ("hour", "day_of_week")
    predictions = model.predict_df(df, 5, target="y")["predictions"].to_numpy()
    series = df["y"].to_numpy()
    np.testing.assert_allclose(
        model.predict(series, prediction_length=5, starts=START, freq="h").predictions[0, 0], predictions, rtol=1e-5
    )
    other = model.predict(series, prediction_length=5, starts="2024-01-03 12:00", freq="h").predictions[0, 0]
    assert not np.allclose(other, predictions, rtol=1e-2)
    with pytest.raises(
        ValueError, match=r"time features hour, day_of_week, and arrays have no timestamps; give starts="
    ):
        model.predict(series, prediction_length=5)
    assert rescored(result, "weekly", root)["mse"] == pytest.approx(result["mse"], rel=1e-6)
    with pytest.raises(ValueError, match="trained with the time features hour, day_of_week; the windows have minute"):
        rescored(result, "weekly", root, "data.time_features=[minute]")


def test_a_backbone_that_does_not_mix_channels_drops_covariates_with_a_warning(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    results = []
    for number, extra in enumerate(["data.known=[x]", "data.time_features=true", None]):
        settings = [
            *COMMON,
            *BACKBONE_SETTINGS["patch_transformer"],
            "backbone.mix_every=0",
            "data.batches_per_epoch=3",
        ]
        settings += ["data.batches_per_epoch=3", f"data.dataset={store(root, 'determined')}"]
        settings += ["data.channels=[y]", f"run_dir={root / f'n{number}'}"]
        with caplog.at_level("WARNING", logger="tsfm"):
            caplog.clear()
            results.append(train_and_score(typed(compose("train", settings + ([extra] if extra else [])))))
        assert ("does not mix channels, so the covariates" in caplog.text) == (extra is not None)
    assert len({result["mse"] for result in results}) == 1
    assert tsfm.load(root / "n1").time_features == ()
