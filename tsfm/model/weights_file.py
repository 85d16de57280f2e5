"""The weights of a checkpoint, model.safetensors: checked against the network before memory is taken.

The format (huggingface.co/docs/safetensors): 8 bytes with the length of the header, the header in JSON with type, shape
and position of each tensor, then the values.
"""

from __future__ import annotations

import hashlib
import math
import os
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tsfm.files.bounded import open_file, parse_json

MAX_HEADER_BYTES = 16 * 2**20  # about 100,000 tensors
MAX_AXES = 8
DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
STORED_FLOATS = ("F64", "F32", "F16", "BF16")  # in which floating-point tensors may be stored


@dataclass(frozen=True)
class StoredTensor:
    """Where a tensor is in the file: type, shape, and its bytes counted from the end of the header."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


@dataclass(frozen=True)
class WeightsHeader:
    """What a weights file says of itself.

    Attributes
    ----------
    path
        The file.
    tensors
        By name.
    start
        The bytes before the values.
    num_bytes
        Of the values.
    """

    path: Path
    tensors: Mapping[str, StoredTensor]
    start: bytes
    num_bytes: int

    @property
    def num_values(self) -> int:
        """The number of values of all tensors."""
        return sum(math.prod(tensor.shape) for tensor in self.tensors.values())


def read_header(path: Path, *, folder: Path | None) -> WeightsHeader:
    """Read the header of a weights file.

    Parameters
    ----------
    path
        The file.
    folder
        As in `tsfm.files.bounded.open_file`.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If it is not a weights file, or its size is not the one that its header describes.
    """
    refuse = partial(_refuse, path)
    with open_file(path, folder=folder) as file:
        size = file.seek(0, 2)
        file.seek(0)
        start = file.read(8)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or length > size - 8:
            raise refuse("it ends within its header")
        if length > MAX_HEADER_BYTES:
            raise refuse(f"its header has {length:,} bytes, more than {MAX_HEADER_BYTES:,}")
        header = file.read(length)
    num_bytes = size - 8 - length
    return WeightsHeader(path, _parse_header(header, num_bytes, refuse=refuse), start + header, num_bytes)


def read_tensors(
    header: WeightsHeader, expected: Mapping[str, Tensor], *, digest: str | None = None
) -> dict[str, Tensor]:
    """Read the values of a weights file.

    Parameters
    ----------
    header
        Of the file, after `check_tensors`.
    expected
        Tensors by name, in whose types the values are returned.
    digest
        SHA-256 of the whole file in hexadecimal digits; None: it is not known.

    Raises
    ------
    ValueError
        If the file has another digest, a value is not finite, or the machine has less memory than the file needs.
    """
    needed = header.num_bytes + sum(tensor.numel() * tensor.element_size() for tensor in expected.values())
    if needed > (memory := physical_memory()):
        raise ValueError(
            f"{header.path} needs {needed / 2**30:.1f} GiB of memory, and this machine has {memory / 2**30:.1f} GiB; "
            "use a larger one"
        )
    with open_file(header.path) as file:
        content = bytearray(file.read(len(header.start) + header.num_bytes + 1))
    if len(content) != len(header.start) + header.num_bytes or not content.startswith(header.start):
        raise _refuse(header.path, "it changed while it was read")
    if digest is not None and hashlib.sha256(content).hexdigest() != digest:
        raise ValueError(f"{header.path} is damaged: it is not the file that was saved with this model; copy it again")
    values = memoryview(content)[len(header.start) :]
    return {
        name: _tensor(f"{header.path}: {name}", stored, values, expected[name].dtype)
        for name, stored in header.tensors.items()
    }


def _tensor(label: str, stored: StoredTensor, values: memoryview, dtype: torch.dtype) -> Tensor:
    content = bytearray(values[stored.start : stored.stop])
    tensor = torch.frombuffer(content, dtype=DTYPES[stored.dtype]) if content else torch.empty(0)
    tensor = tensor.to(dtype).reshape(stored.shape)
    # a value that is not finite makes the sum so; where the sum alone is too large, every value is looked at
    if dtype.is_floating_point and not torch.isfinite(tensor.sum()) and not torch.isfinite(tensor).all():
        raise ValueError(
            f"{label} has values that are not finite, so every prediction would be missing; copy the file again, or "
            "train the model again with a lower optim.lr"
        )
    return tensor


def physical_memory() -> float:
    """Return the bytes of memory of this machine; infinite where that is unknown."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return math.inf


def _refuse(path: Path, reason: str) -> ValueError:
    return ValueError(f"{path} cannot be read ({reason}); it may be cut short: copy it again")


def _parse_header(header: bytes, num_bytes: int, *, refuse: Any) -> dict[str, StoredTensor]:
    """Return the tensors that a header describes; together they fill the bytes after it, without gap or overlap."""
    try:
        content = parse_json(header.decode("utf-8"))
    except ValueError as error:
        raise refuse(f"its header is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise refuse("its header is not an object")
    tensors = {
        name: _parse_entry(name, entry, refuse=refuse) for name, entry in content.items() if name != "__metadata__"
    }
    end = 0
    for name, tensor in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].stop)):
        if tensor.start != end:
            raise refuse(f"the values of {name} do not begin where those before end")
        end = tensor.stop
    if end != num_bytes:
        raise refuse(f"its header describes {end:,} bytes of values, and it has {num_bytes:,}")
    return tensors


def _parse_entry(name: str, entry: Any, *, refuse: Any) -> StoredTensor:
    entry = entry if isinstance(entry, dict) else {}
    dtype, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise refuse(f"{name} has the type {reprlib.repr(dtype)}; known: {', '.join(DTYPES)}")
    if not _are_counts(shape) or len(shape) > MAX_AXES:
        raise refuse(f"{name} has the shape {reprlib.repr(shape)}")
    if not _are_counts(offsets) or len(offsets) != 2:
        raise refuse(f"{name} has the offsets {reprlib.repr(offsets)}")
    if offsets[1] - offsets[0] != math.prod(shape) * DTYPES[dtype].itemsize:
        raise refuse(f"{name} has {offsets[1] - offsets[0]:,} bytes, which do not fit its shape {shape}")
    return StoredTensor(dtype, tuple(shape), offsets[0], offsets[1])


def _are_counts(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**62 for value in values)


def check_tensors(stored: WeightsHeader, expected: Mapping[str, Tensor], *, config_name: str) -> None:
    """Raise a ValueError unless the file holds the tensors of a network: names, shapes and types.

    Parameters
    ----------
    stored
        The header of the file.
    expected
        The state dict of the network, which may be on the meta device.
    config_name
        Of the file that describes the network, for messages.
    """
    missing, extra = sorted(expected.keys() - stored.tensors.keys()), sorted(stored.tensors.keys() - expected.keys())
    if missing or extra:
        raise ValueError(
            f"{stored.path} does not belong to its {config_name}: missing {missing[:3] or 'none'}, "
            f"unexpected {[name[:100] for name in extra[:3]] or 'none'}; copy both files from the same model"
        )
    for name, tensor in stored.tensors.items():
        wanted = expected[name]
        if tensor.shape != tuple(wanted.shape):
            raise ValueError(
                f"{stored.path}: {name} has shape {tensor.shape}; {config_name} describes {tuple(wanted.shape)}; copy "
                "both files from the same model"
            )
        is_known = (
            tensor.dtype in STORED_FLOATS if wanted.dtype.is_floating_point else DTYPES[tensor.dtype] == wanted.dtype
        )
        if not is_known:
            raise ValueError(
                f"{stored.path}: {name} is stored as {tensor.dtype}, and the network has {wanted.dtype}; copy it again"
            )
