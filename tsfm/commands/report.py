"""`tsfm report`: write a page that compares the results of a store."""

from __future__ import annotations

import argparse

from tsfm.report.page import write_report


def run(args: argparse.Namespace) -> int:
    """Write the report and print its path and size."""
    path = write_report(
        args.results, args.out or f"report.{args.form or 'html'}", form=args.form, published=args.published,
        anchors=args.anchors, metrics=args.metric, pictures=args.pictures, title=args.title,
    )  # fmt: skip
    print(f"wrote {path} ({path.stat().st_size / 1000:,.0f} kB)")
    return 0
