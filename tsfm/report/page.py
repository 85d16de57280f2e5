"""The whole report: what it consists of, and the file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from tsfm.files import check_folder, write_text
from tsfm.messages import did_you_mean
from tsfm.report.blocks import Block, Heading, Links, Text, count
from tsfm.report.boards import Leaderboard, make_boards
from tsfm.report.data_sets import Sources, data_set_details, next_to_published, values_table
from tsfm.report.forecasts import forecast_pictures
from tsfm.report.frame import Frame
from tsfm.report.html import to_html
from tsfm.report.leaderboard import commands_of, leaderboard_blocks
from tsfm.report.markdown import to_markdown
from tsfm.report.provenance import failures, provenance, sources_list
from tsfm.report.published import claims, match_published, read_published
from tsfm.report.selection import Selection, select_rows
from tsfm.results import read_results

FORMATS = ("html", "md")
TITLE = "Results"


def write_report(
    results: str | Path | pd.DataFrame,
    out: str | Path,
    *,
    form: str | None = None,
    published: Sequence[str | Path] = (),
    anchors: str | Path | None = None,
    metrics: Sequence[str] = (),
    pictures: int = 1,
    title: str = TITLE,
) -> Path:
    """Write a report of measured results, and return its path.

    Parameters
    ----------
    results
        A results store, or rows of one as `read_results` returns them.
    out
        The file to write.
    form
        "html": a page that refers to no other file; "md": the same tables in Markdown. Default: by the suffix of `out`.
    published, anchors
        See `tsfm.report.published.read_published`.
    metrics
        Metrics to rank by; default: the usual ones of each protocol.
    pictures
        Data sets of each suite that forecasts are drawn for.
    title
        The first heading.

    Raises
    ------
    ValueError
        If there are no rows, or an argument cannot be used.
    FileNotFoundError
        If the store, the table or the folder does not exist.
    """
    path = Path(out)
    form = form or ("md" if path.suffix == ".md" else "html")
    if form not in FORMATS:
        raise ValueError(f"form is {form!r}; {did_you_mean(form, list(FORMATS))}")
    if pictures < 0:
        raise ValueError(f"pictures is {pictures}; expected a number of data sets, 0 for none")
    check_folder(path.parent)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name a file for the report")
    frame = results if isinstance(results, pd.DataFrame) else read_results(results)
    values = read_published(published, anchors)
    blocks = list(
        report_blocks(frame, values, metrics=metrics, pictures=pictures if form == "html" else 0, title=title)
    )
    write_text(path, to_html(title, blocks) if form == "html" else to_markdown(blocks))
    return path


def report_blocks(
    frame: Frame, published: Frame, *, metrics: Sequence[str] = (), pictures: int = 0, title: str = TITLE
) -> Iterator[Block]:
    """Yield the blocks of a report.

    Parameters
    ----------
    frame
        Rows of a results store.
    published
        Rows of `tsfm.report.published.read_published`.
    metrics, pictures, title
        As in `write_report`.

    Raises
    ------
    ValueError
        If there are no rows, or a metric cannot be ranked by.
    """
    if frame.empty:
        raise ValueError("the results store has no rows; `tsfm eval results=...` or a sweep writes some")
    selection = select_rows(frame)
    boards = make_boards(selection.measured, metrics=metrics)
    sources = Sources()
    yield Heading(title, 1)
    yield Text(_overview(selection, boards))
    content = [block for ranking in boards for block in _sections(ranking, selection, published, sources, pictures)]
    links = [(_anchor(ranking), ranking.title) for ranking in boards]
    links += [("failures", f"Failures ({len(selection.failures)})"), ("provenance", "Provenance")]
    yield Links([*links, *([("sources", "Sources of published numbers")] if sources.names else [])])
    yield from content
    yield from failures(selection)
    yield from provenance(selection)
    yield from sources_list(sources.names)


def _sections(
    ranking: Leaderboard, selection: Selection, published: Frame, sources: Sources, pictures: int
) -> Iterator[Block]:
    yield Heading(ranking.title, 2, _anchor(ranking))
    yield from leaderboard_blocks(ranking)
    known = [table for table in (published, claims(selection.measured)) if len(table)]
    every = pd.concat(known, ignore_index=True) if known else published
    tasks = ranking.rows[["task", "data", "subset", "horizon"]]
    matched = match_published(every, tasks, protocol=ranking.protocol, metric=ranking.metric)
    yield from next_to_published(ranking, matched, sources)
    yield from forecast_pictures(ranking, num_sets=pictures)
    yield Heading("By data set", 3)
    yield values_table(ranking)
    yield from data_set_details(ranking, matched, sources)
    yield commands_of(ranking)


def _overview(selection: Selection, boards: Sequence[Leaderboard]) -> str:
    rows = selection.measured
    last: Frame = pd.concat([rows["time"], selection.failures["time"]]).max()
    when = f", the last of them from {last:%Y-%m-%d %H:%M} UTC" if pd.notna(last) else ""
    finished = f"{count(rows['job'].nunique(), 'finished job')} of {count(rows['competitor'].nunique(), 'model')}"
    failed = f"{count(len(selection.failures), 'job')} failed"
    return (
        f"{finished}{when}, in {count(len(boards), 'leaderboard')}; {failed}. All values were measured by tsfm except "
        "where they are marked as published."
    )


def _anchor(ranking: Leaderboard) -> str:
    return re.sub(r"[^a-z0-9]+", "-", ranking.title.lower()).strip("-")
