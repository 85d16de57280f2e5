"""The flags that say how files are read, one for each option of `tsfm.store.read_options.FileOptions`."""

from __future__ import annotations

import argparse


def add_read_flags(sub: argparse.ArgumentParser) -> None:
    """Add the flags of reading to a command; those that are not given do not appear in its arguments."""
    group = sub.add_argument_group("how the files are read")

    def add(flag: str, **settings: object) -> None:
        group.add_argument(flag, default=argparse.SUPPRESS, **settings)  # type: ignore[arg-type]

    add("--target", action="append", metavar="COLUMN", help="value column; repeat for several (default: found)")
    add("--id-column", metavar="COLUMN", help="column that names the items (default: item_id and its usual names)")
    add("--timestamp-column", metavar="COLUMN", help="(default: timestamp and its usual names)")
    add("--freq", help="steps between rows as pandas writes it: h, 15min, D, W, MS, ... (default: found)")
    add("--grid", choices=["fill", "keep"],
        help="fill (default): gaps become missing steps; keep: rows are taken as equally spaced")  # fmt: skip
    add("--dayfirst", action=argparse.BooleanOptionalAction,
        help="whether 01/02/2020 is 1 February (default: found)")  # fmt: skip
    add("--date-format", help="format of dates in text, such as %%d/%%m/%%Y (default: found)")
    add("--timezone", help="show instants in this zone, and read other timestamps as local times in it")
    add("--sentinel", type=float, action="append", metavar="NUMBER",
        help="number that means missing, such as -999; repeat for several")  # fmt: skip
    add(
        "--errors",
        choices=["warn", "raise", "skip"],
        help="items that cannot be used: warn (default) gives rows of NaN and names them, skip leaves them out",
    )
    add("--sep", type=_separator, help="character between the cells of a text file (default: found)")
    add("--decimal", choices=[".", ","], help="decimal sign of numbers in a text file (default: found)")
    add("--encoding", help="of a text file, such as latin-1 (default: UTF-8, else found)")


def _separator(text: str) -> str:
    """Return a separator; a tab may be written in words."""
    return "\t" if text in ("\\t", "tab") else text
