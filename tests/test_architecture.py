"""Who may import whom (DESIGN.md, "The house"), and what no file may hold. Read off the source by ast, nothing run."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import ROOT
from tsfm.registry import BACKBONES

HOUSE = ROOT / "tsfm"
FLOORS = {
    7: ("commands",),
    6: ("bench", "estimators"),
    5: ("train",),
    4: ("data", "infer"),
    3: ("store", "contamination"),
    2: ("model", "tasks", "synthetic", "config"),
    1: ("nn", "metrics", "timestamps", "types", "registry"),
    0: ("messages", "fingerprint", "version", "__main__"),
}
FLOOR = {room: floor for floor, rooms in FLOORS.items() for room in rooms}
FILES = sorted(HOUSE.rglob("*.py"))
# what takes long to import, or does not come with a plain installation, is imported where it is used
LATE = (
    "transformers",
    "neuralforecast",
    "matplotlib",
    "statsforecast",
    "tensorboard",
    "aeon",
    "mamba_ssm",
    "huggingface_hub",
    "statsmodels",
    "duckdb",
)
# the one file that is for drawing is itself imported late
AT_HOME = {"matplotlib": "tsfm/infer/plot.py"}
# what a room can't know of: models without a data set, data without modules
FOREIGN = {
    "nn": ("numpy", "pandas", "pyarrow", "hydra", "omegaconf", "pytorch_lightning"),
    "model": ("pandas", "pyarrow", "hydra", "omegaconf", "pytorch_lightning"),
    "tasks": ("pandas", "pyarrow", "hydra", "omegaconf", "pytorch_lightning"),
    "metrics": ("pandas", "hydra", "omegaconf", "pytorch_lightning"),
    "infer": ("pytorch_lightning", "hydra", "omegaconf"),
    "data": ("hydra", "omegaconf"),
}


class Import(NamedTuple):
    module: str
    when: str  # import: as the file is imported; call: inside a function; types: for the type checker only
    line: int


def imports(file: Path) -> Iterator[Import]:
    """Every import of a file with its full name; `from tsfm import data` counts as tsfm.data."""
    package = file.relative_to(ROOT).with_suffix("").parts[:-1]

    def walk(node: ast.AST, when: str) -> Iterator[Import]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and when == "import":
            when = "call"
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, when, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            name = ".".join(filter(None, (above, node.module)))
            names = [f"{name}.{alias.name}" for alias in node.names] if name == "tsfm" else [name]
            yield from (Import(name, when, node.lineno) for name in names)
        for field, value in ast.iter_fields(node):
            guarded = isinstance(node, ast.If) and field == "body" and "TYPE_CHECKING" in ast.dump(node.test)
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from walk(child, "types" if guarded else when)

    yield from walk(ast.parse(file.read_text(encoding="utf-8")), "import")


def room(file: Path) -> str:
    return file.relative_to(HOUSE).with_suffix("").parts[0]


def name(file: Path) -> str:
    return str(file.relative_to(ROOT))


def test_the_imports_are_read_rightly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader itself: relative imports, imports of a room from the package, in functions, for types."""
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    file = tmp_path / "tsfm" / "data" / "x.py"
    file.parent.mkdir(parents=True)
    file.write_text(
        "import os, tsfm.nn.rope\nfrom tsfm import model, __version__\nfrom . import store\n"
        "from ..train.run import train\nfrom typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import jaxtyping\nelse:\n    import json\n"
        "def f():\n    import matplotlib.pyplot\n"
    )
    assert [(found.module, found.when) for found in imports(file)] == [
        ("os", "import"),
        ("tsfm.nn.rope", "import"),
        ("tsfm.model", "import"),
        ("tsfm.__version__", "import"),
        ("tsfm.data", "import"),
        ("tsfm.train.run", "import"),
        ("typing", "import"),
        ("jaxtyping", "types"),
        ("json", "import"),
        ("matplotlib.pyplot", "call"),
    ]


def test_every_room_stands_on_a_floor() -> None:
    assert {room(file) for file in FILES} - {"__init__"} == set(FLOOR)


@pytest.mark.parametrize("file", [f for f in FILES if room(f) not in ("__init__", "__main__")], ids=name)
def test_lower_never_imports_higher_nor_a_sibling(file: Path) -> None:
    own, wrong = room(file), []
    for found in imports(file):
        if not found.module.startswith("tsfm.") or found.module == "tsfm.__version__":
            continue
        other = found.module.split(".")[1]
        if other != own and FLOOR[other] >= FLOOR[own]:
            wrong.append(f"{name(file)}:{found.line} imports {found.module}: floor {FLOOR[own]} from {FLOOR[other]}")
    assert not wrong


def test_heavy_and_optional_packages_are_imported_where_they_are_used() -> None:
    wrong = [
        f"{name(file)}:{found.line} {found.module}"
        for file in FILES
        for found in imports(file)
        if (found.when == "import" and (top := found.module.split(".")[0]) in LATE and AT_HOME.get(top) != name(file))
        or (found.when != "types" and found.module.startswith("jaxtyping"))
    ]
    wrong += [
        f"{name(file)}:{found.line} {found.module}"
        for file in FILES
        for found in imports(file)
        if found.when == "import" and found.module == "tsfm.infer.plot"
    ]
    assert not wrong


def test_no_room_uses_what_is_foreign_to_it() -> None:
    wrong = [
        f"{name(file)}:{found.line} {found.module}"
        for file in FILES
        for found in imports(file)
        if found.when != "types" and found.module.split(".")[0] in FOREIGN.get(room(file), ())
    ]
    assert not wrong


def test_the_face_imports_only_what_is_looked_at() -> None:
    modules = [found.module for found in imports(HOUSE / "__init__.py") if found.when == "import"]
    assert modules == ["os", "typing", "tsfm.version"]


@pytest.mark.parametrize("statement", ["import tsfm", "from tsfm.commands.cli import parser; parser().format_help()"])
def test_starting_is_cheap(statement: str) -> None:
    code = f"import sys; {statement}; print(*{{name.split('.')[0] for name in sys.modules}})"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    heavy = {"torch", "pytorch_lightning", "lightning", "hydra", "omegaconf", "numpy", "pandas", "pyarrow", "sklearn"}
    assert not heavy & set(answer.stdout.split())


def test_no_dotted_class_path_in_configs_or_code() -> None:
    files = [*FILES, *sorted((ROOT / "conf").rglob("*.yaml"))]
    assert len(files) > 50
    assert [name(file) for file in files if "_target_" in file.read_text(encoding="utf-8")] == []


def test_no_path_of_one_machine() -> None:
    pattern = re.compile(r"(?<![\w.}])/(?:work|root|opt|home)/")
    folders = {"tsfm": "*.py", "conf": "*.yaml", "scripts": "*", "tests": "*.py", "notebooks": "*.ipynb"}
    files = [file for folder, glob in folders.items() for file in (ROOT / folder).rglob(glob) if file.is_file()]
    readable = [file for file in files if "__pycache__" not in file.parts]
    assert [name(file) for file in readable if pattern.search(file.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("place", ["train", "tasks", "data", "metrics"])
def test_no_room_above_or_beside_the_model_knows_a_backbone_by_name(place: str) -> None:
    known = {entry.name for entry in BACKBONES} | {entry.part.__name__ for entry in BACKBONES}
    wrong = [
        f"{name(file)} names {word}"
        for file in sorted((HOUSE / place).rglob("*.py"))
        for word in sorted(known)
        if re.search(rf"\b{word}\b", file.read_text(encoding="utf-8"))
    ]
    assert not wrong


def test_every_file_begins_with_what_it_is_for() -> None:
    silent = [
        name(file)
        for file in FILES
        if file.read_text(encoding="utf-8").strip()
        and not ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
    ]
    assert not silent


def test_every_letter_of_a_shape_is_explained() -> None:
    """In the legend of types.py, or in the docstring of its own file."""
    legend = re.search(r"Legend of letters.*?\n\n", (HOUSE / "types.py").read_text(encoding="utf-8"), re.DOTALL)
    assert legend
    common = set(re.findall(r"\b([A-Z]) \w+", legend[0]))
    assert common >= set("BCTHSPDNKQMJ")
    wrong = []
    for file in FILES:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        own = set(re.findall(r"\b([A-Z])\b", ast.get_docstring(tree) or ""))
        for node in ast.walk(tree):
            if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
                if node.value.id not in ("Float", "Bool", "Int", "Shaped"):
                    continue
                text = " ".join(str(n.value) for n in ast.walk(node.slice) if isinstance(n, ast.Constant))
                wrong += [f"{name(file)}:{node.lineno} {x}" for x in set(re.findall(r"\b[A-Z]\b", text)) - own - common]
    assert not wrong
