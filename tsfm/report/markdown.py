"""A report as Markdown: the same headings, texts and tables; pictures are described in words."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tsfm.report.blocks import Block, Cell, Details, Heading, Links, Picture, Preformatted, Table, Text, as_cell

SPECIAL = re.compile(r"([\\`*_\[\]<>#|~])")


def to_markdown(blocks: Iterable[Block]) -> str:
    """Return the report as Markdown; characters that Markdown would read as markup are escaped."""
    return "\n\n".join(text for block in blocks if (text := _block(block))) + "\n"


def _block(block: Block) -> str:
    if isinstance(block, Heading):
        return f"{'#' * block.level} {_escape(block.text)}"
    if isinstance(block, Text):
        return _escape(block.text)
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Picture):
        return f"*{_escape(block.caption)}* {_escape(block.description)}"
    if isinstance(block, Preformatted):
        fence = "`" * max(3, 1 + max((len(run) for line in block.lines for run in re.findall("`+", line)), default=0))
        return "\n".join([fence, *block.lines, fence])
    if isinstance(block, Links):
        return ""
    assert isinstance(block, Details)
    return "\n\n".join([f"**{_escape(block.summary)}**", *(text for child in block.blocks if (text := _block(child)))])


def _table(table: Table) -> str:
    rule = ["---:" if index in table.numeric else "---" for index in range(len(table.header))]
    lines = [[_escape(text) for text in table.header], rule]
    lines += [[_content(as_cell(value)) for value in row] for row in table.rows]
    return "\n".join([_escape(table.caption), "", *("| " + " | ".join(line) + " |" for line in lines)])


def _content(cell: Cell) -> str:
    text = _escape(cell.text)
    if cell.mark == "best":
        return f"**{text}**"
    return f"{text} (published)" if cell.mark == "published" else text


def _escape(text: str) -> str:
    return SPECIAL.sub(r"\\\1", " ".join(text.split()))
