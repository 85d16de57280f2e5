"""Error messages of the command line name flags and files, not arguments of Python functions."""

from __future__ import annotations

import argparse
import shlex

import pytest

from tsfm.commands.flags import ENGLISH, FLAGS, translate_message
from tsfm.commands.parser import parser

INGEST, FORECAST = "ingest sales.csv --out store", "forecast sales.csv --model m --horizon 3"
DETECT, BENCH = "detect sales.csv --model m", "bench gift m --out runs"


def options(command: argparse.ArgumentParser) -> set[str]:
    """Every flag of a command and of its subcommands."""
    subcommands = [action.choices for action in command._actions if isinstance(action, argparse._SubParsersAction)]
    below = [flag for choices in subcommands for sub in choices.values() for flag in options(sub)]
    return {*command._option_string_actions, *below}


@pytest.mark.parametrize("verb", FLAGS)
def test_every_flag_exists(verb: str) -> None:
    (commands,) = (action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    assert set(FLAGS[verb].values()) <= options(commands.choices[verb])


@pytest.mark.parametrize(
    ("command", "message", "expected"),
    [
        (FORECAST, "prediction_length is 0; expected 1", "--horizon is 0; expected 1"),
        (FORECAST, "df is empty; give a row", "sales.csv is empty; give a row"),
        (FORECAST, "a covariate is not in future_df", "a covariate is not in the file of --future"),
        (f"{FORECAST} --future f.csv", "no id of future_df is in df", "no id of f.csv is in sales.csv"),
        (FORECAST, "known: a.b, df. Name it with id_column=", "known: a.b, df. Name it with --id-column"),
        (FORECAST, "pass freq=, e.g. freq='D'", "pass --freq, e.g. --freq D"),
        (INGEST, "give id_column=..., or layout='wide'", "give --id-column ..., or --layout wide"),
        (
            INGEST,
            "choose the columns with target=[...], or name it in static=[...]",
            "choose the columns with --target ..., or name it in --static ...",
        ),
        (
            FORECAST,
            "correct the row, or give the sep=... of the file",
            "correct the row, or give the --sep ... of the file",
        ),
        (INGEST, "give allow_mixed_freq=True or freq to", "give --allow-mixed-freq or --freq to"),
        (INGEST, "store s exists; use overwrite=True to", "store s exists; use --overwrite to"),
        (DETECT, "level is 1; expected", "--level is 1; expected"),
        (DETECT, "calibration=120 takes its first 120", "--calibration 120 takes its first 120"),
        (f"{DETECT} --calibration c.csv", "df has no column 'x'", "sales.csv has no column 'x'"),
        (f"{DETECT} --calibration c.csv", "calibration has no column 'x'", "c.csv has no column 'x'"),
        (f"{DETECT} --calibration c.csv", "calibration: row 3 is x", "c.csv: row 3 is x"),
        (f"{DETECT} --calibration 1e-1", "df has no column 'x'", "sales.csv has no column 'x'"),
        (BENCH, "device is 'x'; use device=cpu", "--device is 'x'; use --device cpu"),
    ],
)
def test_an_argument_becomes_a_flag(command: str, message: str, expected: str) -> None:
    assert translate_message(message, parser().parse_args(shlex.split(command))) == expected


@pytest.mark.parametrize(
    "text",
    [
        "column '{}' has no values",
        "no column 'x'; found: item_id, {}, y",
        "no column 'x'; did you mean 'y'? known: {}, y",
        "cannot write store/{}.csv",
        "task.{} is 'x'",
        "`tsfm {}`",
    ],
)
def test_what_the_user_wrote_stays(text: str) -> None:
    for command in (INGEST, FORECAST, DETECT):
        args = parser().parse_args(shlex.split(command))
        for name in ("df", "future_df", *(name for names in FLAGS.values() for name in names)):
            message = text.format(name)
            assert translate_message(message, args) == message


@pytest.mark.parametrize("command", [INGEST, FORECAST, DETECT, BENCH])
def test_english_words_stay_in_a_sentence(command: str) -> None:
    message = f"choose another {', '.join(ENGLISH)} of the series"
    assert translate_message(message, parser().parse_args(shlex.split(command))) == message


def test_settings_of_configs_stay() -> None:
    """`tsfm train` and `tsfm eval` take settings as key=value, which messages name already."""
    message = "freq=h, layer is 1, target=x, df and horizon=0"
    assert translate_message(message, parser().parse_args(["eval", "horizon=0"])) == message
