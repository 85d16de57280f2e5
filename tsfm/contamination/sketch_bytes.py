"""The arrays of a stored sketch, read without taking more memory than a sketch of that size has. N values."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Shaped

MAX_BYTES = 2**30  # of a file; the largest of the package has 4 MB
MAX_RATIO = 64  # of unpacked to packed bytes: hashes cannot be compressed, so that those of tsfm are below 3
MIN_UNPACKED = 2**20  # bytes that are always read
TYPES = ("<u1", "|u1", "<u2", "<u4", "<u8", "<i8")


@dataclass
class SketchRecord:
    """The entry `about` of a stored sketch."""

    format: int
    names: list[str]
    series: int
    scales: list[tuple[bool, int, int]]


def read_arrays(data: bytes) -> dict[str, Shaped[np.ndarray, " N"]]:
    """Return the arrays of an .npz file of whole numbers by name.

    Raises
    ------
    ValueError
        If it is damaged, holds something else, or unpacks to far more bytes than it has.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            entries = file.infolist()
            unpacked = sum(entry.file_size for entry in entries)
            if unpacked > max(MIN_UNPACKED, MAX_RATIO * len(data)):
                raise ValueError(f"it has {len(data):,} bytes and would have {unpacked:,} unpacked")
            if len({entry.filename for entry in entries}) < len(entries):
                raise ValueError("it has two entries of one name")
            return {entry.filename.removesuffix(".npy"): _array(file, entry) for entry in entries}
    except MemoryError:
        raise ValueError("it needs more memory than there is") from None
    except Exception as error:  # noqa: BLE001  a damaged zip file can fail in any of its parts
        raise ValueError(str(error) or type(error).__name__) from None


def _array(file: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Shaped[np.ndarray, " N"]:
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{entry.filename} has an unknown compression")
    with file.open(entry) as stream:
        content = io.BytesIO(stream.read(entry.file_size + 1))
    if np.lib.format.read_magic(content) != (1, 0):
        raise ValueError(f"{entry.filename} has an unknown version")
    shape, _, dtype = np.lib.format.read_array_header_1_0(content)
    values = content.getbuffer()[content.tell() :]
    if dtype.str not in TYPES or len(shape) != 1 or shape[0] * dtype.itemsize != len(values):
        raise ValueError(f"{entry.filename} has the type {dtype.str} and the shape {shape}")
    return np.frombuffer(values, dtype)
