"""Scans beside a loop, and what scans and attention cost as the tokens become more.

P tokens, D width. One row of tokens for the lengths: what grows is then the tokens alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from peers.measure import Clock, Step, alternate, milliseconds, ratio, repeat
from tsfm.nn.scan import find_kernel, scan, scan_chunked, scan_sequential
from tsfm.nn.ssm import SSM
from tsfm.registry import BACKBONES
from tsfm.types import Grid

Scan = Callable[..., tuple[Tensor, Tensor]]
LENGTHS = tuple(64 * 2**power for power in range(9))  # 64 to 16,384 tokens


def scan_step(run: Scan, *, rows: int, tokens: int, width: int, device: str, dtype: torch.dtype) -> Step:
    """Forward and backward of a scan as the mamba backbone of this width calls it, with its default settings."""
    config = BACKBONES.config({"name": "mamba"})
    heads = config.expand * width // config.head
    torch.manual_seed(0)
    like: dict[str, Any] = {"device": device, "dtype": dtype}
    x = torch.randn(rows, tokens, heads, config.head, **like).requires_grad_()
    b, c = (torch.randn(rows, tokens, config.groups, config.state, **like).requires_grad_() for _ in range(2))
    dt = (0.001 + 0.1 * torch.rand(rows, tokens, heads, device=device)).requires_grad_()
    a = (-1 - 15 * torch.rand(heads, device=device)).requires_grad_()
    given = (x, dt, a, b, c)

    def step() -> None:
        y, _ = run(*given)
        torch.autograd.grad(y.float().square().mean(), given)

    return step


def against_the_loop(
    *, rows: int, tokens: int, width: int, clock: Clock, rounds: int
) -> tuple[list[dict[str, Any]], str]:
    """The chunked scan, and the kernel where there is one, beside the definition token by token (our own loop, which
    does the least per token); and a block beside transformers' Mamba, which without kernels loops over tokens too."""
    shape = {"rows": rows, "tokens": tokens, "width": width, "device": clock.device}
    dtypes = {"float32": torch.float32} | ({"bf16": torch.bfloat16} if clock.device == "cuda" else {})
    run, why = find_kernel()
    table = []
    for name, dtype in dtypes.items():
        sides: dict[str, Scan] = {"chunked": scan_chunked}
        if clock.device == "cuda" and run is not None:
            sides["mamba_ssm kernel"] = scan
        steps = {side: scan_step(path, dtype=dtype, **shape) for side, path in sides.items()}
        steps["loop"] = scan_step(scan_sequential, dtype=dtype, **shape)
        taken = alternate(steps, clock=clock, rounds=rounds, warm=1)
        for side in sides:
            table.append(
                {
                    "chunked": side,
                    "loop": "scan_sequential",
                    "dtype": name,
                    "ms": milliseconds(taken[side]),
                    "loop ms": milliseconds(taken["loop"]),
                    "loop / chunked": f"{ratio(taken['loop'], taken[side]):.1f}",
                }
            )
    if clock.device == "cpu":
        table.append(_beside_transformers(rows=rows, tokens=tokens, width=width, clock=clock, rounds=min(rounds, 3)))
    return table, why


def _beside_transformers(*, rows: int, tokens: int, width: int, clock: Clock, rounds: int) -> dict[str, Any]:
    from transformers import MambaConfig
    from transformers.models.mamba.modeling_mamba import MambaMixer

    torch.manual_seed(0)
    theirs = MambaMixer(MambaConfig(hidden_size=width, state_size=16, expand=2, conv_kernel=4), layer_idx=0)
    ours = SSM(width, expand=2, head=min(64, 2 * width), state=16)
    x = torch.randn(rows, tokens, width).requires_grad_()

    def step(run: Callable[[Tensor], Tensor], weights: list[Tensor]) -> Step:
        return lambda: torch.autograd.grad(run(x).square().mean(), [x, *weights])

    taken = alternate(
        {"ours": step(ours, list(ours.parameters())), "loop": step(theirs, list(theirs.parameters()))},
        clock=clock,
        rounds=rounds,
        warm=1,
    )
    return {
        "chunked": "block, state 16",
        "loop": "transformers Mamba, state 16",
        "dtype": "float32",
        "ms": milliseconds(taken["ours"]),
        "loop ms": milliseconds(taken["loop"]),
        "loop / chunked": f"{ratio(taken['loop'], taken['ours']):.1f}",
    }


def block_step(name: str, settings: dict[str, Any], *, tokens: int, width: int, device: str, bf16: bool) -> Step:
    """Forward and backward of one block of a backbone over one channel."""
    grid = Grid(channels=None, patches=None, patch=16, width=width)
    torch.manual_seed(0)
    block = BACKBONES.build(BACKBONES.config({"name": name, "depth": 1, "dropout": 0.0} | settings), grid=grid)
    block = block.to(device).train()
    x = torch.randn(1, 1, tokens, width, device=device).requires_grad_()
    seen = torch.ones(1, 1, tokens, dtype=torch.bool, device=device)
    weights = [x, *block.parameters()]

    def step() -> None:
        with torch.autocast(device, dtype=torch.bfloat16, enabled=bf16):
            y = block(x, seen)
        torch.autograd.grad(y.float().square().mean(), weights)

    return step


def kinds(*, width: int, device: str) -> dict[str, Callable[[int], Step]]:
    """What is measured at each length, by name."""
    attention = {"norm": "rms", "pre_norm": True, "positions": "rotary", "heads": 4, "hidden": 2 * width}
    modes = {"": False} | ({" bf16": True} if device == "cuda" else {})
    run, _ = find_kernel()
    made: dict[str, Callable[[int], Step]] = {}
    for label, bf16 in modes.items():
        dtype = torch.bfloat16 if bf16 else torch.float32
        paths = {"scan": scan_chunked} | ({"mamba_ssm kernel": scan} if device == "cuda" and run is not None else {})
        for name, path in paths.items():
            made[name + label] = lambda tokens, path=path, dtype=dtype: scan_step(
                path, rows=1, tokens=tokens, width=width, device=device, dtype=dtype
            )
        for name, part, settings in (("mamba block", "mamba", {}), ("attention block", "patch_transformer", attention)):
            made[name + label] = lambda tokens, part=part, settings=settings, bf16=bf16: block_step(
                part, settings, tokens=tokens, width=width, device=device, bf16=bf16
            )
    return made


def growth(*, longest: int, width: int, clock: Clock, seconds: float) -> list[dict[str, Any]]:
    """Milliseconds at each length, and how many times those at half of it: 2 is linear, 4 quadratic."""
    made = kinds(width=width, device=clock.device)
    table, before = [], {}
    for tokens in (length for length in LENGTHS if length <= longest):
        row: dict[str, Any] = {"tokens": f"{tokens:,}"}
        for name, make in made.items():
            if clock.device == "cuda":
                torch.cuda.reset_peak_memory_stats()
            taken = repeat(make(tokens), clock=clock, seconds=seconds)
            row[f"{name} ms"] = f"{1e3 * taken:.2f}"
            row[f"{name} x"] = f"{taken / before[name]:.2f}" if name in before else ""
            if clock.device == "cuda":
                row[f"{name} MB"] = f"{torch.cuda.max_memory_allocated() / 1e6:.0f}"
            before[name] = taken
        table.append(row)
    return table
