"""Continue a model with further inputs or outputs: the known season as one lag more, time features, quantile levels.

What the checkpoint has is kept. The weights of new inputs start at zero, and new quantile levels start on the line
between their neighbours, so that the expanded model predicts what the checkpoint does at the levels of the checkpoint.
S patch, K lags, Q quantile levels.
"""

from __future__ import annotations

from statistics import NormalDist

import torch
from torch import Tensor

from tsfm.model.lag_features import FEATURES_PER_LAG, num_channel_features, num_step_features
from tsfm.model.model import Model

STEP_INPUTS = 3  # of the embedding before the lag features: values, which are visible, time since the last visible one


def expand_weights(saved: Model, model: Model) -> dict[str, Tensor]:
    """Return the tensors of `saved` with the shapes that they have in `model`.

    Parameters
    ----------
    saved
        The model of the checkpoint.
    model
        The same with `model.known_season`, with `model.time_features`, or with more levels in `head.quantile_levels`.

    Raises
    ------
    ValueError
        If the model has fewer inputs or levels than the checkpoint.
    """
    tensors = dict(saved.state_dict())
    if model.config.num_lags != saved.config.num_lags:
        if not model.config.known_season or saved.config.known_season:
            raise ValueError(
                "init.expand adds the known season to the lags found in the values; use model.known_season=true and "
                f"model.seasonal_lags={saved.config.seasonal_lags}"
            )
        _expand_lags(tensors, saved, model)
    if model.time_features is not None and saved.time_features is None:
        tensors["time_features.project.weight"] = torch.zeros_like(model.time_features.project.weight)
    if model.quantile_levels != saved.quantile_levels:
        _expand_levels(tensors, saved, model)
    return tensors


def _expand_lags(tensors: dict[str, Tensor], saved: Model, model: Model) -> None:
    """Spread what depends on the lags over more of them, with zeros for the new one."""
    patch, old, new = saved.config.patch, saved.config.num_lags, model.config.num_lags
    kept = kept_step_features(old, new)
    steps = [*range(STEP_INPUTS), *(STEP_INPUTS + feature for feature in kept), STEP_INPUTS + num_step_features(new)]
    inputs = [patch * feature + step for feature in steps for step in range(patch)]
    first = patch * (STEP_INPUTS + num_step_features(new) + 1)
    inputs += [first + feature for feature in kept_channel_features(old, new)]
    for name in ("patching.project.skip.weight", "patching.project.up.weight"):
        tensors[name] = _spread(tensors[name], inputs, size=model.state_dict()[name].shape[1], dim=1)
    if saved.skip is None:
        return
    tensors["skip.start"] = _spread(tensors["skip.start"], kept, size=num_step_features(new), dim=0)
    width = num_step_features(new) + 1  # and the gate of the unit, last
    gates = [width * step + feature for step in range(patch) for feature in (*kept, width - 1)]
    for name in ("skip.gates.weight", "skip.gates.bias"):
        tensors[name] = _spread(tensors[name], gates, size=patch * width, dim=0)


def kept_step_features(old: int, new: int) -> list[int]:
    """Return where the features of `old` lags are among those of `new` lags: the first lags, and the later season."""
    return [*range(FEATURES_PER_LAG * old), num_step_features(new) - 1]


def kept_channel_features(old: int, new: int) -> list[int]:
    """Return where the channel features of `old` lags are among those of `new` lags: the first ones and both errors."""
    return [*range(2 * old), *range(num_channel_features(new) - 2, num_channel_features(new))]


def _spread(tensor: Tensor, index: list[int], *, size: int, dim: int) -> Tensor:
    """Return zeros of length `size` along `dim` with the slices of the tensor at these places."""
    shape = list(tensor.shape)
    shape[dim] = size
    return tensor.new_zeros(shape).index_copy_(dim, torch.tensor(index), tensor)


def _expand_levels(tensors: dict[str, Tensor], saved: Model, model: Model) -> None:
    """Mix the output weights of each new level from those of the old levels."""
    weights = level_weights(saved.quantile_levels, model.quantile_levels)
    for layer in ("skip", "down"):
        for kind in ("weight", "bias"):
            name = f"head.mlp.{layer}.{kind}"
            old = tensors[name].unflatten(0, (-1, len(saved.quantile_levels)))
            tensors[name] = torch.einsum("nq,sq...->sn...", weights.to(old.dtype), old).flatten(0, 1)


def level_weights(old: tuple[float, ...], new: tuple[float, ...]) -> Tensor:
    """Return the weights of the old quantile levels in each new one, `[new, old]`; each row has the sum 1.

    Between two old levels a new one is interpolated linearly. Outside, the quantile is as far from the median as that
    of a normal distribution with the outermost old quantile.

    Raises
    ------
    ValueError
        If an old level is not among the new ones.
    """
    if not set(old) <= set(new):
        raise ValueError(f"head.quantile_levels is {list(new)}; init.expand keeps the levels {list(old)}")
    weights = torch.zeros(len(new), len(old))
    quantile = NormalDist().inv_cdf
    for row, level in enumerate(new):
        above = next((index for index, known in enumerate(old) if known >= level), len(old))
        if above < len(old) and old[above] == level:
            weights[row, above] = 1.0
        elif 0 < above < len(old):
            share = (level - old[above - 1]) / (old[above] - old[above - 1])
            weights[row, above - 1], weights[row, above] = 1 - share, share
        else:
            outermost, median = min(above, len(old) - 1), len(old) // 2
            share = quantile(level) / quantile(old[outermost]) if outermost != median else 0.0
            weights[row, outermost] += share
            weights[row, median] += 1 - share
    return weights
