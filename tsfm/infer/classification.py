"""The class of a series, or a number that belongs to it. N cases, C channels, L steps of a case, M classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from tsfm.infer.failed_items import add_item_rows, tolerates_failed_items
from tsfm.infer.frames import read_frame
from tsfm.infer.loaded_model import LoadedModel
from tsfm.infer.series_input import check_any_recent_value, number_names, read_series
from tsfm.infer.units import to_model_units
from tsfm.infer.windows import last_windows, to_batch, window_batches
from tsfm.store.foreign_frames import accepts_frames
from tsfm.store.read_options import ReadOptions, takes_options
from tsfm.types import Problem

if TYPE_CHECKING:
    from jaxtyping import Float
    from typing_extensions import Unpack


class Classification(LoadedModel):
    """The verbs `classify`, `probabilities`, `regress` and `classify_df` of a model that was trained on labels."""

    def classify(self, cases: Any, *, batch_size: int = 256) -> np.ndarray:
        """Return the names of the most probable classes, [N] text; see `probabilities`."""
        return self._class_names(self.probabilities(cases, batch_size=batch_size))

    def probabilities(self, cases: Any, *, batch_size: int = 256) -> Float[np.ndarray, "N M"]:
        """Return the probability of each class, in the order of ``about.labels["classes"]``.

        Parameters
        ----------
        cases
            One array [L], a stack [N, L] or [N, C, L], or a list of arrays [L] or [C, L] of any lengths. Of a case
            longer than the model's window the most recent steps are read.

        Raises
        ------
        ValueError
            When the model was not trained to classify, or a case cannot be used.
        """
        self.check_labels("classify")
        return _softmax(self._predict_cases(cases, batch_size=batch_size))

    def regress(self, cases: Any, *, batch_size: int = 256) -> Float[np.ndarray, " N"]:
        """Return the number of each case, in the units of the training labels; cases as for `probabilities`.

        Raises
        ------
        ValueError
            When the model was not trained to regress, or a case cannot be used.
        """
        self.check_labels("regress")
        return self._to_label_units(self._predict_cases(cases, batch_size=batch_size))

    @accepts_frames("df")
    @takes_options
    @tolerates_failed_items(add_item_rows)
    def classify_df(
        self,
        df: pd.DataFrame,
        batch_size: int = 256,
        **options: Unpack[ReadOptions],
    ) -> pd.DataFrame:
        """Return the class of each item of a long DataFrame, or its number where the model was trained on numbers.

        Parameters
        ----------
        df
            One row for each item and timestamp; the values of an item in time order are a case.
        **options
            How `df` is read, see `tsfm.store.read_options.ReadOptions`; `target` are the channels of a case, in the
            order of the training.

        Returns
        -------
        pandas.DataFrame
            One row for each item. What was assumed is logged and kept in ``result.attrs["announcements"]``.

            ====================== ==========================================================
            item_id                as in `df`, under the name that it has there
            label                  the most probable class (of a model of classes)
            probability_<class>    one column for each class (of a model of classes)
            prediction             the number, in units of the labels (of a model of numbers)
            ====================== ==========================================================

        Raises
        ------
        ValueError
            When the model was not trained on labels, or a column, timestamp or value cannot be used.
        """
        task = "regress" if "regress" in self.tasks else "classify"
        self.check_labels(task)
        frame = read_frame(df, prediction_length=1, covariates=False, centre=self.any_level, **options)
        with frame.naming_items():
            predicted = self._predict_labels(
                [item.values for item in frame], batch_size=batch_size, names=frame.item_names()
            )
        out = pd.DataFrame({frame.id_name: frame.ids})
        if task == "regress":
            out["prediction"] = self._to_label_units(predicted)
        else:
            out["label"] = self._class_names(predicted)
            for name, probability in zip(self.about.labels["classes"], _softmax(predicted).T, strict=True):
                out[f"probability_{name}"] = probability
        out.attrs["announcements"] = frame.announcements
        return out

    def _class_names(self, scores: Float[np.ndarray, "N M"]) -> np.ndarray:
        """Return the class of the highest score."""
        return np.array(self.about.labels["classes"], dtype=str)[scores.argmax(-1)]

    def _to_label_units(self, predicted: Float[np.ndarray, "N M"]) -> Float[np.ndarray, " N"]:
        labels = self.about.labels
        return labels["loc"] + labels["scale"] * predicted[:, 0]

    def _predict_cases(self, cases: Any, *, batch_size: int) -> Float[np.ndarray, "N M"]:
        arrays = read_series(cases, allow_missing_channels=True).arrays
        return self._predict_labels(arrays, batch_size=batch_size, names=number_names("case", len(arrays)))

    @torch.no_grad()
    def _predict_labels(
        self, arrays: Sequence[np.ndarray], *, batch_size: int, names: Sequence[str]
    ) -> Float[np.ndarray, "N M"]:
        """Logits or numbers of each case, in float64."""
        check_any_recent_value(arrays, self.window_length, names=names)
        arrays = self._standardised(arrays, names)
        windows = last_windows([array.shape[1] for array in arrays], window_length=self.window_length)
        rows: list[Any] = [None] * len(arrays)
        for indices, values in window_batches(arrays, windows, model=self.model, batch_size=batch_size):
            batch = to_batch(values, device=self.device)
            nothing = torch.zeros_like(batch.observed)
            answer = self.model(Problem(values=batch.values, visible=batch.observed, wanted=nothing))
            for index, row in zip(indices, answer.prediction.double().cpu().numpy(), strict=True):
                rows[index] = row
        predicted = np.stack(rows)
        if num_invalid := int((~np.isfinite(predicted)).any(-1).sum()):
            raise ValueError(
                f"{self.name} predicted values that are not finite for {num_invalid} of {len(predicted)} cases, so "
                "there is no result; rescale the cases if their values are extreme"
            )
        return predicted

    def _standardised(self, arrays: Sequence[np.ndarray], names: Sequence[str]) -> Sequence[np.ndarray]:
        """Cases in the units of the training, where the scaler does not standardise each window.

        The channels of cases have no names, so their order is that of the training.
        """
        units = list(self.about.standardize.values())
        if self.model.scaler.equivariant or not units:
            return arrays
        if len(units) != arrays[0].shape[0]:
            raise ValueError(
                f"{self.name} was trained on cases of {len(units)} channels and knows only their units; found "
                f"{arrays[0].shape[0]} channels: give as many, in the order of the training"
            )
        channel_units = np.array(units, np.float64).T
        pairs = zip(arrays, names, strict=True)
        return [to_model_units(array, channel_units, name=name) for array, name in pairs]


def _softmax(logits: Float[np.ndarray, "N M"]) -> Float[np.ndarray, "N M"]:
    return torch.from_numpy(logits).softmax(dim=-1).numpy()
