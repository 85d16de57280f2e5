"""Print the errors of fla's simple GLA kernel, interpreted, as JSON: python -m ...fla_scan, with fla on the path."""

from __future__ import annotations

import builtins
import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch

from tests.parity.interpreted.comparison import all_errors
from tests.parity.interpreted.patches import replace_gpu


def tensor_range(*bounds: Any) -> Iterator[Any]:
    """Yield what a compiled loop has: Triton scalars. The interpreter's own loop variables are Python integers."""
    from triton.runtime.interpreter import _implicit_cvt

    numbers = (int(bound.handle.data.item()) if hasattr(bound, "handle") else int(bound) for bound in bounds)
    return map(_implicit_cvt, builtins.range(*numbers))


def main() -> None:
    replace_gpu()
    from fla.ops.common import chunk_h, chunk_o
    from fla.ops.simple_gla import chunk_simple_gla

    from tsfm.nn.scan_kernels import scan_by_fla

    chunk_h.range = chunk_o.range = tensor_range
    scan_in_chunks = partial(scan_by_fla, partial(chunk_simple_gla, chunk_size=16))
    print(json.dumps(all_errors(scan_in_chunks, package="fla")))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
