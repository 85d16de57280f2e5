"""The project's own words: no identifier and no text uses a word of the old private vocabulary."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.vocabulary import files, offences

TREES = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tsfm").iterdir() if path.name != "__pycache__")
TREES += ["conf", "docs", "README.md", "CONTRIBUTING.md", "mkdocs.yml", "scripts"]
EXEMPT = ("__init__.py", "__pycache__", "vocabulary.py", "test_vocabulary.py")  # the last two hold the lists
TREES += sorted(f"tests/{path.name}" for path in (ROOT / "tests").iterdir() if path.name not in EXEMPT)


@pytest.mark.parametrize("tree", TREES)
def test_no_file_uses_a_word_to_avoid(tree: str) -> None:
    assert [str(offence) for file in files([ROOT / tree]) for offence in offences(file)] == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.py", "told = 1\n"),
        ("x.py", "def f(dice): ...\n"),
        ("x.py", "class Looks: ...\n"),
        ("x.py", "def f():\n    raise ValueError('nobody observed it')\n"),
        ("x.py", "x = 1  # it can't be\n"),
        ("x.yaml", "a: 1  # a look at it\n"),
        ("x.md", "Made-up series.\n"),
    ],
)
def test_a_word_to_avoid_is_found(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    assert len(offences(tmp_path / name)) == 1


def test_field_words_are_allowed(tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text('known_covariates = [horizon := 3]  # "read_csv" reads one file\n')
    assert offences(tmp_path / "x.py") == []
