"""Error messages in the words of the command line.

Below the commands, messages name the arguments of Python functions. Here they are replaced by the flags that the user
typed: `prediction_length is 0` becomes `--horizon is 0`, `df` becomes the name of the file.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping

from tsfm.store.read_options import FILE_NAMES

_READING = {name: f"--{name.replace('_', '-')}" for name in FILE_NAMES}
_QUANTILES = {"quantile_levels": "--quantile-levels"}
FLAGS: Mapping[str, Mapping[str, str]] = {  # command -> argument of the Python function -> flag
    "ingest": _READING
    | {
        "static": "--static",
        "layout": "--layout",
        "allow_mixed_freq": "--allow-mixed-freq",
        "overwrite": "--overwrite",
    },
    "forecast": _READING
    | _QUANTILES
    | {
        "prediction_length": "--horizon",
        "covariates": "--covariates",
        "effort": "--effort",
        "lower": "--lower",
        "upper": "--upper",
    },
    "backtest": _READING
    | {
        "prediction_length": "--horizon",
        "horizon": "--horizon",
        "windows": "--windows",
        "step": "--step",
        "models": "--model",
        "effort": "--effort",
        "refit": "--refit",
        "known": "--known",
        "covariates": "--covariates",
        "level": "--interval",
        "style": "--style",
        "lower": "--lower",
        "upper": "--upper",
    },
    "impute": _READING | _QUANTILES | {"fill_gaps": "--fill-gaps"},
    "detect": _READING | {"level": "--level", "calibration": "--calibration", "score": "--score"},
    "embed": _READING | {"pool": "--pool", "layer": "--layer"},
    "classify": _READING,
    "report": {"metrics": "--metric", "form": "--format", "published": "--published", "pictures": "--pictures"},
    "bench": {"device": "--device", "batch_size": "--batch-size"},
}
ENGLISH = (
    "calibration",
    "covariates",
    "decimal",
    "device",
    "effort",
    "encoding",
    "grid",
    "horizon",
    "known",
    "layer",
    "layout",
    "level",
    "lower",
    "models",
    "overwrite",
    "pool",
    "score",
    "sentinel",
    "static",
    "step",
    "style",
    "target",
    "upper",
    "windows",
)
_LIST = r"\b(?:found|known): (?:[^;.]|\.(?! ))*"  # names of columns, up to the end of the clause
_VERBATIM = rf"""(?P<verbatim>(?<!\w)'[^']*'|"[^"]*"|`[^`]*`|{_LIST})"""
_NAME = r"(?<![\w./\\-]){names}(?![\w/\\-]|\.\w)"


def translate_message(message: str, args: argparse.Namespace) -> str:
    """Return an error message with flags and file names in place of the arguments of Python functions.

    Quoted text and lists of names stay as they are. An argument whose name is an English word is replaced only where
    it is given a value (`grid='keep'`) or begins the message (`level is 1`).

    Parameters
    ----------
    message
        The message of an error that a command raised.
    args
        The parsed command line, with its `verb`.

    Examples
    --------
    >>> import argparse
    >>> args = argparse.Namespace(verb="forecast", source="sales.csv", future=None)
    >>> translate_message("prediction_length is 0; expected at least 1 step", args)
    '--horizon is 0; expected at least 1 step'
    >>> translate_message("df has no target column 'df'; pass freq=, e.g. freq='D'", args)
    "sales.csv has no target column 'df'; pass --freq, e.g. --freq D"
    """
    flags = FLAGS.get(args.verb, {})
    names = dict(flags) | _file_names(args)
    if not names:
        return message
    pattern = "|".join(
        [
            _assignment(flags),
            f"(?P<first>^(?:{_any(set(names) & {*ENGLISH})})(?= is | has |, |: ))",
            _VERBATIM,
            f"(?P<word>{_NAME.format(names=f'(?:{_any(set(names) - {*ENGLISH})})')})",
        ]
    )

    def replace(match: re.Match[str]) -> str:
        if match["verbatim"]:
            return match[0]
        if match["argument"] is None:
            return names[match[0]]
        value = (match["value"] or "").strip("'\"[]")
        if value == "False":
            return flags[match["argument"]].replace("--", "--no-", 1)
        return flags[match["argument"]] + (f" {value}" if value not in ("", "True") else "")

    return re.sub(pattern, replace, message)


def _assignment(flags: Mapping[str, str]) -> str:
    """Return the pattern of `name=value`, `name=...` and `name=`."""
    value = r"'[^']*'|\"[^\"]*\"|\[\.\.\.\]|\.\.\.|[\w.+-]*\w"
    return rf"(?<![\w./\\-])(?P<argument>{_any(flags)})=(?P<value>{value})?"


def _any(names: Mapping[str, str] | set[str]) -> str:
    """Return the pattern of any of the names; of none, one that never matches."""
    return "|".join(sorted(names)) or r"(?!)"


def _file_names(args: argparse.Namespace) -> dict[str, str]:
    """Map the names of DataFrames in messages to the files that they were read from."""
    source = getattr(args, "source", None)
    if not isinstance(source, str):
        return {}
    clean = str(getattr(args, "calibration", ""))
    is_file = bool(clean) and not re.fullmatch(r"[\d.+e-]+|inf|nan", clean)
    names = {"df": source, "future_df": getattr(args, "future", None) or "the file of --future"}
    return names | ({"calibration": clean} if is_file else {})
