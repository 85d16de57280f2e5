"""A copy of a model whose head learns from the newest complete window, step by step. C channels, W, T steps."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tsfm.infer.forecasting import Forecasting
from tsfm.infer.rollout import steps_of_pass
from tsfm.registry import TASKS
from tsfm.timestamps.offsets import nested_seasons
from tsfm.types import Batch

if TYPE_CHECKING:
    from jaxtyping import Float

RATE = 1e-4


class HeadAdaptation:
    """Adapts the head of a copy of a model; the backbone and the model itself stay as they are.

    Each call of `learn` is one step of Adam on one window, with the loss of the model's training task where that is
    forecasting, else the pinball loss in units of the window.

    Parameters
    ----------
    predictor
        A trained model whose head predicts steps.
    horizon
        Steps at the end of a window that are forecast.
    season_length
        For models that read known seasons.
    rate
        The learning rate.
    """

    def __init__(self, predictor: Forecasting, *, horizon: int, season_length: int, rate: float = RATE):
        if not isinstance(predictor, Forecasting) or predictor.model.head.predicts != "steps":
            raise ValueError(
                f"adapt='head' needs a trained model that forecasts; found {type(predictor).__name__}: use a model "
                "that tsfm.load returns, or adapt=None"
            )
        if not 0 < rate < 1:
            raise ValueError(f"adapt_rate is {rate}; expected a learning rate between 0 and 1, such as {RATE:g}")
        self.predictor = copy.copy(predictor)
        self.predictor.model = copy.deepcopy(predictor.model)
        self.predictor.name = f"{predictor.name} (adapted)"
        self.horizon, self.season_length = horizon, season_length
        model = self.predictor.model
        self.pass_length = steps_of_pass(model, horizon if predictor.any_horizon else None)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name.startswith("head."))
        self.trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.optimizer = torch.optim.Adam(self.trained.values(), lr=rate)
        loss: dict[str, Any] = {"loss": "pinball" if len(model.quantile_levels) > 1 else "mse", "units": "scaled"}
        self.task = TASKS.build(TASKS.config({"name": "forecast", **loss}), horizon=self.pass_length)

    def learn(self, window: Float[np.ndarray, "C W"]) -> None:
        """Take a step on a window, whose last `horizon` steps are what was to be forecast."""
        model, device = self.predictor.model, self.predictor.device
        window = self._as_forecast(window)
        values = torch.from_numpy(np.ascontiguousarray(window, np.float32))[None].to(device)
        observed = values.isfinite()
        problem = self.task.pose(Batch(torch.where(observed, values, 0.0), observed))
        if not bool(problem.wanted.any()):
            return
        if model.config.known_season:
            seasons = sorted(nested_seasons(self.season_length))
            problem = replace(problem, seasons=torch.tensor([seasons], device=device))
        self.optimizer.zero_grad()
        with torch.enable_grad():
            loss = self.task.loss(model(problem), problem)
            if not bool(torch.isfinite(loss)) or not loss.requires_grad:
                return
            loss.backward()
        self.optimizer.step()

    def _as_forecast(self, window: Float[np.ndarray, "C W"]) -> Float[np.ndarray, "C T"]:
        """Return the window in the shape in which the model forecasts it, NaN where it does not reach."""
        config = self.predictor.model.config
        past, future = window[:, : -self.horizon], window[:, -self.horizon :][:, : self.pass_length]
        past = past[:, -config.context :]
        num_past = config.context
        if not self.predictor.model.fixed_length:
            num_past = min(num_past, -(-past.shape[1] // config.patch) * config.patch)
        padding = (num_past - past.shape[1], self.pass_length - future.shape[1])
        return np.pad(np.concatenate([past, future], axis=1), ((0, 0), padding), constant_values=np.nan)

    def state(self) -> dict[str, np.ndarray]:
        """Return the weights of the head and the moments of the optimizer, as arrays."""
        arrays = {f"head:{name}": p.detach().cpu().numpy().copy() for name, p in self.trained.items()}
        for name, parameter in self.trained.items():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                arrays[f"{key}:{name}"] = torch.as_tensor(value).cpu().numpy().copy()
        return arrays

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        """Take over what `state` returned."""
        for name, parameter in self.trained.items():
            saved = arrays.get(f"head:{name}")
            if saved is None or saved.shape != tuple(parameter.shape):
                raise ValueError(f"the state holds no weights of {name} of this shape; it was saved from another model")
        with torch.no_grad():
            for name, parameter in self.trained.items():
                parameter.copy_(torch.from_numpy(arrays[f"head:{name}"]))
                keys = [key.partition(":")[0] for key in arrays if key.endswith(f":{name}") and key[:5] != "head:"]
                if keys:
                    moments = {key: torch.from_numpy(arrays[f"{key}:{name}"]).to(parameter.device) for key in keys}
                    self.optimizer.state[parameter] = moments
