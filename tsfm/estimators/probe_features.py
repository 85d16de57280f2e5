"""What a frozen network sees in a case, looked at in several ways: the features of a probe.

N cases, C channels, L steps, T steps of a look, P patches, D width, F features of a case.
A case is stretched to a common length, since patches of a fixed number of steps else see a short case as one or two
tokens; once coarsely, once finely, and once its changes from step to step. Of each look every second layer is pooled
over time. Which looks, layers and pools was chosen by cross-validation on train parts of 16 UCR sets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from tsfm.infer.load import ModelPredictor
from tsfm.types import Problem

if TYPE_CHECKING:
    from jaxtyping import Float

LOOKS = ((256, False), (1024, False), (1024, True))  # steps, and whether of changes
PARTS = 4  # of the time, whose means tell where something is
FEW = 4  # channels; with more, means and deviations alone are kept
CELLS = 2**16  # steps of a pass


@torch.no_grad()
def looks(predictor: ModelPredictor, cases: Sequence[Float[np.ndarray, "C L"]]) -> Float[np.ndarray, "N F"]:
    """[N, F] float32. A channel that shows nothing is a line of zeros. Beside the tokens: mean and deviation of each
    channel, which the network takes away."""
    found = [units(cases)]
    for steps, changes in LOOKS:
        steps = min(steps, predictor.model.config.context + predictor.model.config.horizon)
        if predictor.model.fixed_length:
            steps = predictor.model.config.context + predictor.model.config.horizon
        whole = np.stack([stretched(np.diff(case, axis=1) if changes else case, steps) for case in cases])
        found.append(tokens(predictor, whole))
    out = np.concatenate(found, axis=1)
    if not np.isfinite(out).all():
        raise ValueError(f"{predictor.name} gave features that are not finite; rescale the cases if values are extreme")
    return out


def units(cases: Sequence[Float[np.ndarray, "C L"]]) -> Float[np.ndarray, "N 2C"]:
    """Mean and deviation of each channel over what is observed; zeros where nothing is."""
    rows = []
    for case in cases:
        seen = np.isfinite(case)
        count = np.maximum(seen.sum(axis=1), 1)
        mean = np.where(seen, case, 0.0).sum(axis=1) / count
        away = np.where(seen, case - mean[:, None], 0.0)
        rows.append(np.concatenate([mean, np.sqrt((away**2).sum(axis=1) / count)]))
    return np.asarray(rows, np.float32)


def stretched(case: Float[np.ndarray, "C L"], steps: int) -> Float[np.ndarray, "C T"]:
    """The case at `steps` equally spaced times from its first step to its last, by straight lines, also over what is
    missing."""
    out = np.zeros((case.shape[0], steps), np.float32)
    times = np.linspace(0, max(case.shape[1] - 1, 0), steps)
    for row, channel in zip(out, case, strict=True):
        known = np.flatnonzero(np.isfinite(channel))
        if len(known):
            row[:] = np.interp(times, known, channel[known])
    return out


def tokens(predictor: ModelPredictor, cases: Float[np.ndarray, "N C T"]) -> Float[np.ndarray, "N F"]:
    """The pooled tokens of every second layer."""
    model, rows = predictor.model, max(1, CELLS // (cases.shape[1] * cases.shape[2]))
    device = next(model.parameters()).device
    out = []
    for first in range(0, len(cases), rows):
        values = torch.as_tensor(cases[first : first + rows], device=device)
        visible = torch.ones_like(values, dtype=torch.bool)
        with torch.autocast(device.type, torch.bfloat16, enabled=predictor.precision == "bf16"):
            layers, _ = model.layers(Problem(values=values, visible=visible, wanted=~visible))
        pooled = [pools(layer.float(), few=cases.shape[1] <= FEW) for layer in layers[::2]]
        out.append(torch.cat(pooled, dim=-1).cpu().numpy())
    return np.concatenate(out)


def pools(layer: Float[Tensor, "B C P D"], *, few: bool) -> Float[Tensor, "B F"]:
    """Over time: mean and deviation; of few channels also maximum, the share above zero, and the mean of each part."""
    found = [layer.mean(dim=2), layer.std(dim=2, unbiased=False)]
    if few:
        found += [layer.amax(dim=2), (layer > 0).float().mean(dim=2)]
        patches = layer.shape[2]
        for part in range(PARTS):
            first = patches * part // PARTS
            found.append(layer[:, :, first : max(patches * (part + 1) // PARTS, first + 1)].mean(dim=2))
    return torch.cat([one.flatten(1) for one in found], dim=-1)
