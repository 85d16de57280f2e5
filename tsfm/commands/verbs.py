"""`tsfm impute | detect | embed | classify`: read a file, write or print a table, and print one line about it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from tsfm.commands.tables import check_outputs, frame_arguments, read_file, write_table
from tsfm.infer.load import load
from tsfm.infer.model_predictor import ModelPredictor
from tsfm.metrics.conformal import check_level
from tsfm.registry import BASELINES
from tsfm.store.read_options import FileOptions, split_options

VERBS = ("impute", "detect", "embed", "classify")


def run(args: argparse.Namespace) -> int:
    """Apply the model to the file and print what was written, or the first rows."""
    options = {name: value for name, value in vars(args).items() if name not in ("verb", "run", "source")}
    print(answer_file(args.verb, args.source, **options))
    return 0


def answer_file(
    verb: str,
    source: str | Path,
    *,
    model: str,
    out: str | None,
    plot: str | None = None,
    **options: Any,
) -> str:
    """Apply a model to the series of a file and return what the command prints.

    Parameters
    ----------
    verb
        One of `VERBS`.
    source
        A file that `read_table` reads.
    model
        Name of a bundled model, or a model directory.
    out, plot
        Files for the table and its figure; without `out` the first rows are part of the text.
    **options
        How the files are read, see `tsfm.store.read_options.FileOptions`, and further arguments of `impute_df`,
        `detect_df`, `embed_df` or `classify_df`; `calibration` is text.

    Raises
    ------
    ValueError, OSError
        If an argument or a file cannot be used; paths to write are checked first.
    """
    check_outputs(out, plot)
    reading, rest = split_options(options)
    if "level" in rest:
        check_level(rest["level"])
    if "calibration" in rest:
        rest["calibration"] = read_calibration(rest["calibration"], reading)
    predictor = find_model(model, verb=verb)
    df, arguments = read_file(source, reading), frame_arguments(reading)
    table: pd.DataFrame = getattr(predictor, f"{verb}_df")(df, **arguments, **rest)
    flags = flag_columns(verb, table, df)
    lines = [summary(verb, table, flags)]
    if out is not None:
        lines.append(write_table(table, Path(out)))
    if plot is not None:
        from tsfm.infer.plot_scores import plot_scores

        plot_scores(table, path=plot, title=Path(source).stem, **arguments)
        lines.append(f"drew {plot}")
    if out is None:
        lines.append(first_rows(table, flags))
    return "\n".join(lines)


def find_model(name: str, *, verb: str) -> ModelPredictor:
    """Return a trained model by its name or directory.

    Raises
    ------
    ValueError
        If it is a baseline, which cannot do this, or there is no such model.
    """
    if name in BASELINES.names() and not Path(name).exists():
        raise ValueError(
            f"{name!r} is a baseline, and `tsfm {verb}` needs a trained model; give the directory of one, such as "
            "runs/.../model"
        )
    return load(name)


def read_calibration(value: str, options: FileOptions) -> pd.DataFrame | float:
    """Return the value of --calibration: a share or a number of steps, else the clean rows of a file."""
    try:
        return float(value)
    except ValueError:
        return read_file(value, options)


def flag_columns(verb: str, table: pd.DataFrame, df: pd.DataFrame) -> list[str]:
    """Return the Boolean columns that a result adds to its input: the rows that were imputed, or are anomalous."""
    suffix = {"impute": "_imputed", "detect": "is_anomaly"}.get(verb)
    added = [name for name in table.columns if name not in df.columns and table[name].dtype == bool]
    return [name for name in added if suffix is not None and str(name).endswith(suffix)]


def summary(verb: str, table: pd.DataFrame, flags: Sequence[str]) -> str:
    """Return one line about a result; `flags` are its Boolean columns."""
    if verb == "impute":
        filled = {name.removesuffix("_imputed"): int(table[name].sum()) for name in flags}
        return "filled " + ", ".join(f"{count:,} of {len(table):,} values of {name}" for name, count in filled.items())
    if verb == "detect":
        return f"flagged {int(table['is_anomaly'].sum()):,} of {len(table):,} rows"
    if verb == "embed":
        return f"embedded {len(table):,} series in {table.shape[1] - 2} numbers each"
    if "label" not in table:
        return f"predicted a number for {len(table):,} items"
    counts = table["label"].value_counts(sort=False).sort_index()
    return f"labelled {len(table):,} items: " + ", ".join(f"{count} {name}" for name, count in counts.items())


def first_rows(table: pd.DataFrame, flags: Sequence[str], *, rows: int = 12, columns: int = 10) -> str:
    """Return the first rows as text; only those that are flagged, if any is."""
    is_flagged = table[list(flags)].to_numpy(dtype=bool).any(axis=1)
    table = table.loc[is_flagged] if is_flagged.any() else table
    return table.head(rows).iloc[:, :columns].to_string(index=False)
