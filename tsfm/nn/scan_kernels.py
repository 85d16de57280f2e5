"""Scan kernels of other packages, for CUDA: which one can be imported, and how the arguments of `scan` map to it.

N rows, P tokens, h heads, K head width, G groups of heads, J SSM state.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from torch import Tensor

from tsfm.nn.scan_chunks import MIN_LOG_DECAY

ScanFunction = Callable[..., tuple[Tensor, Tensor]]


@cache
def find_kernel() -> tuple[ScanFunction | None, str]:
    """Return a scan function that uses the first kernel that imports, or None, and a line that describes the choice.

    mamba_ssm comes first, since it is written for this scan and shares b and c among the heads of a group. fla, which
    is Triton only and needs no compiler of CUDA code, is next.
    """
    errors: list[str] = []
    for package, module, name, scan_function, label in KERNELS:
        try:
            kernel = getattr(importlib.import_module(module), name)
        except Exception as error:  # noqa: BLE001  compiled code of others: it fails in more ways than ImportError
            errors.append(f"{package} does not import: {error}")
            continue
        elsewhere = "chunked matmul in PyTorch on a CPU, in float64 and under torch.compile"
        return partial(scan_function, kernel), f"scan: {package}'s {label} kernel on CUDA; {elsewhere}"
    return None, f"scan: chunked matmul in PyTorch ({'; '.join(errors)})"


def scan_by_mamba_ssm(
    kernel: Callable[..., Any],
    x: Tensor,
    dt: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    *,
    state: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return a scan from mamba_ssm.ops.triton.ssd_combined, v2.2.1 to v2.3.2.

    dt_softplus is off since dt is the step itself. The kernel takes one dtype for x, b and c and float32 for the
    decays; float32 products run in TF32. Its chunk has between 64 tokens (as in the authors' tests) and 256 (as in
    their module).
    """
    chunk = min(256, max(64, 1 << (x.shape[1] - 1).bit_length()))
    return kernel(
        x.contiguous(),
        dt.float().contiguous(),
        a.float(),
        b.to(x.dtype).contiguous(),
        c.to(x.dtype).contiguous(),
        chunk_size=chunk,
        initial_states=None if state is None else state.float(),
        return_final_states=True,
    )


def scan_by_fla(
    kernel: Callable[..., Any],
    x: Tensor,
    dt: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    *,
    state: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return a scan from fla.ops.simple_gla (fla-core 0.6.0), linear attention with a decay for each head and token.

    Its recurrence is S_t = exp(g_t) S_{t-1} + k_t v_t^T with the output S_t^T q_t scale, so q = c, k = b, v = dt x,
    g = dt a, scale = 1, and S is the transposed state, [N, h, J, K]. Each head has its own q and k there: b and c are
    repeated for the heads of a group. The products follow the dtype of x, float32 ones run in TF32; decays and their
    sums are float32. A log decay below 2 MIN_LOG_DECAY is raised to it, as in `scan_chunked`.
    """
    heads = x.shape[2] // b.shape[2]
    b, c = (t.to(x.dtype).repeat_interleave(heads, dim=2) for t in (b, c))
    dt = dt.float()
    y, last = kernel(
        c,
        b,
        (dt[..., None] * x).to(x.dtype),
        (dt * a.float()).clamp_min(2 * MIN_LOG_DECAY),
        scale=1.0,
        initial_state=None if state is None else state.float().transpose(2, 3),
        output_final_state=True,
    )
    return y, last.transpose(2, 3)


# package, its module, its function, the mapping of arguments, what the log calls it
KERNELS = (
    ("mamba_ssm", "mamba_ssm.ops.triton.ssd_combined", "mamba_chunk_scan_combined", scan_by_mamba_ssm, "SSD"),
    ("fla", "fla.ops.simple_gla", "chunk_simple_gla", scan_by_fla, "simple GLA"),
)
