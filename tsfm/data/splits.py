"""Rows of train, validation and test in a series: pure functions of its length. N series.

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
from tsfm.timestamps.offsets import parse_freq

if TYPE_CHECKING:
    from jaxtyping import Int

SPLITS = ("train", "val", "test")
RULES = ("ett_hour", "ett_minute", "ratio", "last_horizon", "all")
MONTH = 30 * 24  # hours in a month of the ETT benchmark (Informer, arXiv:2012.07436, data_loader.py)
ETT = (12 * MONTH, 4 * MONTH, 4 * MONTH)  # train, val, test rows of the hourly sets; later rows are unused
DEFAULT_RATIOS = (0.7, 0.1, 0.2)  # those of long-horizon benchmarks
HOLDOUT_PERCENT = 10  # of a corpus series
# steps that a forecast usually covers, by the unit of the step
HORIZONS = {"step": 60, "us": 60, "ms": 60, "s": 60, "min": 48, "h": 48}
HORIZONS |= {"D": 30, "B": 30, "W": 8, "SM": 24, "M": 12, "Q": 8, "Y": 6}


@dataclass(frozen=True)
class Span:
    """The rows [first, stop) of one split; its target steps are [target, stop)."""

    first: int
    stop: int
    target: int


EMPTY_SPAN = Span(0, 0, 0)


@dataclass(frozen=True)
class Spans:
    """One split of N series, as columns; a series without this split has an empty span and a reason."""

    first: Int[np.ndarray, " N"]
    stop: Int[np.ndarray, " N"]
    target: Int[np.ndarray, " N"]
    reasons: dict[int, str]  # series index -> why it has no rows here

    @classmethod
    def from_spans(cls, spans: Sequence[Span], reasons: dict[int, str] | None = None) -> Spans:
        """Return the columns of spans."""
        columns = np.array([(span.first, span.stop, span.target) for span in spans], dtype=np.int64).reshape(-1, 3)
        return cls(*columns.T.copy(), reasons=reasons or {})

    def __len__(self) -> int:
        return len(self.first)

    def __iter__(self) -> Iterator[Span]:
        return (Span(*map(int, row)) for row in zip(self.first, self.stop, self.target, strict=True))


def check_split_rule(rule: str, ratios: Sequence[float], *, horizon: int | None, windows: int) -> None:
    """Raise a ValueError for an unknown rule, or for shares and lengths with which it makes no splits."""
    if rule not in RULES:
        raise ValueError(f"unknown split rule {rule!r}; {did_you_mean(rule, list(RULES))}")
    if len(ratios) != 3 or min(ratios) < 0 or ratios[0] == 0 or abs(sum(ratios) - 1) > 1e-6:
        raise ValueError(
            f"data.ratios are {list(ratios)}; expected shares of train, val and test that sum to 1, train > 0"
        )
    if rule == "last_horizon" and (horizon is None or horizon < 1 or windows < 1):
        raise ValueError(f"last_horizon cuts off {windows} horizons of {horizon} steps; both must be at least 1")


def target_lengths(
    length: int, rule: str, *, ratios: Sequence[float], horizon: int | None, windows: int
) -> tuple[int, ...]:
    """Return the target rows of train, val and test; their sum may exceed `length`, and train may be negative."""
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


def split_series(
    length: int,
    rule: str,
    *,
    lookback: int,
    ratios: Sequence[float] = DEFAULT_RATIOS,
    horizon: int | None = None,
    windows: int = 1,
) -> dict[str, Span]:
    """Return the spans of a series of `length` steps: train alone for the rule "all", else train, val and test.

    Parameters
    ----------
    length
        Steps of the series.
    rule
        One of `RULES`.
    lookback
        Steps of context that the spans of val and test contain before their first target.
    ratios
        Shares of train, val and test, for "ratio".
    horizon, windows
        Steps of a horizon, and horizons in the test part, for "last_horizon".

    Raises
    ------
    ValueError
        When the series is too short for the rule; the message names the length that is needed.

    Examples
    --------
    >>> split_series(100, "ratio", lookback=8)["val"]
    Span(first=62, stop=80, target=70)
    """
    check_split_rule(rule, ratios, horizon=horizon, windows=windows)

    def fits(steps: int) -> bool:
        lengths = target_lengths(steps, rule, ratios=ratios, horizon=horizon, windows=windows)
        needed = [True, ratios[1] > 0, ratios[2] > 0] if rule == "ratio" else [True, False, False]
        return sum(lengths) <= steps and all(rows >= least for rows, least in zip(lengths, needed, strict=True))

    if not fits(length):
        lengths = target_lengths(length, rule, ratios=ratios, horizon=horizon, windows=windows)
        low = (
            sum(lengths) if rule.startswith("ett") else (horizon or 0) * (windows + 1) if rule == "last_horizon" else 1
        )
        needed_length = next(steps for steps in count(low) if fits(steps))
        raise ValueError(
            f"split {rule!r} needs a series of {needed_length} steps, found {length}; choose another split rule"
        )
    train, val, test = target_lengths(length, rule, ratios=ratios, horizon=horizon, windows=windows)
    if rule == "all":
        return {"train": Span(0, train, 0)}
    return {
        "train": Span(0, train, 0),
        "val": Span(max(0, train - lookback), train + val, train),
        "test": Span(max(0, train + val - lookback), train + val + test, train + val),
    }


def split_all(
    lengths: Int[np.ndarray, " N"],
    rule: str,
    *,
    lookback: int,
    ratios: Sequence[float] = DEFAULT_RATIOS,
    horizon: int | None = None,
    windows: int = 1,
) -> dict[str, Spans]:
    """Return the spans of N series, as `split_series` makes them.

    A series that is too short for the rule has no rows, and the reason is kept.
    """
    check_split_rule(rule, ratios, horizon=horizon, windows=windows)
    unique, inverse = np.unique(np.asarray(lengths, dtype=np.int64), return_inverse=True)
    spans_by_length: list[dict[str, Span]] = []
    too_short: dict[int, str] = {}
    for index, length in enumerate(unique.tolist()):
        try:
            spans = split_series(length, rule, lookback=lookback, ratios=ratios, horizon=horizon, windows=windows)
        except ValueError as error:
            spans, too_short[index] = {}, str(error)
        spans_by_length.append(spans)
    reasons = {}
    if too_short:
        reasons = {series: too_short[index] for series, index in enumerate(inverse.tolist()) if index in too_short}
    result = {}
    for split in SPLITS if rule != "all" else ("train",):
        columns = Spans.from_spans([spans.get(split, EMPTY_SPAN) for spans in spans_by_length])
        result[split] = Spans(columns.first[inverse], columns.stop[inverse], columns.target[inverse], reasons)
    return result


def holdout_length(length: int, horizon: int) -> int:
    """Return the number of last steps of a corpus series that are never trained on.

    A tenth of the series, rounded up, at least one `horizon` (steps), and at most half of the series.
    """
    if length < 0 or horizon < 1:
        raise ValueError(
            f"a series of {length} steps and a horizon of {horizon} were given; expected a length of at least 0 and a "
            "horizon of at least 1 step"
        )
    return min(max(horizon, -(-length * HOLDOUT_PERCENT // 100)), length // 2)


def typical_horizon(freq: str) -> int:
    """Return the steps that a forecast of this frequency usually covers, whatever the multiple of its unit.

    Those of GIFT-Eval's short term (arXiv:2410.10393, appendix B).
    """
    return HORIZONS[parse_freq(freq).group]
