"""The header of .ts files next to their cases. C dimensions, L steps.

What decides how a line is read has to agree with the lines: the number of dimensions, and whether a class or a target
value stands last. What only describes them is often left as it was when a file was changed (lengths, missing values):
the cases are read as they are, and the difference is noted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

SWITCHES = ("timestamps", "missing", "univariate", "equallength", "classlabel", "targetlabel")
COUNTS = ("dimension", "dimensions", "serieslength")
OTHERS = ("problemname", "relation", "data")  # say nothing about the cases


@dataclass
class TsHeader:
    """The @ lines of a .ts file by their first words in lower case."""

    file: str
    tokens: dict[str, list[str]]
    lengths: set[int] = field(default_factory=set)  # of the cases read so far
    has_missing: bool = False

    @classmethod
    def read(cls, lines: Sequence[Sequence[str]], file: str) -> TsHeader:
        """Return the header of these lines of words.

        Raises
        ------
        ValueError
            When two lines contradict each other, or a switch is not true or false, or a count no number.
        """
        tokens: dict[str, list[str]] = {}
        for name, *rest in lines:
            name = name.lower()
            known = tokens.setdefault(name, rest)
            if name in (*SWITCHES, *COUNTS) and _lower(known) != _lower(rest):
                first, second = " ".join(known), " ".join(rest)
                raise ValueError(f"{file}: the header has '@{name} {first}' and '@{name} {second}'; keep one of them")
        header = cls(file, tokens)
        for name in {*SWITCHES} & tokens.keys():
            if tokens[name] and tokens[name][0].lower() not in ("true", "false"):
                raise ValueError(f"{file}: '@{name} {tokens[name][0]}' is neither true nor false; correct the header")
        for name in {*COUNTS} & tokens.keys():
            if not tokens[name] or not (tokens[name][0].isascii() and tokens[name][0].isdigit()):
                raise ValueError(f"{file}: '@{name} {' '.join(tokens[name])}' has no number; correct the header")
        if header.switch("classlabel") and header.switch("targetlabel"):
            raise ValueError(
                f"{file}: the header has @classLabel true and @targetLabel true, and a case ends with one of them; "
                "keep the one that is there"
            )
        if header.dimensions not in (None, 1) and header.switch("univariate"):
            raise ValueError(f"{file}: the header has @univariate true and {header.dimensions} dimensions; correct it")
        return header

    def switch(self, name: str) -> bool | None:
        """Return what a switch says; a name alone is true, None where there is none."""
        if name not in self.tokens:
            return None
        return not self.tokens[name] or self.tokens[name][0].lower() == "true"

    def count(self, *names: str) -> int | None:
        """Return the number of the first of these lines that is there."""
        return next((int(self.tokens[name][0]) for name in names if name in self.tokens), None)

    @property
    def dimensions(self) -> int | None:
        """Return the number of dimensions, None where the header does not say it."""
        stated = self.count("dimensions", "dimension")
        return 1 if stated is None and self.switch("univariate") else stated

    def check(self, values: np.ndarray, location: str) -> None:
        """Raise a ValueError where a case [C, L] has other dimensions than the header says."""
        if self.dimensions is not None and len(values) != self.dimensions:
            raise ValueError(
                f"{location} has {len(values)} dimension(s), and the header says {self.dimensions}; is the label "
                "there, or correct @univariate or @dimensions"
            )
        self.lengths.add(values.shape[1])
        self.has_missing = self.has_missing or bool(np.isnan(values).any())

    def differences(self) -> list[str]:
        """Return notes on what the header says of the cases and is not so."""
        unknown = [name for name in self.tokens if name not in (*SWITCHES, *COUNTS, *OTHERS)]
        notes = [f"{self.file}: the header line @{name} is not known and was passed over" for name in unknown]
        length = self.count("serieslength")
        spans = f"{min(self.lengths)} to {max(self.lengths)} steps" if self.lengths else ""
        if length is not None and self.lengths - {length} and self.switch("equallength") is not False:
            notes.append(f"{self.file}: the header says @seriesLength {length}, and its cases have {spans}")
        elif self.switch("equallength") and len(self.lengths) > 1:
            notes.append(f"{self.file}: the header says @equalLength true, and its cases have {spans}")
        if self.has_missing and self.switch("missing") is False:
            notes.append(f"{self.file}: the header says @missing false, and values are missing")
        return notes


def _lower(tokens: Sequence[str]) -> list[str]:
    return [token.lower() for token in tokens]
