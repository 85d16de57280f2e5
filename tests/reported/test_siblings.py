"""The table of docs/reported.md names tests that exist, and each kind; the slow test compares its counts."""

from __future__ import annotations

import ast

import pytest

from tests.conftest import ROOT
from tests.reported.siblings import KINDS, SNIPPETS, collected, counts, markdown, matches

TABLE = (ROOT / "docs" / "reported.md").read_text(encoding="utf-8")


def functions(file: str) -> list[str]:
    """Return the ids of the test functions of a file."""
    names = []
    for node in ast.parse((ROOT / file).read_text(encoding="utf-8")).body:
        members = node.body if isinstance(node, ast.ClassDef) else [node]
        above = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        names += [f"{file}::{above}{member.name}" for member in members if isinstance(member, ast.FunctionDef)]
    return names


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_has_its_snippet_and_tests_of_siblings(kind: str) -> None:
    title, tests = KINDS[kind]
    snippets = [name.rpartition("::")[2] for name in functions(SNIPPETS)]
    assert any(f"_{kind.lower()}_" in name for name in snippets)
    for test in tests:
        assert any(matches(name, test) for name in functions(test.partition("::")[0])), test
    assert f"| {kind} | {title} | " in TABLE


@pytest.mark.slow
def test_the_counts_of_the_documentation_are_those_of_pytest() -> None:
    assert markdown(counts(collected())) in TABLE
