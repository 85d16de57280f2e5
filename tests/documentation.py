"""Pages of the documentation as data: fenced blocks, shell commands, inline code."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import NamedTuple

from tests.conftest import ROOT

RUN = "<!-- run -->"  # on the line before a block that the tests execute
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(rf"^({re.escape(RUN)}\n)?```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    """A fenced block and whether the tests execute it."""

    language: str
    code: str
    runs: bool


def name_of(page: Path) -> str:
    """The path of a page as test ids and messages show it."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, *languages: str) -> list[Block]:
    """The fenced blocks of these languages, in order."""
    fences = FENCE.findall(page.read_text(encoding="utf-8"))
    return [Block(language, code, bool(mark)) for mark, language, code in fences if language in languages]


def commands(page: Path) -> list[list[str]]:
    """The shell commands of the `console` blocks, as words; pipes and `&&` separate commands."""
    lines: list[list[str]] = []
    for block in blocks(page, "console"):
        for line in block.code.replace("\\\n", " ").splitlines():
            lines += [shlex.split(command) for command in re.split(r"\||&&", line) if command.strip()]
    return lines


def inline_code(page: Path) -> list[str]:
    """The text between single backticks, outside fenced blocks."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"`([^`\n]+)`", prose)


def table(page: Path, header: str) -> list[list[str]]:
    """The cells of the table whose header line begins with `header`."""
    text = page.read_text(encoding="utf-8")
    lines = text[text.index(header) :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
