"""`tsfm ingest`: files in, a store out."""

from __future__ import annotations

import argparse

from tsfm.store.ingest import ingest
from tsfm.store.read_options import split_options


def run(args: argparse.Namespace) -> int:
    """Write the store and print the report."""
    options, _ = split_options(vars(args))
    report = ingest(
        args.source, args.out, layout=args.layout, name=args.name, overwrite=args.overwrite,
        allow_mixed_freq=args.allow_mixed_freq, static=args.static, warn=False, **options,
    )  # fmt: skip
    print(report)
    return 0
