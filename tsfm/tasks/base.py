"""The interface of tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from tsfm.types import Answer, Batch, Problem

HEAD_FOR = {"steps": "patch_quantiles", "window": "pooled"}  # what a task predicts -> a head that fits


class Ratio(NamedTuple):
    """A metric as total over count.

    Both are summed over batches and processes before the division, so that the result depends neither on the batch size
    nor on a short last batch.
    """

    total: Tensor
    count: Tensor  # pyright: ignore[reportIncompatibleMethodOverride]  (a sum, not tuple.count)


class Task:
    """Base class: a task hides values of a batch and computes the loss of the answer.

    It has no parameters and no state.

    Parameters
    ----------
    config
        The settings of the subclass.
    horizon
        Of the model.
    counts
        Number of training cases of each class, where the data have classes.

    Attributes
    ----------
    predicts
        What the head must predict: `steps` or `window`, as in `Head.predicts`.
    monitor
        The metric of `report` that selects the best epoch; lower is better.
    verbs
        What a model trained for the task may be used for: some of forecast, impute, detect, classify, regress.
    hides_inner_steps
        Whether steps before the last ones are hidden in training, as imputation and detection need.
    usage
        Calls that a model trained for the task can answer, for its card; `{horizon}` is filled in.
    """

    predicts: ClassVar[str] = "steps"
    monitor: ClassVar[str] = "loss"
    verbs: ClassVar[tuple[str, ...]] = ()
    hides_inner_steps: ClassVar[bool] = False
    usage: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: Any, *, horizon: int, counts: Sequence[int] | None = None):
        self.config, self.horizon, self.counts = config, horizon, counts

    @property
    def name(self) -> str:
        """The registered name."""
        return self.config.name

    def check(self, *, quantile_levels: tuple[float, ...], predicts: str = "steps", window: int | None = None) -> None:
        """Refuse a model that does not fit the task, before any training.

        Parameters
        ----------
        quantile_levels, predicts
            Of the head.
        window
            Steps of a window; None if unknown.

        Raises
        ------
        ValueError
            If the head or the windows do not fit; the message says what to change.
        """
        del quantile_levels, window  # for the checks of subclasses
        if predicts != self.predicts:
            outputs = {"steps": "every step", "window": "the window as a whole"}
            raise ValueError(
                f"task={self.name} needs predictions for {outputs[self.predicts]}, and the head gives them for "
                f"{outputs[predicts]}; use head={HEAD_FOR[self.predicts]}"
            )

    def augment(self, batch: Batch, generator: torch.Generator | None = None) -> Batch:
        """Return a random variation of a training batch; not called in validation and evaluation."""
        del generator
        return batch

    def pose(self, batch: Batch, generator: torch.Generator | None = None) -> Problem:
        """Return the problem of a batch, with some values hidden; random choices use the generator."""
        raise NotImplementedError

    def loss(self, answer: Answer, problem: Problem) -> Tensor:
        """Return the training loss, a scalar."""
        raise NotImplementedError

    def report(self, answer: Answer, problem: Problem) -> dict[str, Ratio]:
        """Return metrics of a batch by name, `loss` among them."""
        raise NotImplementedError
