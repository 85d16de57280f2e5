"""Which rows of a results store a report uses, and which models and data sets they compare.

A group is what is compared in one leaderboard: the jobs of a suite, or of a protocol where they are of no suite. A task
is what is scored: a data set or a subset of it, a horizon, and settings of data and protocol. A competitor is what is
compared: a model with the settings that belong to it.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

import pandas as pd

from tsfm.report.frame import Frame
from tsfm.results.schema import DONE, FAILED
from tsfm.results.tables import newest as newest_rows

JOB = ["kind", "suite", "protocol", "model", "experiment", "data", "setting", "seed"]  # what names a job to its reader
TASK_PREFIXES = ("bench.", "data.")  # settings that belong to the task; others belong to the model
TEXTS = ("kind", "suite", "protocol", "model", "experiment", "data", "setting", "subset", "metric", "error", "command")
PARTS_OF_TASK = ["data", "subset", "horizon", "task_setting"]


@dataclass(frozen=True)
class Selection:
    """The rows that a report uses.

    Attributes
    ----------
    measured
        The newest measurements, with the additional columns `competitor`, `task` and `task_setting`.
    failures
        The newest failure of each job that was not done later.
    num_replaced
        Measurements that a newer one of the same model, data and settings replaced.
    """

    measured: Frame
    failures: Frame
    num_replaced: int


def select_rows(frame: Frame) -> Selection:
    """Return the rows to report.

    Parameters
    ----------
    frame
        Rows as `tsfm.results.read_results` returns them, in the order of writing.
    """
    frame = frame.sort_values("time", kind="stable", ignore_index=True)
    frame = frame.assign(**{name: frame[name].fillna("") for name in TEXTS})
    done, failed = frame[frame["status"] == DONE], frame[frame["status"] == FAILED]
    measured = name_competitors(newest_rows(frame))
    kept = measured.drop_duplicates(["suite", "protocol", "competitor", "task", "seed", "metric"], keep="last")
    finished = done[JOB].drop_duplicates()
    failures = failed.drop_duplicates(JOB, keep="last").merge(finished, how="left", on=JOB, indicator=True)
    failures = failures[(failures["_merge"] == "left_only") & ~failures["job"].isin(done["job"])]
    return Selection(
        kept.reset_index(drop=True),
        failures.drop(columns="_merge").reset_index(drop=True),
        len(done) - len(kept),
    )


def name_competitors(rows: Frame) -> Frame:
    """Return rows with the columns `competitor`, `task` and `task_setting`.

    A name of a competitor has the context, the settings or the experiment only where the same model has several of them
    in the same group.
    """
    if rows.empty:
        return rows.assign(competitor="", task="", task_setting="")
    split = [split_setting(text) for text in rows["setting"]]
    families = [experiment_family(*key) for key in zip(rows["experiment"], rows["data"], rows["horizon"], strict=True)]
    rows = rows.assign(
        task_setting=[task for task, _ in split], model_setting=[model for _, model in split], family=families
    )
    labels = rows["model"].where(rows["kind"] != "train", rows["model"] + " (trained)")
    group = ["suite", "protocol"]
    for column in ("family", "model_setting"):
        several = rows.groupby([rows["suite"], rows["protocol"], labels])[column].transform("nunique") > 1
        labels = labels.where(~several | (rows[column] == ""), labels + ", " + rows[column])
    task = [rows[name] for name in [*group, *PARTS_OF_TASK]]
    contexts = rows["context"].groupby([*task, labels], dropna=False).transform("nunique")
    mixed = (contexts > 1).groupby([rows["suite"], rows["protocol"], labels]).transform("any")
    labels = labels.where(~mixed, labels + ", context " + rows["context"].astype(str))
    return rows.assign(competitor=labels, task=task_names(rows))


def task_names(rows: Frame) -> Frame:
    """Return the name of the task of each row; settings are part of it where a group has several."""
    several = rows.groupby(["suite", "protocol"])["task_setting"].transform("nunique") > 1
    names = rows["data"] + rows["subset"].where(rows["subset"] == "", ": " + rows["subset"])
    horizons = rows["horizon"].map(lambda steps: "" if pd.isna(steps) else f", horizon {int(steps)}")
    settings = rows["task_setting"].where(several & (rows["task_setting"] != ""), "")
    return (names + horizons + settings.where(settings == "", ", " + settings)).astype(object)


def split_setting(setting: str) -> tuple[str, str]:
    """Return the settings of the task, and those of the model.

    Examples
    --------
    >>> split_setting("bench.stride=8 optim.lr=0.01")
    ('bench.stride=8', 'optim.lr=0.01')
    """
    try:
        settings = shlex.split(setting)
    except ValueError:  # a quote that is not closed
        settings = setting.split()
    of_task = [text for text in settings if text.lstrip("+~").startswith(TASK_PREFIXES)]
    return " ".join(of_task), " ".join(text for text in settings if text not in of_task)


def experiment_family(experiment: str, data: str, horizon: int | None) -> str:
    """Return the name of an experiment without its data set and horizon, so that all of its tasks are one model.

    Examples
    --------
    >>> experiment_family("ltsf/patch_transformer_etth1_96", "etth1", 96)
    'ltsf/patch_transformer'
    """
    if not experiment:
        return ""
    removed = [re.escape(data)] if data else []
    removed += [str(int(horizon))] if horizon is not None and not pd.isna(horizon) else []
    if not removed:
        return experiment
    return re.sub(rf"[-_/. ](?:{'|'.join(removed)})(?![A-Za-z0-9])", "", experiment)
