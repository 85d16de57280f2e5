"""Change the bytes of a file at random."""

from __future__ import annotations

import numpy as np


def damaged(rng: np.random.Generator, data: bytes, alphabet: str = "") -> tuple[bytes, list[str]]:
    """Return the bytes after one to three changes, and what was done."""
    done = []
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        kind = str(rng.choice(["flip", "flip", "letter", "letter", "insert", "delete", "cut", "copy", "zero", "swap"]))
        data = _change(rng, data, kind, alphabet)
        done.append(kind)
    return data, done


def _change(rng: np.random.Generator, data: bytes, kind: str, alphabet: str) -> bytes:
    if len(data) < 8:
        return data
    at = int(rng.integers(0, len(data)))
    length = int(rng.integers(1, min(40, len(data))))
    text = alphabet.encode() or bytes(range(32, 127))
    letter = bytes([text[int(rng.integers(0, len(text)))]])
    if kind == "flip":
        return data[:at] + bytes([data[at] ^ (1 << int(rng.integers(0, 8)))]) + data[at + 1 :]
    if kind == "letter":
        return data[:at] + letter + data[at + 1 :]
    if kind == "insert":
        return data[:at] + letter + data[at:]
    if kind == "delete":
        return data[:at] + data[at + length :]
    if kind == "cut":
        return data[: max(1, at)]
    if kind == "copy":
        to = int(rng.integers(0, len(data)))
        return data[:to] + data[at : at + length] + data[to:]
    if kind == "zero":
        return data[:at] + bytes(min(length, len(data) - at)) + data[at + length :]
    lines = data.split(b"\n")
    first, second = rng.integers(0, len(lines), 2)
    lines[first], lines[second] = lines[second], lines[first]
    return b"\n".join(lines)
