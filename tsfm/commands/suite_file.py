"""The files in conf/suite: jobs with a name, and which of their data sets are on this machine."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from tsfm.config import conf_dir, options, quote
from tsfm.data.anomalies import anomaly_names
from tsfm.data.case_files import find_cases
from tsfm.messages import did_you_mean
from tsfm.store.catalog import is_at_hand

GROUP = "suite"
VERBS = ("train", "eval")
PLAIN = re.compile(r"[\w./+-]+")  # values that need no quotes in Hydra's grammar


@dataclass(frozen=True)
class SuiteJobs:
    """Jobs of one command: every combination of the listed values.

    Attributes
    ----------
    verb
        `train` or `eval`.
    settings
        A value or a list of values by the name of the setting.
    """

    verb: str
    settings: dict[str, Any]

    def __post_init__(self) -> None:
        if self.verb not in VERBS:
            raise ValueError(f"verb is {self.verb!r}; expected one of {', '.join(VERBS)}")

    def combinations(self) -> list[dict[str, Any]]:
        """Return the settings of each job."""
        lists = [value if isinstance(value, list) else [value] for value in self.settings.values()]
        return [dict(zip(self.settings, values, strict=True)) for values in itertools.product(*lists)]

    def without(self, overrides: Sequence[str]) -> SuiteJobs:
        """Return the jobs without the settings that overrides replace."""
        names = {text.partition("=")[0].lstrip("+") for text in overrides}
        kept = {name: value for name, value in self.settings.items() if name not in names}
        return SuiteJobs(self.verb, kept)

    def overrides(self) -> list[str]:
        """Return the jobs as the settings of one sweep."""
        return [f"{name}={_as_text(value)}" for name, value in self.settings.items()]


@dataclass(frozen=True)
class Suite:
    """A suite.

    Attributes
    ----------
    name, title
        In commands, and in reports.
    metric
        The metric of its table.
    needs
        Which files it reads, where they must lie, and where they come from.
    jobs
        What it runs.
    """

    name: str
    title: str
    metric: str
    needs: str
    jobs: list[SuiteJobs] = field(default_factory=list)

    @staticmethod
    def read(name: str, *, config_dir: str | None = None) -> Suite:
        """Return the suite of a name, from conf/suite or from the folder `suite` of `config_dir`.

        Raises
        ------
        ValueError
            If no suite has that name, or its file does not describe a suite.
        """
        folders = [*([Path(config_dir)] if config_dir else []), conf_dir()]
        files = [folder / GROUP / f"{name}.yaml" for folder in folders]
        file = next((path for path in files if path.is_file()), None)
        if file is None:
            raise ValueError(f"no suite {name!r}; {did_you_mean(name, options(GROUP))}")
        try:
            content = yaml.safe_load(file.read_text(encoding="utf-8"))
            jobs = [SuiteJobs(**entry) for entry in content.pop("jobs")]
            return Suite(name=name, jobs=jobs, **content)
        except (yaml.YAMLError, TypeError, KeyError, AttributeError, ValueError) as error:
            raise ValueError(
                f"{file} does not describe a suite ({error}); expected title, metric, needs, and jobs with verb and "
                "settings"
            ) from None

    def without(self, overrides: Sequence[str], *, verb: str | None = None) -> Suite:
        """Return the suite without the settings that overrides replace; with a verb only the jobs of it."""
        return replace(self, jobs=[jobs.without(overrides) for jobs in self.jobs if verb in (None, jobs.verb)])

    def available(self) -> tuple[Suite, list[str]]:
        """Return the suite without data sets that are not on this machine, and the names of those."""
        kept, missing = [], []
        for entry in self.jobs:
            settings = dict(entry.settings)
            for key, value in entry.settings.items():
                values = value if isinstance(value, list) else [value]
                absent = [name for name in values if not _at_hand(key, name, entry.settings)]
                missing += absent
                present = [name for name in values if name not in absent]
                settings[key] = present if isinstance(value, list) else (present or [None])[0]
            if all(value not in ([], None) or entry.settings[key] is None for key, value in settings.items()):
                kept.append(SuiteJobs(entry.verb, settings))
        return replace(self, jobs=kept), list(dict.fromkeys(missing))


def take_suite(overrides: Sequence[str]) -> tuple[str | None, list[str]]:
    """Return the name in `suite=NAME`, None without one, and the other overrides."""
    names = [text.partition("=")[2] for text in overrides if text.startswith("suite=")]
    return (names[-1] if names else None), [text for text in overrides if not text.startswith("suite=")]


def _at_hand(key: str, name: Any, settings: Mapping[str, Any]) -> bool:
    """Return whether the data set that a setting names is on this machine, or can be downloaded."""
    if key == "bench.data" and settings.get("bench") == "anomaly":
        return name in anomaly_names()
    if key == "data.dataset" and settings.get("data") == "cases":
        try:
            find_cases(name)
        except ValueError:
            return False
        return True
    if key == "data.dataset":
        return is_at_hand(name)
    if key == "data" and name != "cases":
        file = conf_dir() / "data" / f"{name}.yaml"
        dataset = yaml.safe_load(file.read_text(encoding="utf-8")).get("dataset") if file.is_file() else None
        return dataset is None or dataset == "???" or is_at_hand(dataset)
    return True


def _as_text(value: Any) -> str:
    values = value if isinstance(value, list) else [value]
    return ",".join(_plain(item) for item in values)


def _plain(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return str(value) if PLAIN.fullmatch(str(value)) else quote(value)
