"""Embedding: the valid tokens of a layer, pooled; series do not influence each other."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from tests.infer.small_models import WINDOW, label_model, sines, step_model
from tests.tiny import CONTEXT, tiny
from tsfm.infer.model_predictor import ModelPredictor
from tsfm.types import Problem


@pytest.mark.parametrize("backbone", ["patch_transformer", "mixer", "mamba", "inverted", "dilated_conv"])
@pytest.mark.parametrize("layer", [0, 1, -1])
def test_vectors_are_pooled_tokens(backbone: str, layer: int) -> None:
    model, series = step_model(backbone), sines(WINDOW, channels=2).astype(np.float32)
    values = torch.from_numpy(series)[None]
    seen = torch.ones_like(values, dtype=torch.bool)
    with torch.no_grad():
        tokens = model.model.layers(Problem(values, seen, ~seen))[0][layer][0].numpy()
    for pool, expected in (("mean", tokens.mean(1)), ("max", tokens.max(1)), ("last", tokens[:, -1])):
        vectors = model.embed([series], pool=pool, layer=layer)
        assert vectors.shape == (1, 2, tokens.shape[-1])
        np.testing.assert_allclose(vectors[0], expected, rtol=1e-4, atol=1e-5)


def test_the_most_recent_window_is_read_and_padding_does_not_count() -> None:
    model, long = step_model(), sines(300)
    np.testing.assert_array_equal(model.embed(long), model.embed(long[-WINDOW:]))
    many = [sines(length, seed=length) for length in (9, 40, 200, 64)]
    whole = model.embed(many)
    assert whole.shape == (4, 1, 16)
    for vector, alone in zip(whole, many, strict=True):
        np.testing.assert_allclose(model.embed(alone)[0], vector, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(model.embed(many, batch_size=1), whole, rtol=1e-3, atol=1e-4)


def test_a_head_that_reads_the_context_only_embeds_the_context() -> None:
    model, long = ModelPredictor(tiny("patch_transformer"), name="flat"), sines(300)
    np.testing.assert_array_equal(model.embed(long), model.embed(long[-CONTEXT:]))
    assert not np.array_equal(model.embed(long), model.embed(long[: -CONTEXT // 2]))
    changed = long.copy()
    changed[-1] += 5
    assert not np.array_equal(model.embed(long, pool="last"), model.embed(changed, pool="last"))


def test_a_channel_without_values_has_a_vector_of_zeros() -> None:
    series = sines(WINDOW, channels=3)
    series[1] = np.nan
    for model in (step_model(), label_model()):
        vectors = model.embed([series])[0]
        assert not vectors[1].any()
        assert vectors[[0, 2]].any(axis=1).all()


def test_wrong_arguments_are_named() -> None:
    model = step_model()
    last = model.model.num_layers - 1
    for layer in (last + 1, -last - 2, 0.5, True):
        with pytest.raises(ValueError, match=f"layer is {layer}; tiny has the layers 0 to {last}, or -1"):
            model.embed(sines(), layer=layer)
    with pytest.raises(ValueError, match="pool is 'sum'; known: last, max, mean"):
        model.embed(sines(), pool="sum")
    ended = sines(200)
    ended[80:] = np.nan
    with pytest.raises(ValueError, match="series 0 has no observed value over its last 64 steps"):
        model.embed(ended)
    with pytest.raises(ValueError, match="series 1 has no observed value"):
        model.embed([sines(), np.full(9, np.nan)])


def test_a_row_for_each_item_and_target() -> None:
    stamps = pd.date_range("2024-01-01", periods=100, freq="h")
    parts = [
        pd.DataFrame({"item_id": name, "timestamp": stamps, "x": sines(100, seed=k), "y": sines(100, seed=k + 9)})
        for k, name in enumerate(("b", "a"))
    ]
    df = pd.concat(parts)
    out = step_model().embed_df(df, target=["x", "y"], layer=1)
    assert list(out.columns) == ["item_id", "target_name", *(f"e{d}" for d in range(16))]
    assert out["item_id"].tolist() == ["b", "b", "a", "a"]
    assert out["target_name"].tolist() == ["x", "y", "x", "y"]
    expected = step_model().embed([rows[["x", "y"]].to_numpy().T for rows in parts], layer=1).reshape(4, 16)
    np.testing.assert_allclose(out.iloc[:, 2:].to_numpy(), expected, rtol=1e-5)
