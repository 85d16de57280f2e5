"""Training steps of the small models: values per second and memory, in each mode; and how fast batches are made."""

from __future__ import annotations

import time

import torch

from gpu.section import Recorder, Slot
from gpu.timing import peak_mib, seconds_of
from tsfm.config import compose, typed
from tsfm.model.model import Model
from tsfm.registry import TASKS
from tsfm.synthetic.mixture import GeneratorMixture
from tsfm.training.components import build_model
from tsfm.types import Batch

EXPERIMENTS = ("small", "small_mamba", "small_mixer", "small_inverted")  # of conf/experiment/pretrain
BATCH_VALUES = (2**16, 2**20)
STEPS = 768  # of a window: most windows of the corpus
MODES = ("float32", "bf16", "bf16 compiled")
TINY = ["model.width=32", "backbone.depth=1"]


def measure(slot: Slot, record: Recorder) -> None:
    """Add a row for each experiment, batch size and mode, then one for synthetic windows made on the CPU."""
    for experiment in EXPERIMENTS:
        config = typed(compose("train", [f"experiment=pretrain/{experiment}", *(TINY if slot.dry_run else [])]))
        window = config.model.context + config.model.horizon
        for values in (2**12,) if slot.dry_run else BATCH_VALUES:
            for mode in MODES[:2] if slot.dry_run else MODES:
                with record.case(experiment=experiment, batch_values=values, mode=mode) as row:
                    model = build_model(config).to(slot.device).train()
                    steps = window if model.fixed_length else STEPS
                    batch = random_batch(max(1, values // steps), steps, slot.device)
                    task = TASKS.build(config.task, horizon=config.model.horizon)
                    step = TrainingStep(model, task, batch, mode)
                    row["parameters"] = model.num_parameters()
                    row["seconds"] = seconds_of(step, slot.device)
                    row["values_per_second"] = round(batch.values.numel() / row["seconds"])
                    row["peak_mib"] = peak_mib(step, slot.device)
    with record.case(experiment="synthetic windows", mode="made on the CPU") as row:
        config = typed(compose("train", ["experiment=pretrain/small"]))
        generators, num = GeneratorMixture(config.data.generators), 8 if slot.dry_run else 256
        start = time.perf_counter()
        generators.draw(num, STEPS, torch.Generator().manual_seed(0))
        row["values_per_second"] = round(num * STEPS / (time.perf_counter() - start))


def random_batch(rows: int, steps: int, device: str) -> Batch:
    """Return sums of a sine and noise, all observed."""
    generator = torch.Generator().manual_seed(0)
    phase = torch.rand(rows, 1, 1, generator=generator)
    values = torch.sin(torch.arange(steps) / 4 + 6 * phase) + 0.1 * torch.randn(rows, 1, steps, generator=generator)
    values = values.to(device)
    return Batch(values=values, observed=torch.ones_like(values, dtype=torch.bool))


class TrainingStep:
    """A step of training: pose, forward, loss, backward, AdamW."""

    def __init__(self, model: Model, task: object, batch: Batch, mode: str):
        self.model, self.task, self.batch = model, task, batch
        self.forward = torch.compile(model) if "compiled" in mode else model
        self.bf16 = "bf16" in mode
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
        self.problem = task.pose(batch, torch.Generator().manual_seed(1))  # type: ignore[attr-defined]

    def __call__(self) -> None:
        """Take the step."""
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.batch.values.device.type, torch.bfloat16, enabled=self.bf16):
            answer = self.forward(self.problem)
            loss = self.task.loss(answer, self.problem)  # type: ignore[attr-defined]
        loss.backward()
        self.optimizer.step()
