"""Compare ways to adapt a pre-trained model: number of trained parameters, memory and time of a step, test score.

    python scripts/bench_finetune.py                         # ETTh2 -> ETTh1 with 5 % and all of the train windows
    python scripts/bench_finetune.py --fractions 0.05 --rounds 21
    python scripts/bench_finetune.py --quick                 # a few steps, to see that it runs

A small forecaster is trained on one data set for a fixed number of steps, then adapted to another by each method, with
the same number of steps; no choice depends on the test part, and the last weights are scored. Memory is the peak of the
resident memory of a new process over three training steps, minus the memory before the model was made. The methods take
turns in one process for the time of a step; its ratio is the median over the rounds of the ratio to full fine-tuning.
Takes about two and a half minutes of one core.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peers.measure import Timer, alternate, environment, markdown, milliseconds, peak_resident, ratio, resident

from tsfm.commands.evaluate import evaluate_config
from tsfm.commands.train import train_and_score
from tsfm.config import compose, typed
from tsfm.data.case_data import CaseData, CasesConfig
from tsfm.estimators.probe import Probe
from tsfm.training.components import RunComponents, build_components
from tsfm.training.init_config import compose_with_checkpoint
from tsfm.training.optim import make_optimizer

# the transformer as for pre-training; a run from a checkpoint has the architecture of the checkpoint
SHAPE = [
    "backbone=patch_transformer", "head=patch_quantiles", "model.context=256", "model.horizon=96", "model.width=64",
    "model.embed=residual", "backbone.heads=4", "backbone.hidden=128", "backbone.norm=rms", "backbone.pre_norm=true",
    "backbone.positions=rotary", "backbone.gated=true", "backbone.qk_norm=true", "backbone.dropout=0.1",
]  # fmt: skip
TRAINING = [
    "task.loss=pinball", "task.units=scaled", "optim.schedule=cosine", "optim.warmup=0.1", "data.sampling=random",
    "data.batch_size=16", "trainer.max_epochs=1", "trainer.keep=last", "trainer.patience=null",
    "trainer.val_every=1000000", "trainer.progress=false", "trainer.accelerator=cpu", "trainer.loggers=[]",
]  # fmt: skip
# each with a learning rate chosen beforehand, for all data sets; new weights need a higher one
METHODS: dict[str, list[str]] = {
    "full": ["optim.lr=3e-4"],
    "head only": ["init.freeze=[all_but_head]", "optim.lr=1e-3"],
    "LoRA rank 8": ["init.lora.rank=8", "optim.lr=1e-3"],
}
STEPS_FOR_MEMORY = 3


def training_settings(args: argparse.Namespace, *, steps: int) -> list[str]:
    """Return the settings that all trainings share."""
    return [*TRAINING, f"data.batches_per_epoch={steps}", f"bench.stride={args.stride}"]


def method_settings(name: str, args: argparse.Namespace, *, source: Path, fraction: float) -> list[str]:
    """Return the settings of `tsfm train` for one method."""
    settings = [f"data={args.target}", f"init.from={source}", f"data.fraction={fraction}"]
    return [*training_settings(args, steps=args.steps), *settings, *METHODS[name]]


def method_components(name: str, args: argparse.Namespace, *, source: Path) -> RunComponents:
    """Return the components of the training by one method."""
    return build_components(typed(compose_with_checkpoint(method_settings(name, args, source=source, fraction=1.0))))


class Step:
    """A training step on one batch, as the learner makes it."""

    def __init__(self, components: RunComponents):
        self.learner, self.task = components.learner(), components.task
        self.learner.on_train_start()
        self.batch = components.data.windows("train").gather(np.arange(16))
        self.optimizer = make_optimizer(components.config.optim, components.model.named_parameters())

    def __call__(self) -> None:
        """Take one step."""
        problem = self.task.pose(self.batch)
        self.optimizer.zero_grad()
        self.task.loss(self.learner.predict_problem(problem), problem).backward()
        self.optimizer.step()


def training_bytes(name: str, args: argparse.Namespace, *, source: Path) -> int | None:
    """Return the bytes that training steps take in this process; its earlier peak is reset where that is allowed."""
    Path("/proc/self/clear_refs").write_text("5") if os.access("/proc/self/clear_refs", os.W_OK) else None
    before = resident()
    step = Step(method_components(name, args, source=source))
    for _ in range(STEPS_FOR_MEMORY):
        step()
    peak = peak_resident()
    return None if before is None or peak is None else peak - before


def megabytes(name: str, args: argparse.Namespace, *, source: Path) -> str:
    """Return the MB that training steps take, measured in a new process; "?" where the system does not report it."""
    options = ["--child", name, "--source", str(source), "--threads", str(args.threads), "--target", args.target]
    process = subprocess.run([sys.executable, __file__, *options], capture_output=True, text=True, env=os.environ)
    if process.returncode:
        raise RuntimeError(f"measuring the memory of {name} failed: {process.stderr.strip().splitlines()[-1:]}")
    num_bytes = process.stdout.strip().splitlines()[-1].removeprefix("BYTES ")
    return "?" if num_bytes == "None" else f"{int(num_bytes) / 1e6:.0f}"


def trained_parameters(components: RunComponents) -> str:
    """Return how many parameters are trained, of how many."""
    sizes = [(p.numel(), p.requires_grad) for p in components.model.parameters()]
    return f"{sum(size for size, trains in sizes if trains):,} of {sum(size for size, _ in sizes):,}"


def score(settings: list[str], run_dir: Path) -> dict[str, Any]:
    """Train with settings and return the scores on the test part."""
    return train_and_score(typed(compose_with_checkpoint([*settings, f"run_dir={run_dir}"])))


def case_scores(args: argparse.Namespace, folder: Path, *, source: Path) -> list[dict[str, Any]]:
    """Return a row for each method of adapting to labelled cases with a new head, and for a linear probe."""
    rows, plans = [], {}
    common = ["experiment=finetune/cases", f"data.dataset={args.cases}", f"init.from={source}", "init.reset=[head]"]
    common += [f"trainer.max_steps={args.steps}", "trainer.max_epochs=-1", "trainer.progress=false"]
    for name, settings in METHODS.items():
        plans[name] = [*common, *settings]
    components = {name: build_components(typed(compose_with_checkpoint(plan))) for name, plan in plans.items()}
    taken = alternate({name: Step(run) for name, run in components.items()}, timer=Timer(), rounds=args.rounds)
    for name, settings in plans.items():
        accuracy = score(settings, folder / f"{name.replace(' ', '_')}-cases")["accuracy"]
        row = {
            "method": name,
            "parameters trained": trained_parameters(components[name]),
            "ms per step": milliseconds(taken[name]),
        }
        row["ratio"] = f"{ratio(taken[name], taken['full']):.2f}"
        rows.append(row | {"accuracy": f"{accuracy:.4f}"})
    data = CaseData(CasesConfig(args.cases))
    train, test = data.cases("train"), data.cases("test")
    start = time.perf_counter()
    probe = Probe(str(source), "classify").fit(train.series, train.labels)
    seconds = time.perf_counter() - start
    accuracy = float(np.mean(probe.predict(test.series) == test.labels))
    linear: Any = probe.linear_[-1]
    row = {"method": f"linear probe (layer {probe.layer_})"}
    row["parameters trained"] = f"{linear.coef_.size + linear.intercept_.size:,}"
    rows.append(row | {"ms per step": "no steps", "ratio": f"{seconds:.1f} s in all", "accuracy": f"{accuracy:.4f}"})
    return rows


def costs(args: argparse.Namespace, *, source: Path) -> list[dict[str, Any]]:
    """Return a row for each method with parameters, memory and time."""
    components = {name: method_components(name, args, source=source) for name in METHODS}
    taken = alternate({name: Step(run) for name, run in components.items()}, timer=Timer(), rounds=args.rounds)
    rows = []
    for name, run in components.items():
        ratios = [a / b for a, b in zip(taken[name], taken["full"], strict=True)]
        low, _, high = statistics.quantiles(ratios, n=4)
        rows.append(
            {
                "method": name,
                "parameters trained": trained_parameters(run),
                "peak MB": megabytes(name, args, source=source),
                "ms per step": milliseconds(taken[name]),
                "ratio (quartiles)": f"{ratio(taken[name], taken['full']):.2f} ({low:.2f} to {high:.2f})",
            }
        )
    return rows


def scores(args: argparse.Namespace, folder: Path, *, source: Path) -> list[dict[str, Any]]:
    """Return the test scores of the model without adaptation, of one trained from scratch, and of each method."""
    common = [f"predictor={source}", f"data={args.target}", f"bench.stride={args.stride}", "device=cpu"]
    unadapted = evaluate_config(typed(compose("eval", common)))
    rows = [{"train windows": "none", "method": "without adaptation", "MSE": f"{unadapted['mse']:.4f}"}]
    rows[0]["MAE"] = f"{unadapted['mae']:.4f}"
    for fraction in args.fractions:
        scratch = [
            *SHAPE,
            *training_settings(args, steps=args.steps),
            f"data={args.target}",
            f"data.fraction={fraction}",
        ]
        plans = {"from scratch": [*scratch, "optim.lr=1e-3"]}
        plans |= {name: method_settings(name, args, source=source, fraction=fraction) for name in METHODS}
        for name, settings in plans.items():
            metrics = score(settings, folder / f"{name.replace(' ', '_')}-{fraction}")
            row = {"train windows": f"{fraction:.0%}", "method": name}
            rows.append(row | {"MSE": f"{metrics['mse']:.4f}", "MAE": f"{metrics['mae']:.4f}"})
    return rows


def parse() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--base", default="etth2", help="data set of the pre-training")
    parser.add_argument("--target", default="etth1", help="data set to adapt to")
    parser.add_argument("--cases", default="Trace", help="labelled cases to adapt to")
    parser.add_argument("--fractions", type=float, nargs="+", default=[0.05, 1.0], help="of the train windows")
    parser.add_argument("--base-steps", type=int, default=200, help="of the pre-training")
    parser.add_argument("--steps", type=int, default=100, help="of each adaptation")
    parser.add_argument("--stride", type=int, default=8, help="steps from one test window to the next")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="a few steps and rounds")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--source", type=Path, help="a model to start from, instead of training one")
    args = parser.parse_args()
    if args.quick:
        args.base_steps, args.steps, args.rounds, args.stride = 4, 4, 3, 400
    return args


def main() -> int:
    """Print the tables."""
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    args = parse()
    torch.set_num_threads(args.threads)
    if args.child:
        print("BYTES", training_bytes(args.child, args, source=args.source))
        return 0
    print(
        f"{environment('cpu')}; {args.rounds} rounds; {args.base_steps} steps of pre-training, "
        f"{args.steps} of each adaptation; every {args.stride}th test window.\n"
    )
    with tempfile.TemporaryDirectory() as scratch:
        source = args.source
        if source is None:
            settings = [*SHAPE, *training_settings(args, steps=args.base_steps), f"data={args.base}", "optim.lr=1e-3"]
            metrics = score(settings, Path(scratch) / "base")
            source = Path(metrics["run_dir"])
            print(f"Trained on {args.base}: MSE {metrics['mse']:.4f}, MAE {metrics['mae']:.4f} on its test part.\n")
        print(f"## A training step on {args.target}, 16 windows\n")
        print(markdown(costs(args, source=source)))
        print(f"## Test scores on {args.target}\n")
        print(markdown(scores(args, Path(scratch), source=source)))
        print(f"## The same model on {args.cases}: test accuracy\n")
        print(markdown(case_scores(args, Path(scratch), source=source)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
