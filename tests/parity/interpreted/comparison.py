"""Errors of a scan kernel: its outputs and gradients next to those of `scan_chunked`, and of an SSM block that uses it.

N rows, P tokens, h heads, K head width, G groups of heads, J SSM state.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tsfm.nn import scan as scans
from tsfm.nn.scan import scan_chunked
from tsfm.nn.scan_kernels import find_kernel
from tsfm.nn.ssm import SSM

N, P, h, K, G, J = 2, 40, 4, 16, 2, 16
ScanFunction = Callable[..., tuple[Tensor, Tensor]]


def random_inputs() -> dict[str, Tensor]:
    """Return x, dt, a, b, c of a scan and the state before its first token."""
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=generator)  # noqa: E731
    return {
        "x": draw(N, P, h, K),
        "dt": 0.5 * draw(N, P, h).abs(),
        "a": -0.2 - draw(h).abs(),
        "b": draw(N, P, G, J),
        "c": draw(N, P, G, J),
        "state": draw(N, h, K, J),
    }


def results(scan_function: ScanFunction, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the outputs, the last state and the gradient of every input."""
    values = {name: value.clone().requires_grad_() for name, value in inputs.items()}
    y, last = scan_function(**values)
    weights = [torch.linspace(-1, 1, t.numel()).view_as(t) for t in (y, last)]
    grads = torch.autograd.grad((y * weights[0]).sum() + (last * weights[1]).sum(), list(values.values()))
    gradients = {f"gradient of {name}": grad for name, grad in zip(values, grads, strict=True)}
    return {"y": y.detach(), "last state": last.detach(), **gradients}


def errors(expected: dict[str, Tensor], others: dict[str, Tensor]) -> dict[str, float]:
    """Return the largest absolute difference of each tensor, relative to its largest value."""
    assert expected.keys() == others.keys()
    return {name: float((expected[name] - others[name]).abs().max() / expected[name].abs().max()) for name in expected}


def scan_errors(scan_function: ScanFunction) -> dict[str, float]:
    """Return the errors of `scan_function`, relative to `scan_chunked` with chunks of 8 tokens."""
    inputs = random_inputs()
    expected = results(lambda **values: scan_chunked(**values, chunk=8), inputs)
    return errors(expected, results(scan_function, inputs))


def block_results() -> dict[str, Tensor]:
    """Return the outputs of an SSM block, two tokens of which are not valid, and its gradients."""
    torch.manual_seed(1)
    block = SSM(K, expand=h, head=K, state=J, groups=G)
    x, valid = torch.randn(N, P, K, requires_grad=True), torch.ones(N, P, dtype=torch.bool)
    valid[0, 3:5] = False
    y = block(x, valid)
    leaves = {"input": x, **dict(block.named_parameters())}
    grads = torch.autograd.grad((y * torch.linspace(-1, 1, y.numel()).view_as(y)).sum(), list(leaves.values()))
    return {"y": y.detach(), **{f"gradient of {name}": grad for name, grad in zip(leaves, grads, strict=True)}}


def all_errors(kernel: ScanFunction, *, package: str) -> dict[str, dict[str, float]]:
    """Return the errors of a kernel called by itself, and of `scan` and an SSM block, which find it in `package`."""
    by_itself, block = scan_errors(kernel), block_results()
    scans._suits_kernel = lambda x: True
    description = find_kernel()[1]
    assert description.startswith(f"scan: {package}'s"), description
    return {"kernel": by_itself, "scan": scan_errors(scans.scan), "block": errors(block, block_results())}
