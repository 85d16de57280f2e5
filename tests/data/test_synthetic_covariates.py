"""Laws of synthesized covariates: shares hold, irrelevant channels change nothing, missing steps stay missing."""

from __future__ import annotations

import pytest
import torch

from tsfm.data.synthetic_covariates import (
    ADDS,
    COMPONENT,
    DOMINANT_SHARE,
    FIRST,
    FURTHER,
    INTERACTS,
    IRRELEVANT,
    SHARE,
    add_effects,
    synthesize_covariates,
    with_covariates,
)
from tsfm.synthetic.rng import Sampler
from tsfm.types import KNOWN, PAST, TARGET

NUM, SIZE = 600, 128


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def series(channels: int, *, num: int = NUM, missing: float = 0.0) -> torch.Tensor:
    values = torch.randn(num, channels, SIZE, generator=seeded(1)).cumsum(-1)
    return torch.where(torch.rand(values.shape, generator=seeded(2)) < missing, torch.nan, values)


@pytest.mark.parametrize("channels", [2, 3, 5])
@pytest.mark.parametrize("missing", [0.0, 0.3, 1.0])
def test_windows_follow_from_the_generator_and_missing_steps_of_the_target_stay_missing(
    channels: int, missing: float
) -> None:
    windows = series(channels, missing=missing)
    before = windows.clone()
    made, again = (synthesize_covariates(windows, seeded(3)) for _ in range(2))
    assert torch.equal(windows.nan_to_num(), before.nan_to_num())
    assert all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(made, again, strict=True))
    assert made.values.shape == windows.shape
    assert made.values.dtype == windows.dtype
    assert not made.values.isinf().any()
    assert torch.equal(made.values[:, 0].isnan(), windows[:, 0].isnan())
    further = made.kind == FURTHER
    assert torch.equal(made.values[further].isnan(), windows[further].isnan())
    assert not (made.values.isnan() & ~windows.isnan()).any()


def test_the_effect_of_one_covariate_has_the_declared_share_of_the_variance() -> None:
    windows = series(2, missing=0.2)
    made = synthesize_covariates(windows, seeded())
    acts = made.share[:, 1] > 0
    before, after = windows[acts, 0].double(), made.values[acts, 0].double()
    variances = []
    for x in (after - before, before):
        variances.append((x - x.nanmean(-1, keepdim=True)).square().nanmean(-1))
    torch.testing.assert_close(variances[0] / sum(variances), made.share[acts, 1].double(), atol=1e-3, rtol=1e-3)
    share = made.share[made.share > 0]
    assert SHARE[0] <= share.min()
    assert SHARE[1] < share.max() <= DOMINANT_SHARE + 1e-6
    assert acts.sum() > NUM // 3


@pytest.mark.parametrize("channels", [2, 4])
def test_channels_without_effect_leave_the_target_bit_equal(channels: int) -> None:
    windows = series(channels, missing=0.1)
    made = synthesize_covariates(windows, seeded())
    none = (made.share == 0).all(-1)
    assert torch.equal(made.values[none, 0].nan_to_num(), windows[none, 0].nan_to_num())
    irrelevant = (made.kind[:, 1:] == IRRELEVANT).all(-1)
    assert 0.1 < irrelevant.float().mean() < 0.6
    assert (made.share[irrelevant] == 0).all()
    assert (made.share[(made.kind == IRRELEVANT) | (made.kind == COMPONENT)] == 0).all()
    changed = ~none
    difference = (made.values[changed, 0] - windows[changed, 0]).nan_to_num().abs().amax(-1)
    assert (difference > 0).all()


def test_kinds_and_roles_have_their_shares() -> None:
    made = synthesize_covariates(series(4, num=3000), seeded())
    assert (made.kind[:, 0] == FIRST).all()
    assert (made.role[:, 0] == TARGET).all()
    kind, role = made.kind[:, 1:], made.role[:, 1:]
    assert role.dtype == torch.int8
    assert torch.equal(role == TARGET, kind == FURTHER)
    assert (kind == IRRELEVANT).float().mean() > 0.25
    for expected in (ADDS, COMPONENT, INTERACTS, FURTHER):
        assert (kind == expected).float().mean() > 0.05
    covariates = role[role != TARGET]
    assert abs((covariates == KNOWN).float().mean() - 2 / 3) < 0.03
    assert ((covariates == KNOWN) | (covariates == PAST)).all()


def test_a_further_target_and_a_component_depend_on_the_target() -> None:
    windows = torch.randn(4000, 2, SIZE, generator=seeded())  # white: what is not related has no correlation

    def correlation(kind: int) -> float:
        made = synthesize_covariates(windows, seeded(1))
        pair = made.values[made.kind[:, 1] == kind]
        spectrum = torch.fft.rfft(pair - pair.mean(-1, keepdim=True))
        lagged = torch.fft.irfft(spectrum[:, 0] * spectrum[:, 1].conj(), n=SIZE)
        size = spectrum.abs().square().sum(-1).sqrt().prod(-1).clamp_min(1e-6)
        return float((lagged.abs().amax(-1) / size * SIZE).mean())

    assert correlation(FURTHER) > 1.5 * correlation(IRRELEVANT)
    assert correlation(COMPONENT) > 1.5 * correlation(IRRELEVANT)


def test_a_constant_target_gets_its_effects_and_a_constant_effect_has_no_share() -> None:
    effects = torch.randn(3, 2, SIZE, generator=seeded())
    effects[1] = 4.0
    acts = torch.tensor([[True, False], [True, True], [False, False]])
    target, share = add_effects(Sampler(seeded()), torch.full((3, SIZE), 7.0), effects, acts)
    assert torch.equal(share > 0, torch.tensor([[True, False], [False, False], [False, False]]))
    assert target[0].std() > 0.1
    assert (target[1:] == 7).all()


@pytest.mark.parametrize("rate", [0.0, 0.4, 1.0])
def test_a_share_of_the_windows_is_replaced(rate: float) -> None:
    windows, mixed = series(3), series(3) + 1000
    values, role = with_covariates(windows, mixed, rate=rate, generator=seeded())
    kept = (values == mixed).all(-1).all(-1)
    assert abs(float((~kept).float().mean()) - rate) < 0.08
    assert (role[kept] == TARGET).all()
    assert torch.equal(mixed, series(3) + 1000)


def test_one_channel_is_refused() -> None:
    with pytest.raises(ValueError, match=r"windows have 1 channel; covariates need at least 2"):
        synthesize_covariates(series(1), seeded())
