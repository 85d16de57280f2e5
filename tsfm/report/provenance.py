"""The blocks about all jobs of a report: failures with their errors, versions, hardware, sources."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from tsfm.report.blocks import Block, Cell, Details, Heading, Preformatted, Table, Text, format_number
from tsfm.report.frame import Frame
from tsfm.report.selection import Selection

VERSIONS = ["tsfm", "commit", "torch", "python"]
MACHINE = ["platform", "processor", "cores", "threads", "gpus"]


def failures(selection: Selection) -> Iterator[Block]:
    """Yield the jobs that failed and were not done later."""
    yield Heading("Failures", 2, "failures")
    rows = selection.failures
    if rows.empty:
        yield Text("No job failed without being done later.")
        return
    cells: list[list[Cell | str]] = [
        [
            _text(row["model"]), _text(row["data"]), _horizon(row["horizon"]), _text(row["setting"]),
            _text(row["error"]) or "no message", format_number(_float(row["seconds"]), digits=1), _time(row["time"]),
        ]
        for _, row in rows.iterrows()
    ]  # fmt: skip
    header = ["Model", "Data set", "Horizon", "Settings", "Error", "Seconds", "When (UTC)"]
    caption = (
        f"{len(rows)} jobs that failed and were not done later; the same sweep with --retry-failed runs them again."
    )
    yield Table(header, cells, caption, frozenset({2, 5}))
    commands = sorted(set(rows["command"]) - {""})
    if commands:
        yield Details(f"Commands of these {len(rows)} jobs", [Preformatted(commands)])


def provenance(selection: Selection) -> Iterator[Block]:
    """Yield the versions and machines of all jobs, with how many rows each measured."""
    yield Heading("Provenance", 2, "provenance")
    rows = pd.concat([selection.measured, selection.failures], ignore_index=True)
    replaced = selection.num_replaced
    yield Text(
        f"{rows['job'].nunique()} jobs with {len(selection.measured):,} measured values. "
        + (
            f"{replaced:,} older values of equal jobs were replaced by newer ones."
            if replaced
            else "No value was measured twice."
        )
    )
    columns = [*VERSIONS, *MACHINE]
    labelled = rows.assign(**{name: rows[name].astype(object).where(rows[name].notna(), "") for name in columns})
    cells: list[list[Cell | str]] = []
    groups: Frame = labelled.groupby(columns, sort=True)
    for key, jobs in groups:
        texts = [str(value) or "-" for value in key]
        cells.append([*texts, f"{jobs['job'].nunique():,}", _time(jobs["time"].min()), _time(jobs["time"].max())])
    header = ["tsfm", "Commit", "PyTorch", "Python", "System", "Processor", "Cores", "Threads", "GPUs", "Jobs"]
    caption = "Versions and machines; + after a commit: files differed from it."
    yield Table([*header, "First (UTC)", "Last (UTC)"], cells, caption, frozenset({6, 7, 9}))
    yield from _leaks(selection.measured)


def _leaks(rows: Frame) -> Iterator[Block]:
    """Yield a table of models that have seen data that they were scored on."""
    seen = rows[rows["zero_shot"].fillna(True).eq(False)].drop_duplicates(["competitor", "data"])
    if seen.empty:
        return
    cells: list[list[Cell | str]] = [
        [_text(row["competitor"]), _text(row["data"]), _text(row["seen"])] for _, row in seen.iterrows()
    ]
    yield Table(["Model", "Data set", "What it has seen"], cells, "Scores that are not zero-shot, by the leak check.")


def sources_list(names: Sequence[str]) -> Iterator[Block]:
    """Yield the numbered sources of published values."""
    if names:
        yield Heading("Sources of published numbers", 2, "sources")
        cells: list[list[Cell | str]] = [[f"[{index}]", name] for index, name in enumerate(names, 1)]
        yield Table(["Number", "Source"], cells, "Where the published numbers are from.")


def _text(value: object) -> str:
    return "" if value is None or value is pd.NA or value != value else str(value)


def _float(value: object) -> float | None:
    return None if pd.isna(value) else float(value)  # type: ignore[arg-type]


def _horizon(value: object) -> str:
    return "-" if pd.isna(value) else str(int(value))  # type: ignore[call-overload]


def _time(value: object) -> str:
    return "-" if pd.isna(value) else f"{value:%Y-%m-%d %H:%M}"  # type: ignore[call-overload]
