"""What can be wrong when a model is asked to impute, to detect, to embed or to classify."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.bad_inputs.desk import Case, Spoil
from tests.bad_inputs.in_files import silent
from tests.bad_inputs.spoils import both, cell, forbidden, table, text
from tests.infer.small_models import label_model, step_model
from tests.tiny import tiny
from tsfm.model.checkpoint import About, save


def model(name: str, *, kind: str = "steps", **settings: Any) -> Spoil:
    """A model beside the run: of steps, of classes, or for three channels."""

    def spoil(desk: Path, patch: Any) -> None:
        made = label_model() if kind == "classes" else step_model(task={"name": "impute"})
        network = type(made.model).from_spec(made.model.spec() | settings)
        save(network, desk / name, about=made.about)

    return spoil


def mixer(desk: Path, patch: Any) -> None:
    save(tiny("mixer", "channel_mlp"), desk / "three", about=About())


def hole(rows: pd.DataFrame) -> None:
    rows.loc[20:95, "target"] = np.nan


def scored(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(score=1.0)


def marked(rows: pd.DataFrame) -> pd.DataFrame:
    rows.loc[7, "target"] = np.nan
    return rows.assign(price_imputed="yes", was_imputed=True)


def as_read(file: str) -> pd.Series:
    return pd.read_csv(file, dtype=str)["target"]


STEPS, CLASSES = model("steps"), model("classes", kind="classes")


def bad(change: Any, *, with_model: Spoil = STEPS) -> Spoil:
    return both(with_model, table(change))


CASES = [
    Case(
        "a forecaster asked to impute",
        "tsfm impute sales.csv --model run",
        ("run was trained for task=forecast and its head predicts its horizon only (flatten), so it cannot impute",),
    ),
    Case(
        "a forecaster asked to detect",
        "tsfm detect sales.csv --model run",
        ("so it cannot detect; use a model trained with task=detect head=patch_quantiles",),
    ),
    Case(
        "a forecaster asked to classify",
        "tsfm classify sales.csv --model run",
        ("run was trained for task=forecast, so it cannot classify; train one with task=classify",),
    ),
    Case(
        "a classifier asked to forecast",
        "tsfm forecast sales.csv --model classes --horizon 3",
        ("classes was trained for task=classify and predicts a label for a whole series, so it cannot forecast; use",),
        CLASSES,
    ),
    Case(
        "a classifier asked to forecast a holdout",
        "tsfm forecast sales.csv --model classes --horizon 3 --holdout",
        ("so it cannot forecast; use its classify",),
        CLASSES,
    ),
    Case(
        "a classifier asked to impute",
        "tsfm impute sales.csv --model classes",
        ("its head predicts a label for a whole series, so it cannot impute; use a model trained with task=impute",),
        CLASSES,
    ),
    Case(
        "a classifier asked for numbers",
        "tsfm.load('classes').regress(np.arange(9.0))",
        ("classes was trained for task=classify, so it cannot regress; use its classify",),
        CLASSES,
    ),
    Case(
        "a model without a horizon asked to forecast",
        "tsfm forecast sales.csv --model still --horizon 3",
        ("still was trained for task=impute and has no horizon, so it cannot forecast; use a model trained",),
        model("still", context=64, horizon=0),
    ),
    Case(
        "a baseline asked to embed",
        "tsfm embed sales.csv --model seasonal_naive",
        ("'seasonal_naive' is a baseline, and `tsfm embed` needs a trained model; give the directory",),
    ),
    Case(
        "a typo in a model to impute with",
        "tsfm impute sales.csv --model rum",
        ("no model 'rum': neither a folder nor a bundled model",),
    ),
    Case(
        "an item without a value to impute",
        "tsfm impute bad.csv --model steps",
        ("item 'b' has no observed value in 'target'; drop the item or fill it",),
        bad(silent),
    ),
    Case(
        "an item without a value to detect",
        "tsfm detect bad.csv --model steps",
        ("item 'b' has no observed value in 'target'; drop the item or fill it",),
        bad(silent),
    ),
    Case(
        "an item without a value to embed",
        "tsfm embed bad.csv --model steps",
        ("item 'b' has no observed value in 'target'; drop the item or fill it",),
        bad(silent),
    ),
    Case(
        "an item without a value to classify",
        "tsfm classify bad.csv --model classes",
        ("item 'b' has no observed value in 'target'; drop the item or fill it",),
        bad(silent, with_model=CLASSES),
    ),
    Case(
        "a gap longer than the model sees",
        "tsfm impute bad.csv --model steps",
        ("item 'a' has no observed value in 'target' within the 64 steps around its missing steps", "; end the series"),
        bad(hole),
    ),
    Case(
        "another number of channels to embed",
        "tsfm embed sales.csv --model three",
        ("this model was built for 3 channels; found 1: choose as many",),
        mixer,
    ),
    Case(
        "another number of channels to impute",
        "tsfm.load('two').impute(np.r_[np.nan, np.arange(9.0)])",
        ("this model was built for 2 channels; found 1: choose as many",),
        model("two", channels=2),
    ),
    Case(
        "another number of channels to detect",
        "tsfm detect sales.csv --model two",
        ("this model was built for 2 channels; found 1: choose as many",),
        model("two", channels=2),
    ),
    Case(
        "another number of channels to classify",
        "tsfm classify sales.csv --model two",
        ("this model was built for 2 channels; found 1: choose as many",),
        model("two", kind="classes", channels=2),
    ),
    Case(
        "cases of different channels",
        "tsfm.load('classes').probabilities([np.ones(9), np.ones((2, 9))])",
        ("series have different channel counts [1, 2]; give each count by itself",),
        CLASSES,
    ),
    Case(
        "an empty frame to impute",
        "tsfm.load('steps').impute_df(sales[:0])",
        ("df is empty (0 rows, 3 columns); give at least one row",),
        STEPS,
    ),
    Case(
        "an empty frame to detect",
        "tsfm.load('steps').detect_df(sales[:0])",
        ("df is empty (0 rows, 3 columns); give at least one row",),
        STEPS,
    ),
    Case(
        "an empty frame to embed",
        "tsfm.load('steps').embed_df(sales[:0])",
        ("df is empty (0 rows, 3 columns); give at least one row",),
        STEPS,
    ),
    Case(
        "an empty frame to classify",
        "tsfm.load('classes').classify_df(sales[:0])",
        ("df is empty (0 rows, 3 columns); give at least one row",),
        CLASSES,
    ),
    Case("no case at all", "tsfm.load('classes').classify([])", ("there are no series; give at least one",), CLASSES),
    Case(
        "an infinity to impute",
        "tsfm impute bad.csv --model steps",
        ("'target' holds inf in row 7 (1 such rows)", "set such steps to NaN"),
        both(STEPS, cell(7, "target", np.inf)),
    ),
    Case(
        "an infinity in a case",
        "tsfm.load('classes').classify(np.array([1.0, np.inf, 2.0]))",
        ("series 0 holds inf in channel 0, step 1", "set such steps to NaN"),
        CLASSES,
    ),
    Case(
        "a typo in the target to impute",
        "tsfm impute sales.csv --model steps --target taget",
        ("df has no target column 'taget'; did you mean 'target'?",),
        STEPS,
    ),
    Case(
        "a level to impute that the model has not",
        "tsfm impute sales.csv --model steps --quantile-levels 0.99",
        ("quantile levels [0.99] were requested of steps; it can predict 0.1 to 0.9",),
        STEPS,
    ),
    Case(
        "a level of alarms of 1",
        "tsfm detect sales.csv --model steps --level 1",
        ("level is 1; expected a share of clean steps in (0, 1), such as 0.99",),
        STEPS,
    ),
    Case(
        "too few steps to calibrate",
        "tsfm detect sales.csv --model steps",
        ("item 'a', its first 36 steps: 36 clean steps have a score, and a level of 0.99 needs 99; give calibration=",),
        STEPS,
    ),
    Case(
        "a share of clean steps above 1",
        "tsfm detect sales.csv --model steps --calibration 1.5",
        ("calibration is 1.5; expected a table of clean rows, a share of each item such as 0.3",),
        STEPS,
    ),
    Case(
        "a share of clean steps of 1",
        "tsfm detect sales.csv --model steps --calibration 1.0",
        ("item 'a', its first step (a share is below 1): 1 clean steps have a score, and a level of 0.99 needs 99",),
        STEPS,
    ),
    Case(
        "infinitely many clean steps",
        "tsfm detect sales.csv --model steps --calibration inf",
        ("calibration is inf; expected a table of clean rows", "(below 1), or a whole number of first steps"),
        STEPS,
    ),
    Case(
        "as many clean steps as there are",
        "tsfm detect sales.csv --model steps --calibration 120",
        ("item 'a' has 120 steps and calibration=120 takes its first 120 as clean, which leaves none to score; give",),
        STEPS,
    ),
    Case(
        "integers to fill that no float holds",
        "tsfm.load('steps').impute_df(sales.assign(target=pd.array([None, *[2**53 + 1] * 239], dtype='Int64')))",
        (
            "df: target column 'target' holds 9007199254740993 in row 1, an integer beyond 2**53",
            "; subtract a constant",
        ),
        STEPS,
    ),
    Case(
        "a file of clean rows that does not exist",
        "tsfm detect sales.csv --model steps --calibration clean.csv",
        ("there is no file clean.csv; check the path",),
        STEPS,
    ),
    Case(
        "an empty file to detect",
        "tsfm detect bad.csv --model steps",
        ("bad.csv can't be read as csv (No columns to parse from file); is it damaged",),
        both(STEPS, text("bad.csv", "")),
    ),
    Case(
        "a column that the scores would overwrite",
        "tsfm detect bad.csv --model steps",
        ("df has a column 'score' already, and the result needs that name; rename or drop the column",),
        bad(scored),
    ),
    Case(
        "a tail that no quantiles tell",
        "tsfm.load('steps').detect(sales['target'], score='tails')",
        ("task.score is 'tails'; did you mean 'tail'?",),
        STEPS,
    ),
    Case(
        "a series of one block",
        "tsfm.load('steps').detect(np.arange(5.0))",
        ("series 0 has 5 observed values, and none can be scored from others", "; give a longer series"),
        STEPS,
    ),
    Case(
        "a layer that the model has not",
        "tsfm embed sales.csv --model steps --layer 9",
        ("layer is 9; steps has the layers 0 to 3, or -1 for the last",),
        STEPS,
    ),
    Case(
        "an unknown pooling",
        "tsfm.load('steps').embed(np.arange(9.0), pool='median')",
        ("pool is 'median'; did you mean 'mean'?",),
        STEPS,
    ),
    Case(
        "an unknown ending of the filled rows",
        "tsfm impute sales.csv --model steps --out f.xlsx",
        ("--out f.xlsx ends in .xlsx; expected .csv or .parquet",),
        STEPS,
    ),
    Case(
        "a file where the folder of the table is wanted",
        "tsfm impute missing.csv --model steps --out sales.csv/f.csv",
        ("sales.csv cannot be a folder: sales.csv is a file; choose another place",),
        STEPS,
    ),
    Case(
        "a folder where the table is wanted",
        "tsfm impute missing.csv --model steps --out f.csv",
        ("--out f.csv is a folder; name a file for the table",),
        both(STEPS, lambda desk, patch: (desk / "f.csv").mkdir()),
    ),
    Case(
        "a disk that is full when the vectors are written",
        "tsfm embed sales.csv --model steps --out f.csv",
        ("cannot write f.csv (the disk is full); free some space there",),
        both(STEPS, forbidden("f.csv", errno.ENOSPC)),
    ),
    Case(
        "a picture of scores of an unknown kind",
        "tsfm detect sales.csv --model steps --plot f.gif",
        ("'f.gif'; name it with one of .png",),
        STEPS,
    ),
    Case(
        "a disk that is full when the scores are drawn",
        "tsfm detect sales.csv --model steps --level 0.9 --plot f.png",
        ("cannot write f.png (the disk is full); free some space there",),
        both(STEPS, forbidden("f.png", errno.ENOSPC)),
    ),
    Case(
        "a column of the user that is named like a mark",
        "tsfm impute bad.csv --model steps",
        ("filled 1 of 240 values of target\n", "2024-01-01 07:00:00"),
        bad(marked),
        works=lambda: True,
    ),
    Case(
        "plain numbers in a list",
        "print(tsfm.load('classes').classify([1.0, 2.0, float('nan'), 3.0]).shape)",
        ("(1,)",),
        CLASSES,
        works=lambda: True,
    ),
    Case(
        "series of unequal lengths",
        "print(tsfm.load('classes').classify([np.arange(9.0), np.arange(200.0), np.arange(3.0)]).shape)",
        ("(3,)",),
        CLASSES,
        works=lambda: True,
    ),
    Case(
        "no column of labels to classify",
        "tsfm classify sales.csv --model classes --out l.csv",
        ("labelled 2 items", "wrote 2 rows to l.csv"),
        CLASSES,
        leaves=("l.csv",),
        works=lambda: pd.read_csv("l.csv")["label"].notna().all(),
    ),
    Case(
        "nothing missing to impute",
        "tsfm impute sales.csv --model steps --out f.csv",
        ("filled 0 of 240 values of target",),
        STEPS,
        leaves=("f.csv",),
        works=lambda: as_read("f.csv").equals(as_read("sales.csv")),
    ),
]
