"""`tsfm runs`: list, compare and delete training runs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from tsfm.commands.tables import table_text, write_table
from tsfm.training.run_record import CONFIG
from tsfm.training.runs import compare_runs, delete_runs, find_runs, list_runs

ACTIONS = ("list", "compare", "delete")
SCORES = ("mse", "mase", "accuracy", "rmse", "loss")  # the first that a run has is listed


def run(args: argparse.Namespace) -> int:
    """Do what the first argument says."""
    {"list": run_list, "compare": run_compare, "delete": run_delete}[args.action](args)
    return 0


def run_list(args: argparse.Namespace) -> None:
    """Print a table of the runs, with the validation score and one test score."""
    where = dict(_parse(text) for text in args.where)
    patterns = args.runs or ["*"]
    frames = [list_runs(args.root, pattern=pattern, **where) for pattern in patterns]
    frame = pd.concat(frames, ignore_index=True).drop_duplicates("run")
    if args.out is not None:
        print(write_table(frame, Path(args.out)))
    if frame.empty:
        print(f"no run below {args.root} matches")
        return
    scores = [name for name in (*(c for c in frame if str(c).startswith("val_")), *SCORES) if name in frame]
    columns = ["run", "status", "data", "backbone", "seed", "seconds", *scores]
    print(table_text(frame[columns].set_index("run")))


def run_compare(args: argparse.Namespace) -> None:
    """Print the settings and results in which runs differ."""
    root = Path(args.root)
    chosen = [path for name in args.runs for path in _named(name, root)]
    table = compare_runs(chosen)
    table.columns = [str(Path(name).relative_to(root)) if Path(name).is_relative_to(root) else name for name in table]
    if args.out is not None:
        print(write_table(table.reset_index(), Path(args.out)))
    print(table_text(table))


def run_delete(args: argparse.Namespace) -> None:
    """Delete the runs that match; without --yes only list them."""
    if not args.runs:
        raise ValueError("name the runs to delete, such as 'demo/*'; tsfm runs list shows them")
    chosen = find_runs(Path(args.root), args.runs)
    if not args.yes:
        print("\n".join(map(str, chosen)) or "nothing matches")
        print(f"{len(chosen)} runs would be deleted; --yes deletes them")
        return
    for path in delete_runs(chosen):
        print(f"deleted {path}")


def _parse(text: str) -> tuple[str, Any]:
    """Return the name and value of NAME=VALUE, the value as YAML reads it."""
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--where is {text!r}; expected NAME=VALUE, such as seed=0 or optim.lr=0.01")
    return name.replace(".", "__"), yaml.safe_load(value)


def _named(name: str, root: Path) -> list[Path]:
    """Return the run in a directory, else those below the root that match a pattern."""
    directories = [path for path in (Path(name), root / name) if (path / CONFIG).is_file()]
    if directories:
        return directories[:1]
    if not (chosen := find_runs(root, [name])):
        raise ValueError(f"no run matches {name!r} below {root}; tsfm runs list --root {root} shows the runs")
    return chosen
