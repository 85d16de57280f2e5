"""A small file of a sketch that unpacks to gigabytes is refused without taking their memory."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest

from tests.tiny import tiny
from tsfm.contamination.sketch import SKETCH_FILE
from tsfm.contamination.verdict import check_contamination
from tsfm.model.checkpoint import About, save

BLOCK, NUM_BLOCKS = 2**20, 2400  # bytes of a block, and how many: 2.4 GB of zeros in 2.4 MB
NAME = b"hashes.npy"
MAX_PEAK = 32 * 2**20


def bomb(size: int) -> bytes:
    """A zip file with one entry of zeros; `size` is the unpacked size that it claims."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    first = packer.compress(bytes(BLOCK)) + packer.flush(zlib.Z_FULL_FLUSH)
    content = first * NUM_BLOCKS + b"\x03\x00"  # blocks that do not depend on each other, and an empty last one
    sizes = struct.pack("<IIIHH", 0, len(content), size, len(NAME), 0)
    local = b"PK\x03\x04" + struct.pack("<HHHHH", 20, 0, 8, 0, 33) + sizes + NAME
    entry = b"PK\x01\x02" + struct.pack("<HHHHHH", 20, 20, 0, 8, 0, 33) + sizes
    entry += struct.pack("<HHHII", 0, 0, 0, 0, 0) + NAME
    directory = struct.pack("<HHHHIIH", 0, 0, 1, 1, len(entry), len(local) + len(content), 0)
    return local + content + entry + b"PK\x05\x06" + directory


@pytest.mark.parametrize(
    ("size", "message"),
    [(BLOCK * NUM_BLOCKS, r"bytes and would have 2,516,582,400 unpacked"), (1000, r"Bad CRC-32 for file")],
    ids=["honest", "claims 1,000 bytes"],
)
def test_a_file_that_unpacks_to_gigabytes_is_refused_in_little_memory(size: int, message: str, tmp_path: Path) -> None:
    content = bomb(size)
    assert 2 * 10**6 < len(content) < 3 * 10**6
    model = save(tiny("patch_transformer"), tmp_path / "m", about=About(), files={SKETCH_FILE: content})
    series = np.random.default_rng(0).normal(size=200)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=message):
            check_contamination(model, [series])
        assert tracemalloc.get_traced_memory()[1] < MAX_PEAK
    finally:
        tracemalloc.stop()
