"""The examples in the docstrings of tsfm run, and print what they say."""

from __future__ import annotations

import ast
import doctest
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def documented(node: ast.AST, name: str) -> Iterator[tuple[str, Documented]]:
    """A module, class or function, and those inside it, with their dotted names."""
    if isinstance(node, Documented):
        yield name, node
        for child in node.body:
            yield from documented(child, f"{name}.{getattr(child, 'name', '')}")


def examples() -> Iterator[doctest.DocTest]:
    """The examples of each docstring. Sources are parsed, because decorators hide functions from doctest's finder."""
    parser = doctest.DocTestParser()
    for file in sorted((ROOT / "tsfm").rglob("*.py")):
        source = file.read_text(encoding="utf-8")
        if ">>> " not in source:
            continue
        module = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for name, node in documented(ast.parse(source), module):
            docstring = ast.get_docstring(node)
            if docstring and ">>> " in docstring:
                yield parser.get_doctest(docstring, {}, name, module, node.body[0].lineno - 1)


@pytest.mark.parametrize("example", list(examples()), ids=lambda example: example.name)
def test_the_example_prints_what_it_says(
    example: doctest.DocTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    example.globs = dict(vars(importlib.import_module(str(example.filename))))
    output: list[str] = []
    failed, attempted = doctest.DocTestRunner(optionflags=OPTIONS).run(example, out=output.append)
    assert attempted
    assert not failed, "".join(output)
