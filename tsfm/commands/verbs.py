"""What `tsfm impute | detect | embed | classify` do: a file in, a table out, and a line that says what was found."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from tsfm.commands.forecast import check_ending, read_table, write_table
from tsfm.files import check_folder
from tsfm.infer.load import load
from tsfm.infer.model_predictor import ModelPredictor
from tsfm.metrics.conformal import check_level
from tsfm.registry import BASELINES

VERBS = ("impute", "detect", "embed", "classify")


def run(args: argparse.Namespace) -> int:
    """Apply the model to the file and print what was written, or the first rows."""
    options = {name: value for name, value in vars(args).items() if name not in ("verb", "run", "source")}
    print(answer_file(args.verb, Path(args.source), **options))
    return 0


def answer_file(
    verb: str,
    source: Path,
    *,
    model: str,
    target: Sequence[str] | None,
    out: str | None,
    id_column: str,
    timestamp_column: str,
    freq: str | None,
    plot: str | None = None,
    **options: Any,
) -> str:
    """What a verb prints; writes its table and its picture where asked. Names of files are checked before any work."""
    if out is not None:
        check_ending(Path(out))
        check_folder(Path(out).parent)
        if Path(out).is_dir():
            raise IsADirectoryError(f"--out {out} is a folder; name a file for the table")
    if plot is not None:
        from tsfm.infer.plot import check_figure_path

        check_figure_path(Path(plot))
    if "level" in options:
        check_level(options["level"])
    if "calibration" in options:
        options["calibration"] = read_calibration(options["calibration"], id_column=id_column)
    predictor = find_model(model, verb=verb)
    df = read_table(source, id_column=id_column)
    name = (target[0] if len(target) == 1 else list(target)) if target else "target"
    columns: dict[str, Any] = {"id_column": id_column, "timestamp_column": timestamp_column, "target": name}
    table: pd.DataFrame = getattr(predictor, f"{verb}_df")(df, freq=freq, **columns, **options)
    found = marks(verb, table, given=df)
    lines = [summary(verb, table, found)]
    if out is not None:
        write_table(table, Path(out))
        lines.append(f"wrote {len(table):,} rows to {out}")
    if plot is not None:
        from tsfm.infer.plot_scores import plot_scores

        plot_scores(table, path=plot, title=source.stem, **columns)
        lines.append(f"drew {plot}")
    if out is None:
        lines.append(first_rows(table, found))
    return "\n".join(lines)


def find_model(name: str, *, verb: str) -> ModelPredictor:
    """A trained model by its name or directory; baselines have no such verbs."""
    if name in BASELINES.names() and not Path(name).exists():
        raise ValueError(
            f"{name!r} is a baseline, and `tsfm {verb}` needs a trained model; give the directory of one, such as "
            "runs/.../model"
        )
    return load(name)


def read_calibration(text: str, *, id_column: str) -> pd.DataFrame | float:
    """A share or a number of steps, else a file of clean rows."""
    try:
        return float(text)
    except ValueError:
        return read_table(Path(text), id_column=id_column)


def marks(verb: str, table: pd.DataFrame, *, given: pd.DataFrame) -> list[str]:
    """The columns of true and false in which an answer says at which rows something was found."""
    ending = {"impute": "_imputed", "detect": "is_anomaly"}.get(verb)
    added = [name for name in table.columns if name not in given.columns and table[name].dtype == bool]
    return [name for name in added if ending is not None and str(name).endswith(ending)]


def summary(verb: str, table: pd.DataFrame, found: Sequence[str]) -> str:
    """One line on what was found."""
    if verb == "impute":
        filled = {name.removesuffix("_imputed"): int(table[name].sum()) for name in found}
        return "filled " + ", ".join(f"{count:,} of {len(table):,} values of {name}" for name, count in filled.items())
    if verb == "detect":
        return f"flagged {int(table['is_anomaly'].sum()):,} of {len(table):,} rows"
    if verb == "embed":
        return f"embedded {len(table):,} series in {table.shape[1] - 2} numbers each"
    if "label" not in table:
        return f"told the number of {len(table):,} items"
    counts = table["label"].value_counts(sort=False).sort_index()
    return f"labelled {len(table):,} items: " + ", ".join(f"{count} {name}" for name, count in counts.items())


def first_rows(table: pd.DataFrame, found: Sequence[str], *, rows: int = 12, columns: int = 10) -> str:
    """The first rows; of those of which something was found, where some were."""
    some = table[list(found)].to_numpy(dtype=bool).any(axis=1)
    table = table.loc[some] if some.any() else table
    return table.head(rows).iloc[:, :columns].to_string(index=False)
