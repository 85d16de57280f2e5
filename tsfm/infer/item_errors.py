"""Items of a DataFrame that cannot be used, collected so that one of them does not stop the others. N items."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from jaxtyping import Int


class ItemErrors(ValueError):
    """Items that cannot be used; its text is the reason of the first.

    Attributes
    ----------
    reasons
        Of each such item, by its id.
    timestamps
        The steps to forecast of these items, as far as they are known.
    """

    def __init__(self, reasons: Mapping[Any, str], timestamps: Mapping[Any, Any] | None = None):
        super().__init__(next(iter(reasons.values())))
        self.reasons, self.timestamps = dict(reasons), dict(timestamps or {})


class ItemProblems:
    """The items that cannot be used, by their numbers, while a DataFrame is read.

    Parameters
    ----------
    codes
        [rows] item number of each row of the DataFrame.
    ids
        [N]
    at_once
        Whether the first problem is raised, as errors="raise" asks for.
    """

    def __init__(self, codes: Int[np.ndarray, " rows"], ids: pd.Series, *, at_once: bool):
        self.codes, self.ids, self.at_once = codes, ids, at_once or len(ids) == 1
        self.reasons: dict[int, str] = {}
        self.timestamps: dict[int, Any] = {}

    def __contains__(self, item: int) -> bool:
        return item in self.reasons

    def add(self, item: int, reason: str) -> None:
        """Note that an item cannot be used; its first reason is kept.

        Raises
        ------
        ItemErrors
            When problems are raised at once, or no item is left.
        """
        self.reasons.setdefault(int(item), reason)
        if self.at_once or len(self.reasons) == len(self.ids):
            raise self.error()

    def add_rows(self, rows: Int[np.ndarray, " _"], reason: Callable[[int], str], codes: Any = None) -> None:
        """Note that the items of these rows cannot be used, each with the reason of its first row.

        `codes` are the item numbers of all rows, where they are not those of the DataFrame; rows of -1 are passed over.
        """
        numbers = (self.codes if codes is None else codes)[rows]
        _, first = np.unique(numbers, return_index=True)
        for at in np.sort(first):
            if numbers[at] >= 0:
                self.add(int(numbers[at]), reason(int(rows[at])))

    def error(self) -> ItemErrors:
        """Return the error of all items that cannot be used."""
        names = {number: self.ids.iloc[number] for number in self.reasons}
        reasons = {names[number]: reason for number, reason in self.reasons.items()}
        return ItemErrors(reasons, {names[number]: times for number, times in self.timestamps.items()})

    def check(self) -> None:
        """Raise the error if an item cannot be used."""
        if self.reasons:
            raise self.error()


def raise_items(reasons: Mapping[int, str], ids: pd.Series, timestamps: Sequence[Any] = ()) -> None:
    """Raise `ItemErrors` for items by their numbers; nothing is raised where there is none.

    Parameters
    ----------
    timestamps
        [N] The steps to forecast of all items.
    """
    if reasons:
        names = {number: ids.iloc[number] for number in reasons}
        known = {names[number]: timestamps[number] for number in reasons} if len(timestamps) else {}
        raise ItemErrors({names[number]: reason for number, reason in reasons.items()}, known)


class SeriesErrors(ValueError):
    """Series that cannot be used; its text is the reason of the first.

    Attributes
    ----------
    reasons
        Of each such series, by its number.
    """

    def __init__(self, reasons: Mapping[int, str]):
        super().__init__(next(iter(reasons.values())))
        self.reasons = dict(reasons)


def raise_series(reasons: Mapping[int, str]) -> None:
    """Raise `SeriesErrors` for series by their numbers; nothing is raised where there is none."""
    if reasons:
        raise SeriesErrors(reasons)
