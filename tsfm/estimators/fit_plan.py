"""How a model is fine-tuned on the series at hand: windows, steps and learning rate follow from the size of the data.

N series, C targets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Int

    from tsfm.model.model import Model

MAX_CONTEXT = 1024  # steps of a training window before the horizon
BATCH_STEPS = 16_384  # steps of all windows of a batch, at most
BATCH_SIZES = (8, 32)  # windows of a batch
STEPS = (60, 300)  # training steps
STEPS_PER_ROOT = 4.0  # training steps per square root of the number of windows without overlap
LEARNING_RATE = {"full": 1e-4, "head": 3e-4, "lora": 5e-4}
VALIDATIONS = 6
MAX_VALIDATION_WINDOWS = 128
CHANCE = 0.15  # relative gain in the loss of one validation window that fine-tuning has by chance


@dataclass(frozen=True)
class FitPlan:
    """Settings of a fine-tuning that follow from the data.

    Attributes
    ----------
    context
        Steps before the horizon in a training window.
    batch_size
        Windows of a training step.
    num_steps
        Training steps, with `VALIDATIONS` validations evenly among them.
    learning_rate
        The highest of the schedule.
    min_gain
        Relative gain of the validation loss below which the fine-tuned weights are better by chance: less, the more
        validation windows without overlap there are.
    """

    context: int
    batch_size: int
    num_steps: int
    learning_rate: float
    min_gain: float

    def is_better(self, score: float, before: float) -> bool:
        """Return whether a validation loss is lower than that before the fine-tuning, by more than chance."""
        return score < (1 - self.min_gain) * before

    @property
    def overrides(self) -> list[str]:
        """Return the plan as settings of experiment=finetune/series."""
        return [
            f"model.context={self.context}",
            f"data.batch_size={self.batch_size}",
            f"data.eval_batch_size={4 * self.batch_size}",
            f"data.val_windows={MAX_VALIDATION_WINDOWS}",
            f"data.batches_per_epoch={-(-self.num_steps // VALIDATIONS)}",
            f"trainer.max_epochs={VALIDATIONS}",
            f"optim.lr={self.learning_rate}",
        ]


def plan_fit(
    model: Model,
    lengths: Int[np.ndarray, " N"],
    *,
    share: float,
    num_targets: int,
    context: int,
    horizon: int,
    method: str,
) -> FitPlan:
    """Return the plan for series of these lengths.

    Parameters
    ----------
    model
        The model that is fine-tuned.
    lengths
        Steps of each series.
    share
        The part of each series, at its end, that validates.
    num_targets
        Channels that are predicted.
    context, horizon
        The longest window; a horizon of 0 is for tasks on the whole window.
    method
        "full", "head" or "lora".
    """
    train = np.maximum((lengths * (1 - share)).astype(int), 1)
    if not model.fixed_length:
        available = int(np.quantile(train, 0.9)) - horizon
        patch = model.config.patch
        context = min(context, max(1, -(-min(available, MAX_CONTEXT) // patch)) * patch)
    step = max(horizon, context if not horizon else 1)
    num_windows = num_targets * float(np.maximum(train / step, 1).sum())
    num_validation = num_targets * float(np.maximum(lengths * share / step, 1).sum())
    num_steps = int(np.clip(STEPS_PER_ROOT * np.sqrt(num_windows), *STEPS))
    batch_size = int(np.clip(BATCH_STEPS // (context + horizon), *BATCH_SIZES))
    return FitPlan(context, batch_size, num_steps, LEARNING_RATE[method], CHANCE / np.sqrt(num_validation))
