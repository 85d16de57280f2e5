"""README is short, its table is that of the results page, and what it links to exists."""

from __future__ import annotations

import re

import pytest

from tests.conftest import ROOT
from tests.documentation import blocks, name_of, table

README = ROOT / "README.md"
LINKED = [README, *(ROOT / name for name in ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"))]


def test_the_readme_is_short_and_has_what_a_reader_needs() -> None:
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    assert [command for command in ("bash scripts/demo.sh", "bash scripts/test.sh") if command not in text] == []
    assert any(block.runs for block in blocks(README, "python"))


@pytest.mark.parametrize("page", LINKED, ids=name_of)
def test_links_lead_to_files(page) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in targets if "://" not in link and not (page.parent / link).exists()] == []


def test_the_results_of_the_readme_stand_on_the_results_page() -> None:
    rows = table(README, "| model | parameters | MASE | CRPS |")
    published = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    assert len(rows) >= 8
    assert [row for row in rows if "| " + " | ".join(row) + " |" not in published] == []


def test_numbers_of_the_comparison_stand_on_the_results_page() -> None:
    """Every decimal number of the section on other libraries."""
    text = README.read_text(encoding="utf-8")
    section = text[text.index("## Why tsfm") : text.index("What is particular")]
    published = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    numbers = re.findall(r"\d+\.\d+", re.sub(r"TimesFM \d\.\d", "", section))
    assert len(numbers) > 8
    assert [number for number in numbers if number not in published] == []
