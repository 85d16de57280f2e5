"""`tsfm ingest`: files in, a store out."""

from __future__ import annotations

import argparse

from tsfm.store.ingest import ingest


def run(args: argparse.Namespace) -> int:
    """Write the store and print the report."""
    report = ingest(
        args.source, args.out, layout=args.layout, target=args.target, grid=args.grid, name=args.name,
        overwrite=args.overwrite, id_column=args.id_column, timestamp_column=args.timestamp_column, freq=args.freq,
        allow_mixed_freq=args.allow_mixed_freq, dayfirst=args.dayfirst, date_format=args.date_format,
        timezone=args.timezone,
        static=args.static, sep=args.sep, decimal=args.decimal,
        encoding=args.encoding,
    )  # fmt: skip
    print(report)
    return 0
