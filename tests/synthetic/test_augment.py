"""Laws of each change, missing steps kept, rows independent, probabilities respected."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tests.synthetic.test_generators import seeded
from tsfm.synthetic import augment
from tsfm.synthetic.augment import CHANGES, Augment, AugmentConfig
from tsfm.synthetic.rng import Sampler

NAMES = tuple(AugmentConfig.__dataclass_fields__)
KEEPS_PLACE = [name for name in NAMES if name not in ("warp", "reverse", "points", "blocks")]


def only(name: str, rate: float = 1.0) -> Augment:
    return Augment(AugmentConfig(**(dict.fromkeys(NAMES, 0.0) | {name: rate})))


@pytest.fixture
def rows() -> Tensor:
    x = torch.randn(400, 128, generator=seeded(1)).cumsum(-1)
    x[1::4, 30:40] = math.nan
    x[2::4, ::9] = math.nan
    return x


def same(a: Tensor, b: Tensor) -> bool:
    return torch.equal(torch.isnan(a), torch.isnan(b)) and torch.equal(a.nan_to_num(), b.nan_to_num())


def test_settings_and_changes_are_the_same_names_in_the_same_order() -> None:
    assert tuple(CHANGES) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_change_is_seeded_pure_and_keeps_the_shape(name: str, rows: Tensor) -> None:
    before = rows.clone()
    changed, again = only(name)(rows, seeded()), only(name)(rows, seeded())
    assert changed.shape == rows.shape
    assert changed.dtype == rows.dtype
    assert same(changed, again)
    assert same(rows, before)
    assert not same(changed, rows)
    assert not torch.isinf(changed).any()


@pytest.mark.parametrize("name", KEEPS_PLACE)
def test_missing_steps_stay_where_they_are(name: str, rows: Tensor) -> None:
    assert torch.equal(torch.isnan(only(name)(rows, seeded())), torch.isnan(rows))


@pytest.mark.parametrize("name", ["points", "blocks"])
def test_gaps_only_add_missing_steps(name: str, rows: Tensor) -> None:
    out = only(name)(rows, seeded())
    assert (torch.isnan(out) | (out == rows)).all()
    assert torch.isnan(out[torch.isnan(rows)]).all()
    assert (~torch.isnan(out)).any(-1).all()
    added = torch.isnan(out).float().mean() - torch.isnan(rows).float().mean()
    assert 0.03 < added < 0.15


@pytest.mark.parametrize("name", NAMES)
def test_a_rate_is_the_share_of_rows_that_change(name: str) -> None:
    x = torch.randn(3000, 64, generator=seeded(1)).cumsum(-1)
    changed = (only(name, 0.3)(x, seeded()).nan_to_num(1e9) != x).any(-1)
    assert changed.float().mean() == pytest.approx(0.3, abs=0.06)


@pytest.mark.parametrize("name", NAMES)
def test_a_row_of_nothing_or_of_one_value_is_no_trouble(name: str) -> None:
    x = torch.full((40, 50), math.nan)
    x[10:20] = 3.0
    x[20:30, 7] = 2.0
    x[30:, ::2] = -1.0
    out = only(name)(x, seeded())
    assert torch.isnan(out[:10]).all()
    assert (~torch.isnan(out[10:])).any(-1).all() or name == "warp"  # a lonely step may fall between two
    assert not torch.isinf(out).any()


def test_all_rates_zero_change_nothing(rows: Tensor) -> None:
    off = Augment(AugmentConfig(**dict.fromkeys(NAMES, 0.0)))
    assert same(off(rows, seeded()), rows)


def test_the_defaults_leave_many_rows_alone(rows: Tensor) -> None:
    out = Augment()(rows, seeded())
    untouched = torch.tensor([same(a, b) for a, b in zip(out, rows, strict=True)])
    assert 0.1 < untouched.float().mean() < 0.5


def test_flip_and_reverse_twice_are_nothing(rows: Tensor) -> None:
    for name in ("flip", "reverse"):
        once = only(name)(rows, seeded())
        assert same(only(name)(once, seeded()), rows)
    assert same(only("reverse")(rows, seeded()), rows.flip(-1))


def test_amplitude_is_a_line_through_2_to_6_knots() -> None:
    x = torch.ones(500, 121)
    factor = only("amplitude")(x, seeded())  # never negative: scaled about 0
    assert factor.min() >= 0.5
    assert factor.max() <= 1.5
    bends = (factor.diff(n=2, dim=-1).abs() > 1e-4).sum(-1)
    assert bends.max() <= 8  # 4 inner knots, each at or between steps
    assert (bends == 0).float().mean() == pytest.approx(0.2, abs=0.08)


def test_rows_without_negative_values_keep_it(rows: Tensor) -> None:
    x = rows.abs()
    assert (only("amplitude")(x, seeded()).nan_to_num(0) >= 0).all()


def test_trend_and_shift_are_in_proportion_to_the_row(rows: Tensor) -> None:
    for name in ("trend", "shift", "spike", "noise"):
        difference = only(name)(rows, seeded()) - rows
        scaled = only(name)(rows * 1000, seeded()) - rows * 1000
        assert torch.allclose(scaled.nan_to_num() / 1000, difference.nan_to_num(), atol=1e-2)
    line = only("trend")(rows, seeded()) - rows
    assert line[::4].diff(n=2, dim=-1).abs().max() < 1e-3
    jumps = (only("shift")(rows, seeded()) - rows)[::4].diff(dim=-1).abs() > 1e-4
    assert jumps.sum(-1).max() <= 3


def test_spikes_come_at_regular_steps(rows: Tensor) -> None:
    added = (only("spike")(rows, seeded()) - rows)[::4].abs() > 1e-3
    for row in added:
        at = row.nonzero()[:, 0]
        assert len(at) < 2 or len(at.diff().unique()) == 1


def test_censoring_clips_a_share_at_one_side(rows: Tensor) -> None:
    out = only("censor")(rows, seeded())[::4]
    x = rows[::4]
    moved = out != x
    assert ((moved & (out > x)).any(-1) & (moved & (out < x)).any(-1)).sum() == 0
    assert moved.float().mean(-1).max() <= 0.16
    assert moved.float().mean() == pytest.approx(0.08, abs=0.02)


def test_quantised_rows_have_few_values_and_the_same_ends(rows: Tensor) -> None:
    out = only("quantise")(rows, seeded())[::4]
    assert all(len(row.unique()) <= 64 for row in out)
    assert torch.allclose(out.amax(-1), rows[::4].amax(-1), atol=1e-3)
    assert torch.allclose(out.amin(-1), rows[::4].amin(-1), atol=1e-3)


def test_warping_keeps_the_ends_and_the_order_of_values(rows: Tensor) -> None:
    line = torch.arange(128.0).expand(50, -1)
    out = only("warp")(line, seeded())
    assert torch.allclose(out[:, [0, -1]], line[:, [0, -1]], atol=1e-2)
    assert (out.diff(dim=-1) > 0).all()
    assert ((out - line).abs().amax(-1) > 1).float().mean() > 0.7
    missing = torch.isnan(only("warp")(rows, seeded())).float().mean()
    assert missing < 2.5 * torch.isnan(rows).float().mean()


def test_quantiles_are_of_the_observed() -> None:
    x = torch.tensor([[4.0, math.nan, 1.0, 3.0, 2.0, 5.0], [math.nan] * 6])
    quantiles = augment.quantile(x, torch.tensor([[0.75], [0.5]]))
    assert quantiles[0, 0] == 4.0
    assert torch.isnan(quantiles[1, 0])
    mean, spread = augment.moments(x)
    assert mean[:, 0].tolist() == [3.0, 0.0]
    assert spread[:, 0].tolist() == pytest.approx([2**0.5, 1.0])


def test_blocks_are_runs() -> None:
    x = torch.randn(300, 160, generator=seeded(1))
    missing = torch.isnan(augment.blocks(Sampler(seeded()), x))
    begins = (missing[:, 1:] & ~missing[:, :-1]).sum(-1) + missing[:, 0]
    assert begins.max() <= 3
    assert missing.sum(-1).max() <= 3 * 20


@pytest.mark.wrong_shapes
def test_bad_input_says_what_is_expected() -> None:
    with pytest.raises(ValueError, match="takes floats"):
        Augment()(torch.zeros(3, 4, 5), seeded())
    with pytest.raises(ValueError, match="takes floats"):
        Augment()(torch.zeros(3, 4, dtype=torch.long), seeded())
    with pytest.raises(ValueError, match=r"warp is 1\.5"):
        AugmentConfig(warp=1.5)
    assert Augment()(torch.zeros(0, 9), seeded()).shape == (0, 9)
    assert Augment()(torch.ones(4, 1), seeded()).shape == (4, 1)
