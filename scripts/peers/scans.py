"""Speed of scans next to a loop over the tokens, and the cost of scans and attention by number of tokens.

The cost by number of tokens is measured with one row, so that nothing else grows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from peers.measure import Step, Timer, alternate, milliseconds, ratio, repeat
from tsfm.nn.scan import scan, scan_chunked, scan_sequential
from tsfm.nn.scan_kernels import find_kernel
from tsfm.nn.ssm import SSM
from tsfm.registry import BACKBONES
from tsfm.types import Grid

Scan = Callable[..., tuple[Tensor, Tensor]]
NUM_TOKENS = tuple(64 * 2**power for power in range(9))  # 64 to 16,384 tokens


def scan_step(run: Scan, *, rows: int, tokens: int, width: int, device: str, dtype: torch.dtype) -> Step:
    """Return forward and backward of a scan as the mamba backbone of this width calls it, with its defaults."""
    config = BACKBONES.config({"name": "mamba"})
    heads = config.expand * width // config.head
    torch.manual_seed(0)
    like: dict[str, Any] = {"device": device, "dtype": dtype}
    x = torch.randn(rows, tokens, heads, config.head, **like).requires_grad_()
    b, c = (torch.randn(rows, tokens, config.groups, config.state, **like).requires_grad_() for _ in range(2))
    dt = (0.001 + 0.1 * torch.rand(rows, tokens, heads, device=device)).requires_grad_()
    a = (-1 - 15 * torch.rand(heads, device=device)).requires_grad_()
    inputs = (x, dt, a, b, c)

    def step() -> None:
        y, _ = run(*inputs)
        torch.autograd.grad(y.float().square().mean(), inputs)

    return step


def scan_table(*, rows: int, tokens: int, width: int, timer: Timer, rounds: int) -> tuple[list[dict[str, Any]], str]:
    """Return a table of scans next to loops over the tokens, and a note about the kernel.

    The chunked scan, and the kernel if there is one, next to `scan_sequential`, which does the least work per token; on
    a CPU also a block next to the Mamba of transformers, which without kernels loops over the tokens, too.
    """
    shape = {"rows": rows, "tokens": tokens, "width": width, "device": timer.device}
    dtypes = {"float32": torch.float32} | ({"bf16": torch.bfloat16} if timer.device == "cuda" else {})
    run, note = find_kernel()
    table = []
    for name, dtype in dtypes.items():
        sides: dict[str, Scan] = {"chunked": scan_chunked}
        if timer.device == "cuda" and run is not None:
            sides["kernel"] = scan
        steps = {side: scan_step(path, dtype=dtype, **shape) for side, path in sides.items()}
        steps["loop"] = scan_step(scan_sequential, dtype=dtype, **shape)
        taken = alternate(steps, timer=timer, rounds=rounds, warm=1)
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
    if timer.device == "cpu":
        table.append(_mamba_row(rows=rows, tokens=tokens, width=width, timer=timer, rounds=min(rounds, 3)))
    return table, note


def _mamba_row(*, rows: int, tokens: int, width: int, timer: Timer, rounds: int) -> dict[str, Any]:
    """Return the row of a block of tsfm next to the Mamba of transformers."""
    from transformers import MambaConfig
    from transformers.models.mamba.modeling_mamba import MambaMixer

    torch.manual_seed(0)
    peer = MambaMixer(MambaConfig(hidden_size=width, state_size=16, expand=2, conv_kernel=4), layer_idx=0)
    block = SSM(width, expand=2, head=min(64, 2 * width), state=16)
    x = torch.randn(rows, tokens, width).requires_grad_()

    def step(run: Callable[[Tensor], Tensor], weights: list[Tensor]) -> Step:
        return lambda: torch.autograd.grad(run(x).square().mean(), [x, *weights])

    taken = alternate(
        {"block": step(block, list(block.parameters())), "loop": step(peer, list(peer.parameters()))},
        timer=timer,
        rounds=rounds,
        warm=1,
    )
    return {
        "chunked": "block, state 16",
        "loop": "transformers Mamba, state 16",
        "dtype": "float32",
        "ms": milliseconds(taken["block"]),
        "loop ms": milliseconds(taken["loop"]),
        "loop / chunked": f"{ratio(taken['loop'], taken['block']):.1f}",
    }


def block_step(name: str, settings: dict[str, Any], *, tokens: int, width: int, device: str, bf16: bool) -> Step:
    """Return forward and backward of one block of a backbone over one channel."""
    grid = Grid(channels=None, patches=None, patch=16, width=width)
    torch.manual_seed(0)
    block = BACKBONES.build(BACKBONES.config({"name": name, "depth": 1, "dropout": 0.0} | settings), grid=grid)
    block = block.to(device).train()
    x = torch.randn(1, 1, tokens, width, device=device).requires_grad_()
    visible = torch.ones(1, 1, tokens, dtype=torch.bool, device=device)
    weights = [x, *block.parameters()]

    def step() -> None:
        with torch.autocast(device, dtype=torch.bfloat16, enabled=bf16):
            y = block(x, visible)
        torch.autograd.grad(y.float().square().mean(), weights)

    return step


def step_makers(*, width: int, device: str) -> dict[str, Callable[[int], Step]]:
    """Return functions of the number of tokens that make the steps to measure, by name."""
    attention = {"norm": "rms", "pre_norm": True, "positions": "rotary", "heads": 4, "hidden": 2 * width}
    modes = {"": False} | ({" bf16": True} if device == "cuda" else {})
    run, _ = find_kernel()
    makers: dict[str, Callable[[int], Step]] = {}
    for label, bf16 in modes.items():
        dtype = torch.bfloat16 if bf16 else torch.float32
        paths = {"scan": scan_chunked} | ({"kernel": scan} if device == "cuda" and run is not None else {})
        for name, path in paths.items():
            makers[name + label] = lambda tokens, path=path, dtype=dtype: scan_step(
                path, rows=1, tokens=tokens, width=width, device=device, dtype=dtype
            )
        for name, backbone, settings in (
            ("mamba block", "mamba", {}),
            ("attention block", "patch_transformer", attention),
        ):
            makers[name + label] = lambda tokens, backbone=backbone, settings=settings, bf16=bf16: block_step(
                backbone, settings, tokens=tokens, width=width, device=device, bf16=bf16
            )
    return makers


def cost_table(*, longest: int, width: int, timer: Timer, seconds: float) -> list[dict[str, Any]]:
    """Return milliseconds by number of tokens, and their ratio to those of half as many: 2 is linear, 4 quadratic."""
    makers = step_makers(width=width, device=timer.device)
    table, previous = [], {}
    for tokens in (length for length in NUM_TOKENS if length <= longest):
        row: dict[str, Any] = {"tokens": f"{tokens:,}"}
        for name, make in makers.items():
            if timer.device == "cuda":
                torch.cuda.reset_peak_memory_stats()
            taken = repeat(make(tokens), timer=timer, seconds=seconds)
            row[f"{name} ms"] = f"{1e3 * taken:.2f}"
            row[f"{name} x"] = f"{taken / previous[name]:.2f}" if name in previous else ""
            if timer.device == "cuda":
                row[f"{name} MB"] = f"{torch.cuda.max_memory_allocated() / 1e6:.0f}"
            previous[name] = taken
        table.append(row)
    return table
