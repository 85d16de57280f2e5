"""The layers of docs/architecture.md, import cycles, and what no file may hold. Sources are parsed, not run."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import ROOT
from tsfm.registry import BACKBONES

PACKAGE = ROOT / "tsfm"
FILES = sorted(PACKAGE.rglob("*.py"))
ENTRY_FILES = ("__init__", "__main__")  # of the package itself: they may import everything


def documented_layers() -> dict[str, int]:
    """The layer of each package, read from the table in docs/architecture.md."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| *(\d+) *\| *((?:`\w+`(?:, )?)+) *\|", text, re.MULTILINE)
    return {package: int(layer) for layer, packages in rows for package in re.findall(r"`(\w+)`", packages)}


LAYERS = documented_layers()
# imported where they are used: slow to import, or not part of a plain installation
LAZY = (
    "transformers",
    "neuralforecast",
    "matplotlib",
    "statsforecast",
    "tensorboard",
    "aeon",
    "mamba_ssm",
    "fla",
    "huggingface_hub",
    "statsmodels",
    "duckdb",
)
# the one file that draws is itself imported lazily
LAZY_EXCEPTIONS = {"matplotlib": "tsfm/infer/plot.py"}
# third-party packages that a package may not import
FORBIDDEN = {
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
    names: tuple[str, ...] = ()  # what is imported from the module


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
            if name == "tsfm":
                yield from (Import(f"tsfm.{alias.name}", when, node.lineno) for alias in node.names)
            else:
                yield Import(name, when, node.lineno, tuple(alias.name for alias in node.names))
        for field, value in ast.iter_fields(node):
            guarded = isinstance(node, ast.If) and field == "body" and "TYPE_CHECKING" in ast.dump(node.test)
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from walk(child, "types" if guarded else when)

    yield from walk(ast.parse(file.read_text(encoding="utf-8")), "import")


def package_of(file: Path) -> str:
    return file.relative_to(PACKAGE).with_suffix("").parts[0]


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def name(file: Path) -> str:
    return str(file.relative_to(ROOT))


def test_the_import_parser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative imports, imports of a package, in functions, for types."""
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    file = tmp_path / "tsfm" / "data" / "x.py"
    file.parent.mkdir(parents=True)
    file.write_text(
        "import os, tsfm.nn.norms\nfrom tsfm import model, __version__\nfrom . import store\n"
        "from ..training.training_run import train\nfrom typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import jaxtyping\nelse:\n    import json\n"
        "def f():\n    import matplotlib.pyplot\n"
    )
    assert [(imported.module, imported.when) for imported in imports(file)] == [
        ("os", "import"),
        ("tsfm.nn.norms", "import"),
        ("tsfm.model", "import"),
        ("tsfm.__version__", "import"),
        ("tsfm.data", "import"),
        ("tsfm.training.training_run", "import"),
        ("typing", "import"),
        ("jaxtyping", "types"),
        ("json", "import"),
        ("matplotlib.pyplot", "call"),
    ]


def test_every_package_has_a_documented_layer() -> None:
    assert {package_of(file) for file in FILES} - set(ENTRY_FILES) == set(LAYERS)


@pytest.mark.parametrize("file", [f for f in FILES if package_of(f) not in ENTRY_FILES], ids=name)
def test_imports_go_down_and_never_sideways(file: Path) -> None:
    own, wrong = package_of(file), []
    for imported in imports(file):
        if not imported.module.startswith("tsfm.") or imported.module == "tsfm.__version__":
            continue
        other = imported.module.split(".")[1]
        if other != own and LAYERS[other] >= LAYERS[own]:
            wrong.append(f"{name(file)}:{imported.line} imports {imported.module}: {LAYERS[own]} from {LAYERS[other]}")
    assert not wrong


def import_graph(*, when: tuple[str, ...]) -> dict[str, set[str]]:
    """The files of tsfm that each file imports, for imports of the given kinds."""
    modules = {module_of(file) for file in FILES}
    graph: dict[str, set[str]] = defaultdict(set)
    for file in FILES:
        if package_of(file) in ENTRY_FILES:
            continue
        for imported in imports(file):
            if imported.when in when and imported.module.startswith("tsfm."):
                candidates = [f"{imported.module}.{item}" for item in imported.names] + [imported.module]
                graph[module_of(file)] |= {module for module in candidates if module in modules}
    for file, imported_files in graph.items():
        imported_files.discard(file)
    return graph


def test_files_form_no_import_cycle() -> None:
    """Neither when they are imported, nor when functions run, nor for the type checker."""
    cycle: list[str] = []
    try:
        list(TopologicalSorter(import_graph(when=("import", "call", "types"))).static_order())
    except CycleError as error:
        cycle = error.args[1]
    assert cycle == []


def test_no_file_uses_private_names_of_another() -> None:
    wrong = [
        f"{name(file)}:{imported.line} imports {item} of {imported.module}"
        for file in FILES
        for imported in imports(file)
        if imported.module.startswith("tsfm")
        for item in (*imported.names, *imported.module.split("."))
        if item.startswith("_") and not item.startswith("__")
    ]
    assert not wrong


def test_heavy_and_optional_packages_are_imported_where_they_are_used() -> None:
    wrong = [
        f"{name(file)}:{imported.line} {imported.module}"
        for file in FILES
        for imported in imports(file)
        if (
            imported.when == "import"
            and (top := imported.module.split(".")[0]) in LAZY
            and LAZY_EXCEPTIONS.get(top) != name(file)
        )
        or (imported.when != "types" and imported.module.startswith("jaxtyping"))
    ]
    wrong += [
        f"{name(file)}:{imported.line} {imported.module}"
        for file in FILES
        for imported in imports(file)
        if imported.when == "import" and imported.module == "tsfm.infer.plot"
    ]
    assert not wrong


def test_no_package_imports_what_is_forbidden_to_it() -> None:
    wrong = [
        f"{name(file)}:{imported.line} {imported.module}"
        for file in FILES
        for imported in imports(file)
        if imported.when != "types" and imported.module.split(".")[0] in FORBIDDEN.get(package_of(file), ())
    ]
    assert not wrong


def test_importing_tsfm_imports_nothing_else() -> None:
    modules = [imported.module for imported in imports(PACKAGE / "__init__.py") if imported.when == "import"]
    assert modules == ["typing", "tsfm.version"]


@pytest.mark.parametrize("statement", ["import tsfm", "from tsfm.commands.cli import parser; parser().format_help()"])
def test_starting_is_cheap(statement: str) -> None:
    code = f"import sys; {statement}; print(*{{name.split('.')[0] for name in sys.modules}})"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    heavy = {"torch", "pytorch_lightning", "lightning", "hydra", "omegaconf", "numpy", "pandas", "pyarrow", "sklearn"}
    assert not heavy & set(process.stdout.split())


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


@pytest.mark.parametrize("package", ["training", "tasks", "data", "metrics"])
def test_no_package_but_model_names_a_backbone(package: str) -> None:
    known = {entry.name for entry in BACKBONES} | {entry.component.__name__ for entry in BACKBONES}
    wrong = [
        f"{name(file)} names {word}"
        for file in sorted((PACKAGE / package).rglob("*.py"))
        for word in sorted(known)
        if re.search(rf"\b{word}\b", file.read_text(encoding="utf-8"))
    ]
    assert not wrong


def test_every_file_has_a_docstring() -> None:
    without = [
        name(file)
        for file in FILES
        if file.read_text(encoding="utf-8").strip()
        and not ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
    ]
    assert not without


def test_every_shape_letter_has_a_legend() -> None:
    """In the legend of types.py, or in the docstring of its own file."""
    legend = re.search(r"Legend of letters.*?\n\n", (PACKAGE / "types.py").read_text(encoding="utf-8"), re.DOTALL)
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
