"""What is measured before a run: the validation score of its first weights, and the seconds of a step."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch

from tsfm.tasks.base import Ratio
from tsfm.training.components import RunComponents
from tsfm.training.learner import Learner
from tsfm.training.optim import make_optimizer
from tsfm.training.process_state import restored_random_state


@dataclass(frozen=True)
class FirstMeasures:
    """What was measured before a run.

    Attributes
    ----------
    score
        The metric that selects the best weights, of the first weights; None without validation windows.
    step_seconds, validation_seconds
        Of a training step, and of a validation.
    """

    score: float | None
    step_seconds: float
    validation_seconds: float

    def expected_seconds(self, *, num_steps: int, num_validations: int) -> float:
        """Return how long a run of so many steps and validations takes."""
        return num_steps * self.step_seconds + num_validations * self.validation_seconds


@restored_random_state()
def measure_first(components: RunComponents, *, device: str) -> FirstMeasures:
    """Validate the first weights of a run as its training will, and time a training step.

    Parameters
    ----------
    components
        Of the run; their model is changed by the steps that are timed, so that it cannot be used afterwards.
    device
        Where the run trains.
    """
    learner = components.learner().to(device)
    start = time.perf_counter()
    score = validation_score(components, learner, device=device)
    seconds = time.perf_counter() - start
    return FirstMeasures(score, _step_seconds(components, learner, device=device), seconds)


def validation_score(components: RunComponents, learner: Learner, *, device: str) -> float | None:
    """Return the metric that selects the best weights over the validation windows; None where there are none."""
    learner.eval()
    totals: dict[str, Ratio] = {}
    with torch.inference_mode():
        for index, batch in enumerate(components.data.val_dataloader()):
            for name, ratio in learner.report(batch.to(device), index).items():
                old = totals.get(name)
                totals[name] = ratio if old is None else Ratio(old.total + ratio.total, old.count + ratio.count)
    metric = totals.get(learner.task.monitor)
    return float(metric.total / metric.count) if metric is not None and metric.count else None


def _step_seconds(components: RunComponents, learner: Learner, *, device: str) -> float:
    """Return the time of the shorter of two steps: the first one also builds what later ones use."""
    windows = components.data.windows("train")
    batch = windows.gather(np.arange(min(len(windows), components.config.data.batch_size))).to(device)
    optimizer, seconds = make_optimizer(components.config.optim, learner.model.named_parameters()), []
    learner.train()
    generator = torch.Generator(device=device).manual_seed(0)
    for _ in range(2):
        start = time.perf_counter()
        problem = learner.task.pose(learner.task.augment(batch, generator), generator)
        optimizer.zero_grad()
        learner.task.loss(learner.predict_problem(problem), problem).backward()
        optimizer.step()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
