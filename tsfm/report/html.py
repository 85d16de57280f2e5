"""A report as one HTML page that refers to no other file and runs no script."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from importlib.resources import files

from tsfm.report.blocks import Block, Cell, Details, Heading, Links, Picture, Preformatted, Table, Text, as_cell

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"  # a browser loads nothing for this page


def to_html(title: str, blocks: Iterable[Block]) -> str:
    """Return the page.

    Parameters
    ----------
    title
        Of the window.
    blocks
        The content; all text is escaped.
    """
    style = (files("tsfm.report") / "style.css").read_text(encoding="utf-8")
    content = "\n".join(_block(block) for block in blocks)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n{content}\n</main>\n"
        "</body>\n</html>\n"
    )


def _block(block: Block) -> str:
    if isinstance(block, Heading):
        anchor = f' id="{escape(block.anchor)}"' if block.anchor else ""
        return f"<h{block.level}{anchor}>{escape(block.text)}</h{block.level}>"
    if isinstance(block, Text):
        kind = f' class="{block.kind}"' if block.kind else ""
        return f"<p{kind}>{escape(block.text)}</p>"
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Picture):
        label = escape(block.description)
        svg = block.svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
        return (
            f'<figure><div class="scroll" tabindex="0" role="region" aria-label="{escape(block.caption)}">{svg}</div>'
            f"<figcaption>{escape(block.caption)}</figcaption></figure>"
        )
    if isinstance(block, Preformatted):
        lines = escape("\n".join(block.lines))
        return f'<pre tabindex="0">{lines}</pre>'
    if isinstance(block, Links):
        items = "".join(f'<li><a href="#{escape(anchor)}">{escape(text)}</a></li>' for anchor, text in block.items)
        return f'<nav aria-label="Contents"><ul>{items}</ul></nav>'
    assert isinstance(block, Details)
    inner = "\n".join(_block(child) for child in block.blocks)
    return f"<details><summary>{escape(block.summary)}</summary>\n{inner}\n</details>"


def _table(table: Table) -> str:
    header = "".join(
        f'<th scope="col"{_number(index, table)}>{escape(text)}</th>' for index, text in enumerate(table.header)
    )
    rows = "\n".join(_row([as_cell(value) for value in row], table) for row in table.rows)
    caption = escape(table.caption)
    return (
        f'<p class="caption">{caption}</p><div class="scroll" tabindex="0" role="region" aria-label="{caption}">'
        f'<table aria-label="{caption}">'
        f"<thead><tr>{header}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div>"
    )


def _row(cells: list[Cell], table: Table) -> str:
    published = any(cell.mark == "published" for cell in cells)
    parts = [f'<th scope="row">{_content(cells[0])}</th>'] if cells else []
    parts += [f"<td{_number(index, table)}>{_content(cell)}</td>" for index, cell in enumerate(cells[1:], 1)]
    kind = ' class="published"' if published else ""
    return f"<tr{kind}>{''.join(parts)}</tr>"


def _content(cell: Cell) -> str:
    text, note = escape(cell.text), f' title="{escape(cell.note)}"' if cell.note else ""
    if cell.mark == "best":
        return f"<strong{note}>{text}</strong>"
    if cell.mark == "published":
        return f'{text} <span class="tag">published</span>'
    return f"<span{note}>{text}</span>" if note else text


def _number(index: int, table: Table) -> str:
    return ' class="number"' if index in table.numeric else ""
