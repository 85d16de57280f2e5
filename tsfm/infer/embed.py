"""A series as a vector: the tokens of a chosen layer, pooled over time. N series, C channels, L steps, D width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch.nn import functional as F

from tsfm.infer.frames import read_frame
from tsfm.infer.row_mapping import in_units
from tsfm.infer.windows import as_batch, cut, newest, take
from tsfm.messages import did_you_mean
from tsfm.model.pooled import pool_tokens
from tsfm.timestamps.timezones import format_id
from tsfm.types import Problem

if TYPE_CHECKING:
    from jaxtyping import Float

    from tsfm.infer.load import ModelPredictor

POOLS = ("mean", "last", "max")


def embed(
    self: ModelPredictor, series: Any, *, pool: str = "mean", layer: int = -1, batch_size: int = 256
) -> Float[np.ndarray, "N C D"]:
    """One vector per channel of each series: the seen tokens of a layer (0: the embedding, -1: the end of the backbone)
    pooled over time (mean | last | max). Of each series the most recent context + horizon steps are read (the context
    alone where the head reads no more). A channel that shows nothing there is zeros, one series is N = 1."""
    _check(self, pool=pool, layer=layer)
    given = take(series, silent_channels=True)
    return vectors(
        self,
        given.parts,
        pool=pool,
        layer=layer,
        batch_size=batch_size,
        names=[f"series {i}" for i in range(len(given.parts))],
    )


def _check(self: ModelPredictor, *, pool: str, layer: int) -> None:
    if pool not in POOLS:
        raise ValueError(f"pool is {pool!r}; {did_you_mean(str(pool), list(POOLS))}")
    number = self.model.num_layers
    if isinstance(layer, bool) or not isinstance(layer, (int, np.integer)) or not -number <= layer < number:
        raise ValueError(f"layer is {layer!r}; {self.name} has the layers 0 to {number - 1}, or -1 for the last")


def check_newest(parts: Sequence[np.ndarray], *, window: int, names: Sequence[str]) -> None:
    """Something must be observed in what is read of a series."""
    for name, part in zip(names, parts, strict=True):
        if np.isnan(part[:, -window:]).all():
            raise ValueError(
                f"{name} has no observed value over its last {window} steps, all that is read of it; end it where its "
                "observations end, or leave it out"
            )


@torch.no_grad()
def vectors(
    self: ModelPredictor, parts: Sequence[np.ndarray], *, pool: str, layer: int, batch_size: int, names: Sequence[str]
) -> Float[np.ndarray, "N C D"]:
    model, config = self.model, self.model.config
    ahead = 0 if model.head.reads_window else config.horizon  # steps beyond the tokens, which nobody looks at
    window = config.context + config.horizon - ahead
    check_newest(parts, window=window, names=names)
    out = np.empty((len(parts), parts[0].shape[0], config.width), np.float32)
    tiles = newest([part.shape[1] for part in parts], window=window)
    for picked, windows in cut(parts, tiles, model=model, batch_size=batch_size):
        batch = as_batch(windows, model=model)
        values, visible = F.pad(batch.values, (0, ahead)), F.pad(batch.observed, (0, ahead))
        problem = Problem(values=values, visible=visible, wanted=torch.zeros_like(visible))
        tokens, seen = model.layers(problem)
        out[picked] = pool_tokens(tokens[layer].float(), seen, pool=pool).cpu().numpy()
    if not np.isfinite(out).all():
        raise ValueError(f"{self.name} gave vectors that are not finite; rescale the series if values are extreme")
    return out


def embed_df(
    self: ModelPredictor,
    df: pd.DataFrame,
    target: str | Sequence[str] = "target",
    pool: str = "mean",
    layer: int = -1,
    id_column: str = "item_id",
    timestamp_column: str = "timestamp",
    freq: str | None = None,
    batch_size: int = 256,
) -> pd.DataFrame:
    """One row for each item and target: item_id, target_name, e0, e1, ...; see `embed`."""
    _check(self, pool=pool, layer=layer)
    columns: dict[str, Any] = {"id_column": id_column, "timestamp_column": timestamp_column, "target": target}
    frame = read_frame(df, prediction_length=1, freq=freq, covariates=False, **columns)
    parts = in_units(frame, self.channel_units(frame.targets))
    names = [f"item {format_id(item)}" for item in frame.ids]
    found = vectors(self, parts, pool=pool, layer=layer, batch_size=batch_size, names=names)
    out = pd.DataFrame({"item_id": frame.ids.repeat(len(frame.targets)).reset_index(drop=True)})
    out["target_name"] = np.tile(frame.targets, len(frame))
    numbers = pd.DataFrame(found.reshape(len(out), -1), columns=pd.Index([f"e{d}" for d in range(found.shape[-1])]))
    out = pd.concat([out, numbers], axis=1)
    out.attrs["announcements"] = frame.announcements
    return out
