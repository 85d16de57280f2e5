"""Files to a store. L rows, C channels, T steps.

    ingest("sales.csv", "data/sales")    # item_id, timestamp, target

Memory holds one block of rows and the longest series. Rows of an item normally lie together; where they do not (a table
sorted by time), reading begins anew and the rows are brought together through temporary files (`regroup`).
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from tsfm.messages import announce, warn_of_failed_items
from tsfm.store.assembly import ScatteredRows, SeriesAssembly
from tsfm.store.columns import ColumnOptions
from tsfm.store.frame_index import plain_frame
from tsfm.store.ingest_report import IngestReport
from tsfm.store.read_options import FileOptions, read_settings, takes_options
from tsfm.store.readers import blocks, total_rows
from tsfm.store.regroup import Regroup
from tsfm.store.series_files import is_ucr, read_items
from tsfm.store.sources import Table, tables
from tsfm.store.table_kinds import KINDS
from tsfm.store.value_parsing import TimestampParser
from tsfm.store.writer import check_target, writing_store
from tsfm.timestamps.offsets import parse_freq

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["IngestReport", "ingest"]

LAYOUTS = ("auto", "long", "wide")


@takes_options(target=None, errors="raise")
def ingest(
    source: Any,
    out: str | Path,
    *,
    layout: str = "auto",
    static: str | Sequence[str] | None = None,
    name: str | None = None,
    domain: str | None = None,
    licence: str | None = None,
    role: str | None = None,
    source_note: str | None = None,
    overwrite: bool = False,
    progress: bool = True,
    allow_mixed_freq: bool = False,
    warn: bool = True,
    **options: Unpack[FileOptions],
) -> IngestReport:
    """Turn files into the store `out`; nothing is written if anything is wrong with them.

    Parameters
    ----------
    source
        A path, a glob, a folder, a DataFrame, or a list of these; long or wide CSV, Parquet and Excel, .ts, .tsf,
        .arff, UCR text.
    layout
        "long": a column names the items; "wide": the columns are the channels of one series; "auto" finds out.
    static
        Columns that label whole series.
    name, domain, licence, role, source_note
        Labels for the manifest.
    allow_mixed_freq
        Whether the series of the store may have different time steps.
    warn
        Whether to warn of what was assumed; the report lists it in any case.
    **options
        How the files are read, see `tsfm.store.read_options.FileOptions`. `target` are the channels, by default every
        numeric column. `errors`: "raise"; with "warn" and "skip" an item that cannot be used is left out, and is
        named in `failed_items` of the report, with "warn" also by a `tsfm.FailedItemWarning`.

    Raises
    ------
    ValueError, OSError
        When an option or a file cannot be used; the message names the file, the item and the row.
    """
    began, out = time.perf_counter(), Path(out)
    if layout not in LAYOUTS:
        raise ValueError(f"layout is {layout!r}; it is one of {', '.join(LAYOUTS)}")
    settings = read_settings({"target": None, "errors": "raise", **options}, files=True)
    freq = str(parse_freq(settings.freq)) if settings.freq is not None else None
    columns = ColumnOptions(
        layout,
        settings.id_column,
        settings.timestamp_column,
        _as_tuple(settings.target) or None,
        _as_tuple(static),
        freq,
        settings.sentinels,
    )
    sources = tables(source, settings.text)
    for table in sources:
        if table.kind == "csv" and "://" not in str(table.data) and is_ucr(table.data):
            table.kind = "ucr"
    notes: list[str] = []
    for table in sources:
        if table.kind == "frame":
            names = {"id_column": settings.id_column, "timestamp_column": settings.timestamp_column}
            table.data = plain_frame(table.data, **names, label=table.file, notes=notes)
    with writing_store(out):
        check_target(out, overwrite=overwrite)
    files = ", ".join(table.file for table in sources[:3]) + (
        f" and {len(sources) - 3} more" if len(sources) > 3 else ""
    )
    labels = {"name": name, "domain": domain, "licence": licence, "role": role, "source": source_note or files}
    for regroup in (False, True):
        timestamps = TimestampParser(settings.timestamps)
        work = SeriesAssembly(
            out, options=columns, grid=settings.grid, labels=labels, overwrite=overwrite, mixed=allow_mixed_freq,
            timestamps=timestamps, errors=settings.errors,
        )  # fmt: skip
        try:
            report = _run(sources, work, [*notes], regroup=regroup, progress=progress)
        except ScatteredRows:
            continue
        finally:
            if work.writer is not None:
                work.writer.abort()  # after a close nothing is left to abort
        report.files, report.seconds = len(sources), time.perf_counter() - began
        announce(report.notes if warn else [])
        if report.failed_items and warn and settings.errors == "warn":
            warn_of_failed_items(report.describe_failed())
        return report
    raise AssertionError("regrouped rows cannot be scattered")


def _run(
    sources: list[Table], work: SeriesAssembly, notes: list[str], *, regroup: bool, progress: bool
) -> IngestReport:
    """One pass over the tables."""
    timestamp_parser, options = work.timestamps, work.options
    spill: Regroup | None = None
    unread = None if work.errors == "raise" else work.unread
    hidden = None if progress else True  # None: shown on a terminal only
    with tqdm(total=total_rows(sources), unit=" rows", unit_scale=True, desc="ingest", disable=hidden) as bar:
        for table in sources:
            if table.kind not in KINDS:
                for item in read_items(Path(table.data), table.kind, freq=options.freq, notes=notes):
                    work.add_item(item, table)
                    bar.update(item.values.shape[1])
                continue
            for plan, block in blocks(table, options, timestamp_parser, notes, unread):
                writer = work.open(plan.target, table, whole=plan.item is None, covariates=plan.covariates)
                if regroup:
                    with writing_store(work.out):
                        spill = spill or Regroup(writer.folder / "regroup")
                        spill.add(block)
                else:
                    work.take(block)
                bar.update(len(block.rows))
    if spill is not None:
        notes.append("rows of an item did not lie together: they were regrouped through temporary files")
        for rows in spill.items():
            work.finish(rows)
        shutil.rmtree(spill.folder)
    if options.sentinel:
        notes.append(f"values equal to {', '.join(f'{x:g}' for x in options.sentinel)} were taken as missing")
    if work.grid == "keep":
        notes.append("rows were taken as equally spaced (grid='keep'), whatever their stamps say")
    return work.close([*timestamp_parser.notes, *notes], ", ".join(table.file for table in sources[:3]))


def _as_tuple(value: Any) -> tuple:
    if value is None:
        return ()
    return (value,) if isinstance(value, (str, int, float)) else tuple(value)
