"""The optional source synforecast: series like those of other generators where it is installed, an error where not."""

from __future__ import annotations

import importlib

import numpy as np
import pandas as pd
import pytest
import torch

from tests.synthetic.test_generators import make_generator, seeded
from tsfm.synthetic.mixture import GeneratorMixture, GeneratorMixtureConfig
from tsfm.synthetic.synforecast import FREQS, SynForecast, values


class Member:
    """Stands in for a generator of the package."""

    def __init__(self, series: np.ndarray):
        self.series = series

    def generate(self, count: int, n_jobs: int) -> pd.DataFrame:
        assert (count, n_jobs) == (len(self.series), 1)
        return pd.DataFrame({"y": self.series.ravel()})


def no_module(name: str) -> None:
    raise ModuleNotFoundError(f"No module named {name!r}")


def test_without_the_package_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib, "import_module", no_module)
    with pytest.raises(ImportError, match=r"pip install 'tsfm-platform\[synforecast\]', or give it the weight 0"):
        SynForecast(SynForecast.Config())


def test_a_weight_of_0_needs_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    config = GeneratorMixtureConfig(weights={"ets": 1.0, "synforecast": 0.0})
    monkeypatch.setattr("tsfm.synthetic.synforecast.load_package", lambda: pytest.fail("imported"))
    assert GeneratorMixture(config).draw(3, 64, seeded()).shape == (3, 64)


def test_no_frequency_is_refused() -> None:
    with pytest.raises(ValueError, match="freqs is empty"):
        SynForecast.Config(freqs=())
    with pytest.raises(ValueError, match="frequency 'hourly' is not known"):
        SynForecast.Config(freqs=("hourly",))


def test_missing_steps_repeat_the_last_value() -> None:
    nan = float("nan")
    member = Member(np.array([[1.0, nan, nan, 4.0], [nan, 2.0, nan, 3.0]]))
    assert values(member, 2, 4).tolist() == [[1, 1, 1, 4], [0, 2, 2, 3]]


def test_rows_are_finite_and_the_seed_decides_all_of_them() -> None:
    pytest.importorskip("synforecast", reason="the extra synforecast brings it")
    source = make_generator("synforecast")
    for num, length in ((1, 16), (40, 300)):
        drawn = source.draw(num, length, seeded(3))
        assert drawn.shape == (num, length)
        assert torch.isfinite(drawn).all()
        assert (drawn.amax(-1) > drawn.amin(-1)).all()
        assert torch.equal(drawn, make_generator("synforecast").draw(num, length, seeded(3)))
        assert not torch.equal(drawn, source.draw(num, length, seeded(4)))
    assert len(torch.unique(source.draw(40, 300, seeded()), dim=0)) == 40


@pytest.mark.parametrize("freq", FREQS)
def test_long_series_of_every_frequency_can_be_drawn(freq: str) -> None:
    pytest.importorskip("synforecast", reason="the extra synforecast brings it")
    drawn = make_generator("synforecast", freqs=(freq,)).draw(60, 4096, seeded())
    assert torch.isfinite(drawn).all()


def test_it_is_one_generator_among_others_in_a_mixture() -> None:
    pytest.importorskip("synforecast", reason="the extra synforecast brings it")
    config = GeneratorMixtureConfig(weights={"ets": 1.0, "synforecast": 1.0})
    drawn = GeneratorMixture(config).draw(50, 128, seeded())
    assert torch.allclose(drawn.std(-1, correction=0), torch.ones(50), atol=1e-2)
