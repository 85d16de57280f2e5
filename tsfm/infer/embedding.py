"""A series as a vector: the tokens of a layer, pooled over time. N series, C channels, L steps, D width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch.nn import functional as F

from tsfm.infer.arguments import check_choice
from tsfm.infer.failed_items import add_item_rows, tolerates_failed_items
from tsfm.infer.frames import read_frame
from tsfm.infer.loaded_model import LoadedModel
from tsfm.infer.series_input import check_any_recent_value, number_names, read_series
from tsfm.infer.windows import last_windows, to_batch, window_batches
from tsfm.model.pooled import pool_tokens
from tsfm.store.foreign_frames import accepts_frames
from tsfm.store.read_options import ReadOptions, takes_options
from tsfm.types import Problem

if TYPE_CHECKING:
    from jaxtyping import Float
    from typing_extensions import Unpack

POOLS = ("mean", "last", "max")


class Embedding(LoadedModel):
    """The verbs `embed` and `embed_df`, which every model has."""

    def embed(
        self, series: Any, *, pool: str = "mean", layer: int = -1, batch_size: int = 256
    ) -> Float[np.ndarray, "N C D"]:
        """Return one vector for each channel of each series.

        Of each series the most recent context + horizon steps are read; the context only, where the head reads no more.

        Parameters
        ----------
        series
            One array [L], a stack [N, L] or [N, C, L], or a list of arrays [L] or [C, L] of any lengths. A channel
            without an observed value in what is read has a vector of zeros.
        pool
            How the valid tokens are pooled over time: mean, last, or max.
        layer
            0 is the embedding, -1 the end of the backbone; the blocks are in between.

        Raises
        ------
        ValueError
            When an argument cannot be used, or nothing was observed in what is read of a series.
        """
        self._check_arguments(pool=pool, layer=layer)
        arrays = read_series(series, allow_missing_channels=True).arrays
        names = number_names("series", len(arrays))
        return self._embed(arrays, pool=pool, layer=layer, batch_size=batch_size, names=names)

    @accepts_frames("df")
    @takes_options
    @tolerates_failed_items(add_item_rows)
    def embed_df(
        self,
        df: pd.DataFrame,
        pool: str = "mean",
        layer: int = -1,
        batch_size: int = 256,
        **options: Unpack[ReadOptions],
    ) -> pd.DataFrame:
        """Return one vector for each item and target of a long DataFrame.

        Parameters
        ----------
        df
            One row for each item and timestamp.
        pool, layer
            As in `embed`.
        **options
            How `df` is read, see `tsfm.store.read_options.ReadOptions`.

        Returns
        -------
        pandas.DataFrame
            One row for each item and target. What was assumed is logged and kept in
            ``result.attrs["announcements"]``.

            ============ =========================================
            item_id      as in `df`, under the name that it has there
            target_name  the target column
            e0, e1, ...  the vector
            ============ =========================================

        Raises
        ------
        ValueError
            When an argument, a column, a timestamp or a value cannot be used.

        Examples
        --------
        >>> import numpy as np, pandas as pd, tsfm
        >>> hours = pd.date_range("2024-01-01", periods=96, freq="h")
        >>> df = pd.DataFrame({"timestamp": hours, "target": np.sin(np.arange(96) * np.pi / 12)})
        >>> tsfm.load("tsfm-mini").embed_df(df).columns[:4].tolist()
        ['item_id', 'target_name', 'e0', 'e1']
        """
        self._check_arguments(pool=pool, layer=layer)
        frame = read_frame(df, prediction_length=1, covariates=False, centre=self.any_level, **options)
        arrays, names = self.item_arrays(frame), frame.item_names()
        with frame.naming_items():
            vectors = self._embed(arrays, pool=pool, layer=layer, batch_size=batch_size, names=names)
        out = pd.DataFrame({frame.id_name: frame.ids.repeat(len(frame.targets)).reset_index(drop=True)})
        out["target_name"] = np.tile(frame.targets, len(frame))
        vector_columns = pd.Index([f"e{d}" for d in range(vectors.shape[-1])])
        out = pd.concat([out, pd.DataFrame(vectors.reshape(len(out), -1), columns=vector_columns)], axis=1)
        out.attrs["announcements"] = frame.announcements
        return out

    def _check_arguments(self, *, pool: str, layer: int) -> None:
        check_choice("pool", pool, POOLS)
        num_layers = self.model.num_layers
        is_int = isinstance(layer, (int, np.integer)) and not isinstance(layer, bool)
        if not is_int or not -num_layers <= layer < num_layers:
            raise ValueError(
                f"layer is {layer!r}; {self.name} has the layers 0 to {num_layers - 1}, or -1 for the last"
            )

    @torch.no_grad()
    def _embed(
        self, arrays: Sequence[np.ndarray], *, pool: str, layer: int, batch_size: int, names: Sequence[str]
    ) -> Float[np.ndarray, "N C D"]:
        model, config = self.model, self.model.config
        horizon = 0 if model.head.reads_window else config.horizon  # steps after the tokens, which are not read
        window_length = self.window_length - horizon
        check_any_recent_value(arrays, window_length, names=names)
        out = np.empty((len(arrays), arrays[0].shape[0], config.width), np.float32)
        windows = last_windows([array.shape[1] for array in arrays], window_length=window_length)
        for indices, values in window_batches(arrays, windows, model=model, batch_size=batch_size):
            batch = to_batch(values, device=self.device)
            padded, visible = F.pad(batch.values, (0, horizon)), F.pad(batch.observed, (0, horizon))
            tokens, valid = model.layers(Problem(values=padded, visible=visible, wanted=torch.zeros_like(visible)))
            out[indices] = pool_tokens(tokens[layer].float(), valid, pool=pool).cpu().numpy()
        self.check_finite(out, "a series")
        return out
