"""The mixture of generators: z-scored rows by weight, in random order, with mixes; every generator has a weight."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from tests.synthetic.test_generators import NAMES, make_generator, seeded
from tsfm.synthetic.mixture import WEIGHTS, GeneratorMixture, GeneratorMixtureConfig
from tsfm.synthetic.rng import Sampler

CONF = Path(__file__).parents[2] / "conf"


def test_rows_are_z_scored_and_the_seed_decides_all_values() -> None:
    universe = GeneratorMixture()
    drawn = universe.draw(300, 256, seeded(5))
    assert drawn.shape == (300, 256)
    assert drawn.dtype == torch.float32
    assert torch.isfinite(drawn).all()
    assert drawn.mean(-1).abs().max() < 1e-3
    assert torch.allclose(drawn.std(-1, correction=0), torch.ones(300), atol=1e-2)
    assert torch.equal(drawn, GeneratorMixture(GeneratorMixtureConfig()).draw(300, 256, seeded(5)))
    assert not torch.equal(drawn, universe.draw(300, 256, seeded(6)))


@pytest.mark.parametrize(("num", "length"), [(0, 64), (1, 16), (3, 4096)])
def test_any_size(num: int, length: int) -> None:
    assert GeneratorMixture().draw(num, length, seeded()).shape == (num, length)


def broad() -> GeneratorMixtureConfig:
    """The mixture of data=corpus_broad."""
    listed = yaml.safe_load((CONF / "data" / "corpus_broad.yaml").read_text())["generators"]
    return GeneratorMixtureConfig(weights=WEIGHTS | listed["weights"], moving=listed["moving"])


def test_every_generator_has_a_weight_in_one_of_the_two_mixtures() -> None:
    added = yaml.safe_load((CONF / "data" / "corpus_broad.yaml").read_text())["generators"]["weights"]
    assert not set(added) & set(WEIGHTS)
    assert set(added) | set(WEIGHTS) == set(NAMES)
    assert min([*added.values(), *WEIGHTS.values()]) > 0


def test_generators_without_weight_change_no_bit_of_the_default_mixture() -> None:
    added = {name: 0.0 for name in NAMES if name not in WEIGHTS}
    assert len(added) == 11
    drawn = GeneratorMixture(GeneratorMixtureConfig(weights=WEIGHTS | added)).draw(64, 128, seeded(11))
    assert torch.equal(drawn, GeneratorMixture().draw(64, 128, seeded(11)))


def test_weights_that_move_stay_convex_and_change_the_moving_rows_only() -> None:
    t = torch.arange(64) / 64 * 2 * torch.pi
    kinds = torch.stack([torch.sin(t), torch.sin(3 * t)]) * 2**0.5
    rows = kinds[torch.arange(400) % 2]
    still = GeneratorMixture(GeneratorMixtureConfig(weights={"arima": 1.0}, mix=1.0))
    moving = GeneratorMixture(GeneratorMixtureConfig(weights={"arima": 1.0}, mix=1.0, moving=1.0))
    used = torch.ones(400, 3)
    mean = moving.moving_mean(Sampler(seeded()), rows[torch.randint(400, (400, 3), generator=seeded())], used)
    assert (mean.abs() <= kinds.abs().amax(0) + 1e-4).all()  # between the rows at every step
    residual = [
        (x - (x @ kinds.T / 64) @ kinds).norm(dim=-1) / 8
        for x in (still.mixed(Sampler(seeded()), rows), moving.mixed(Sampler(seeded()), rows))
    ]
    assert residual[0].max() < 1e-3
    assert (residual[1] > 0.02).float().mean() > 0.5


def test_the_broad_mixture_is_z_scored() -> None:
    mixture, generator = GeneratorMixture(broad()), seeded()
    drawn = mixture.draw(300, 256, generator)
    assert torch.isfinite(drawn).all()
    assert torch.allclose(drawn.std(-1, correction=0), torch.ones(300), atol=1e-2)


def test_weights_are_respected() -> None:
    """Demand comes back to 0 and a walk never to its lowest value: the shares can be counted."""
    universe = GeneratorMixture(
        GeneratorMixtureConfig(weights={"intermittent": 3.0, "random_walk": 1.0, "arima": 0.0}, mix=0.0)
    )
    assert len(universe.generators) == 2
    drawn = universe.draw(2000, 64, seeded())
    lowest = (drawn == drawn.amin(-1, keepdim=True)).sum(-1) > 3  # demand is 0 again and again
    assert lowest.float().mean() == pytest.approx(0.75, abs=0.08)


def test_settings_of_a_generator_reach_it() -> None:
    def roughness(**settings: float) -> float:
        config = GeneratorMixtureConfig(weights={"seasonal": 1.0}, mix=0.0, settings={"seasonal": settings})
        return float(GeneratorMixture(config).draw(300, 256, seeded()).diff(n=2).abs().mean())

    assert 1.05 * roughness(noise=0.0) < roughness() < 0.9 * roughness(noise=5.0)


def test_rows_come_in_random_order() -> None:
    drawn = GeneratorMixture(GeneratorMixtureConfig(weights={"intermittent": 1.0, "random_walk": 1.0}, mix=0.0)).draw(
        400, 64, seeded()
    )
    lowest = ((drawn == drawn.amin(-1, keepdim=True)).sum(-1) > 3).float()
    assert abs(lowest[:200].mean() - lowest[200:].mean()) < 0.2


def test_a_mix_changes_its_share_of_rows_and_no_others() -> None:
    weights = {"seasonal": 1.0, "arima": 1.0}
    plain = GeneratorMixture(GeneratorMixtureConfig(weights=weights, mix=0.0)).draw(1000, 64, seeded())
    mixed = GeneratorMixture(GeneratorMixtureConfig(weights=weights, mix=0.3)).draw(1000, 64, seeded())
    changed = (plain != mixed).any(-1)
    assert changed.float().mean() == pytest.approx(0.3, abs=0.05)


def test_a_mix_is_a_convex_combination_of_rows() -> None:
    """Of two orthogonal kinds of rows, a mix lies between: z-scored a + b with a, b >= 0."""
    t = torch.arange(64) / 64 * 2 * torch.pi
    kinds = torch.stack([torch.sin(t), torch.sin(3 * t)]) * 2**0.5
    rows = kinds[torch.arange(500) % 2]
    universe = GeneratorMixture(GeneratorMixtureConfig(weights={"arima": 1.0}, mix=1.0))
    parts = universe.mixed(Sampler(seeded()), rows) @ kinds.T / 64
    assert parts.min() > -1e-3
    assert torch.allclose(parts.square().sum(-1), torch.ones(500), atol=1e-3)
    assert ((parts > 0.05).all(-1)).float().mean() > 0.5


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"weights": {}}, "a weight of 0 or more for each"),
        ({"weights": {"seasonal": -1.0}}, "a weight of 0 or more"),
        ({"weights": {"seasonal": float("nan")}}, "a weight of 0 or more"),
        ({"weights": {"seasonal": 0.0}}, "all weights are 0"),
        ({"weights": {"seasonel": 1.0}}, "did you mean 'seasonal'"),
        ({"mix": 1.5}, "mix is 1.5"),
        ({"moving": -0.5}, "moving is -0.5"),
        ({"most": 1}, "2 to 10 rows"),
        ({"concentration": 0.0}, "above 0"),
        ({"settings": {"seasonel": {"noise": 0.1}}}, "did you mean 'seasonal'"),
        ({"settings": {"seasonal": {"nois": 0.1}}}, r"settings\.seasonal: .*did you mean 'noise'"),
        ({"settings": {"seasonal": {"noise": -1.0}}}, r"settings\.seasonal: noise is 0.0 to -1"),
        ({"settings": {"seasonal": 3}}, r"settings\.seasonal is 3; expected settings by name, such as noise: 0.1"),
    ],
)
def test_bad_settings_name_themselves(settings: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        GeneratorMixtureConfig(**settings)


def test_too_short_says_so() -> None:
    with pytest.raises(ValueError, match="too short"):
        GeneratorMixture().draw(2, 8, seeded())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_everything_runs_where_the_generator_is() -> None:
    generator = torch.Generator("cuda").manual_seed(0)
    for name in NAMES:
        assert make_generator(name).draw(4, 128, generator).device.type == "cuda"
    drawn = GeneratorMixture().draw(200, 128, generator)
    assert drawn.device.type == "cuda"
    assert torch.isfinite(drawn).all()


@pytest.mark.bench
@pytest.mark.parametrize("config", [GeneratorMixtureConfig(), broad()], ids=["default", "broad"])
def test_a_thousand_series_a_second_on_one_core(config: GeneratorMixtureConfig) -> None:
    import time

    universe, generator = GeneratorMixture(config), seeded()
    universe.draw(200, 2048, generator)
    start = time.perf_counter()
    universe.draw(1000, 2048, generator)
    assert time.perf_counter() - start < 1.0
