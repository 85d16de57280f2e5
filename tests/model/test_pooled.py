"""Laws of the head that answers for a window: padding and silent channels have no part in what it pools."""

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


def seen_from(first: int) -> torch.Tensor:
    return (torch.arange(5) >= first).expand(3, CHANNELS, 5)


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("channels", ["mean", "concat"])
def test_what_is_not_seen_does_not_count(pool: str, channels: str) -> None:
    built, x, seen = head(pool=pool, channel_pool=channels), tokens(), seen_from(2)
    poked = torch.where(seen[..., None], x, 1e4)
    assert torch.equal(built(x, seen), built(poked, seen))
    assert built(x, seen).shape == (3, 4)


@pytest.mark.parametrize("pool", POOLS)
def test_a_channel_that_shows_nothing_is_as_if_it_were_not_there(pool: str) -> None:
    built, x = head(pool=pool), tokens()
    seen = seen_from(0).clone()
    seen[:, 2] = False
    torch.testing.assert_close(built(x, seen), built(x[:, :2], seen[:, :2]))


@pytest.mark.parametrize("pool", POOLS)
def test_a_case_that_shows_nothing_gets_a_finite_answer(pool: str) -> None:
    assert torch.isfinite(head(pool=pool)(tokens(), torch.zeros(3, CHANNELS, 5, dtype=torch.bool))).all()


def test_pools_are_what_they_are_called() -> None:
    x, seen = tokens(), seen_from(3)
    torch.testing.assert_close(pool_tokens(x, seen, pool="mean"), x[:, :, 3:].mean(2))
    torch.testing.assert_close(pool_tokens(x, seen, pool="max"), x[:, :, 3:].amax(2))
    torch.testing.assert_close(pool_tokens(x, seen, pool="last"), x[:, :, -1])
    even = pool_tokens(x, seen, pool="attention", scores=torch.zeros(3, CHANNELS, 5))
    torch.testing.assert_close(even, x[:, :, 3:].mean(2))


def test_concat_needs_to_know_the_channels() -> None:
    free = Grid(channels=None, patches=5, patch=8, width=6)
    with pytest.raises(ValueError, match=r"set model\.channels"):
        HEADS.build(HEADS.config({"name": "pooled", "channel_pool": "concat"}), grid=free, horizon=0)


@pytest.mark.parametrize(
    ("settings", "words"), [({"pool": "men"}, "did you mean 'mean'"), ({"outputs": 0}, "number of classes")]
)
def test_wrong_settings_are_named(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        head(**settings)


def test_one_case_can_train_through_the_norm() -> None:
    norm = FeatureNorm(4).train()
    assert torch.isfinite(norm(torch.randn(1, 4))).all()
    assert not torch.equal(norm(torch.randn(8, 4)), FeatureNorm(4).eval()(torch.randn(8, 4)))


@pytest.mark.parametrize("embed", ["residual", "conv"])
def test_a_shorter_case_gets_the_same_answer_padded(embed: str) -> None:
    """The label of a case does not depend on how long the longest of its batch is."""
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
