"""Whether the notes of a reading say how it differs from what its input says.

A difference is announced only where a note says just this difference, and everything else is as the input says: the
moved timestamps are as many as the note says and as near, and every value is at its step.
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd

from tests.fuzz.content import Content, Item, Reading, difference, naive_times

MOVES = re.compile(r"(\d+) timestamps were moved to the \S+ grid, by at most (\S+) (\w+)( \(the first such case\))?")
ROUNDED = 1.00001  # durations have six digits in a note


def announced(contents: list[Content], reading: Reading) -> str | None:
    """Return None where the reading says what one of the contents says and has its notes; else the difference.

    Parameters
    ----------
    contents
        What the input says, or may say where the notes of each are among those of the reading.
    """
    problems = []
    for content in contents:
        moved = moved_content(content, reading)
        for expected in [content] if moved is None else [content, moved]:
            problem = difference(expected, reading)
            absent = [note for note in expected.notes if not any(re.search(note, text) for text in reading.notes)]
            if problem is None and not absent:
                return None
            problems.append(problem or f"not announced: {', '.join(absent)}")
    return problems[0] if problems else "a strict reader refuses it"


def moved_content(content: Content, reading: Reading) -> Content | None:
    """Return the content with timestamps moved to the steps of the reading; None where its notes say otherwise."""
    moves = [match for note in reading.notes if (match := MOVES.search(note))]
    if not moves or list(content.items) != list(reading.items):
        return None
    limit = max(pd.Timedelta(float(match[2]), unit=match[3]) for match in moves) * ROUNDED
    items, count = {}, 0
    for name, item in content.items.items():
        steps = naive_times(reading.items[name][0])
        if item.times is None or not len(steps):
            return None
        after = np.searchsorted(steps, item.times).clip(1, max(1, len(steps) - 1))
        around = np.stack([steps[after - 1], steps[np.minimum(after, len(steps) - 1)]])
        nearest = around[np.abs(around - item.times).argmin(axis=0), np.arange(len(item.times))]
        distances = np.abs(nearest - item.times)
        if (distances > np.timedelta64(limit)).any():
            return None
        count += int((distances > np.timedelta64(0)).sum())
        items[name] = Item(nearest, item.values)
    is_whole = not any(match[4] for match in moves)  # else only those of the first case are counted
    return None if is_whole and count != sum(int(match[1]) for match in moves) else replace(content, items=items)
