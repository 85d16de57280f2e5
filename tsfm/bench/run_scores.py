"""Scores of training runs whose task is not scored by the protocol that was chosen. B windows."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from tsfm.bench.protocol import Protocol
from tsfm.config import RunConfig
from tsfm.registry import PROTOCOLS
from tsfm.tasks.base import Ratio
from tsfm.training.training_run import TrainedRun


def check_run_protocol(config: RunConfig) -> None:
    """Raise a ValueError, before a run, if the protocol does not score its task; windows leaves it to another."""
    task, chosen = config.task.name, config.bench.name
    fitting = [entry.name for entry in PROTOCOLS if task in (*entry.component.tasks, *entry.component.default_for)]
    if chosen != "windows" and chosen not in fitting:  # a task that no protocol names is scored by its own report
        raise ValueError(f"bench={chosen} does not score runs of task={task}; use bench={[*fitting, 'windows'][0]}")


def score_other_task(run: TrainedRun, *, split: str, name: str) -> dict[str, Any]:
    """Return the scores by the protocol whose default the task is, else what the task reports."""
    protocol = protocol_of_task(run.task.name, split=split)
    return score_task_report(run, split=split) if protocol is None else protocol.score_run(run, name=name)


def protocol_of_task(task: str, *, split: str) -> Protocol | None:
    """Return the protocol whose default a task is, for a split; None if no protocol has it."""
    for entry in PROTOCOLS:
        if task in entry.component.default_for:
            return PROTOCOLS.build(entry.config(split=split))
    return None


def score_task_report(run: TrainedRun, *, split: str, batch_size: int = 256) -> dict[str, Any]:
    """Return what the task reports over every window of a split; its problems are drawn from one seed."""
    windows, generator = run.data.windows(split), torch.Generator().manual_seed(0)
    device = next(run.model.parameters()).device
    sums: dict[str, Ratio] = {}
    for first in range(0, len(windows), batch_size):
        batch = windows.gather(np.arange(first, min(first + batch_size, len(windows))))
        problem = run.task.pose(batch, generator).to(device)
        with torch.no_grad():
            report = run.task.report(run.model(problem), problem)
        for metric, (total, count) in report.items():
            old = sums.get(metric, Ratio(torch.zeros_like(total), torch.zeros_like(count)))
            sums[metric] = Ratio(old.total + total, old.count + count)
    if empty := [metric for metric, ratio in sums.items() if not ratio.count]:
        raise ValueError(
            f"task={run.task.name} hides nothing in the {split} part, so {empty[0]} has no value; see what it hides "
            "with tsfm show"
        )
    scores = {metric: float(ratio.total / ratio.count) for metric, ratio in sums.items()}
    return scores | {"windows": len(windows), "split": split, "fingerprint": run.data.fingerprint}
