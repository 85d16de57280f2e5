"""Laws of series whose best forecast is known: it has the stated error, and the past alone decides it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tsfm.registry import GENERATORS
from tsfm.synthetic.dynamics import FLOWS, coefficients, integrate
from tsfm.synthetic.known import CAPABILITIES, KINDS, draw_known, kind_generator, select_kinds
from tsfm.synthetic.known_base import KnownWindows
from tsfm.synthetic.known_dynamics import HELD_OUT
from tsfm.synthetic.known_noise import SNRS

SYSTEMS = [name for name, kind in KINDS.items() if kind.capability.startswith("dynamics")]
OTHERS = [name for name in KINDS if name not in SYSTEMS]


def draw(name: str, *, num: int = 64, context: int = 420, horizon: int = 130, seed: int = 0) -> KnownWindows:
    return draw_known(name, num=num, context=context, horizon=horizon, generator=kind_generator(name, seed))


def of_capability(*names: str) -> list[str]:
    return [name for name, kind in KINDS.items() if kind.capability in names]


def check_oracle(windows: KnownWindows) -> None:
    """The error of the best forecast is the optimum within 3 standard errors over windows; exactly, where it is 0."""
    difference = (windows.squared_errors(windows.forecast) - windows.optimum()).mean((1, 2))
    assert (windows.optimum() >= 0).all()
    assert difference.mean().abs() <= 3 * difference.std() / len(difference) ** 0.5


@pytest.mark.parametrize("name", OTHERS)
def test_the_best_forecast_has_the_lowest_expected_error(name: str) -> None:
    windows = draw(name)
    check_oracle(windows)
    assert windows.context.dtype == windows.future.dtype == torch.float64
    assert windows.optimum().shape == (64, len(windows.scored), windows.future.shape[-1])
    assert (windows.scale() > 1e-3).all()
    if KINDS[name].capability in ("trend", "period", "long_dependence", "recall"):
        assert (windows.optimum() == 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_the_best_forecast_has_the_lowest_expected_error_over_many_windows(name: str) -> None:
    check_oracle(draw(name, num=64 if name in SYSTEMS else 4000, context=512, horizon=96, seed=1))


@pytest.mark.parametrize("name", of_capability("period", "long_dependence"))
def test_periods_repeat_bit_for_bit(name: str) -> None:
    windows, season = draw(name), KINDS[name].season
    whole = torch.cat([windows.context, windows.future], -1)
    assert torch.equal(whole[..., season:], whole[..., :-season])
    assert len({tuple(row.tolist()) for row in windows.context[:, 0]}) > 10  # no fixed start
    for divisor in range(2, season):
        if season % divisor == 0:  # and none shorter
            assert not torch.allclose(whole[..., season // divisor :], whole[..., : -(season // divisor)])


@pytest.mark.parametrize(("name", "order"), [("linear", 2), ("quadratic", 3), ("piecewise", 2), ("step", 1)])
def test_polynomial_trends_continue_to_the_last_step(name: str, order: int) -> None:
    windows = draw(name)
    late = torch.cat([windows.context[..., -60:], windows.future], -1) / windows.scale()
    assert torch.diff(late, n=order).abs().max() < 1e-9


@pytest.mark.parametrize("name", of_capability("trend"))
def test_trends_go_up_and_down_and_change_in_the_past(name: str) -> None:
    windows = draw(name)
    rises = windows.context[:, 0, -1] > windows.context[:, 0, 0]
    assert 10 < int(rises.sum()) < 54


@pytest.mark.parametrize("name", SNRS)
def test_noise_has_the_stated_ratio_to_the_signal(name: str) -> None:
    windows = draw(name)
    power = windows.forecast[..., :120].square().mean(-1)  # a whole period
    torch.testing.assert_close(power, torch.ones_like(power))
    ratio = 10 * torch.log10(power.mean() / windows.variance.mean())
    assert float(ratio) == pytest.approx(SNRS[name])


@pytest.mark.parametrize("name", [*of_capability("anomalies"), "csi_burst", "csi_drop"])
def test_disturbances_are_in_the_past_only_and_anomalies_in_the_first_80_percent(name: str) -> None:
    windows = draw(name, context=600, horizon=120)
    clean = windows.forecast.repeat(1, 1, 5)  # the future is a whole period
    limit = 5 * float(windows.variance.max()) ** 0.5
    assert ((windows.future - windows.forecast).abs() < limit).all()
    disturbed = ((windows.context - clean).abs() > limit).any(1)
    assert disturbed.float().mean() > 0.005
    if not name.startswith("csi"):
        assert not disturbed[:, int(0.8 * 720) :].any()


@pytest.mark.parametrize("lag", [5, 10, 24, 48])
def test_the_delayed_channel_is_the_past_of_the_other(lag: int) -> None:
    windows = draw(f"lag_{lag}")
    assert windows.scored == (1,)
    assert windows.future.shape[-1] == lag  # later steps are noise
    assert torch.equal(windows.future[:, 1], windows.context[:, 0, -lag:])


def test_the_sum_has_both_summands_next_to_it() -> None:
    windows = draw("sum_of_parts")
    for values in (windows.context, windows.future):
        assert torch.equal(values[:, 0] + values[:, 1], values[:, 2])


@pytest.mark.parametrize("name", [name for name in of_capability("recall") if name.startswith("recall")])
def test_a_value_is_recalled_by_its_key(name: str) -> None:
    windows = draw(name)
    for past, future in zip(windows.context[:, 0], windows.future[:, 0], strict=True):
        segments = past.unfold(0, 8, 1)
        matches = (segments[:-8] == past[-8:]).all(1).nonzero()[:, 0]
        assert len(matches) > 0
        assert all(torch.equal(past[at + 8 : at + 16], future) for at in matches)


@pytest.mark.parametrize("delay", [48, 96, 192])
def test_delayed_noise_is_a_copy_that_begins_before_the_end_of_the_past(delay: int) -> None:
    windows = draw(f"delay_{delay}")
    past = windows.context[:, 0]
    whole = torch.cat([past, windows.future[:, 0]], -1)
    assert torch.equal(whole[:, 420 - 24 :], whole[:, 420 - 24 - delay : -delay])
    assert not torch.isclose(past[:, -25], past[:, -25 - delay]).any()


def test_no_forecast_beats_the_conditional_mean_of_an_autoregression() -> None:
    """By the weights themselves: one more or one less of the best forecast is worse on average."""
    for name in of_capability("autoregression"):
        windows = draw(name, num=400, horizon=4)
        best = windows.squared_errors(windows.forecast).mean()
        for factor in (0.8, 1.2):
            assert windows.squared_errors(factor * windows.forecast).mean() > best


def test_systems_continue_from_their_last_state() -> None:
    """The future is the flow integrated from the end of the past: nothing else is needed to forecast it."""
    name, flow = "brusselator", HELD_OUT["brusselator"]
    windows = draw(name, num=2, context=32, horizon=20)
    start = torch.zeros(2, 4, dtype=torch.float64)
    start[:, :2] = windows.context[..., -1]
    table = coefficients({name: flow}).double().expand(2, -1, -1)
    states, _ = integrate(start, table, torch.full((2, 1), flow[0], dtype=torch.float64), 21)
    torch.testing.assert_close(states[1:, :, :2].permute(1, 2, 0), windows.future)
    assert not torch.allclose(windows.context[0], windows.context[1], atol=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("name", SYSTEMS)
def test_systems_stay_on_a_bounded_attractor(name: str) -> None:
    windows = draw(name, num=64, context=512, horizon=1000)
    assert windows.context.abs().max() < 100
    assert windows.future.abs().max() < 100
    assert (windows.future[..., -100:].std(-1) > 1e-3 * windows.future.std(-1)).all()


def test_held_out_systems_are_not_in_the_generator_and_its_own_can_be_excluded() -> None:
    assert not set(HELD_OUT) & set(FLOWS)
    assert {name for name, kind in KINDS.items() if kind.in_generators} == set(FLOWS)
    plain, same, kept = (
        GENERATORS.build(GENERATORS.config({"name": "chaos", "maps": 0.0, "noise": 0.0, **changes})).draw(
            6, 64, torch.Generator().manual_seed(0)
        )
        for changes in ({}, {"exclude": []}, {"exclude": [name for name in FLOWS if name != "lotka_volterra"]})
    )
    assert torch.equal(plain, same)
    assert not torch.equal(plain, kept)
    with pytest.raises(ValueError, match=r"exclude has 'lorentz'.*did you mean 'lorenz'"):
        GENERATORS.build(GENERATORS.config({"name": "chaos", "exclude": ["lorentz"]}))
    with pytest.raises(ValueError, match="leave at least one"):
        GENERATORS.build(GENERATORS.config({"name": "chaos", "exclude": list(FLOWS)}))


def test_a_seed_decides_a_kind_whatever_else_is_drawn() -> None:
    first, again, other = draw("ar_2"), draw("ar_2"), draw("ar_2", seed=1)
    assert torch.equal(first.context, again.context)
    assert not torch.equal(first.context, other.context)
    assert not torch.equal(draw("snr_0").forecast, draw("snr_10").forecast)


def test_kinds_are_selected_by_name_and_by_capability() -> None:
    assert {kind.capability for kind in select_kinds()} == set(CAPABILITIES) - {"dynamics_seen"}
    chosen = [kind.name for kind in select_kinds(["ar_2", "autoregression", "lorenz"])]
    assert chosen == ["ar_2", "ar_1", "ar_4", "ar_8", "lorenz"]
    with pytest.raises(ValueError, match="did you mean 'autoregression'"):
        select_kinds(["autoregresion"])
    with pytest.raises(ValueError, match="no kind is named"):
        select_kinds([])


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("delay_192", {"context": 200}, "delay_192 needs 216 past steps, context is 200"),
        ("lineer", {}, "did you mean 'linear'"),
        ("linear", {"horizon": 0}, "at least 1 of each"),
    ],
)
def test_sizes_that_are_not_possible_are_refused(name: str, changes: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw(name, **changes)


def test_every_kind_can_be_drawn_at_its_shortest_context() -> None:
    for name in OTHERS:
        kind = KINDS[name]
        windows = draw(name, num=8, context=kind.min_context, horizon=4)
        assert np.isfinite(windows.optimum().numpy()).all(), name
