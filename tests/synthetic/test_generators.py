"""What holds for every generator: shape, finite rows, the seed decides all values, wrong settings are named."""

from __future__ import annotations

import pickle

import pytest
import torch
from torch import Tensor

from tsfm.registry import GENERATORS
from tsfm.synthetic.base import MAX_MAGNITUDE, MIN_LENGTH, Generator, repair
from tsfm.synthetic.causal import StructuralCausal
from tsfm.synthetic.rng import Sampler

NAMES = [name for name in GENERATORS.names() if name != "synforecast"]  # optional: test_synforecast.py


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make_generator(name: str, **settings: object) -> Generator:
    return GENERATORS.build(GENERATORS.config({"name": name, **settings}))


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_finite_bounded_and_not_constant_at_any_length(name: str) -> None:
    generator = seeded()
    for num, length in ((1, MIN_LENGTH), (7, 64), (5, 200), (3, 4096)):
        drawn = make_generator(name).draw(num, length, generator)
        assert drawn.shape == (num, length)
        assert drawn.dtype == torch.float32
        assert torch.isfinite(drawn).all()
        assert drawn.abs().max() < 1e6
        assert (drawn.amax(-1) > drawn.amin(-1)).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_decides_all_values(name: str) -> None:
    torch.manual_seed(1)
    first = make_generator(name).draw(6, 128, seeded(3))
    torch.manual_seed(2)  # no generator uses the global random state
    again, other = make_generator(name).draw(6, 128, seeded(3)), make_generator(name).draw(6, 128, seeded(4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", NAMES)
def test_rows_differ_from_each_other_and_between_draws(name: str) -> None:
    generator = seeded()
    first, second = make_generator(name).draw(8, 256, generator), make_generator(name).draw(8, 256, generator)
    both = torch.cat([first, second])
    assert len(torch.unique(both, dim=0)) == 16


@pytest.mark.parametrize("name", NAMES)
def test_raw_rows_need_no_healing(name: str) -> None:
    """A random walk in the place of a broken row is for the rare row, not the way a generator works."""
    raw = make_generator(name).series(Sampler(seeded()), 200, 256)
    good = torch.isfinite(raw).all(-1) & (raw.amax(-1) > raw.amin(-1))
    assert good.float().mean() > 0.98


@pytest.mark.parametrize("name", NAMES)
def test_no_rows_are_an_empty_tensor(name: str) -> None:
    assert make_generator(name).draw(0, 64, seeded()).shape == (0, 64)


def test_sizes_that_cannot_be_drawn_say_so() -> None:
    with pytest.raises(ValueError, match="too short for synthetic series"):
        make_generator("seasonal").draw(3, MIN_LENGTH - 1, seeded())
    with pytest.raises(ValueError, match="expected 0 or more"):
        make_generator("seasonal").draw(-1, 64, seeded())


def test_healing_touches_broken_rows_only() -> None:
    x = torch.randn(5, 64, generator=seeded())
    x[1, 3], x[2], x[3] = float("nan"), 4.0, x[3] * 1e9
    healed = repair(x, Sampler(seeded()))
    assert torch.equal(healed[[0, 4]], x[[0, 4]])
    assert torch.isfinite(healed).all()
    assert healed[2].std() > 0
    assert torch.allclose(healed[3], x[3] / x[3].abs().max() * MAX_MAGNITUDE)


BAD = [
    ("seasonal", {"noise": -1.0}, "noise"),
    ("seasonal", {"multiplied": 1.2}, "multiplied is 1.2; a share"),
    ("seasonal", {"fits": 1.0}, "fits"),
    ("waves", {"fits": 0.0}, "fits"),
    ("daytype", {"holidays": 2.0}, "holidays"),
    ("daytype", {"days": 1.0}, "days"),
    ("solar", {"clouds": -0.1}, "clouds"),
    ("kernel_gp", {"most": 0}, "1 to 12 kernels"),
    ("kernel_gp", {"lines": 3.0}, "lines"),
    ("coloured", {"steepest": 9.0}, "steepest"),
    ("random_walk", {"lazy": -1.0}, "lazy"),
    ("arima", {"radius": 1.0}, "stationary"),
    ("arima", {"pairs": 0}, "pairs of roots"),
    ("arima", {"integrated": (1.0, 0.0)}, "list of 3 items"),
    ("ets", {"season": 2.0}, "season"),
    ("ou", {"switching": 2.0}, "switching"),
    ("volatility", {"persistence": 1.0}, "a \\+ b < 1"),
    ("intermittent", {"classes": (0.0, 0.0, 0.0, 0.0)}, "four odds"),
    ("intermittent", {"longest": 1.0}, "longest"),
    ("bursts", {"most": 1.0}, "most"),
    ("bursts", {"clipped": 7.0}, "clipped"),
    ("counts", {"mean": 0.0}, "mean"),
    ("sensors", {"stuck": -1.0}, "stuck"),
    ("steps", {"most": 0.0}, "most"),
    ("piecewise_trend", {"season": 5.0}, "season"),
    ("spikes", {"noise": -0.1}, "noise"),
    ("growth", {"walk": 1.5}, "walk"),
    ("oscillators", {"fits": 0.5}, "fits"),
    ("chaos", {"steps": 3}, "Runge-Kutta"),
    ("chaos", {"spread": 0.5}, "run away"),
    ("scm", {"roots": 0}, "1 or more"),
    ("scm", {"lag": -1}, "lag"),
    ("duty_cycle", {"machines": 0}, "1 to 6 machines"),
    ("duty_cycle", {"inrush": 2.0}, "inrush"),
    ("sessions", {"heaviest": 2.5}, "heaviest"),
    ("sessions", {"sources": 9}, "1 to 8 sources"),
    ("level_shift", {"kinds": (0.0, 0.0, 0.0, 0.0)}, "four odds"),
    ("level_shift", {"most": 0.0}, "most"),
    ("calendar_days", {"trading": 1.5}, "trading"),
    ("calendar_weeks", {"peaks": -1.0}, "peaks"),
    ("calendar_months", {"quarters": 2.0}, "quarters"),
    ("orders", {"longest": 0.1}, "longest"),
    ("orders", {"fade": 2.0}, "fade"),
    ("ets_multiplicative", {"error": 0.0}, "error"),
    ("drift_walk", {"strongest": 0.0}, "strongest"),
    ("stock", {"most": 1.0}, "most"),
    ("pulses", {"jitter": 0.0}, "jitter"),
]


@pytest.mark.parametrize(("name", "settings", "says"), BAD)
def test_a_bad_setting_names_itself(name: str, settings: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        make_generator(name, **settings)


def test_every_generator_with_settings_has_a_bad_one_above() -> None:
    assert {name for name, _, _ in BAD} == set(NAMES)


def test_a_config_survives_pickling() -> None:
    config = GENERATORS.config({"name": "seasonal", "noise": 0.25})
    assert pickle.loads(pickle.dumps(config)) == config


def test_channels_of_a_group_belong_together() -> None:
    """Two channels of one graph are more alike than channels of two graphs, at the best lag."""
    scm = make_generator("scm")
    assert isinstance(scm, StructuralCausal)
    x = scm.draw_group(200, 3, 512, seeded())
    assert x.shape == (200, 3, 512)
    assert torch.allclose(x.mean(-1), torch.zeros(200, 3), atol=1e-4)

    def alike(a: Tensor, b: Tensor) -> Tensor:
        cross = torch.fft.irfft(torch.fft.rfft(a).conj() * torch.fft.rfft(b), n=512) / 512
        return cross.abs().amax(-1).median()

    assert alike(x[:, 0], x[:, 1]) > 1.3 * alike(x[:, 0], x[:, 1].roll(1, 0))
    assert torch.equal(x, scm.draw_group(200, 3, 512, seeded()))


def test_a_group_needs_a_channel() -> None:
    with pytest.raises(ValueError, match="1 or more"):
        make_generator("scm").draw_group(2, 0, 64, seeded())  # type: ignore[attr-defined]
