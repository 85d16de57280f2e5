"""What several parity tests need: Triton, as a folder for PYTHONPATH."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parity.interpreted.downloads import NotFetchedError, install


@pytest.fixture(scope="session")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with Triton for the tests of interpreted kernels; empty if Triton is installed anyway."""
    folder = tmp_path_factory.mktemp("triton")
    try:
        yield install("triton", folder)
    except NotFetchedError as error:
        pytest.skip(str(error))
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # a gigabyte
