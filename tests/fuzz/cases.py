"""One input of the fuzzer, and what its outcome may be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.fuzz.content import Content

READ, REFUSE, EITHER = "read", "refuse", "either"


@dataclass
class Case:
    """An input.

    Attributes
    ----------
    kind
        Its group in the counts, such as "csv".
    name
        Of the file; empty for a DataFrame.
    source
        The bytes of the file, or the DataFrame.
    content
        What it says; None where that is not known, so that only a refusal or an announced reading is right.
    others
        What a damaged input may say as well, where the notes of the reading say so; see `Content.notes`.
    must
        "read": it has to be read; "refuse": it has to be refused; "either": it is read as `content` says, or refused.
    names
        Of the channels, in the order of `content`; empty to compare them in the order of the reading.
    has_ids
        Whether the input names its items; else their names are not compared.
    mutations
        What was done, for the report.
    options
        Given to the readers.
    """

    kind: str
    name: str
    source: Any
    content: Content | None
    must: str = EITHER
    names: list[str] = field(default_factory=list)
    has_ids: bool = True
    mutations: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    others: list[Content] = field(default_factory=list)
