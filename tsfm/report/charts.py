"""Charts of a report: the critical-difference diagram, a scatter of accuracy against cost, and a forecast.

K models, L past steps, H forecast steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tsfm.report.blocks import Picture, format_number
from tsfm.report.statistics import indistinguishable_groups
from tsfm.report.svg import area, dot, label, line, linear_ticks, log_ticks, polyline, svg, text_width

if TYPE_CHECKING:
    from jaxtyping import Float

WIDTH = 700.0
SCALE = 300.0  # pixels of the axis of the critical-difference diagram
ROW = 22.0  # pixels from a name to the next
LONGEST = 26  # characters of a name at the side


def critical_difference_diagram(
    names: Sequence[str], mean_ranks: Float[np.ndarray, " K"], difference: float
) -> Picture:
    """Return the diagram of Demsar (2006, figure 1): mean ranks on an axis, and bars over models that do not differ.

    Parameters
    ----------
    names, mean_ranks
        Of the models; rank 1 is the best.
    difference
        The critical difference of mean ranks.
    """
    num_models = len(names)
    order = [int(index) for index in np.argsort(mean_ranks, kind="stable")]
    groups = indistinguishable_groups(mean_ranks, difference)
    axis, side = 58.0, 30 + text_width("0.00 ") + max(text_width(_shorten(name)) for name in names)
    width = SCALE + 2 * side

    def position(rank: float) -> float:
        return side + (rank - 1) / max(1, num_models - 1) * SCALE

    end = position(1 + min(difference, num_models - 1.0))
    elements = [
        line((position(1), 20), (end, 20), "axis"),
        line((position(1), 15), (position(1), 25), "axis"),
        line((end, 15), (end, 25), "axis"),
        label(f"critical difference {difference:.2f}", position(1), 11),
        line((position(1), axis), (position(num_models), axis), "axis"),
    ]
    for rank in range(1, num_models + 1):
        elements += [line((position(rank), axis - 5), (position(rank), axis), "axis")]
        elements += [label(str(rank), position(rank), axis - 9, anchor="middle")]
    bars_end = axis + 12 + 9 * len(groups)
    for index, group in enumerate(groups):
        y = axis + 12 + 9 * index
        low, high = position(mean_ranks[group[0]]) - 4, position(mean_ranks[group[-1]]) + 4
        elements.append(line((low, y), (high, y), "bar"))
    num_left = (num_models + 1) // 2
    for row, index in enumerate(order):
        left = row < num_left
        x = position(mean_ranks[index])
        y = bars_end + 14 + ROW * (row if left else num_models - 1 - row)
        name_x = side - 8 if left else width - side + 8
        text = (
            f"{_shorten(names[index])} {mean_ranks[index]:.2f}" if left else f"{mean_ranks[index]:.2f} {names[index]}"
        )
        elements += [line((x, axis), (x, y), "stem"), line((x, y), (name_x, y), "stem")]
        elements.append(label(text, name_x + (-4 if left else 4), y + 4, anchor="end" if left else "start", longest=32))
    ranking = ", ".join(f"{names[index]} {mean_ranks[index]:.2f}" for index in order)
    alike = "; ".join(" and ".join(names[index] for index in group) for group in groups)
    return Picture(
        svg(width, bars_end + 20 + ROW * num_left, elements),
        "Critical-difference diagram: mean ranks, 1 is the best. A bar joins models that do not differ significantly.",
        f"Mean ranks: {ranking}. Critical difference {difference:.2f}. Not different: {alike or 'no two'}.",
    )


@dataclass(frozen=True)
class Point:
    """A model in a scatter: its name, cost and accuracy; the best value of the other models is not known here."""

    name: str
    cost: float
    value: float


def cost_scatter(points: Sequence[Point], *, cost: str, value: str, better: str) -> Picture:
    """Return a scatter of a metric against a cost on a logarithmic axis.

    Parameters
    ----------
    points
        Of models; costs are positive.
    cost, value
        Titles of the axes.
    better
        Whether "lower" or "higher" values are better.
    """
    height, left, right, top, bottom = 340.0, 70.0, WIDTH - 20, 18.0, 290.0
    costs, values = [point.cost for point in points], [point.value for point in points]
    low, high = min(costs) / 1.6, max(costs) * 1.6
    margin = 0.08 * (max(values) - min(values)) or 0.1 * abs(values[0]) or 1.0
    bounds = min(values) - margin, max(values) + margin

    def x_of(number: float) -> float:
        return left + math.log(number / low) / math.log(high / low) * (right - left)

    def y_of(number: float) -> float:
        return bottom - (number - bounds[0]) / (bounds[1] - bounds[0]) * (bottom - top)

    elements = [line((left, bottom), (right, bottom), "axis"), line((left, top), (left, bottom), "axis")]
    for tick in log_ticks(low, high):
        elements += [line((x_of(tick), top), (x_of(tick), bottom), "grid")]
        elements += [label(_brief(tick), x_of(tick), bottom + 16, anchor="middle")]
    for tick in linear_ticks(*bounds):
        elements += [line((left, y_of(tick)), (right, y_of(tick)), "grid")]
        elements += [label(f"{tick:g}", left - 6, y_of(tick) + 4, anchor="end")]
    elements.append(label(cost, (left + right) / 2, bottom + 36, anchor="middle"))
    direction = f"{value} ({better} is better)"
    elements.append(label(direction, left + 6, top - 5))
    placed: list[tuple[float, float, float, float]] = [
        (x_of(p.cost) - 6, y_of(p.value) - 6, x_of(p.cost) + 6, y_of(p.value) + 6) for p in points
    ]
    for point in points:
        x, y = x_of(point.cost), y_of(point.value)
        tooltip = f"{point.name}: {value} {format_number(point.value)}, {cost} {format_number(point.cost)}"
        elements.append(dot(x, y, "dot", tooltip))
        anchor, dx, dy, box = _free_position(point.name, x, y, placed, bounds=(left, top, right, bottom))
        placed.append(box)
        elements.append(label(point.name, x + dx, y + dy, anchor=anchor))
    numbers = "; ".join(f"{p.name} {format_number(p.value)} at {_brief(p.cost)}" for p in points)
    return Picture(svg(WIDTH, height, elements), f"{direction} against {cost}.", f"{value} and {cost}: {numbers}.")


def _free_position(
    name: str, x: float, y: float, placed: list[tuple[float, float, float, float]], *, bounds: tuple[float, ...]
) -> tuple[str, float, float, tuple[float, float, float, float]]:
    """Return where the label of a point overlaps least with what is drawn: anchor, offsets, and its box."""
    width = text_width(name)
    candidates = [("start", 9.0, 4.0), ("end", -9.0, 4.0), ("middle", 0.0, -10.0), ("middle", 0.0, 19.0)]
    candidates += [("start", 7.0, dy) for dy in (-10.0, 18.0)] + [("end", -7.0, dy) for dy in (-10.0, 18.0)]
    scored = []
    for choice, (anchor, dx, dy) in enumerate(candidates):
        begin = x + dx - {"start": 0.0, "middle": width / 2, "end": width}[anchor]
        box = (begin, y + dy - 11, begin + width, y + dy + 3)
        outside = max(0.0, bounds[0] - box[0]) + max(0.0, box[2] - bounds[2]) + max(0.0, bounds[1] - box[1])
        scored.append((sum(_overlap(box, other) for other in placed) + 20 * outside, choice, anchor, dx, dy, box))
    _, _, anchor, dx, dy, box = min(scored)
    return anchor, dx, dy, box


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def forecast_chart(
    history: Float[np.ndarray, " L"],
    actual: Float[np.ndarray, " H"],
    median: Float[np.ndarray, " H"],
    interval: tuple[Float[np.ndarray, " H"], Float[np.ndarray, " H"]] | None,
    *,
    title: str,
) -> Picture:
    """Return a forecast of one channel with the end of its past and what happened; `interval` holds its bounds."""
    height, left, right, top, bottom = 220.0, 52.0, WIDTH - 12, 30.0, 190.0
    num_past, num_steps = len(history), len(history) + len(actual)
    every = np.concatenate([history, actual, median, *(interval or ())])
    low, high = float(np.nanmin(every)), float(np.nanmax(every))
    margin = 0.06 * (high - low) or 1.0
    low, high = low - margin, high + margin

    def points(values: np.ndarray, first: int) -> list[tuple[float, float]]:
        return [
            (
                left + (first + step) / max(1, num_steps - 1) * (right - left),
                bottom - (v - low) / (high - low) * (bottom - top),
            )
            for step, v in enumerate(values.tolist())
        ]

    elements = [line((left, bottom), (right, bottom), "axis")]
    for tick in linear_ticks(low, high, count=4):
        y = bottom - (tick - low) / (high - low) * (bottom - top)
        elements += [line((left, y), (right, y), "grid"), label(f"{tick:g}", left - 6, y + 4, anchor="end")]
    start = points(history[-1:], num_past - 1)[0][0]
    elements.append(line((start, top), (start, bottom), "grid"))
    if interval is not None:
        elements.append(area(points(interval[0], num_past) + points(interval[1], num_past)[::-1], "interval"))
    elements.append(polyline(points(np.concatenate([history, actual[:1]]), 0), "past"))
    elements.append(polyline(points(actual, num_past), "actual"))
    elements.append(polyline(points(median, num_past), "forecast"))
    elements.append(label(title, left, 16, longest=95))
    elements.append(label(f"{num_past} past steps", left, bottom + 17))
    elements.append(label(f"{len(actual)} forecast steps", right, bottom + 17, anchor="end"))
    error = float(np.nanmean(np.abs(actual - median)))
    shades = "; shaded: the 80 % interval" if interval is not None else ""
    return Picture(
        svg(WIDTH, height, elements),
        f"{title}. Solid line: the past; dashed: what happened; coloured: the median forecast{shades}.",
        f"{title}: mean absolute error of the median {format_number(error)} over {len(actual)} steps.",
    )


def _shorten(name: str) -> str:
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"


def _brief(value: float) -> str:
    """Return a number of an axis: 1500 is 1.5k."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"
