"""Features of a frozen network: several views of each resampled case, pooled; and the ridge regression on them."""

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
    rng = np.random.default_rng(seed)
    labels = np.array(["round", "square"])[np.arange(num) % 2]
    out = []
    for label in labels:
        steps = int(rng.integers(40, 90))
        wave = np.sin(2 * np.pi * (3 * np.arange(steps) / steps + rng.random()))
        wave = np.sign(wave) if label == "square" else wave
        out.append(np.tile(wave + 0.1 * rng.normal(size=steps), (channels, 1)).astype(np.float32))
    return out, labels


def test_a_resampled_case_keeps_its_ends_and_interpolates_missing_steps() -> None:
    case = np.array([[0.0, 1.0, np.nan, 3.0], [np.nan] * 4], np.float32)
    resampled = resample(case, 7)
    np.testing.assert_allclose(resampled[0], np.linspace(0, 3, 7), rtol=1e-6)
    assert (resampled[1] == 0).all()


def test_units_are_mean_and_deviation_of_what_is_observed() -> None:
    case = np.array([[1.0, np.nan, 3.0], [np.nan] * 3], np.float32)
    np.testing.assert_allclose(channel_moments([case])[0], [2.0, 0.0, 1.0, 0.0])


def test_pooled_features_agree_with_their_definition() -> None:
    layer = torch.randn(2, 1, 8, 3)
    pooled = pool_layer(layer, detailed=True).unflatten(-1, (8, 3))
    steps = layer[:, 0]
    expected = [steps.mean(1), steps.std(1, unbiased=False), steps.amax(1), (steps > 0).float().mean(1)]
    expected += [steps[:, 2 * quarter : 2 * quarter + 2].mean(1) for quarter in range(4)]
    torch.testing.assert_close(pooled, torch.stack(expected, dim=1))
    assert pool_layer(torch.randn(2, 5, 1, 3), detailed=False).shape == (2, 2 * 5 * 3)


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_features_of_a_case_do_not_depend_on_other_cases(channels: int) -> None:
    model, (series, _) = step_model(), cases(5, channels=channels)
    whole = probe_features(model, series)
    layers = -(-model.model.num_layers // 2)
    pooled = 8 if channels <= 4 else 2
    assert whole.shape == (5, channels * (2 + len(VIEWS) * layers * pooled * model.model.config.width))
    np.testing.assert_allclose(probe_features(model, series[2:3]), whole[2:3], rtol=1e-4, atol=1e-5)


def test_a_probe_of_views_distinguishes_shapes_and_has_no_probabilities() -> None:
    model = step_model()
    before = [parameter.clone() for parameter in model.model.parameters()]
    probe = Probe(model, pool="views").fit(*cases(40))
    series, labels = cases(40, seed=1)
    assert (probe.predict(series) == labels).mean() > 0.9
    assert all(torch.equal(a, b) for a, b in zip(before, model.model.parameters(), strict=True))
    with pytest.raises(AttributeError, match="no probabilities"):
        probe.predict_proba(series)


def test_a_probe_of_views_predicts_numbers() -> None:
    speed = np.random.default_rng(3).uniform(2, 9, 60)
    series = [np.sin(2 * np.pi * frequency * np.arange(80) / 80).astype(np.float32)[None] for frequency in speed]
    probe = Probe(step_model(), task="regress", pool="views").fit(series[:40], speed[:40])
    assert np.corrcoef(probe.predict(series[40:]), speed[40:])[0, 1] > 0.9


def test_a_frozen_network_learns_cases_with_the_interface_of_a_baseline(tmp_path: Path) -> None:
    model = save(step_model().model, tmp_path / "net", about=About())
    series, labels = cases(30)
    frozen = ProbeLearner(str(model)).fit(series[:20], labels[:20])
    assert frozen.name == f"probe:{model}"
    assert (frozen.predict(series[20:]) == labels[20:]).mean() > 0.8
