"""Types of the training record of a checkpoint, `about` in config.json, as far as tsfm reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Optional, Union

from tsfm.field_types import check_types
from tsfm.model.card import About

Texts = Optional[list[str]]  # noqa: UP045  evaluated on Python 3.10


@dataclass
class _Task:
    name: Optional[str] = None  # noqa: UP045


@dataclass
class _TrainedOn:
    data: Optional[dict[str, Any]] = None  # noqa: UP045
    fingerprints: Union[list[str], dict[str, Any], None] = None  # noqa: UP007
    sketch: Union[str, list[str], None] = None  # noqa: UP007
    init: Optional[dict[str, Any]] = None  # noqa: UP045
    corpus: Optional[list[dict[str, Any]]] = None  # noqa: UP045
    seed: Optional[int] = None  # noqa: UP045


@dataclass
class _Data:
    past: Texts = None
    known: Texts = None
    time_features: Union[Literal[False], list[str], None] = None  # noqa: UP007


@dataclass
class _Init:
    method: Any = None
    fingerprints: Union[list[str], dict[str, Any], None] = None  # noqa: UP007
    sketch: Union[str, list[str], None] = None  # noqa: UP007


@dataclass
class _Labels:
    classes: Optional[list[Union[str, int, float, bool]]] = None  # noqa: UP007, UP045
    loc: Optional[float] = None  # noqa: UP045
    scale: Optional[float] = None  # noqa: UP045


def make_about(about: dict[str, Any]) -> About:
    """Return the training record from its plain values; entries that are not known here are left out."""
    return About(**{key: value for key, value in about.items() if key in About.__dataclass_fields__})


def check_about(about: dict[str, Any]) -> None:
    """Check the plain values of a training record.

    Raises
    ------
    ValueError
        If an entry has another type than it should; the message names it.
    """
    check_types(about, About, prefix="about")
    record = make_about(about)
    check_types(record.task, _Task, prefix="about.task")
    check_types(record.labels, _Labels, prefix="about.labels")
    check_types(record.trained_on, _TrainedOn, prefix="about.trained_on")
    check_types(record.trained_on.get("data") or {}, _Data, prefix="about.trained_on.data")
    check_types(record.trained_on.get("init") or {}, _Init, prefix="about.trained_on.init")
    for name, (_, scale) in record.standardize.items():
        if scale <= 0:
            raise ValueError(f"about.standardize.{name} has the scale {scale}; expected a positive number")
