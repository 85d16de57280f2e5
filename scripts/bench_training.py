"""The CPU time of a pre-training step, plain and packed (`trainer.packed`), in turns on the same batches.

    python scripts/bench_training.py
    python scripts/bench_training.py --only packed
    python scripts/bench_training.py --steps 60 experiment=pretrain/mini

One process and one thread; values per second of CPU time (`time.process_time`), which other processes disturb less than
wall time. A step is that of `tsfm train`: draw a batch, pose its problem, forward, loss, backward, clip, optimizer,
average of the weights. Lightning's loop and its logging are not part of it.
"""

from __future__ import annotations

import argparse
import copy
import resource
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import torch
from torch.optim.swa_utils import AveragedModel

from tsfm.config import typed
from tsfm.training.callbacks import moving_average
from tsfm.training.components import RunComponents, build_components
from tsfm.training.init_config import compose_with_checkpoint
from tsfm.training.optim import make_optimizer
from tsfm.training.precision import fastest_precision
from tsfm.types import Batch

SETTINGS = ("experiment=pretrain/small_next", "init.from=tsfm-small", "init.expand=true")
WARM_UP = 3  # steps that are not counted
VARIANTS = {"plain": {}, "packed": {"packed": True}}


class Steps:
    """Training steps of one variant; `seconds` has the CPU time of the parts of each step."""

    def __init__(self, components: RunComponents, arguments: dict[str, Any]):
        config = components.config
        self.task, self.arguments, self.max_norm = components.task, arguments, config.trainer.grad_clip
        self.model = copy.deepcopy(components.model).train()
        self.optimizer = make_optimizer(config.optim, self.model.named_parameters())
        self.average = AveragedModel(self.model, avg_fn=moving_average(config.trainer.ema or 0.999))
        precision = config.trainer.precision
        self.bf16 = (fastest_precision() if precision == "auto" else precision) == "bf16"
        self.seconds: dict[str, list[float]] = defaultdict(list)

    def step(self, batch: Batch, seed: int) -> None:
        """Train on a batch."""
        problem = self._timed("pose", lambda: self.task.pose(batch, torch.Generator().manual_seed(seed)))
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            answer = self._timed("forward", lambda: self.model(problem, **self.arguments))
            loss = self._timed("loss", lambda: self.task.loss(answer, problem))
        self._timed("backward", loss.backward)
        self._timed("optimizer", self._update)

    def _update(self) -> None:
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.max_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.average.update_parameters(self.model)

    def _timed(self, section: str, compute: Callable[[], Any]) -> Any:
        begin = time.process_time()
        result = compute()
        self.seconds[section].append(time.process_time() - begin)
        return result


def measure(components: RunComponents, *, num_steps: int, only: str | None) -> tuple[dict[str, Steps], list[float]]:
    """Return the steps of each variant, and the CPU seconds of each batch."""
    variants = {name: Steps(components, arguments) for name, arguments in VARIANTS.items() if only in (None, name)}
    drawing: list[float] = []
    begin = time.process_time()
    for number, batch in enumerate(islice(components.data.train_dataloader(), num_steps + WARM_UP)):
        drawing.append(time.process_time() - begin)
        names = list(variants)
        for name in names if number % 2 else reversed(names):
            variants[name].step(batch, number)
        begin = time.process_time()
    return variants, drawing


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=32, help="batches; synthetic series are drawn for 32 at once")
    parser.add_argument("--only", choices=list(VARIANTS), help="one variant, for its peak memory")
    parser.add_argument("settings", nargs="*", help=f"of the run; without any: {' '.join(SETTINGS)}")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    components = build_components(typed(compose_with_checkpoint(list(args.settings or SETTINGS))))
    components.data.setup()
    variants, drawing = measure(components, num_steps=args.steps, only=args.only)
    values = components.config.data.batch_values
    data = statistics.mean(drawing)  # a draw of synthetic series is for many batches
    print(f"| milliseconds of CPU time | data | {' | '.join(next(iter(variants.values())).seconds)} | sum | values/s |")
    totals = {}
    for name, steps in variants.items():
        parts = {section: statistics.mean(seconds[WARM_UP:]) for section, seconds in steps.seconds.items()}
        totals[name] = data + sum(parts.values())
        cells = " | ".join(f"{1e3 * seconds:.1f}" for seconds in (data, *parts.values(), totals[name]))
        print(f"| {name} | {cells} | {values / totals[name]:,.0f} |")
    if args.only is None:
        print(f"ratio {totals['plain'] / totals['packed']:.2f}")
    print(f"peak resident memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
