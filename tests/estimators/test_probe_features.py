"""Features of a frozen network: stretched, looked at in several ways, pooled; and the ridge on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.infer.small_models import step_model
from tsfm.commands.bench.cases import ProbeLearner
from tsfm.estimators.probe import Probe
from tsfm.estimators.probe_features import VIEWS, channel_moments, pool_layer, probe_features, resample
from tsfm.model.checkpoint import About, save


def cases(num: int, *, channels: int = 1, seed: int = 0) -> tuple[list[np.ndarray], np.ndarray]:
    """Waves of two shapes and of many lengths."""
    dice = np.random.default_rng(seed)
    labels = np.array(["round", "square"])[np.arange(num) % 2]
    out = []
    for label in labels:
        steps = int(dice.integers(40, 90))
        wave = np.sin(2 * np.pi * (3 * np.arange(steps) / steps + dice.random()))
        wave = np.sign(wave) if label == "square" else wave
        out.append(np.tile(wave + 0.1 * dice.normal(size=steps), (channels, 1)).astype(np.float32))
    return out, labels


def test_a_stretched_case_keeps_its_ends_and_goes_straight_over_holes() -> None:
    case = np.array([[0.0, 1.0, np.nan, 3.0], [np.nan] * 4], np.float32)
    found = resample(case, 7)
    np.testing.assert_allclose(found[0], np.linspace(0, 3, 7), rtol=1e-6)
    assert (found[1] == 0).all()


def test_units_are_mean_and_deviation_of_what_is_observed() -> None:
    case = np.array([[1.0, np.nan, 3.0], [np.nan] * 3], np.float32)
    np.testing.assert_allclose(channel_moments([case])[0], [2.0, 0.0, 1.0, 0.0])


def test_pools_are_what_they_say() -> None:
    layer = torch.randn(2, 1, 8, 3)
    found = pool_layer(layer, detailed=True).unflatten(-1, (8, 3))
    steps = layer[:, 0]
    expected = [steps.mean(1), steps.std(1, unbiased=False), steps.amax(1), (steps > 0).float().mean(1)]
    expected += [steps[:, 2 * part : 2 * part + 2].mean(1) for part in range(4)]
    torch.testing.assert_close(found, torch.stack(expected, dim=1))
    assert pool_layer(torch.randn(2, 5, 1, 3), detailed=False).shape == (2, 2 * 5 * 3)


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_features_know_neither_neighbours_nor_batches(channels: int) -> None:
    model, (given, _) = step_model(), cases(5, channels=channels)
    whole = probe_features(model, given)
    layers = -(-model.model.num_layers // 2)
    pooled = 8 if channels <= 4 else 2
    assert whole.shape == (5, channels * (2 + len(VIEWS) * layers * pooled * model.model.config.width))
    np.testing.assert_allclose(probe_features(model, given[2:3]), whole[2:3], rtol=1e-4, atol=1e-5)


def test_a_probe_of_looks_tells_shapes_apart_and_has_no_probabilities() -> None:
    model = step_model()
    before = [parameter.clone() for parameter in model.model.parameters()]
    probe = Probe(model, pool="views").fit(*cases(40))
    given, labels = cases(40, seed=1)
    assert (probe.predict(given) == labels).mean() > 0.9
    assert all(torch.equal(a, b) for a, b in zip(before, model.model.parameters(), strict=True))
    with pytest.raises(AttributeError, match="no probabilities"):
        probe.predict_proba(given)


def test_numbers_are_told_from_looks_too() -> None:
    speed = np.random.default_rng(3).uniform(2, 9, 60)
    given = [np.sin(2 * np.pi * one * np.arange(80) / 80).astype(np.float32)[None] for one in speed]
    probe = Probe(step_model(), task="regress", pool="views").fit(given[:40], speed[:40])
    assert np.corrcoef(probe.predict(given[40:]), speed[40:])[0, 1] > 0.9


def test_a_frozen_network_learns_cases_behind_the_face_of_a_baseline(tmp_path: Path) -> None:
    model = save(step_model().model, tmp_path / "net", about=About())
    given, labels = cases(30)
    frozen = ProbeLearner(str(model)).fit(given[:20], labels[:20])
    assert frozen.name == f"probe:{model}"
    assert (frozen.predict(given[20:]) == labels[20:]).mean() > 0.8
