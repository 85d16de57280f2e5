"""Our training step and inference beside the peers from PyPI, and scans beside attention. Prints Markdown tables.

    python scripts/bench_peers.py                        # CPU, 2 threads, everything
    python scripts/bench_peers.py --only patchtst        # transformers' PatchTST beside patch_transformer
    python scripts/bench_peers.py --device cuda          # also bf16, torch.compile and mamba_ssm's kernel
    python scripts/bench_peers.py --quick                # small shapes, few rounds: does it run

Both sides take turns in one process on the same windows, weights random, the loss and the optimiser the same (see
scripts/peers/pairs.py). A row says the median of each side and the median of the rounds' ratios, ours / theirs: below
1 ours is faster. Memory is that of a process of its own per side: the peak of its resident memory over training steps
beyond what it held after the imports (on CUDA the peak that torch allocated), so weights, gradients, the optimiser's
state and activations count.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import subprocess
import sys
import warnings
from dataclasses import replace
from typing import Any

import torch
from peers.lengths import LENGTHS, against_the_loop, growth
from peers.measure import Clock, alternate, markdown, milliseconds, peak_resident, ratio, resident, surroundings
from peers.pairs import MODES, PAIRS, Shape, Side
from torch.utils.flop_counter import FlopCounterMode

PARTS = (*PAIRS, "scan", "length")
SIDES = ("ours", "theirs")
CHILD_STEPS = 3


def bench_pair(name: str, shape: Shape, *, mode: str, clock: Clock, rounds: int) -> list[dict[str, Any]]:
    """A row for training and one for inference."""
    bf16, compiled = MODES[mode]
    torch.manual_seed(0)
    sides = dict(zip(SIDES, PAIRS[name](shape, device=clock.device, compiled=compiled), strict=True))
    for side in sides.values():
        found = side.infers(device=clock.device)()
        assert found.shape == (shape.batch, shape.channels, shape.horizon), f"{side.name} says {tuple(found.shape)}"
    size = {"GFLOP forward": " / ".join("" if compiled else gflop(side, clock.device) for side in sides.values())}
    size["parameters"] = " / ".join(f"{side.num_parameters():,}" for side in sides.values())
    table = []
    for what in ("train", "infer"):
        for side in sides.values():
            side.network.train(what == "train")
        make = "trains" if what == "train" else "infers"
        steps = {key: getattr(side, make)(device=clock.device, bf16=bf16) for key, side in sides.items()}
        taken = alternate(steps, clock=clock, rounds=rounds)
        each = sorted(a / b for a, b in zip(taken["ours"], taken["theirs"], strict=True))
        low, _, high = statistics.quantiles(each, n=4) if len(each) > 1 else each * 3
        table.append(
            {
                "ours": sides["ours"].name,
                "theirs": sides["theirs"].name,
                "step": what,
                "mode": mode,
                "ours ms": milliseconds(taken["ours"]),
                "theirs ms": milliseconds(taken["theirs"]),
                "ratio": f"{ratio(taken['ours'], taken['theirs']):.3f}",
                "middle half": f"{low:.2f}-{high:.2f}",
                **size,
            }
        )
    return table


def gflop(side: Side, device: str) -> str:
    """Of one batch, as torch counts them: two sides of one row need not do the same work."""
    with FlopCounterMode(display=False) as counter:
        side.infers(device=device)()
    return f"{counter.get_total_flops() / 1e9:.2f}"


def measure_memory(name: str, side: str, shape: Shape, *, mode: str, device: str) -> int | None:
    """Bytes that training takes, in this process: to be asked once in a life of it."""
    bf16, compiled = MODES[mode]
    PAIRS[name](replace(shape, batch=1), device=device, compiled=False)  # libraries load what they load late
    torch.randn(64, 64) @ torch.randn(64, 64)
    before = torch.cuda.memory_allocated() if device == "cuda" else resident()
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    made = PAIRS[name](shape, device=device, compiled=compiled)[SIDES.index(side)]
    step = made.trains(device=device, bf16=bf16)
    made.network.train()
    for _ in range(CHILD_STEPS):
        step()
    after = torch.cuda.max_memory_allocated() if device == "cuda" else peak_resident()
    return None if before is None or after is None else after - before


def memory_of(name: str, side: str, args: argparse.Namespace, *, mode: str) -> float:
    """The same from a process of its own; NaN where the system does not tell."""
    own = ["--child", f"{name}:{side}:{mode}", "--threads", str(args.threads), "--device", args.device]
    command = [sys.executable, __file__, *own, *(["--quick"] if args.quick else [])]
    said = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONWARNINGS": "ignore"})
    if said.returncode:
        raise RuntimeError(f"measuring the memory of {name} {side} failed: {said.stderr.strip().splitlines()[-1:]}")
    found = said.stdout.strip().splitlines()[-1].removeprefix("BYTES ")
    return float("nan") if found == "None" else int(found) / 1e6


def with_memory(row: dict[str, Any], name: str, args: argparse.Namespace) -> dict[str, Any]:
    if row["step"] != "train":
        return row | {"ours MB": "", "theirs MB": "", "memory ratio": ""}
    mine, theirs = (memory_of(name, side, args, mode=row["mode"]) for side in SIDES)
    return row | {"ours MB": f"{mine:.0f}", "theirs MB": f"{theirs:.0f}", "memory ratio": f"{mine / theirs:.2f}"}


def shape_of(args: argparse.Namespace) -> Shape:
    if args.quick:
        return Shape(batch=4, channels=3, lookback=64, horizon=16, width=32, depth=1, heads=4, hidden=64)
    return Shape()


def report_pairs(names: list[str], args: argparse.Namespace, clock: Clock) -> None:
    shape = shape_of(args)
    modes = list(MODES) if args.device == "cuda" else ["float32"]
    print(f"\n## Training step and inference\n\n{shape}.\n")
    rows = []
    for name in names:
        for mode in modes:
            try:
                found = bench_pair(name, shape, mode=mode, clock=clock, rounds=args.rounds)
            except ImportError as error:
                print(f"{name}: left out, its peer does not import ({error}).\n")
                break
            rows += [with_memory(row, name, args) if args.memory else row for row in found]
    print(markdown(rows))


def report_scan(args: argparse.Namespace, clock: Clock) -> None:
    rows, tokens, width = (4, 64, 32) if args.quick else (32, 512, 128)
    table, why = against_the_loop(rows=rows, tokens=tokens, width=width, clock=clock, rounds=min(args.rounds, 5))
    print("\n## The scan beside a loop over tokens\n")
    print(f"Forward and backward, {rows} x {tokens} tokens, width {width}. {why}.\n")
    print(markdown(table))


def report_lengths(args: argparse.Namespace, clock: Clock) -> None:
    longest, width = (512, 32) if args.quick else (LENGTHS[-1], 128)
    print("\n## Cost by length\n")
    print(
        f"Forward and backward, 1 row, width {width}; x: times the cost at half the length (2 is linear, 4 quadratic)."
    )
    print("Attention with 4 heads, rotary positions, scaled_dot_product_attention.\n")
    print(markdown(growth(longest=longest, width=width, clock=clock, seconds=0.1 if args.quick else 1.0)))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", choices=PARTS, action="append", help="this part (may be given again); default: all")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=2, help="of torch, on both sides")
    parser.add_argument("--rounds", type=int, help="of each comparison; default 11, 3 with --quick")
    parser.add_argument(
        "--clock", choices=("wall", "cpu"), default="wall", help="cpu: on a busy machine, with 1 thread"
    )
    parser.add_argument("--quick", action="store_true", help="small shapes and few rounds")
    parser.add_argument("--no-memory", dest="memory", action="store_false", help="do not start processes for memory")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.rounds = args.rounds or (3 if args.quick else 11)
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("no CUDA device is at hand; use --device cpu")
    if args.device == "cuda" and args.clock == "cpu":
        parser.error("the seconds of a CPU do not time a GPU; use --clock wall")
    return args


def main() -> int:
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    args = parse()
    torch.set_num_threads(args.threads)
    if args.child:
        name, side, mode = args.child.split(":")
        print("BYTES", measure_memory(name, side, shape_of(args), mode=mode, device=args.device))
        return 0
    clock = Clock(args.device, args.clock)
    chosen = args.only or list(PARTS)
    print(f"{surroundings(args.device)}; {args.clock} clock, {args.rounds} rounds.")
    if names := [name for name in PAIRS if name in chosen]:
        report_pairs(names, args, clock)
    if "scan" in chosen:
        report_scan(args, clock)
    if "length" in chosen:
        report_lengths(args, clock)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
