"""Where train, validation and test lie in a series: pure functions of its length. N series, n steps in a series.

A split is a span of rows. Its targets begin at `target`; the rows from `first` up to there are context only, so that
validation and test reach back into earlier rows by the lookback and no target step belongs to two splits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from tsfm.messages import did_you_mean

if TYPE_CHECKING:
    from jaxtyping import Int

SPLITS = ("train", "val", "test")
RULES = ("ett_hour", "ett_minute", "ratio", "last_horizon", "all")
MONTH = 30 * 24  # hours in the field's month (Informer, arXiv:2012.07436, data_loader.py)
ETT = (12 * MONTH, 4 * MONTH, 4 * MONTH)  # train, val, test rows of the hourly sets; later rows are unused
FIELD = (0.7, 0.1, 0.2)


@dataclass(frozen=True)
class Span:
    """The rows [first, stop) of one split; a target step lies in [target, stop)."""

    first: int
    stop: int
    target: int


EMPTY = Span(0, 0, 0)


@dataclass(frozen=True)
class Spans:
    """One split of N series, as columns; a series without this split has the span (0, 0, 0) and a reason."""

    first: Int[np.ndarray, " N"]
    stop: Int[np.ndarray, " N"]
    target: Int[np.ndarray, " N"]
    reasons: dict[int, str]  # series index -> why it has no rows here

    @classmethod
    def of(cls, spans: Sequence[Span], reasons: dict[int, str] | None = None) -> Spans:
        table = np.array([(span.first, span.stop, span.target) for span in spans], dtype=np.int64).reshape(-1, 3)
        return cls(*table.T.copy(), reasons=reasons or {})

    def __len__(self) -> int:
        return len(self.first)

    def __iter__(self) -> Iterator[Span]:
        return (Span(*map(int, row)) for row in zip(self.first, self.stop, self.target, strict=True))


def check_rule(rule: str, ratios: Sequence[float], *, horizon: int | None, windows: int) -> None:
    if rule not in RULES:
        raise ValueError(f"unknown split rule {rule!r}; {did_you_mean(rule, list(RULES))}")
    if len(ratios) != 3 or min(ratios) < 0 or ratios[0] == 0 or abs(sum(ratios) - 1) > 1e-6:
        raise ValueError(
            f"data.ratios are {list(ratios)}; expected shares of train, val and test that sum to 1, train > 0"
        )
    if rule == "last_horizon" and (horizon is None or horizon < 1 or windows < 1):
        raise ValueError(f"last_horizon cuts off {windows} horizons of {horizon} steps; both must be at least 1")


def sizes(length: int, rule: str, *, ratios: Sequence[float], horizon: int | None, windows: int) -> tuple[int, ...]:
    """Target rows of train, val and test; they may ask for more than `length`, train may be negative."""
    if rule == "ett_hour":
        return ETT
    if rule == "ett_minute":
        return tuple(4 * rows for rows in ETT)
    if rule == "ratio":  # int() of both products, validation is the rest (Autoformer, arXiv:2106.13008, data_loader.py)
        train, test = int(length * ratios[0]), int(length * ratios[2])
        return train, length - train - test, test
    if rule == "last_horizon":  # test is `windows` horizons, validation the one before (GIFT-Eval, arXiv:2410.10393)
        horizon = horizon or 0
        return length - horizon * (windows + 1), horizon, horizon * windows
    return length, 0, 0


def borders(
    length: int,
    rule: str,
    *,
    lookback: int,
    ratios: Sequence[float] = FIELD,
    horizon: int | None = None,
    windows: int = 1,
) -> dict[str, Span]:
    """The spans of a series of `length` steps; "all" makes train alone, the other rules train, val and test.

    `horizon` and `windows` matter to last_horizon only, `ratios` to ratio only.
    """
    check_rule(rule, ratios, horizon=horizon, windows=windows)

    def fits(steps: int) -> bool:
        parts = sizes(steps, rule, ratios=ratios, horizon=horizon, windows=windows)
        wanted = [True, ratios[1] > 0, ratios[2] > 0] if rule == "ratio" else [True, False, False]
        return sum(parts) <= steps and all(rows >= must for rows, must in zip(parts, wanted, strict=True))

    if not fits(length):
        parts = sizes(length, rule, ratios=ratios, horizon=horizon, windows=windows)
        low = sum(parts) if rule.startswith("ett") else (horizon or 0) * (windows + 1) if rule == "last_horizon" else 1
        least = next(steps for steps in count(low) if fits(steps))
        raise ValueError(f"split {rule!r} needs a series of {least} steps, found {length}; choose another split rule")
    train, val, test = sizes(length, rule, ratios=ratios, horizon=horizon, windows=windows)
    if rule == "all":
        return {"train": Span(0, train, 0)}
    return {
        "train": Span(0, train, 0),
        "val": Span(max(0, train - lookback), train + val, train),
        "test": Span(max(0, train + val - lookback), train + val + test, train + val),
    }


def table(
    lengths: Int[np.ndarray, " N"],
    rule: str,
    *,
    lookback: int,
    ratios: Sequence[float] = FIELD,
    horizon: int | None = None,
    windows: int = 1,
) -> dict[str, Spans]:
    """`borders` of N series at once; a series too short for the rule has no rows, and the reason is kept."""
    check_rule(rule, ratios, horizon=horizon, windows=windows)
    unique, inverse = np.unique(np.asarray(lengths, dtype=np.int64), return_inverse=True)
    found: list[dict[str, Span]] = []
    short: dict[int, str] = {}
    for place, length in enumerate(unique.tolist()):
        try:
            spans = borders(length, rule, lookback=lookback, ratios=ratios, horizon=horizon, windows=windows)
        except ValueError as error:
            spans, short[place] = {}, str(error)
        found.append(spans)
    reasons = {series: short[place] for series, place in enumerate(inverse.tolist()) if place in short} if short else {}
    result = {}
    for split in SPLITS if rule != "all" else ("train",):
        spans = Spans.of([each.get(split, EMPTY) for each in found])
        result[split] = Spans(spans.first[inverse], spans.stop[inverse], spans.target[inverse], reasons)
    return result
