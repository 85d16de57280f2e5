"""What a series is: its class, or a number that belongs to it. N cases, C channels, L steps of a case, M classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from tsfm.infer.abilities import check_labels, labelled
from tsfm.infer.embed import check_newest
from tsfm.infer.frames import read_frame
from tsfm.infer.windows import as_batch, cut, newest, take
from tsfm.timestamps.timezones import format_id
from tsfm.types import Problem

if TYPE_CHECKING:
    from jaxtyping import Float

    from tsfm.infer.load import ModelPredictor


def classify(self: ModelPredictor, cases: Any, *, batch_size: int = 256) -> np.ndarray:
    """[N] names of the likeliest classes, as text; see `probabilities`."""
    found = probabilities(self, cases, batch_size=batch_size)
    return np.array(self.about.labels["classes"], dtype=str)[found.argmax(-1)]


def probabilities(self: ModelPredictor, cases: Any, *, batch_size: int = 256) -> Float[np.ndarray, "N M"]:
    """The probability of each class, in the order of `about.labels["classes"]`, for one array ([L] or [C, L]: N = 1), a
    stack [N, C, L] or a list of arrays of any lengths; NaN is missing. Of a case longer than the model's window the
    most recent steps are read."""
    check_labels(self, "classify")
    return _shares(_answers(self, cases, batch_size=batch_size))


def _shares(logits: Float[np.ndarray, "N M"]) -> Float[np.ndarray, "N M"]:
    return torch.from_numpy(logits).softmax(dim=-1).numpy()


def regress(self: ModelPredictor, cases: Any, *, batch_size: int = 256) -> Float[np.ndarray, " N"]:
    """The number that belongs to each case, in the units of the training labels; cases as for `probabilities`."""
    check_labels(self, "regress")
    unit = self.about.labels
    return unit["loc"] + unit["scale"] * _answers(self, cases, batch_size=batch_size)[:, 0]


def _answers(self: ModelPredictor, cases: Any, *, batch_size: int) -> Float[np.ndarray, "N M"]:
    given = take(cases, silent_channels=True)
    return answers(self, given.parts, batch_size=batch_size, names=[f"case {i}" for i in range(len(given.parts))])


@torch.no_grad()
def answers(
    self: ModelPredictor, parts: Sequence[np.ndarray], *, batch_size: int, names: Sequence[str]
) -> Float[np.ndarray, "N M"]:
    """What the head says of each case, in float64."""
    window = self.model.config.context + self.model.config.horizon
    check_newest(parts, window=window, names=names)
    parts = _standardised(self, parts)
    out: list[Any] = [None] * len(parts)
    for picked, windows in cut(parts, newest([part.shape[1] for part in parts], window=window), model=self.model,
                               batch_size=batch_size):  # fmt: skip
        batch = as_batch(windows, model=self.model)
        problem = Problem(values=batch.values, visible=batch.observed, wanted=torch.zeros_like(batch.observed))
        for place, read in zip(picked, self.model(problem).prediction.double().cpu().numpy(), strict=True):
            out[place] = read
    said = np.stack(out)
    if lost := int((~np.isfinite(said)).any(-1).sum()):
        raise ValueError(
            f"{self.name} gave values that are not finite for {lost} of {len(said)} cases, so none is used; rescale "
            "the cases if their values are extreme"
        )
    return said


def _standardised(self: ModelPredictor, parts: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
    """Cases in the units of the training, where those were standardised and the scaler of the model does not do it
    anyway. The channels of cases have no names: they are known by their place."""
    known = list(self.about.standardize.values())
    if self.model.scaler.equivariant or not known:
        return parts
    if len(known) != parts[0].shape[0]:
        raise ValueError(
            f"{self.name} was trained on cases of {len(known)} channels and knows the units of those alone; found "
            f"{parts[0].shape[0]} channels: give as many, in the order of the training"
        )
    loc, scale = np.array(known, np.float64).T[:, :, None]
    return [((part - loc) / scale).astype(np.float32) for part in parts]


def classify_df(
    self: ModelPredictor,
    df: pd.DataFrame,
    target: str | Sequence[str] = "target",
    id_column: str = "item_id",
    timestamp_column: str = "timestamp",
    freq: str | None = None,
    batch_size: int = 256,
) -> pd.DataFrame:
    """One row for each item: item_id, label, and probability_<class> for every class; of a model of numbers item_id and
    prediction. The values of an item in time order are a case, the target columns its channels."""
    task = labelled(self)
    columns: dict[str, Any] = {"id_column": id_column, "timestamp_column": timestamp_column, "target": target}
    frame = read_frame(df, prediction_length=1, freq=freq, covariates=False, **columns)
    names = [f"item {format_id(item)}" for item in frame.ids]
    said = answers(self, [one.values for one in frame], batch_size=batch_size, names=names)
    out, labels = pd.DataFrame({"item_id": frame.ids}), self.about.labels
    if task == "regress":
        out["prediction"] = labels["loc"] + labels["scale"] * said[:, 0]
    else:
        out["label"] = np.array(labels["classes"], dtype=str)[said.argmax(-1)]
        for name, share in zip(labels["classes"], _shares(said).T, strict=True):
            out[f"probability_{name}"] = share
    out.attrs["announcements"] = frame.announcements
    return out
