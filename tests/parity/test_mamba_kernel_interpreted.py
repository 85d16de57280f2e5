"""mamba_ssm's SSD kernel on CPU tensors, by Triton's interpreter: outputs and gradients are those of our scan.

This needs no GPU: the source distribution is unpacked but not built, and Triton is installed into a temporary folder.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.parity.interpreted.downloads import NotFetchedError, requirement, source_urls, unpack_source
from tests.parity.interpreted.run import check_errors


@pytest.mark.slow
@pytest.mark.parametrize("age", ["oldest", "newest"])
def test_the_kernel_agrees_with_our_scan_without_a_gpu(age: str, tmp_path: Path, triton: Path) -> None:
    """The kernel called by itself, through `scan`, and through an SSM block with tokens that are not valid."""
    try:
        urls = list(source_urls(requirement("mamba-ssm")).values())
        source = unpack_source(urls[0 if age == "oldest" else -1], tmp_path)
    except NotFetchedError as error:
        pytest.skip(str(error))
    check_errors("mamba_ssm_scan", source, folders=[triton])
