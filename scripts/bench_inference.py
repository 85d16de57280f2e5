"""Forecasts of our models on a CPU beside Chronos-Bolt-tiny, and a first forecast of the command line.

    pip install -c constraints.txt -e ".[peers]"            # chronos-forecasting; no weights are fetched
    python scripts/bench_inference.py                       # tsfm-mini and tsfm-small, 2 threads, horizons 64 and 96
    python scripts/bench_inference.py --model DIR --only batch
    python scripts/bench_inference.py --model pretrain/mini # random weights of a recipe
    python scripts/bench_inference.py --threads 1 --clock cpu   # on a busy machine
    python scripts/bench_inference.py --quick               # small and few: does it run

Both sides take turns on the same windows, in float32 and in bfloat16; of each side the better counts. Each library
has a process of its own, as its users have it: what we do to the allocator and to waiting threads is not done to Bolt.
With --together both live in one, and it is.
`call` is what a user calls on an array, checks and all: our Predictor.forecast, their pipeline's predict_quantiles,
nine levels each. `network` is one pass without that. Horizon 64 is the native one of Bolt; 96 it rolls out along nine
paths.
`times` is the median over the rounds of theirs / ours: above 1 we forecast more series in a second. `at best` divides
the fastest rounds of either side, what the machine can do while nobody else uses its memory.
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
from peers.apart import Apart
from peers.bolt import LEVELS, NATIVE, Bolt
from peers.measure import Clock, alternate, markdown, surroundings

from tsfm.config import compose, typed
from tsfm.infer.inference_config import InferenceConfig
from tsfm.infer.load import load
from tsfm.infer.model_predictor import ModelPredictor
from tsfm.model.checkpoint import About
from tsfm.threads import WAITING, waiting_policy
from tsfm.training.components import build_model
from tsfm.types import Problem

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
PARTS = ("batch", "start")
ASKED = {"mini": {64: 5.0, 96: 20.0}, "small": {64: 2.0, 96: 20.0}}  # at least so many times as fast
COLD = 5.0  # seconds


@dataclass(frozen=True)
class Side:
    """A model in one precision: a forecast of all windows, and one pass of the network alone."""

    name: str
    precision: str
    parameters: int
    call: Callable[[int], Any]
    network: Callable[[int], Any]


def windows(batch: int, context: int) -> np.ndarray:
    """[B, 1, L]: noisy waves of several periods on random walks."""
    dice, steps = np.random.default_rng(0), np.arange(context)
    period = dice.choice([7, 12, 24, 48, 96], size=(batch, 1, 1))
    waves = 5 * np.sin(2 * np.pi * (steps / period + dice.random((batch, 1, 1))))
    return (waves + dice.normal(size=(batch, 1, context)).cumsum(axis=-1)).astype(np.float32)


def ours(name: str, past: np.ndarray) -> list[Side]:
    """A bundled model or one of a directory; a recipe (`pretrain/mini`) stands for random weights of its shape."""
    if name.startswith("pretrain/"):
        model = build_model(typed(compose("train", [f"experiment={name}"])))
        predictor = ModelPredictor(model, name=name, about=About(task={"name": "pretrain"}))
    else:
        predictor = load(name)
    levels = [level for level in LEVELS if level in predictor.quantile_levels] if predictor.quantile_levels else LEVELS
    return [_of_predictor(predictor, past, precision, levels) for precision in PRECISIONS]


def _of_predictor(predictor: ModelPredictor, past: np.ndarray, precision: str, levels: Sequence[float]) -> Side:
    config = InferenceConfig(precision="bf16" if precision == "bfloat16" else "32")
    configured = ModelPredictor(predictor.model, name=predictor.name, about=predictor.about, config=config)

    def call(horizon: int) -> np.ndarray:
        return configured.forecast(past, horizon=horizon, quantile_levels=levels)

    @torch.no_grad()
    def network(horizon: int) -> torch.Tensor:
        values = torch.nn.functional.pad(torch.from_numpy(past), (0, horizon))
        visible = torch.arange(values.shape[-1]).expand_as(values) < past.shape[-1]
        problem = Problem(values=values, visible=visible, wanted=~visible)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            return predictor.model(problem, last=horizon).prediction

    return Side(predictor.name, precision, predictor.num_parameters(), call, network)


def theirs(past: np.ndarray) -> list[Side]:
    return [_of_bolt(torch.from_numpy(past[:, 0]), precision) for precision in PRECISIONS]


def _of_bolt(context: torch.Tensor, precision: str) -> Side:
    bolt = Bolt(dtype=PRECISIONS[precision])

    def call(horizon: int) -> torch.Tensor:
        return bolt.forecast(context, horizon=horizon)

    return Side(bolt.name, precision, bolt.num_parameters(), call, lambda _: bolt.one_pass(context))


class Key(NamedTuple):
    """What is timed."""

    name: str
    precision: str
    what: str
    horizon: int


def side_steps(names: Sequence[str], batch: int, context: int, horizons: Sequence[int]) -> tuple[dict, dict]:
    """What a process times of these models, of which Bolt may be one, and their parameters."""
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    past = windows(batch, context)
    sides = [side for name in names for side in (theirs(past) if name == Bolt.name else ours(name, past))]
    steps = {
        Key(one.name, one.precision, what, horizon): functools.partial(getattr(one, what), horizon)
        for one in sides
        for horizon in horizons
        for what in ("call", "network")
    }
    return steps, {one.name: one.parameters for one in sides}


def compare(sides: Apart, peers: Apart, *, horizon: int, what: str, batch: int, rounds: int) -> list[dict[str, Any]]:
    """A row for each of our models: the better precision of either side, and how many times as fast we are."""
    both = sides.steps | peers.steps
    steps = {key: step for key, step in both.items() if (key.what, key.horizon) == (what, horizon)}
    taken = alternate(steps, clock=lambda step: step(), rounds=rounds, warm=1)

    def best(name: str) -> Key:
        return min((key for key in taken if key.name == name), key=lambda key: statistics.median(taken[key]))

    peer, table = best(Bolt.name), []
    for name, parameters in sides.note.items():
        if name == Bolt.name:
            continue
        mine = best(name)
        each = sorted(b / a for a, b in zip(taken[mine], taken[peer], strict=True))
        low, _, high = statistics.quantiles(each, n=4) if len(each) > 1 else each * 3
        table.append(
            {
                "model": name,
                "parameters": f"{parameters:,}",
                "horizon": horizon,
                "what": what,
                "precision": f"{mine.precision} / {peer.precision}",
                "ms": " / ".join(f"{1e3 * statistics.median(taken[key]):.0f}" for key in (mine, peer)),
                "series per second": " / ".join(f"{batch / statistics.median(taken[key]):.0f}" for key in (mine, peer)),
                "times": f"{statistics.median(each):.1f}",
                "middle half": f"{low:.1f}-{high:.1f}",
                "at best": f"{min(taken[peer]) / min(taken[mine]):.1f}",
                "asked": asked(name, horizon) if what == "call" else "",
            }
        )
    return table


def asked(name: str, horizon: int) -> str:
    times = next((ASKED[size].get(horizon) for size in ASKED if size in name), None)
    return "" if times is None else f"at least {times:g}"


def report_batches(args: argparse.Namespace, clock: Clock) -> None:
    shape = (args.batch, args.context, args.horizon)
    how = {"threads": args.threads, "clock": clock}
    if args.together:
        sides = peers = Apart(side_steps, [*args.model, Bolt.name], *shape, **how)
    else:
        sides = Apart(side_steps, args.model, *shape, **how)
        peers = Apart(side_steps, [Bolt.name], *shape, **how, unset=WAITING)  # Bolt's users have the default of torch
    print(f"\n## Forecasts of {args.batch} series, context {args.context}\n")
    print(f"Ours / {Bolt.name} with random weights ({peers.note[Bolt.name]:,} parameters).\n")
    rows = []
    for horizon in args.horizon:
        # a rollout takes them ten times as long
        rounds = args.rounds if horizon <= NATIVE else max(args.rounds // 3, 1)
        for what in ("call", "network") if horizon <= NATIVE else ("call",):
            rows += compare(sides, peers, horizon=horizon, what=what, batch=args.batch, rounds=rounds)
    print(markdown(rows))
    sides.close()
    peers.close()


def report_start(args: argparse.Namespace) -> None:
    """Seconds of `tsfm forecast` in a process of its own, from nothing to the printed rows."""
    print(f"\n## A first forecast: `tsfm forecast FILE --model M --horizon 24` (at most {COLD:g} s)\n")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "series.csv"
        steps = "\n".join(f"{hour},{value:.3f}" for hour, value in zip(_hours(512), windows(1, 512)[0, 0], strict=True))
        file.write_text("timestamp,target\n" + steps + "\n")
        for name in args.model:
            if name.startswith("pretrain/"):
                continue
            taken = [_cold(file, name, threads=args.threads) for _ in range(args.starts)]
            rows.append({"model": name, "fastest": f"{min(taken):.2f}", "median": f"{statistics.median(taken):.2f}"})
    print(markdown(rows))


def _hours(count: int) -> np.ndarray:
    return np.datetime64("2024-01-01T00", "h") + np.arange(count)


def _cold(file: Path, model: str, *, threads: int) -> float:
    command = [sys.executable, "-m", "tsfm", "forecast", str(file), "--model", model, "--horizon", "24"]
    begun = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": str(threads)})
    taken = time.perf_counter() - begun
    if done.returncode:
        raise RuntimeError(f"`tsfm forecast` failed: {done.stderr.strip().splitlines()[-1:]}")
    return taken


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", action="append", help="name, directory or recipe; may be given again")
    parser.add_argument("--only", choices=PARTS, action="append", help="this part (may be given again); default: all")
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
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    args = parse(argv)
    torch.set_num_threads(args.threads)
    if not any(name in os.environ for name in WAITING):
        os.environ |= waiting_policy()  # of the processes that measure our models, as the command line sets it
    print(f"{surroundings('cpu')}; {args.clock} clock, {args.rounds} rounds.")
    chosen = args.only or PARTS
    if "batch" in chosen:
        report_batches(args, Clock("cpu", args.clock))
    if "start" in chosen:
        report_start(args)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
