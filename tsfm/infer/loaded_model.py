"""A trained model with what is known about it: the base of all verbs. N items, C channels, L steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tsfm.infer.inference_config import InferenceConfig
from tsfm.infer.units import to_model_units
from tsfm.messages import announce
from tsfm.model.checkpoint import About
from tsfm.model.model import Model
from tsfm.registry import TASKS
from tsfm.tasks.base import Task

if TYPE_CHECKING:
    from jaxtyping import Float
    from typing_extensions import Self

    from tsfm.infer.frames import Frame

LABEL_KEYS = {"classify": "classes", "regress": "loc"}  # what `About.labels` holds after training for the task


class LoadedModel:
    """A network with its name, its training record, and the checks that the verbs share.

    Parameters
    ----------
    model
        Set to evaluation mode and moved to `device`.
    name
        Used in messages and tables.
    about
        The training record of the checkpoint; None for a model without one.
    device
        Where it computes, such as "cpu" or "cuda".
    config
        Settings of how it forecasts.

    Attributes
    ----------
    quantile_levels
        The levels that the model was trained for, ascending; (0.5,) for a point model, () for one that predicts labels.
    past_covariates, known_covariates
        Names of the covariates in training: those known only in the past, and those known in the future too.
    time_features
        Time features that the model reads as covariates.
    trained_context_length, trained_data
        Past steps of the training windows, and the data settings of the training.
    """

    def __init__(
        self,
        model: Model,
        *,
        name: str,
        about: About | None = None,
        device: str | torch.device = "cpu",
        config: InferenceConfig | None = None,
    ):
        self.model, self.name, self.about = model.eval().to(device), name, about or About()
        self.inference_config = config or InferenceConfig()
        self.quantile_levels = model.quantile_levels
        self.any_level = model.scaler.equivariant
        data: dict[str, Any] = self.about.trained_on.get("data") or {}
        self.trained_data, self.trained_context_length = data, model.config.context
        self.past_covariates: list[str] = data.get("past") or []
        self.known_covariates: list[str] = data.get("known") or []
        self.time_features = tuple(data.get("time_features") or ()) if model.mixes_channels else ()

    def __repr__(self) -> str:
        config = self.model.config
        return (
            f"<{type(self).__name__} {self.name}: {self.num_parameters():,} parameters, context {config.context}, "
            f"horizon {config.horizon}, tasks {', '.join(self.tasks)}>"
        )

    def to(self, device: str | torch.device) -> Self:
        """Move the network to a device, and return the model."""
        self.model.to(device)
        return self

    def num_parameters(self) -> int:
        """Return the number of parameters of the network."""
        return self.model.num_parameters()

    @property
    def device(self) -> torch.device:
        """Where the network computes."""
        return next(self.model.parameters()).device

    @property
    def window_length(self) -> int:
        """Steps of a window: context and horizon."""
        return self.model.config.context + self.model.config.horizon

    @property
    def tasks(self) -> tuple[str, ...]:
        """What the model can do: some of forecast, impute, detect, classify, regress, and always embed."""
        head, labels = self.model.head, self.about.labels
        per_step = head.predicts == "steps"
        possible = {
            "forecast": per_step and self.model.config.horizon >= 1,
            "impute": per_step and head.reads_window,
            "detect": per_step and head.reads_window,
            "classify": head.predicts == "window" and LABEL_KEYS["classify"] in labels,
            "regress": head.predicts == "window" and LABEL_KEYS["regress"] in labels,
            "embed": True,
        }
        trained = self._training_task()
        return tuple(
            task
            for task in possible
            if possible[task] and (trained is None or task in trained.verbs or task == "embed")
        )

    def _training_task(self) -> type[Task] | None:
        """Return the class of the task of the training; None where it is unknown or not installed."""
        name = self.about.task.get("name")
        return TASKS.entry(name).component if name in TASKS.names() else None

    def check_forecasts(self) -> None:
        """Raise a ValueError when the model cannot forecast."""
        if "forecast" in self.tasks:
            return
        if self.model.head.predicts != "steps":
            raise ValueError(
                f"{self._training()} and predicts a label for a whole series, so it cannot forecast; use its classify, "
                "regress or embed, or a model trained with task=forecast"
            )
        if self.model.config.horizon >= 1:
            raise ValueError(
                f"{self._training()}, which does not train for the last steps, so it cannot forecast; use a model "
                f"trained with task=forecast (init.from={self.name} can start it)"
            )
        raise ValueError(
            f"{self._training()} and has no horizon, so it cannot forecast; use a model trained with task=forecast "
            f"(init.from={self.name} can start it)"
        )

    def check_predicts_steps(self, verb: str) -> None:
        """Raise a ValueError when the model does not predict every step of a window, as `verb` needs."""
        if verb in self.tasks:
            return
        head = self.model.parts["head"].name
        if self.model.head.predicts == "steps" and self.model.head.reads_window:
            raise ValueError(f"{self._training()}, so it cannot {verb}; use a model trained with task={verb}")
        predicts = "a label for a whole series" if self.model.head.predicts != "steps" else f"its horizon only ({head})"
        raise ValueError(
            f"{self._training()} and its head predicts {predicts}, so it cannot {verb}; use a model trained with "
            f"task={verb} head=patch_quantiles"
        )

    def check_labels(self, task: str) -> None:
        """Raise a ValueError when the model was not trained for `task`, classify or regress."""
        if task in self.tasks:
            return
        other = next((f"; use its {known}" for known in LABEL_KEYS if known in self.tasks), None)
        advice = f"; train one with task={task} head=pooled data=cases, starting from it with init.from={self.name}"
        raise ValueError(f"{self._training()}, so it cannot {task}{other or advice}")

    def check_finite(self, values: np.ndarray, name: str) -> None:
        """Raise a ValueError when predicted values of the series `name` are not finite."""
        if not np.isfinite(values).all():
            raise ValueError(
                f"{self.name} predicted values that are not finite for {name}, so there is no result; rescale the "
                "series if its values are extreme"
            )

    def announce(self, verb: str) -> list[str]:
        """Log and return what a user should know when the model does what it was not trained for."""
        notes, task = [], self._training_task()
        if task is not None and not task.hides_inner_steps:
            notes.append(f"{self._training()}, not to {verb}; one trained with task={verb} does it better")
        if covariates := [*self.past_covariates, *self.known_covariates, *self.time_features]:
            notes.append(
                f"{verb} does not use the covariates that {self.name} was trained with: {', '.join(covariates)}"
            )
        announce(notes)
        return notes

    def _training(self) -> str:
        """Say for which task the model was trained, as the beginning of a sentence."""
        task = self.about.task.get("name")
        return f"{self.name} was trained for task={task}" if task else f"{self.name} has no record of its training"

    def channel_units(self, names: Sequence[str], *, kind: str = "target") -> Float[np.ndarray, "2 C"] | None:
        """Return location and scale of columns in the units of the model; None: it takes values in any units.

        A model that was trained on standardised data, with a scaler that does not standardise each window, knows the
        units of its training channels only.

        Raises
        ------
        ValueError
            When the model needs units and does not know those of a column; the message calls it a `kind`.
        """
        units = self.about.standardize
        if self.model.scaler.equivariant or not units:
            return None
        unknown = [name for name in names if name not in units]
        if unknown:
            raise ValueError(
                f"{self.name} was trained with scaler={self.model.parts['scaler'].name} and knows only the units of "
                f"{', '.join(units)}; found {kind} {', '.join(unknown)}. "
                f"Name the {kind} as in training, or train with scaler=standard"
            )
        return np.array([units[name] for name in names], np.float64).T

    def item_arrays(self, frame: Frame) -> list[Float[np.ndarray, "C _"]]:
        """Return the values of the items of a frame in the units of the model."""
        units = self.channel_units(frame.targets)
        pairs = zip(frame, frame.item_names(), strict=True)
        return [to_model_units(item.values, units, name=name) for item, name in pairs]
