"""The scan of Mamba-2 by PyTorch, by mamba_ssm's kernel and by fla's: errors against float64, time and memory."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import tarfile
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from gpu.section import Recorder, Slot, relative_error
from gpu.timing import peak_mib, seconds_of
from tests.parity.interpreted.patches import add_packages
from tsfm.nn.scan import scan_chunked
from tsfm.nn.scan_kernels import KERNELS

WHEELS = Path("wheels")
PACKAGES = ("mamba_ssm", "mamba_ssm.ops", "mamba_ssm.ops.triton", "mamba_ssm.utils")
# rows, tokens, heads, head width, states; the first fills a GPU
SIZES = ((256, 64, 8, 64, 64), (16, 1024, 8, 64, 64), (2, 8192, 8, 64, 64))
TINY_SIZES = ((2, 40, 2, 16, 16),)
LIMITS = {torch.float32: 1e-2, torch.bfloat16: 5e-2}  # the kernels multiply float32 in TF32


def measure(slot: Slot, record: Recorder) -> None:
    """Add a row for each path, size and dtype."""
    paths: dict[str, Callable[..., tuple[Tensor, Tensor]]] = {"scan_chunked": scan_chunked}
    for package, module, name, scan_function, _ in KERNELS:
        try:
            if slot.device == "cpu":
                raise ImportError("kernels need CUDA")
            if package == "mamba_ssm":
                use_source(WHEELS)
            paths[package] = partial(scan_function, getattr(importlib.import_module(module), name))
        except Exception as error:  # noqa: BLE001  compiled code of others
            record.add(path=package, skipped=f"{type(error).__name__}: {error}")
    for size in TINY_SIZES if slot.dry_run else SIZES:
        inputs = random_inputs(*size)
        exact = results(scan_chunked, inputs, device=slot.device, dtype=torch.float64) if size == SIZES[0] else None
        if slot.dry_run:
            exact = results(scan_chunked, inputs, device="cpu", dtype=torch.float64)
        for dtype, limit in LIMITS.items():
            for path, scan_function in paths.items():
                with record.case(path=path, size=list(size), dtype=str(dtype).removeprefix("torch.")) as row:
                    step = partial(results, scan_function, inputs, device=slot.device, dtype=dtype)
                    if exact is not None:
                        row["errors"] = {name: relative_error(value, exact[name]) for name, value in step().items()}
                    row["seconds"] = seconds_of(step, slot.device)
                    row["peak_mib"] = peak_mib(step, slot.device)
                    if exact is not None and not max(row["errors"].values()) < limit:
                        raise ArithmeticError(f"errors {row['errors']}, limit {limit:.0e}")


def use_source(folder: Path) -> None:
    """Make the Triton kernels of mamba_ssm importable from its source distribution, where it is not installed."""
    archives = sorted(folder.glob("mamba_ssm-*.tar.gz"))
    if importlib.util.find_spec("mamba_ssm") is None and "mamba_ssm" not in sys.modules and archives:
        target = Path(tempfile.mkdtemp())
        with tarfile.open(archives[-1]) as source:
            source.extractall(target, filter="data")
        add_packages(next(target.iterdir()), *PACKAGES)


def random_inputs(rows: int, tokens: int, heads: int, width: int, states: int) -> dict[str, Tensor]:
    """Return x, dt, a, b, c of a scan, float64 on the CPU."""
    generator = torch.Generator().manual_seed(tokens)
    draw = partial(torch.randn, generator=generator, dtype=torch.float64)
    x, dt = draw(rows, tokens, heads, width), 0.05 * draw(rows, tokens, heads).abs()
    b, c = draw(rows, tokens, 1, states), draw(rows, tokens, 1, states)
    return {"x": x, "dt": dt, "a": -1 - draw(heads).abs(), "b": b, "c": c}


def results(
    scan_function: Callable[..., tuple[Tensor, Tensor]],
    inputs: dict[str, Tensor],
    *,
    device: str,
    dtype: torch.dtype,
) -> dict[str, Tensor]:
    """Return the outputs of a scan and the gradient of every input."""
    exact = torch.promote_types(dtype, torch.float32)
    values = {
        name: value.to(device, exact if name in ("dt", "a") else dtype).requires_grad_()
        for name, value in inputs.items()
    }
    y, _ = scan_function(*values.values())
    weight = torch.linspace(-1, 1, y.numel(), device=device, dtype=y.dtype).view_as(y)
    grads = torch.autograd.grad((y * weight).float().sum(), list(values.values()))
    return {"y": y.detach(), **{f"gradient of {name}": grad for name, grad in zip(values, grads, strict=True)}}
