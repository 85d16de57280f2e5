"""fla's simple GLA kernel on CPU tensors, by Triton's interpreter: outputs and gradients are those of our scan."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.parity.interpreted.downloads import NotFetchedError, requirement, source_urls, unpack_source
from tests.parity.interpreted.run import check_errors


@pytest.mark.slow
def test_the_kernel_agrees_with_our_scan_without_a_gpu(tmp_path: Path, triton: Path) -> None:
    """The oldest and the newest release: the kernel by itself, through `scan`, and through an SSM block."""
    try:
        urls = list(source_urls(requirement("fla-core")).values())
        sources = [unpack_source(url, tmp_path / str(index)) for index, url in enumerate({urls[0], urls[-1]})]
    except NotFetchedError as error:
        pytest.skip(str(error))
    for source in sources:
        check_errors("fla_scan", folders=[triton, source])
