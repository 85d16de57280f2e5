"""mamba_ssm's SSD kernel on CPU tensors, by Triton's interpreter: outputs and gradients are those of our scan.

This needs no GPU: the source distribution is unpacked but not built, and Triton is installed into a temporary folder.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parity.interpreted.downloads import (
    ROOT,
    NotFetchedError,
    install,
    requirement,
    source_urls,
    unpack_source,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("triton")
    try:
        yield install("triton", folder)
    except NotFetchedError as error:
        pytest.skip(str(error))
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # a gigabyte


@pytest.mark.parametrize("age", ["oldest", "newest"])
def test_the_kernel_agrees_with_our_scan_without_a_gpu(age: str, tmp_path: Path, triton: Path) -> None:
    """The kernel called by itself, through `scan`, and through an SSM block with tokens that are not valid."""
    try:
        urls = list(source_urls(requirement("mamba-ssm")).values())
        source = unpack_source(urls[0 if age == "oldest" else -1], tmp_path)
    except NotFetchedError as error:
        pytest.skip(str(error))
    environment = {"TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join([str(ROOT), str(triton)])}
    run = subprocess.run(
        [sys.executable, "-m", "tests.parity.interpreted.mamba_ssm_scan", source],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    errors = json.loads(run.stdout)
    assert errors.keys() == {"kernel", "scan", "block"}
    assert {f"gradient of {name}" for name in ("x", "dt", "a", "b", "c", "state")} < errors["kernel"].keys()
    largest = {(where, name): error for where, errors_of in errors.items() for name, error in errors_of.items()}
    assert not {key: error for key, error in largest.items() if not error < 1e-5}
