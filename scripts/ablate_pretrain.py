"""Ablate the pre-training recipe: a short run for each row with the same number of steps, and a table of their scores.

    python scripts/ablate_pretrain.py --out runs/ablation                   # every row, 600 steps of pretrain/nano each
    python scripts/ablate_pretrain.py --out runs/ablation --rows recipe "no lags" --steps 2000 --seeds 0 1
    python scripts/ablate_pretrain.py --out runs/ablation --minutes 6 --seeds 0 1   # equal CPU minutes for each row
    python scripts/ablate_pretrain.py --out runs/ablation --table           # the table of finished runs

A row is the recipe with some settings changed. It is scored on the held-out ends of the corpus (`tsfm bench suite
--role corpus`): the geometric mean over the sets of MASE and WQL relative to the seasonal naive. No benchmark set is
read. With --minutes, the CPU time of a step of each row is measured, in turns, and decides its number of steps. A
finished row is not run again, so an interrupted script can be continued.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from tsfm.bench.report import as_markdown
from tsfm.config import compose, typed
from tsfm.training.components import build_components
from tsfm.training.precision import fastest_precision
from tsfm.types import Batch

QUANTILES = [0.01, *(round(0.05 * i, 2) for i in range(1, 20)), 0.99]
SEASON = ["model.known_season=true", "data.seasons=true"]
TIME = ["model.time_features=true", "data.timestamps=true"]
MEASURED_BATCHES = 64  # a multiple of the batches whose synthetic series are drawn at once
ROWS: dict[str, list[str]] = {
    "recipe": [],
    "known season": SEASON,
    "time features": TIME,
    "broad generators": ["data=corpus_broad"],
    "balanced corpus": ["data=corpus_balanced"],
    "blended with synthetic series": ["data.blend_rate=0.2"],
    "21 quantile levels": [f"head.quantile_levels={QUANTILES}"],
    "known season, blended": [*SEASON, "data.blend_rate=0.2"],
    "dilated convolutions": ["experiment=pretrain/mini_conv", "backbone.depth=8"],
    "synthetic series only": ["data.real_rate=0"],
    "real series only": ["data.real_rate=1"],
    "no hidden blocks or points beside a tail": ["task.block_rate=0", "task.point_rate=0"],
    "no imputation windows": ["task.impute_rate=0"],
    "tails only": ["task.block_rate=0", "task.point_rate=0", "task.impute_rate=0"],
    "no short contexts": ["task.short_context_rate=0"],
    "no arcsinh": ["scaler.arcsinh=false", "task.arcsinh=false"],
    "smooth series count as rough ones": ["task.smoothness_exponent=0"],
    "no lags": ["model.seasonal_lags=0"],
    "one lag": ["model.seasonal_lags=1"],
    "patch 16": ["model.patch=16", "model.stride=16", "task.patch=16", "task.max_tail_patches=46"],
    "patch 64": [
        "model.patch=64",
        "model.stride=64",
        "task.patch=64",
        "task.max_tail_patches=11",
        "model.context=1056",
    ],
    "rate 1e-3": ["optim.lr=1e-3"],
    "rate 4e-3": ["optim.lr=4e-3"],
    "muon": ["optim=muon", "optim.schedule=wsd", "optim.warmup=0.02", "optim.decay=0.3"],
    "patch 64, no arcsinh, smooth as rough, rate 3e-3": [
        "model.patch=64",
        "model.stride=64",
        "task.patch=64",
        "task.max_tail_patches=11",
        "scaler.arcsinh=false",
        "task.arcsinh=false",
        "task.smoothness_exponent=0",
        "optim.lr=3e-3",
    ],
    "mamba": ["experiment=pretrain/mini_mamba", "model.width=64", "backbone.hidden=128", "backbone.state=16"],
    "mixer": ["experiment=pretrain/mini_mixer", "model.width=64"],
    "inverted": ["experiment=pretrain/mini_inverted"],
}


def folder_name(row: str) -> str:
    """Return the name of the folder of a row, without the seed."""
    return row.replace(",", "").replace(" ", "_")


def cpu_seconds_per_step(variants: Sequence[list[str]]) -> list[float]:
    """Return the CPU time of a training step with its batch for each list of settings, measured in this process.

    The variants take turns, so that what else the machine does at the time slows all of them alike.
    """
    steps = [training_steps(overrides) for overrides in variants]
    seconds = [0.0] * len(steps)
    for _ in range(MEASURED_BATCHES):
        for number, step in enumerate(steps):
            begin = time.process_time()
            next(step)
            seconds[number] += time.process_time() - begin
    return [total / MEASURED_BATCHES for total in seconds]


def training_steps(overrides: list[str]) -> Iterator[None]:
    """Yield after each training step of an experiment; the first one, which has done what happens once, is done."""
    components = build_components(typed(compose("train", overrides)))
    model, task, generator = components.model.train(), components.task, torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    is_bf16 = fastest_precision() == "bf16"

    def step(batch: Batch) -> None:
        problem = task.pose(task.augment(batch, generator), generator)
        with torch.autocast("cpu", torch.bfloat16, enabled=is_bf16):
            loss = task.loss(model(problem), problem)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    batches = iter(components.data.train_dataloader())
    step(next(batches))
    return (step(batch) for batch in batches)


def run(name: str, changes: list[str], *, steps: int, seed: int, experiment: str, out: Path) -> Path:
    """Train a row unless its run is finished, and return its folder."""
    folder = out / f"{folder_name(name)}-{seed}"
    if not (folder / "result.json").is_file():
        base = base_experiment(changes, experiment)
        settings = [
            f"trainer.max_steps={steps}",
            "trainer.precision=auto",
            "trainer.progress=false",
            f"seed={seed}",
            "resume=auto",
        ]
        command = [sys.executable, "-m", "tsfm", "train", *base, *changes, *settings, f"run_dir={folder}"]
        subprocess.run(command, check=True)
    return folder


def base_experiment(changes: list[str], experiment: str) -> list[str]:
    """Return the setting of the experiment, unless the changes name one."""
    return [] if any(change.startswith("experiment=") for change in changes) else [f"experiment={experiment}"]


def measure_costs(names: Sequence[str], *, experiment: str, out: Path) -> dict[str, float]:
    """Return the CPU seconds of a step of each row; measured once and kept in the folder."""
    file = out / "seconds_per_step.json"
    known = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if missing := [name for name in names if name not in known]:
        measured = [*known, *missing]  # all again, since only times of one measurement are comparable
        variants = [[*base_experiment(ROWS[name], experiment), *ROWS[name]] for name in measured]
        known = dict(zip(measured, cpu_seconds_per_step(variants), strict=True))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(known, indent=2), encoding="utf-8")
    return known


def score(folder: Path) -> tuple[float, float, int]:
    """Return geometric means over the sets of MASE and WQL relative to the seasonal naive, and the number of sets."""
    file = folder / "suite" / "suite.csv"
    if not file.is_file():
        options = ["--role", "corpus", "--out", str(file.parent)]
        subprocess.run([sys.executable, "-m", "tsfm", "bench", "suite", str(folder), *options], check=True)
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    means = []
    for metric in ("mase_relative", "wql_relative"):
        values = np.array([float(row[metric]) for row in rows if row.get(metric)])
        means.append(float(np.exp(np.log(values[values > 0]).mean())))
    return means[0], means[1], len(rows)


def table(args: argparse.Namespace) -> str:
    """Return a Markdown table of the finished rows, with means over the seeds."""
    rows = []
    for name in args.rows:
        scored = [
            score(folder)
            for seed in args.seeds
            if ((folder := args.out / f"{folder_name(name)}-{seed}") / "result.json").is_file()
        ]
        if scored:
            mase, wql, sets = np.array(scored).mean(axis=0)
            spread = np.ptp(np.array(scored), axis=0)
            rows.append(
                {
                    "row": name,
                    "seeds": len(scored),
                    "sets": int(sets),
                    "MASE": mase,
                    "WQL": wql,
                    "range of MASE": spread[0],
                    "range of WQL": spread[1],
                }
            )
    return as_markdown(rows)


def main(argv: list[str] | None = None) -> None:
    """Run the rows of the command line and write ablation.md."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs and of ablation.md")
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS), metavar="ROW")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--minutes", type=float, help="CPU minutes of a row, instead of --steps")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--experiment", default="pretrain/nano")
    parser.add_argument("--table", action="store_true", help="only the table of finished runs")
    args = parser.parse_args(argv)
    costs = {}
    if args.minutes and not args.table:
        costs = measure_costs(args.rows, experiment=args.experiment, out=args.out)
    for seed in args.seeds if not args.table else ():
        for name in args.rows:
            steps = round(60 * args.minutes / costs[name]) if costs else args.steps
            run(name, ROWS[name], steps=steps, seed=seed, experiment=args.experiment, out=args.out)
    text = table(args)
    (args.out / "ablation.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
