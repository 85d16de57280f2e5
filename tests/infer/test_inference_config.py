"""Settings of inference are checked and do not change."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from tsfm.infer.inference_config import InferenceConfig


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"precision": "fp16"}, "precision is 'fp16'; did you mean 'bf16'"),
        ({"stride": 0}, "stride is 0; expected at least 1 step"),
        ({"stride": 1.5}, r"stride is 1.5 \(float\); expected a whole number of steps"),
        ({"context_lengths": (96, 0)}, "context_lengths is 0; expected at least 1 step"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        InferenceConfig(**settings)


def test_a_config_is_frozen_and_updated_by_a_copy() -> None:
    config = InferenceConfig(context_lengths=[96, 512])  # type: ignore[arg-type]
    assert config.context_lengths == (96, 512)
    with pytest.raises(FrozenInstanceError):
        config.flip = True  # type: ignore[misc]
    assert config.updated(flip=True, stride=None) == InferenceConfig(flip=True, context_lengths=(96, 512))
    assert not config.flip
