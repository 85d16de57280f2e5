"""Upgrade the config.json of a checkpoint from an older format to the current one.

One pure function for each step between two formats. A checkpoint of any earlier format can be read for ever: add a
step and a golden directory (tests/golden), and never change an existing step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FORMAT = 2

# Format 1 -> 2: settings were renamed. Only parts of this package are listed: settings of plug-ins stay as they are.
_MODEL_KEYS = {"lags": "seasonal_lags"}
_QUANTILES = {"levels": "quantile_levels"}
_HEAD_KEYS = {
    "flatten": _QUANTILES,
    "patch_quantiles": _QUANTILES,
    "cross_channel": _QUANTILES | {"around": "neighbour_steps"},
    "hierarchy": _QUANTILES | {"span": "horizon_patch"},
    "pooled": {"channels": "channel_pool"},
}
_TASK_KEYS = {
    "detect": {"turns": "num_passes"},
    "classify": {"weights": "class_weights", "smoothing": "label_smoothing", "drop": "drop_rate"},
    "regress": {"drop": "drop_rate"},
    "pretrain": {
        "longest": "max_tail_patches",
        "impute": "impute_rate",
        "blocks": "block_rate",
        "points": "point_rate",
        "short": "short_context_rate",
        "least": "min_context_length",
        "near": "decay_steps",
        "sharp": "smoothness_exponent",
        "compress": "arcsinh",
    },
}
# settings of the training data, of stores and of a corpus
_DATA_KEYS = {
    "calendar": "time_features",
    "real": "real_rate",
    "resample": "resample_rate",
    "mix": "mix_rate",
    "shares": "length_weights",
    "points": "batch_values",
    "couple": "coupling_rate",
    "universe": "generators",
}


def upgrade(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the contents of a config.json in the current format.

    Parameters
    ----------
    config
        The parsed file: ``format``, ``tsfm`` (version), ``model`` and ``about``. It is not changed.

    Raises
    ------
    ValueError
        If the format is unknown, for instance because a newer version of tsfm wrote it.
    """
    config = dict(config)
    while config["format"] != FORMAT:
        if config["format"] not in _STEPS:
            raise ValueError(f"format {config['format']} is unknown; known: {', '.join(map(str, [*_STEPS, FORMAT]))}")
        config = _STEPS[config["format"]](config)
    return config


def _from_1(config: dict[str, Any]) -> dict[str, Any]:
    model = _renamed(config["model"], _MODEL_KEYS)
    if model.get("fill") == "line":
        model["fill"] = "linear"
    if isinstance(head := model.get("head"), Mapping):
        model["head"] = _renamed(head, _HEAD_KEYS.get(head.get("name", ""), {}))
    about = dict(config.get("about", {}))
    if isinstance(task := about.get("task"), Mapping):
        about["task"] = _renamed(task, _TASK_KEYS.get(task.get("name", ""), {}))
    trained_on = about.get("trained_on")
    if isinstance(trained_on, Mapping) and isinstance(data := trained_on.get("data"), Mapping):
        about["trained_on"] = dict(trained_on) | {"data": _renamed(data, _DATA_KEYS)}
    return config | {"format": 2, "model": model, "about": about}


def _renamed(settings: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(key, key): value for key, value in settings.items()}


_STEPS = {1: _from_1}
