"""From predict_df to the network there are few calls, so that a traceback can be read."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tsfm
from tests.tiny import HORIZON, tiny
from tsfm.infer.inference_config import InferenceConfig
from tsfm.infer.model_predictor import ModelPredictor
from tsfm.model.checkpoint import About
from tsfm.model.model import Model

MAX_FRAMES = 7  # predict_df and the network's forward included
PACKAGE = str(Path(tsfm.__file__).parent)


@pytest.mark.parametrize("horizon", [HORIZON, 3 * HORIZON])
@pytest.mark.parametrize("config", [InferenceConfig(), InferenceConfig(flip=True, context_lengths=(16, 32))])
def test_few_frames_lie_between_predict_df_and_forward(
    horizon: int, config: InferenceConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    stacks: list[list[str]] = []
    forward = Model.forward

    def recorded(self: Model, *args, **options):
        frames = [frame.function for frame in inspect.stack() if frame.filename.startswith(PACKAGE)]
        stacks.append(["forward", *frames[: frames.index("predict_df") + 1]])
        return forward(self, *args, **options)

    monkeypatch.setattr(Model, "forward", recorded)
    network = tiny("patch_transformer", "quantiles")
    model = ModelPredictor(network, name="tiny", about=About(task={"name": "pretrain"}), config=config)
    times = pd.date_range("2024-01-01", periods=500, freq="15min")  # a season of 96 steps: a strided forecast too
    model.predict_df(pd.DataFrame({"timestamp": times, "target": np.sin(np.arange(500.0))}), horizon)
    assert stacks
    assert max(map(len, stacks)) <= MAX_FRAMES, max(stacks, key=len)
