"""Measure training steps and inference of tsfm next to peers from PyPI, and scans next to attention, as Markdown.

    python scripts/bench_peers.py                        # CPU, 2 threads, everything
    python scripts/bench_peers.py --only patchtst        # transformers' PatchTST and patch_transformer
    python scripts/bench_peers.py --device cuda          # also bf16, torch.compile and mamba_ssm's kernel
    python scripts/bench_peers.py --quick                # small shapes, few rounds, to see that it runs

Both sides take turns in one process on the same windows, with random weights and the same loss and optimizer (see
scripts/peers/networks.py). A row has the median of each side and the median over the rounds of the ratio tsfm / peer:
below 1 tsfm is faster. Memory is measured in a process per side: the peak of the resident memory over training steps
minus the memory after the imports (on CUDA the peak that torch allocated), so it counts weights, gradients, the state
of the optimizer and activations.
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
from peers.measure import Timer, alternate, environment, markdown, milliseconds, peak_resident, ratio, resident
from peers.networks import MODES, PAIRS, Shape, Side
from peers.scans import NUM_TOKENS, cost_table, scan_table
from torch.utils.flop_counter import FlopCounterMode

SECTIONS = (*PAIRS, "scan", "length")
SIDES = ("tsfm", "peer")
CHILD_STEPS = 3


def bench_pair(name: str, shape: Shape, *, mode: str, timer: Timer, rounds: int) -> list[dict[str, Any]]:
    """Return a row for training and one for inference."""
    bf16, compiled = MODES[mode]
    torch.manual_seed(0)
    sides = dict(zip(SIDES, PAIRS[name](shape, device=timer.device, compiled=compiled), strict=True))
    for side in sides.values():
        forecast = side.inference_step(device=timer.device)()
        expected = (shape.batch, shape.channels, shape.horizon)
        assert forecast.shape == expected, f"{side.name} predicts {tuple(forecast.shape)}"
    size = {"GFLOP forward": " / ".join("" if compiled else gflop(side, timer.device) for side in sides.values())}
    size["parameters"] = " / ".join(f"{side.num_parameters():,}" for side in sides.values())
    table = []
    for phase in ("train", "infer"):
        for side in sides.values():
            side.network.train(phase == "train")
        make = "training_step" if phase == "train" else "inference_step"
        steps = {key: getattr(side, make)(device=timer.device, bf16=bf16) for key, side in sides.items()}
        taken = alternate(steps, timer=timer, rounds=rounds)
        ratios = sorted(a / b for a, b in zip(taken["tsfm"], taken["peer"], strict=True))
        low, _, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
        table.append(
            {
                "tsfm": sides["tsfm"].name,
                "peer": sides["peer"].name,
                "step": phase,
                "mode": mode,
                "tsfm ms": milliseconds(taken["tsfm"]),
                "peer ms": milliseconds(taken["peer"]),
                "ratio": f"{ratio(taken['tsfm'], taken['peer']):.3f}",
                "middle half": f"{low:.2f}-{high:.2f}",
                **size,
            }
        )
    return table


def gflop(side: Side, device: str) -> str:
    """Return the FLOPs of a forecast of one batch as torch counts them, in units of 1e9; sides of a row may differ."""
    with FlopCounterMode(display=False) as counter:
        side.inference_step(device=device)()
    return f"{counter.get_total_flops() / 1e9:.2f}"


def measure_memory(name: str, side: str, shape: Shape, *, mode: str, device: str) -> int | None:
    """Return the bytes that training takes in this process; valid once per process."""
    bf16, compiled = MODES[mode]
    PAIRS[name](replace(shape, batch=1), device=device, compiled=False)  # load what libraries import late
    _ = torch.randn(64, 64) @ torch.randn(64, 64)
    before = torch.cuda.memory_allocated() if device == "cuda" else resident()
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    chosen = PAIRS[name](shape, device=device, compiled=compiled)[SIDES.index(side)]
    step = chosen.training_step(device=device, bf16=bf16)
    chosen.network.train()
    for _ in range(CHILD_STEPS):
        step()
    after = torch.cuda.max_memory_allocated() if device == "cuda" else peak_resident()
    return None if before is None or after is None else after - before


def memory_of(name: str, side: str, args: argparse.Namespace, *, mode: str) -> float:
    """Return the MB that training takes, measured in a new process; NaN where the system does not report it."""
    options = ["--child", f"{name}:{side}:{mode}", "--threads", str(args.threads), "--device", args.device]
    command = [sys.executable, __file__, *options, *(["--quick"] if args.quick else [])]
    process = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONWARNINGS": "ignore"})
    if process.returncode:
        raise RuntimeError(f"measuring the memory of {name} {side} failed: {process.stderr.strip().splitlines()[-1:]}")
    num_bytes = process.stdout.strip().splitlines()[-1].removeprefix("BYTES ")
    return float("nan") if num_bytes == "None" else int(num_bytes) / 1e6


def with_memory(row: dict[str, Any], name: str, args: argparse.Namespace) -> dict[str, Any]:
    """Return a row with the memory of both sides, where it is of training."""
    if row["step"] != "train":
        return row | {"tsfm MB": "", "peer MB": "", "memory ratio": ""}
    tsfm_mb, peer_mb = (memory_of(name, side, args, mode=row["mode"]) for side in SIDES)
    return row | {"tsfm MB": f"{tsfm_mb:.0f}", "peer MB": f"{peer_mb:.0f}", "memory ratio": f"{tsfm_mb / peer_mb:.2f}"}


def shape_of(args: argparse.Namespace) -> Shape:
    """Return the sizes of the comparison; small ones with --quick."""
    if args.quick:
        return Shape(batch=4, channels=3, lookback=64, horizon=16, width=32, depth=1, heads=4, hidden=64)
    return Shape()


def report_pairs(names: list[str], args: argparse.Namespace, timer: Timer) -> None:
    """Print the table of pairs of networks."""
    shape = shape_of(args)
    modes = list(MODES) if args.device == "cuda" else ["float32"]
    print(f"\n## Training step and inference\n\n{shape}.\n")
    rows = []
    for name in names:
        for mode in modes:
            try:
                pair_rows = bench_pair(name, shape, mode=mode, timer=timer, rounds=args.rounds)
            except ImportError as error:
                print(f"{name}: left out, its peer does not import ({error}).\n")
                break
            rows += [with_memory(row, name, args) if args.memory else row for row in pair_rows]
    print(markdown(rows))


def report_scan(args: argparse.Namespace, timer: Timer) -> None:
    """Print the table of scans and loops."""
    rows, tokens, width = (4, 64, 32) if args.quick else (32, 512, 128)
    table, note = scan_table(rows=rows, tokens=tokens, width=width, timer=timer, rounds=min(args.rounds, 5))
    print("\n## The scan next to a loop over tokens\n")
    print(f"Forward and backward, {rows} x {tokens} tokens, width {width}. {note}.\n")
    print(markdown(table))


def report_lengths(args: argparse.Namespace, timer: Timer) -> None:
    """Print the table of costs by number of tokens."""
    longest, width = (512, 32) if args.quick else (NUM_TOKENS[-1], 128)
    print("\n## Cost by number of tokens\n")
    print(f"Forward and backward, 1 row, width {width}; x: ratio to half as many tokens (2 is linear, 4 quadratic).")
    print("Attention with 4 heads, rotary positions, scaled_dot_product_attention.\n")
    print(markdown(cost_table(longest=longest, width=width, timer=timer, seconds=0.1 if args.quick else 1.0)))


def parse() -> argparse.Namespace:
    """Return the checked command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--only", choices=SECTIONS, action="append", help="this section (may be repeated); default: all"
    )
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
        parser.error("there is no CUDA device; use --device cpu")
    if args.device == "cuda" and args.clock == "cpu":
        parser.error("CPU seconds do not measure a GPU; use --clock wall")
    return args


def main() -> int:
    """Print the sections of the command line."""
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    args = parse()
    torch.set_num_threads(args.threads)
    if args.child:
        name, side, mode = args.child.split(":")
        print("BYTES", measure_memory(name, side, shape_of(args), mode=mode, device=args.device))
        return 0
    timer = Timer(args.device, args.clock)
    chosen = args.only or list(SECTIONS)
    print(f"{environment(args.device)}; {args.clock} clock, {args.rounds} rounds.")
    if names := [name for name in PAIRS if name in chosen]:
        report_pairs(names, args, timer)
    if "scan" in chosen:
        report_scan(args, timer)
    if "length" in chosen:
        report_lengths(args, timer)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
