"""Laws of the head of whole windows: padding and empty channels are not pooled."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.tiny import CHANNELS, waves
from tsfm.model.model import Model
from tsfm.model.model_config import ModelConfig
from tsfm.model.pooled import POOLS, FeatureNorm, PooledHead, pool_tokens
from tsfm.registry import BACKBONES, HEADS, SCALERS, TASKS
from tsfm.types import Batch, Grid

GRID = Grid(channels=CHANNELS, patches=5, patch=8, width=6)


def head(**settings: Any) -> PooledHead:
    torch.manual_seed(0)
    return HEADS.build(HEADS.config({"name": "pooled", "outputs": 4, **settings}), grid=GRID, horizon=0).eval()


def tokens(batch: int = 3) -> torch.Tensor:
    return torch.randn(batch, CHANNELS, 5, 6, generator=torch.Generator().manual_seed(1))


def valid_from(first: int) -> torch.Tensor:
    return (torch.arange(5) >= first).expand(3, CHANNELS, 5)


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("channels", ["mean", "concat"])
def test_tokens_that_are_not_valid_have_no_effect(pool: str, channels: str) -> None:
    built, x, valid = head(pool=pool, channel_pool=channels), tokens(), valid_from(2)
    poked = torch.where(valid[..., None], x, 1e4)
    assert torch.equal(built(x, valid), built(poked, valid))
    assert built(x, valid).shape == (3, 4)


@pytest.mark.parametrize("pool", POOLS)
def test_a_channel_without_valid_tokens_has_no_effect(pool: str) -> None:
    built, x = head(pool=pool), tokens()
    valid = valid_from(0).clone()
    valid[:, 2] = False
    torch.testing.assert_close(built(x, valid), built(x[:, :2], valid[:, :2]))


@pytest.mark.parametrize("pool", POOLS)
def test_a_case_without_valid_tokens_gets_finite_outputs(pool: str) -> None:
    assert torch.isfinite(head(pool=pool)(tokens(), torch.zeros(3, CHANNELS, 5, dtype=torch.bool))).all()


def test_each_pool_is_its_formula() -> None:
    x, valid = tokens(), valid_from(3)
    torch.testing.assert_close(pool_tokens(x, valid, pool="mean"), x[:, :, 3:].mean(2))
    torch.testing.assert_close(pool_tokens(x, valid, pool="max"), x[:, :, 3:].amax(2))
    torch.testing.assert_close(pool_tokens(x, valid, pool="last"), x[:, :, -1])
    even = pool_tokens(x, valid, pool="attention", scores=torch.zeros(3, CHANNELS, 5))
    torch.testing.assert_close(even, x[:, :, 3:].mean(2))


def test_concat_needs_to_know_the_channels() -> None:
    free = Grid(channels=None, patches=5, patch=8, width=6)
    with pytest.raises(ValueError, match=r"set model\.channels"):
        HEADS.build(HEADS.config({"name": "pooled", "channel_pool": "concat"}), grid=free, horizon=0)


@pytest.mark.parametrize(
    ("settings", "message"), [({"pool": "men"}, "did you mean 'mean'"), ({"outputs": 0}, "number of classes")]
)
def test_wrong_settings_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        head(**settings)


def test_one_case_can_train_through_the_norm() -> None:
    norm = FeatureNorm(4).train()
    assert torch.isfinite(norm(torch.randn(1, 4))).all()
    assert not torch.equal(norm(torch.randn(8, 4)), FeatureNorm(4).eval()(torch.randn(8, 4)))


@pytest.mark.parametrize("embed", ["residual", "conv"])
def test_padding_does_not_change_the_output_of_a_shorter_case(embed: str) -> None:
    """The output for a case does not depend on the length of the longest case of its batch."""
    torch.manual_seed(3)
    model = Model(
        ModelConfig(context=64, horizon=0, width=16, patch=8, stride=8, embed=embed),
        scaler=SCALERS.config({"name": "standard"}),
        backbone=BACKBONES.config({"name": "mamba", "depth": 1, "head": 8, "state": 8, "chunk": 4}),
        head=HEADS.config({"name": "pooled"}),
    ).eval()
    task = TASKS.build(TASKS.config({"name": "classify"}), horizon=0)
    batch = waves()
    observed = batch.observed.clone()
    observed[..., :24] = False
    label = torch.zeros(len(observed), dtype=torch.long)
    long = task.pose(Batch(batch.values, observed, label=label))
    short = task.pose(Batch(batch.values[..., 24:], observed[..., 24:], label=label))
    torch.testing.assert_close(model(long).prediction, model(short).prediction, rtol=1e-4, atol=1e-4)
