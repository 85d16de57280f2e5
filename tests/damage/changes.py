"""Changes of files and of plain values, drawn from a random generator."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Rng = np.random.Generator
Change = Callable[[Path, Rng], Any]  # of a file

VALUES: list[Any] = [
    None, True, False, -0.5, 0, 1, -1, 2, 10**9, 10**30, 0.25, 1e308, float("nan"), float("inf"), "", "x", "mixer",
    "../x", [], [1], ["a"], {}, {"name": "x"}, [[0.1]], "1", "true",
]  # fmt: skip


class Canary:
    """An object whose pickle makes a file when it is loaded."""

    def __init__(self, path: Path):
        self.path = str(path)

    def __reduce__(self) -> Any:
        return open, (self.path, "w")


def pick(rng: Rng, choices: Any) -> Any:
    return choices[int(rng.integers(len(choices)))]


def changed_bytes(file: Path, rng: Rng, *, first: int = 0, last: int | None = None) -> None:
    """Change some bytes of a file, cut it, or add to it."""
    content = bytearray(file.read_bytes())
    last = len(content) if last is None else last
    at = int(rng.integers(first, max(last, first + 1))) if last > first else first
    kind = rng.integers(8)
    if kind <= 2 and content:
        content[min(at, len(content) - 1)] ^= 1 << int(rng.integers(8))
    elif kind == 3:
        content[at : at + int(rng.integers(1, 64))] = b""
    elif kind == 4:
        content[at:at] = rng.bytes(int(rng.integers(1, 64)))
    elif kind == 5:
        content[at : at + 32] = bytes(len(content[at : at + 32]))
    elif kind == 6:
        content[at : at + 16], content[first : first + 16] = content[first : first + 16], content[at : at + 16]
    else:
        del content[at:]
    file.write_bytes(content)


def value_paths(values: Any, path: tuple = ()) -> list[tuple]:
    """The path of every value in nested dicts and lists."""
    items = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    paths = []
    for key, value in items:
        paths += [(*path, key), *value_paths(value, (*path, key))]
    return paths


def changed_value(content: Any, rng: Rng) -> None:
    """Replace, remove, rename or slightly change one value."""
    *path, key = pick(rng, value_paths(content))
    values = content
    for step in path:
        values = values[step]
    kind, old = rng.integers(6), values[key]
    if kind == 0:
        del values[key]
    elif kind == 1 and isinstance(values, dict):
        values[f"{key}x"] = values.pop(key)
    elif kind == 2 and isinstance(old, (int, float)):
        values[key] = not old if isinstance(old, bool) else old + pick(rng, [1, -1, 0.5, old])
    elif kind == 3 and isinstance(old, str) and old:
        values[key] = old[:-1] + chr(ord(old[-1]) ^ 1)
    else:
        values[key] = pick(rng, VALUES)


def changed_json(file: Path, rng: Rng) -> None:
    content = json.loads(file.read_text())
    changed_value(content, rng)
    file.write_text(json.dumps(content))


def hostile_text(file: Path, rng: Rng) -> None:
    """Replace a text file by something else, or break its structure."""
    text = file.read_bytes()
    deep = 200_000
    file.write_bytes(
        pick(
            rng,
            [
                b"", b"null", b"[]", b"5", b'"x"', b"\xff\xfe\x00", b"\x00" * 1000, b"\xef\xbb\xbf" + text, text + text,
                text.replace(b":", b"=", 1), text.replace(b"{", b"[", 1), text.replace(b",", b"", 1), text[1:],
                b"[" * deep, b'{"a":' * deep + b"1" + b"}" * deep, text.replace(b"true", b"True"), text[::-1],
                text.replace(b"1", b"1" * 5000, 1), text.replace(b'"', b"'"), b"[" + b"[]," * 600_000 + b"[]]",
            ],
        )
    )  # fmt: skip


def replaced(file: Path, rng: Rng, *, canary: Path) -> None:
    """Replace a file by something else: another kind of file, a pickle, nothing."""
    kind = rng.integers(7)
    content = file.read_bytes()
    file.unlink()
    if kind == 0:
        os.mkfifo(file)
    elif kind == 1:
        file.mkdir()
    elif kind == 2:
        file.symlink_to("/dev/zero")
    elif kind == 3:
        (file.parent.parent / "outside").write_bytes(content)
        file.symlink_to(file.parent.parent / "outside")
    elif kind == 4:
        file.symlink_to(file.name)
    elif kind == 5:
        file.write_bytes(pickle.dumps(Canary(canary)))


def added_code(folder: Path, rng: Rng, *, canary: Path) -> None:
    """Add a file that would make the canary if it were loaded or imported."""
    code = f"open({str(canary)!r}, 'w')\n"
    name = pick(
        rng, ["__init__.py", "conftest.py", "modeling.py", "sitecustomize.py", "pytorch_model.bin", "model.pkl"]
    )
    (folder / name).write_bytes(pickle.dumps(Canary(canary)) if name[-2:] != "py" else code.encode())


def changed_archive(file: Path, rng: Rng, *, canary: Path) -> None:
    """Change an entry of a zip file: rename, remove, double, a pickled array, or one that unpacks to 2 GB."""
    with zipfile.ZipFile(file) as old:
        entries = {name: old.read(name) for name in old.namelist()}
    name, kind = pick(rng, sorted(entries)), rng.integers(6)
    if kind == 0:
        del entries[name]
    elif kind == 1:
        entries["x" + name] = entries.pop(name)
    elif kind == 2:
        array = io.BytesIO()
        np.save(array, np.array([Canary(canary)], dtype=object), allow_pickle=True)
        entries[name] = array.getvalue()
    elif kind == 3:
        other = pick(rng, sorted(entries))
        entries[name], entries[other] = entries[other], entries[name]
    elif kind == 4:
        content = bytearray(entries[name])
        content[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))
        entries[name] = bytes(content)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        for entry, content in entries.items():
            if kind == 5 and entry == name:
                with new.open(entry, "w") as out:
                    out.write(content[:128])
                    for _ in range(24):
                        out.write(bytes(100 * 2**20 // 24 * 4))
            else:
                new.writestr(entry, content)


def copied(folder: Path, to: Path) -> Path:
    """Copy a folder to a new place, which replaces what is there."""
    shutil.rmtree(to.parent, ignore_errors=True)
    to.parent.mkdir(parents=True)
    return Path(shutil.copytree(folder, to, symlinks=True))
