"""Features of a probe: tokens of a frozen network for several views of a case.

N cases, C channels, L steps, T steps of a view, P patches, D width, F features of a case.
A case is resampled to a common length, because a short case would otherwise be one or two tokens: once coarsely, once
finely, and once its differences from step to step. For each view, every second layer is pooled over time. Views, layers
and pools were chosen by cross-validation on the training parts of 16 UCR data sets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from tsfm.infer.model_predictor import ModelPredictor
from tsfm.types import Problem

if TYPE_CHECKING:
    from jaxtyping import Float, Real

VIEWS = ((256, False), (1024, False), (1024, True))  # steps, and whether of differences
NUM_SEGMENTS = 4  # of time, whose means locate patterns
MAX_DETAILED_CHANNELS = 4  # with more channels, only means and standard deviations are kept
MAX_PASS_STEPS = 2**16  # steps in one pass


@torch.no_grad()
def probe_features(predictor: ModelPredictor, cases: Sequence[Float[np.ndarray, "C _"]]) -> Float[np.ndarray, "N F"]:
    """Return the features [N, F] of cases as float32.

    They are the pooled tokens, and mean and standard deviation of each channel, which the network's scaler removes. A
    channel without observed values counts as zeros.
    """
    features = [channel_moments(cases)]
    for steps, differences in VIEWS:
        steps = min(steps, predictor.model.config.context + predictor.model.config.horizon)
        if predictor.model.fixed_length:
            steps = predictor.model.config.context + predictor.model.config.horizon
        resampled = np.stack([resample(np.diff(case, axis=1) if differences else case, steps) for case in cases])
        features.append(pooled_tokens(predictor, resampled))
    out = np.concatenate(features, axis=1)
    if not np.isfinite(out).all():
        raise ValueError(f"{predictor.name} gave features that are not finite; rescale the cases if values are extreme")
    return out


def channel_moments(cases: Sequence[Real[np.ndarray, "C _"]]) -> Float[np.ndarray, "N 2*C"]:
    """Return mean and standard deviation of each channel over observed steps; zeros where there are none."""
    rows = []
    for case in cases:
        observed = np.isfinite(case)
        count = np.maximum(observed.sum(axis=1), 1)
        mean = np.where(observed, case, 0.0).sum(axis=1) / count
        deviation = np.where(observed, case - mean[:, None], 0.0)
        rows.append(np.concatenate([mean, np.sqrt((deviation**2).sum(axis=1) / count)]))
    return np.asarray(rows, np.float32)


def resample(case: Float[np.ndarray, "C L"], steps: int) -> Float[np.ndarray, "C T"]:
    """Interpolate a case linearly at `steps` equally spaced times, also over missing values."""
    out = np.zeros((case.shape[0], steps), np.float32)
    times = np.linspace(0, max(case.shape[1] - 1, 0), steps)
    for row, channel in zip(out, case, strict=True):
        observed = np.flatnonzero(np.isfinite(channel))
        if len(observed):
            row[:] = np.interp(times, observed, channel[observed])
    return out


def pooled_tokens(predictor: ModelPredictor, cases: Float[np.ndarray, "N C T"]) -> Float[np.ndarray, "N F"]:
    """Return the pooled tokens of every second layer."""
    model, rows = predictor.model, max(1, MAX_PASS_STEPS // (cases.shape[1] * cases.shape[2]))
    device = next(model.parameters()).device
    out = []
    for first in range(0, len(cases), rows):
        values = torch.as_tensor(cases[first : first + rows], device=device)
        visible = torch.ones_like(values, dtype=torch.bool)
        with torch.autocast(device.type, torch.bfloat16, enabled=predictor.inference_config.precision == "bf16"):
            layers, _ = model.layers(Problem(values=values, visible=visible, wanted=~visible))
        pooled = [pool_layer(layer.float(), detailed=cases.shape[1] <= MAX_DETAILED_CHANNELS) for layer in layers[::2]]
        out.append(torch.cat(pooled, dim=-1).cpu().numpy())
    return np.concatenate(out)


def pool_layer(layer: Float[Tensor, "B C P D"], *, detailed: bool) -> Float[Tensor, "B F"]:
    """Pool tokens over time: mean and standard deviation.

    With `detailed` also the maximum, the share above zero, and the mean of each segment of time.
    """
    pools = [layer.mean(dim=2), layer.std(dim=2, unbiased=False)]
    if detailed:
        pools += [layer.amax(dim=2), (layer > 0).float().mean(dim=2)]
        patches = layer.shape[2]
        for segment in range(NUM_SEGMENTS):
            first = patches * segment // NUM_SEGMENTS
            pools.append(layer[:, :, first : max(patches * (segment + 1) // NUM_SEGMENTS, first + 1)].mean(dim=2))
    return torch.cat([pool.flatten(1) for pool in pools], dim=-1)
