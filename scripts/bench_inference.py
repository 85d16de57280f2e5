"""Measure forecasts of tsfm models on a CPU next to Chronos-Bolt-tiny, and the first forecast of the command line.

    pip install -c constraints.txt -e ".[peers]"            # chronos-forecasting; no weights are downloaded
    python scripts/bench_inference.py                       # tsfm-mini and tsfm-small, 2 threads, horizons 64 and 96
    python scripts/bench_inference.py --model DIR --only batch
    python scripts/bench_inference.py --model pretrain/mini # random weights of an experiment
    python scripts/bench_inference.py --threads 1 --clock cpu   # on a busy machine
    python scripts/bench_inference.py --quick               # small and few, to see that it runs

Both sides take turns on the same windows, in float32 and in bfloat16; the faster precision of each side counts. Each
library has a process of its own, so that the memory and thread settings of tsfm do not change the speed of Bolt; with
--together both run in one process.
`call` is what a user calls on an array, with all checks: Predictor.forecast of tsfm and predict_quantiles of the
pipeline of Bolt, nine quantile levels each. `network` is one pass without that. One pass of Bolt predicts 64 steps;
for horizon 96 it rolls out along nine paths.
`times` is the median over the rounds of the ratio Bolt / tsfm: above 1, tsfm forecasts more series per second.
`at best` divides the fastest rounds of both sides, which other programs on the machine disturb least.
"""

from __future__ import annotations

import argparse
import functools
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from peers.bolt import NATIVE, QUANTILE_LEVELS, Bolt
from peers.measure import Timer, alternate, environment, markdown
from peers.processes import StepProcess

from tsfm.config import compose, typed
from tsfm.infer.inference_config import InferenceConfig
from tsfm.infer.load import load
from tsfm.infer.model_predictor import ModelPredictor
from tsfm.model.checkpoint import About
from tsfm.threads import WAITING, waiting_policy
from tsfm.training.components import build_model
from tsfm.types import Problem

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
SECTIONS = ("batch", "start")
TARGETS = {"mini": {64: 5.0, 96: 20.0}, "small": {64: 2.0, 96: 20.0}}  # at least so many times as fast
MAX_START = 5.0  # seconds of a first forecast


@dataclass(frozen=True)
class Side:
    """A model in one precision: a forecast of all windows, and one pass of the network alone."""

    name: str
    precision: str
    parameters: int
    call: Callable[[int], Any]
    network: Callable[[int], Any]


def windows(batch: int, context: int) -> np.ndarray:
    """Return noisy waves of several periods on random walks, [B, 1, L]."""
    rng, steps = np.random.default_rng(0), np.arange(context)
    period = rng.choice([7, 12, 24, 48, 96], size=(batch, 1, 1))
    waves = 5 * np.sin(2 * np.pi * (steps / period + rng.random((batch, 1, 1))))
    return (waves + rng.normal(size=(batch, 1, context)).cumsum(axis=-1)).astype(np.float32)


def tsfm_sides(name: str, past: np.ndarray) -> list[Side]:
    """Return a model of tsfm in each precision: a bundled one, a directory, or random weights of an experiment."""
    if name.startswith("pretrain/"):
        model = build_model(typed(compose("train", [f"experiment={name}"])))
        predictor = ModelPredictor(model, name=name, about=About(task={"name": "pretrain"}))
    else:
        predictor = load(name)
    known = predictor.quantile_levels or QUANTILE_LEVELS
    quantile_levels = [level for level in QUANTILE_LEVELS if level in known]
    return [_predictor_side(predictor, past, precision, quantile_levels) for precision in PRECISIONS]


def _predictor_side(
    predictor: ModelPredictor, past: np.ndarray, precision: str, quantile_levels: Sequence[float]
) -> Side:
    config = InferenceConfig(precision="bf16" if precision == "bfloat16" else "32")
    configured = ModelPredictor(predictor.model, name=predictor.name, about=predictor.about, config=config)

    def call(horizon: int) -> np.ndarray:
        return configured.forecast(past, horizon=horizon, quantile_levels=quantile_levels)

    @torch.no_grad()
    def network(horizon: int) -> torch.Tensor:
        values = torch.nn.functional.pad(torch.from_numpy(past), (0, horizon))
        visible = torch.arange(values.shape[-1]).expand_as(values) < past.shape[-1]
        problem = Problem(values=values, visible=visible, wanted=~visible)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            return predictor.model(problem, last=horizon).prediction

    return Side(predictor.name, precision, predictor.num_parameters(), call, network)


def bolt_sides(past: np.ndarray) -> list[Side]:
    """Return Chronos-Bolt in each precision."""
    return [_bolt_side(torch.from_numpy(past[:, 0]), precision) for precision in PRECISIONS]


def _bolt_side(context: torch.Tensor, precision: str) -> Side:
    bolt = Bolt(dtype=PRECISIONS[precision])

    def call(horizon: int) -> torch.Tensor:
        return bolt.forecast(context, horizon=horizon)

    return Side(bolt.name, precision, bolt.num_parameters(), call, lambda _: bolt.one_pass(context))


class Key(NamedTuple):
    """A step that is measured; `kind` is "call" or "network"."""

    name: str
    precision: str
    kind: str
    horizon: int


def side_steps(names: Sequence[str], batch: int, context: int, horizons: Sequence[int]) -> tuple[dict, dict]:
    """Return the steps that a process measures of these models, which may include Bolt, and their parameters."""
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    past = windows(batch, context)
    sides = [side for name in names for side in (bolt_sides(past) if name == Bolt.name else tsfm_sides(name, past))]
    steps = {
        Key(side.name, side.precision, kind, horizon): functools.partial(getattr(side, kind), horizon)
        for side in sides
        for horizon in horizons
        for kind in ("call", "network")
    }
    return steps, {side.name: side.parameters for side in sides}


def compare(
    sides: StepProcess, peers: StepProcess, *, horizon: int, kind: str, batch: int, rounds: int
) -> list[dict[str, Any]]:
    """Return a row for each model of tsfm, with the faster precision of either side."""
    all_steps: dict[Any, Any] = sides.steps | peers.steps
    steps = {key: step for key, step in all_steps.items() if (key.kind, key.horizon) == (kind, horizon)}
    taken = alternate(steps, timer=lambda step: step(), rounds=rounds, warm=1)

    def best(name: str) -> Key:
        return min((key for key in taken if key.name == name), key=lambda key: statistics.median(taken[key]))

    peer, table = best(Bolt.name), []
    for name, parameters in sides.note.items():
        if name == Bolt.name:
            continue
        own = best(name)
        ratios = sorted(b / a for a, b in zip(taken[own], taken[peer], strict=True))
        low, _, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
        table.append(
            {
                "model": name,
                "parameters": f"{parameters:,}",
                "horizon": horizon,
                "kind": kind,
                "precision": f"{own.precision} / {peer.precision}",
                "ms": " / ".join(f"{1e3 * statistics.median(taken[key]):.0f}" for key in (own, peer)),
                "series per second": " / ".join(f"{batch / statistics.median(taken[key]):.0f}" for key in (own, peer)),
                "times": f"{statistics.median(ratios):.1f}",
                "middle half": f"{low:.1f}-{high:.1f}",
                "at best": f"{min(taken[peer]) / min(taken[own]):.1f}",
                "target": target(name, horizon) if kind == "call" else "",
            }
        )
    return table


def target(name: str, horizon: int) -> str:
    """Return how many times as fast as Bolt a model should be, as text; empty if there is no such target."""
    times = next((TARGETS[size].get(horizon) for size in TARGETS if size in name), None)
    return "" if times is None else f"at least {times:g}"


def report_batches(args: argparse.Namespace, timer: Timer) -> None:
    """Print the table of forecasts."""
    shape = (args.batch, args.context, args.horizon)
    options: dict[str, Any] = {"threads": args.threads, "timer": timer}
    if args.together:
        sides = peers = StepProcess(side_steps, [*args.model, Bolt.name], *shape, **options)
    else:
        sides = StepProcess(side_steps, args.model, *shape, **options)
        # users of Bolt have the default of torch
        peers = StepProcess(side_steps, [Bolt.name], *shape, **options, unset=WAITING)
    print(f"\n## Forecasts of {args.batch} series, context {args.context}\n")
    print(f"tsfm / {Bolt.name} with random weights ({peers.note[Bolt.name]:,} parameters).\n")
    rows = []
    for horizon in args.horizon:
        # a rollout of Bolt takes ten times as long
        rounds = args.rounds if horizon <= NATIVE else max(args.rounds // 3, 1)
        for kind in ("call", "network") if horizon <= NATIVE else ("call",):
            rows += compare(sides, peers, horizon=horizon, kind=kind, batch=args.batch, rounds=rounds)
    print(markdown(rows))
    sides.close()
    peers.close()


def report_start(args: argparse.Namespace) -> None:
    """Print the seconds of `tsfm forecast` in a new process, from its start to the printed rows."""
    print(f"\n## A first forecast: `tsfm forecast FILE --model M --horizon 24` (at most {MAX_START:g} s)\n")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "series.csv"
        steps = "\n".join(f"{hour},{value:.3f}" for hour, value in zip(_hours(512), windows(1, 512)[0, 0], strict=True))
        file.write_text("timestamp,target\n" + steps + "\n")
        for name in args.model:
            if name.startswith("pretrain/"):
                continue
            taken = [_start_seconds(file, name, threads=args.threads) for _ in range(args.starts)]
            rows.append({"model": name, "fastest": f"{min(taken):.2f}", "median": f"{statistics.median(taken):.2f}"})
    print(markdown(rows))


def _hours(count: int) -> np.ndarray:
    return np.datetime64("2024-01-01T00", "h") + np.arange(count)


def _start_seconds(file: Path, model: str, *, threads: int) -> float:
    command = [sys.executable, "-m", "tsfm", "forecast", str(file), "--model", model, "--horizon", "24"]
    begun = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": str(threads)})
    taken = time.perf_counter() - begun
    if done.returncode:
        raise RuntimeError(f"`tsfm forecast` failed: {done.stderr.strip().splitlines()[-1:]}")
    return taken


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the checked command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", action="append", help="name, directory or experiment; may be repeated")
    parser.add_argument(
        "--only", choices=SECTIONS, action="append", help="this section (may be repeated); default: all"
    )
    parser.add_argument("--horizon", type=int, nargs="+", default=[NATIVE, 96])
    parser.add_argument("--batch", type=int, default=256, help="series at a time")
    parser.add_argument("--context", type=int, default=512, help="steps")
    parser.add_argument("--threads", type=int, default=2, help="of torch, on all sides")
    parser.add_argument("--rounds", type=int, default=9, help="of each comparison; a third of them beyond horizon 64")
    parser.add_argument("--starts", type=int, default=3, help="of the command line")
    parser.add_argument(
        "--clock", choices=("wall", "cpu"), default="wall", help="cpu: on a busy machine, with 1 thread"
    )
    parser.add_argument("--together", action="store_true", help="both sides in one process")
    parser.add_argument("--quick", action="store_true", help="small and few")
    args = parser.parse_args(argv)
    args.model = args.model or ["tsfm-mini", "tsfm-small"]
    if args.quick:
        args.batch, args.context, args.rounds, args.starts = min(args.batch, 4), min(args.context, 96), 1, 1
    if min(args.batch, args.context, args.threads, args.rounds, args.starts, *args.horizon) < 1:
        parser.error("--batch, --context, --threads, --rounds, --starts and --horizon count from 1")
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Print the sections of the command line."""
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    args = parse(argv)
    torch.set_num_threads(args.threads)
    if not any(name in os.environ for name in WAITING):
        os.environ |= waiting_policy()  # of the processes that measure tsfm, as its command line sets it
    print(f"{environment('cpu')}; {args.clock} clock, {args.rounds} rounds.")
    chosen = args.only or SECTIONS
    if "batch" in chosen:
        report_batches(args, Timer("cpu", args.clock))
    if "start" in chosen:
        report_start(args)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
