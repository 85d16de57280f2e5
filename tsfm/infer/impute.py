"""Fill what is missing in series of any length: values where nobody observed, quantiles around them.

N series, C channels, L steps of a series, T steps of a window, Q quantile levels. NaN is missing.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from tsfm.infer.abilities import check_steps, notes
from tsfm.infer.cross_channel import correct_across_channels, use_cross_channel
from tsfm.infer.frames import Frame, read_frame
from tsfm.infer.row_mapping import check_free, in_frame, in_units, laid_out
from tsfm.infer.windows import Tiles, as_batch, cut, take, tile
from tsfm.timestamps.timezones import format_id
from tsfm.types import Problem

if TYPE_CHECKING:
    from jaxtyping import Float

    from tsfm.infer.load import ModelPredictor

logger = logging.getLogger("tsfm")


@dataclass(frozen=True)
class Imputed:
    """Series without gaps, in the form in which they were given: alone, as a stack, or as a list.

    `values` are bit for bit those observed, and the median where nobody observed. `quantiles` have one more axis, for
    the levels; where a value was observed, all of them are that value."""

    values: Any
    quantiles: Any
    quantile_levels: tuple[float, ...]


def impute(
    self: ModelPredictor,
    series: Any,
    *,
    quantile_levels: Sequence[float] | None = None,
    batch_size: int = 256,
    cross_channel: bool | None = None,
) -> Imputed:
    """Fill the NaN of one array ([L] or [C, L]; numbers in a list are [L]), a stack [N, C, L] or a list of
    arrays of any lengths.

    Windows of the model's length slide over a series by half their length, and each step is taken from the window in
    which it lies farthest from a border. `quantile_levels` None takes those of the model. Values are read and
    filled in the units `predict` takes.

    `cross_channel` lets the channels that show a step help those that miss it, by how they err together in the window,
    for five times the passes; None does so with a model that reads each channel by itself."""
    check_steps(self, "impute")
    given = take(series)
    wanted = self.check_quantile_levels((self.quantile_levels or ()) if quantile_levels is None else quantile_levels)
    names = [f"series {i}" for i in range(len(given.parts))]
    channels = [f"channel {c}" for c in range(given.parts[0].shape[0])]
    how: dict[str, Any] = {"batch_size": batch_size, "cross_channel": cross_channel}
    filled = fill(self, given.parts, quantile_levels=wanted, names=names, channels=channels, **how)
    listed = [series] if given.form == "one" else series
    values = [np.array(one, ndmin=2) for one in listed]
    for value, part, (median, _) in zip(values, given.parts, filled, strict=True):
        missing = np.isnan(part)
        if missing.any():
            value[missing] = median[missing]
    return Imputed(given.back(values), given.back([quantiles for _, quantiles in filled]), wanted)


@torch.no_grad()
def fill(
    self: ModelPredictor,
    parts: Sequence[np.ndarray],
    *,
    quantile_levels: tuple[float, ...],
    batch_size: int,
    cross_channel: bool | None,
    names: Sequence[str],
    channels: Sequence[str],
) -> list[tuple[Float[np.ndarray, "C L"], Float[np.ndarray, "C L Q"]]]:
    """Median and quantiles of each series; at observed steps the value itself."""
    model, window = self.model, self.model.config.context + self.model.config.horizon
    asked = tuple(sorted({*quantile_levels, 0.5}))
    places, middle = [asked.index(level) for level in quantile_levels], asked.index(0.5)
    together = use_cross_channel(model, cross_channel)

    def ask(problem: Problem) -> torch.Tensor:
        return model(problem).prediction.sort(dim=-1).values

    out = [(part.copy(), np.repeat(part[..., None], len(quantile_levels), axis=-1)) for part in parts]
    tiles = tile([part.shape[1] for part in parts], window=window, stride=max(1, window // 2))
    tiles = tiles.pick(_holed(parts, tiles))
    for picked, windows in cut(parts, tiles, model=model, batch_size=batch_size):
        batch = as_batch(windows, model=model)
        problem = Problem(values=batch.values, visible=batch.observed, wanted=~batch.observed)
        read = correct_across_channels(ask, problem) if together else ask(problem)
        reads = self.interpolate_quantiles(read.cpu().numpy(), asked)
        for place, row, read in zip(picked, windows, reads, strict=True):
            one, first, steps = tiles.at(place)
            before = first + window - row.shape[1]  # the step at which the window, as cut, begins
            kept = slice(steps.start - before, steps.stop - before)
            missing = np.isnan(row[:, kept])
            silent = np.isnan(row).all(1) & missing.any(1)
            if silent.any():
                place = f"{names[one]} has no observed value in {channels[int(silent.argmax())]}"
                raise _unseen(
                    place, steps.start + np.flatnonzero(missing[silent.argmax()]), window=window, by=self.name
                )
            said = read[:, kept][missing]
            if not np.isfinite(said).all():
                raise ValueError(
                    f"{self.name} gave values that are not finite for {names[one]}, so none is used; rescale the "
                    "series if its values are extreme"
                )
            median, quantiles = out[one]
            median[:, steps][missing], quantiles[:, steps][missing] = said[:, middle], said[:, places]
    return out


def _holed(parts: Sequence[np.ndarray], tiles: Tiles) -> np.ndarray:
    """The windows that something is asked of."""
    holes = [np.append(0, np.isnan(part).any(0).cumsum()) for part in parts]  # missing steps before each step
    return np.array(
        [
            w
            for w, (i, begin, stop) in enumerate(zip(tiles.series, tiles.begin, tiles.stop, strict=True))
            if holes[i][stop] > holes[i][begin]
        ],
        dtype=np.int64,
    )


def _unseen(place: str, steps: np.ndarray, *, window: int, by: str) -> ValueError:
    """A channel that shows nothing in a window can't be filled from it: nobody could tell even its level."""
    return ValueError(
        f"{place} within the {window} steps around its missing steps {steps[0]} to {steps[-1]}, all that {by} sees at "
        "once; end the series there, or use a model of a longer window"
    )


def impute_df(
    self: ModelPredictor,
    df: pd.DataFrame,
    target: str | Sequence[str] = "target",
    quantile_levels: Sequence[float] | None = None,
    fill_gaps: bool = False,
    id_column: str = "item_id",
    timestamp_column: str = "timestamp",
    freq: str | None = None,
    batch_size: int = 256,
    cross_channel: bool | None = None,
) -> pd.DataFrame:
    """The same rows in the same order, the target filled where it was missing, and beside it `<target>_imputed`:
    whether a row was. `quantile_levels` adds `<target>_0.1`, ...: at observed rows the value itself.

    Stamps that `df` jumps over count as missing when the model reads it; `fill_gaps` adds rows for them, and all rows
    are then sorted by item and time. A float column keeps its dtype; of any other one in which something is filled
    becomes float64, and integers that float64 does not hold exactly are refused. `cross_channel` as in `impute`.
    What was assumed is logged and kept in `result.attrs["announcements"]`."""
    check_steps(self, "impute")
    levels = () if quantile_levels is None else self.check_quantile_levels(quantile_levels)
    columns: dict[str, Any] = {"id_column": id_column, "timestamp_column": timestamp_column, "target": target}
    frame = read_frame(df, prediction_length=1, freq=freq, covariates=False, **columns)
    own = notes(self, "impute")
    added = {name: [f"{name}_imputed", *(f"{name}_{level:g}" for level in levels)] for name in frame.targets}
    check_free(df, [column for columns in added.values() for column in columns])
    out, where = laid_out(df, frame, columns) if fill_gaps else (df.copy(), in_frame(frame))
    holes = [np.concatenate([np.isnan(one.values[c]) for one in frame])[where] for c in range(len(frame.targets))]
    labels = [next(column for column in df.columns if str(column) == name) for name in frame.targets]
    own += [note for label, missing in zip(labels, holes, strict=True) if missing.any() for note in _becomes(df[label])]
    filled = _fill_frame(
        self, frame, quantile_levels=levels or (0.5,), batch_size=batch_size, cross_channel=cross_channel
    )
    for c, (name, label, missing) in enumerate(zip(frame.targets, labels, holes, strict=True)):
        median = np.concatenate([median[c] for median, _ in filled])[where]
        column: Any = out[label]
        out[label] = _with(column, missing, median)
        flag, *around = added[name]
        out[flag] = missing
        for place, column in enumerate(around):
            quantile = np.concatenate([quantiles[c, :, place] for _, quantiles in filled])[where]
            out[column] = np.where(missing, quantile, out[label].to_numpy(np.float64, na_value=np.nan))
    out.attrs["announcements"] = [*frame.announcements, *own]
    return out


def _fill_frame(self: ModelPredictor, frame: Frame, *, quantile_levels: tuple[float, ...], **how: Any):
    """`fill` in data units."""
    names, channels = [f"item {format_id(one.item_id)}" for one in frame], [repr(name) for name in frame.targets]
    units = self.channel_units(frame.targets)
    parts = in_units(frame, units)
    filled = fill(self, parts, quantile_levels=quantile_levels, names=names, channels=channels, **how)
    if units is None:
        return filled
    loc, scale = units[:, :, None]
    return [(median * scale + loc, quantiles * scale[..., None] + loc[..., None]) for median, quantiles in filled]


def _becomes(column: Any) -> list[str]:
    """What to announce of a column that takes filled values: floats keep their dtype, others become float64, and an
    integer which that would change is refused."""
    if pd.api.types.is_float_dtype(column.dtype):
        return []
    for row, value in enumerate(column.to_numpy(dtype=object)):
        if isinstance(value, Integral) and int(float(value)) != int(value):
            raise ValueError(
                f"df: target column {column.name!r} holds {value} in row {row}, an integer beyond 2**53 that float64 "
                "does not hold exactly, and filled values are floats; subtract a constant, or convert the column with "
                "astype('float64') if rounding does no harm"
            )
    note = f"df: {str(column.name)!r} is {column.dtype}, and becomes float64 as values are filled"
    logger.info(note)
    return [note]


def _with(column: pd.Series, missing: np.ndarray, median: np.ndarray) -> pd.Series:
    """A column with its missing values filled; the others stay as they are, a float column keeps its dtype."""
    if not missing.any():
        return column
    floats = pd.api.types.is_float_dtype(column.dtype)
    plain = floats and isinstance(column.dtype, np.dtype)
    kind = column.dtype if plain else np.float64
    values = column.to_numpy(dtype=kind, na_value=np.nan).copy()  # type: ignore[call-overload]
    values[missing] = median[missing]
    return pd.Series(values, index=column.index, name=column.name, dtype=column.dtype if floats else None)
