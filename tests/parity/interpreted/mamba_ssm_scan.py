"""Print the errors of mamba_ssm's SSD kernel, interpreted, as JSON: python -m ... FOLDER_OF_ITS_SOURCE."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from torch import Tensor

from tests.parity.interpreted.comparison import all_errors
from tests.parity.interpreted.patches import add_packages, replace_gpu


def main(folder: Path) -> None:
    replace_gpu()
    add_packages(folder, "mamba_ssm", "mamba_ssm.ops", "mamba_ssm.ops.triton", "mamba_ssm.utils")
    from mamba_ssm.ops.triton.ssd_combined import mamba_chunk_scan_combined as kernel

    def in_chunks(x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        return kernel(x, dt, a, b, c, chunk_size=16, initial_states=state, return_final_states=True)

    print(json.dumps(all_errors(in_chunks, package="mamba_ssm")))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
