"""Forecasts of one series that grows, by a trained model of constant memory: `Pretrained.stream`.

C channels, L steps, H horizon, Q quantile levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tsfm.ensemble.online_members import read_rows
from tsfm.infer.arguments import check_prediction_length
from tsfm.infer.forecast_result import Forecast
from tsfm.model.stream import ModelStream

if TYPE_CHECKING:
    from tsfm.infer.model_predictor import ModelPredictor


class ForecastStream:
    """A model's state after the rows of a series so far; see `Pretrained.stream`.

    Parameters
    ----------
    predictor
        A trained model that streams.
    history
        The first rows, `[L]` or `[C, L]`.
    """

    def __init__(self, predictor: ModelPredictor, history: Any):
        predictor.check_forecasts()
        rows = read_rows(history, num_channels=None, is_series=True)
        self.predictor, self.num_channels = predictor, len(rows)
        self.state = ModelStream(predictor.model, self._tensor(rows))

    def observe(self, values: Any) -> None:
        """Take the next rows: a number, `[steps]` of one channel, one row `[C]` of several, or `[C, steps]`."""
        rows = self._tensor(read_rows(values, num_channels=self.num_channels))
        for step in range(rows.shape[-1]):
            self.state.observe(rows[..., step])

    def predict(self, prediction_length: int, quantile_levels: Sequence[float] | None = None) -> Forecast:
        """Forecast the next steps of the series; the state stays as it is.

        Parameters
        ----------
        prediction_length
            Steps, at most the horizon of the model.
        quantile_levels
            None: those of the model.

        Returns
        -------
        Forecast
            `[1, C, H]` and `[1, C, H, Q]`.
        """
        horizon, limit = check_prediction_length(prediction_length), self.predictor.max_horizon
        if horizon > limit:
            raise ValueError(
                f"prediction_length is {horizon}; a stream of {self.predictor.name} forecasts at most {limit} steps, "
                "the horizon of the model"
            )
        requested = self.predictor.check_quantile_levels(quantile_levels)
        ascending = tuple(sorted({*requested, 0.5}))
        predicted = self.state.predict(horizon).cpu().numpy()
        predicted = self.predictor.interpolate_quantiles(predicted, ascending)
        quantiles = predicted[..., [ascending.index(level) for level in requested]]
        return Forecast(predicted[..., ascending.index(0.5)], quantiles, requested)

    def _tensor(self, rows: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(rows.astype(np.float32))[None].to(self.predictor.device)
