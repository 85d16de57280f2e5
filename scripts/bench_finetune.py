"""Ways to adapt one pre-trained model beside each other: what is trained, memory and time of a step, the score.

    python scripts/bench_finetune.py                         # ETTh2 -> ETTh1 with 5 % and all of the train windows
    python scripts/bench_finetune.py --fractions 0.05 --rounds 21
    python scripts/bench_finetune.py --quick                 # a few steps: does it run

A small forecaster is trained on one data set for a fixed number of steps, then adapted to another by each method, all
with the same steps; no choice looks at the test part, and the last weights are scored. Memory is the peak of the
resident memory of a process of its own over three training steps, beyond what it held before the model was made. The
methods take turns in one process for the time of a step; its ratio is the median of the rounds' ratios to full
fine-tuning. About two and a half minutes of one core.
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
from peers.measure import Clock, alternate, markdown, milliseconds, peak_resident, ratio, resident, surroundings

from tsfm.commands.evaluate import evaluate_config
from tsfm.commands.train import train_and_score
from tsfm.config import compose, typed
from tsfm.data.case_data import CaseData, CasesConfig
from tsfm.estimators.probe import Probe
from tsfm.training.components import RunComponents, build_components
from tsfm.training.init_config import compose_with_checkpoint
from tsfm.training.optim import make_optimizer

# a pre-training arrangement of the transformer; what begins from a checkpoint has its architecture without a word
SHAPE = [
    "backbone=patch_transformer", "head=patch_quantiles", "model.context=256", "model.horizon=96", "model.width=64",
    "model.embed=residual", "backbone.heads=4", "backbone.hidden=128", "backbone.norm=rms", "backbone.pre_norm=true",
    "backbone.positions=rotary", "backbone.gated=true", "backbone.qk_norm=true", "backbone.dropout=0.1",
]  # fmt: skip
COURSE = [
    "task.loss=pinball", "task.units=scaled", "optim.schedule=cosine", "optim.warmup=0.1", "data.sampling=random",
    "data.batch_size=16", "trainer.max_epochs=1", "trainer.keep=last", "trainer.patience=null",
    "trainer.val_every=1000000", "trainer.progress=false", "trainer.accelerator=cpu", "trainer.loggers=[]",
]  # fmt: skip
# each at a rate of its own, taken beforehand and for all data sets: what begins at zero wants a higher one
METHODS: dict[str, list[str]] = {
    "full": ["optim.lr=3e-4"],
    "head only": ["init.freeze=[all_but_head]", "optim.lr=1e-3"],
    "LoRA rank 8": ["init.lora.rank=8", "optim.lr=1e-3"],
}
STEPS_OF_A_CHILD = 3


def course(args: argparse.Namespace, *, steps: int) -> list[str]:
    return [*COURSE, f"data.batches_per_epoch={steps}", f"bench.stride={args.stride}"]


def adapted(name: str, args: argparse.Namespace, *, source: Path, fraction: float) -> list[str]:
    """The words of `tsfm train` for one method."""
    words = [f"data={args.target}", f"init.from={source}", f"data.fraction={fraction}"]
    return [*course(args, steps=args.steps), *words, *METHODS[name]]


def parts_of(name: str, args: argparse.Namespace, *, source: Path) -> RunComponents:
    return build_components(typed(compose_with_checkpoint(adapted(name, args, source=source, fraction=1.0))))


class Step:
    """A training step on one batch, as the learner makes it."""

    def __init__(self, parts: RunComponents):
        self.learner, self.task = parts.learner(), parts.task
        self.learner.on_train_start()
        self.batch = parts.data.windows("train").gather(np.arange(16))
        self.optimizer = make_optimizer(parts.config.optim, parts.model.named_parameters())

    def __call__(self) -> None:
        problem = self.task.pose(self.batch)
        self.optimizer.zero_grad()
        self.task.loss(self.learner.predict_problem(problem), problem).backward()
        self.optimizer.step()


def bytes_of_a_step(name: str, args: argparse.Namespace, *, source: Path) -> int | None:
    """In a fresh process. What was held and freed before is forgotten where the system lets one."""
    Path("/proc/self/clear_refs").write_text("5") if os.access("/proc/self/clear_refs", os.W_OK) else None
    before = resident()
    step = Step(parts_of(name, args, source=source))
    for _ in range(STEPS_OF_A_CHILD):
        step()
    peak = peak_resident()
    return None if before is None or peak is None else peak - before


def megabytes(name: str, args: argparse.Namespace, *, source: Path) -> str:
    own = ["--child", name, "--source", str(source), "--threads", str(args.threads), "--target", args.target]
    said = subprocess.run([sys.executable, __file__, *own], capture_output=True, text=True, env=os.environ)
    if said.returncode:
        raise RuntimeError(f"measuring the memory of {name} failed: {said.stderr.strip().splitlines()[-1:]}")
    found = said.stdout.strip().splitlines()[-1].removeprefix("BYTES ")
    return "?" if found == "None" else f"{int(found) / 1e6:.0f}"


def trained(parts: RunComponents) -> str:
    sizes = [(p.numel(), p.requires_grad) for p in parts.model.parameters()]
    return f"{sum(size for size, trains in sizes if trains):,} of {sum(size for size, _ in sizes):,}"


def score(words: list[str], run_dir: Path) -> dict[str, Any]:
    return train_and_score(typed(compose_with_checkpoint([*words, f"run_dir={run_dir}"])))


def labels(args: argparse.Namespace, folder: Path, *, source: Path) -> list[dict[str, Any]]:
    """The same model adapted to labelled cases, with a new head; and a linear probe on its frozen embeddings."""
    rows, ran = [], {}
    common = ["experiment=finetune/cases", f"data.dataset={args.cases}", f"init.from={source}", "init.reset=[head]"]
    common += [f"trainer.max_steps={args.steps}", "trainer.max_epochs=-1", "trainer.progress=false"]
    for name, words in METHODS.items():
        ran[name] = [*common, *words]
    parts = {name: build_components(typed(compose_with_checkpoint(words))) for name, words in ran.items()}
    taken = alternate({name: Step(part) for name, part in parts.items()}, clock=Clock(), rounds=args.rounds)
    for name, words in ran.items():
        accuracy = score(words, folder / f"{name.replace(' ', '_')}-cases")["accuracy"]
        row = {"method": name, "parameters trained": trained(parts[name]), "ms per step": milliseconds(taken[name])}
        row["ratio"] = f"{ratio(taken[name], taken['full']):.2f}"
        rows.append(row | {"accuracy": f"{accuracy:.4f}"})
    data = CaseData(CasesConfig(args.cases))
    train, test = data.cases("train"), data.cases("test")
    begun = time.perf_counter()
    probe = Probe(str(source), "classify").fit(train.series, train.labels)
    seconds = time.perf_counter() - begun
    accuracy = float(np.mean(probe.predict(test.series) == test.labels))
    linear = probe.linear_[-1]
    row = {"method": f"linear probe (layer {probe.layer_})"}
    row["parameters trained"] = f"{linear.coef_.size + linear.intercept_.size:,}"
    rows.append(row | {"ms per step": "no steps", "ratio": f"{seconds:.1f} s in all", "accuracy": f"{accuracy:.4f}"})
    return rows


def costs(args: argparse.Namespace, *, source: Path) -> list[dict[str, Any]]:
    """Parameters, memory and time of each method."""
    parts = {name: parts_of(name, args, source=source) for name in METHODS}
    taken = alternate({name: Step(part) for name, part in parts.items()}, clock=Clock(), rounds=args.rounds)
    rows = []
    for name, part in parts.items():
        each = [a / b for a, b in zip(taken[name], taken["full"], strict=True)]
        low, _, high = statistics.quantiles(each, n=4)
        rows.append(
            {
                "method": name,
                "parameters trained": trained(part),
                "peak MB": megabytes(name, args, source=source),
                "ms per step": milliseconds(taken[name]),
                "ratio (quartiles)": f"{ratio(taken[name], taken['full']):.2f} ({low:.2f} to {high:.2f})",
            }
        )
    return rows


def scores(args: argparse.Namespace, folder: Path, *, source: Path) -> list[dict[str, Any]]:
    """The test scores of the model as it is, of one from scratch with the same steps, and of each method."""
    common = [f"predictor={source}", f"data={args.target}", f"bench.stride={args.stride}", "device=cpu"]
    as_it_is = evaluate_config(typed(compose("eval", common)))
    rows = [{"train windows": "none", "method": "as it is", "MSE": f"{as_it_is['mse']:.4f}"}]
    rows[0]["MAE"] = f"{as_it_is['mae']:.4f}"
    for fraction in args.fractions:
        scratch = [*SHAPE, *course(args, steps=args.steps), f"data={args.target}", f"data.fraction={fraction}"]
        plans = {"from scratch": [*scratch, "optim.lr=1e-3"]}
        plans |= {name: adapted(name, args, source=source, fraction=fraction) for name in METHODS}
        for name, words in plans.items():
            found = score(words, folder / f"{name.replace(' ', '_')}-{fraction}")
            row = {"train windows": f"{fraction:.0%}", "method": name}
            rows.append(row | {"MSE": f"{found['mse']:.4f}", "MAE": f"{found['mae']:.4f}"})
    return rows


def parse() -> argparse.Namespace:
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
    parser.add_argument("--source", type=Path, help="a model to begin from, instead of training one")
    args = parser.parse_args()
    if args.quick:
        args.base_steps, args.steps, args.rounds, args.stride = 4, 4, 3, 400
    return args


def main() -> int:
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    args = parse()
    torch.set_num_threads(args.threads)
    if args.child:
        print("BYTES", bytes_of_a_step(args.child, args, source=args.source))
        return 0
    print(
        f"{surroundings('cpu')}; {args.rounds} rounds; {args.base_steps} steps of pre-training, "
        f"{args.steps} of each adaptation; every {args.stride}th test window.\n"
    )
    with tempfile.TemporaryDirectory() as scratch:
        source = args.source
        if source is None:
            words = [*SHAPE, *course(args, steps=args.base_steps), f"data={args.base}", "optim.lr=1e-3"]
            found = score(words, Path(scratch) / "base")
            source = Path(found["run_dir"])
            print(f"Trained on {args.base}: MSE {found['mse']:.4f}, MAE {found['mae']:.4f} on its test part.\n")
        print(f"## A training step on {args.target}, 16 windows\n")
        print(markdown(costs(args, source=source)))
        print(f"## Test scores on {args.target}\n")
        print(markdown(scores(args, Path(scratch), source=source)))
        print(f"## The same model on {args.cases}: test accuracy\n")
        print(markdown(labels(args, Path(scratch), source=source)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
