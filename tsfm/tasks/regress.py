"""Extrinsic regression: a number that belongs to the whole window is predicted. B batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from tsfm.messages import did_you_mean
from tsfm.registry import TASKS
from tsfm.tasks.base import Ratio
from tsfm.tasks.labels import LabelConfig, LabelTask
from tsfm.types import Answer, Problem

ERRORS = {"mse": F.mse_loss, "mae": F.l1_loss, "huber": F.huber_loss}


@TASKS("regress")
class Regress(LabelTask):
    """The label is a number, standardised over the training cases; loss and report are in standardised units."""

    @dataclass
    class Config(LabelConfig):
        """Settings of `Regress`."""

        loss: str = "mse"  # mse | mae | huber

        def __post_init__(self):
            super().__post_init__()
            if self.loss not in ERRORS:
                raise ValueError(f"task.loss is {self.loss!r}; {did_you_mean(self.loss, list(ERRORS))}")

    config: Config  # pyright: ignore[reportIncompatibleVariableOverride]  (the settings of this task)

    def loss(self, answer: Answer, problem: Problem) -> Tensor:
        """Return the mean loss."""
        return self._errors(answer, problem).mean()

    def report(self, answer: Answer, problem: Problem) -> dict[str, Ratio]:
        """Return the loss, and the mean squared error."""
        assert problem.label is not None
        count = torch.tensor(len(answer.prediction), device=answer.prediction.device)
        squares = (answer.prediction[:, 0] - problem.label).double().square()
        return {
            "loss": Ratio(self._errors(answer, problem).double().sum(), count),
            "mse": Ratio(squares.sum(), count),
        }

    def _errors(self, answer: Answer, problem: Problem) -> Tensor:
        if answer.prediction.shape[-1] != 1:
            raise ValueError(
                f"task=regress needs one number, the head gives {answer.prediction.shape[-1]}; use head.outputs=1"
            )
        assert problem.label is not None
        return ERRORS[self.config.loss](
            answer.prediction[:, 0], problem.label.to(answer.prediction.dtype), reduction="none"
        )
