"""Small SVG drawings whose colours come from the style sheet of the page, so that they suit light and dark screens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

CHARACTER = 6.6  # width of a character of the labels in pixels, on average


def svg(width: float, height: float, elements: Sequence[str]) -> str:
    """Return a drawing of a size in pixels."""
    size = f'width="{number(width)}" height="{number(height)}" viewBox="0 0 {number(width)} {number(height)}"'
    return f"<svg {size}>{''.join(elements)}</svg>"


def number(value: float) -> str:
    """Return a coordinate with one decimal at most."""
    return f"{value:.1f}".removesuffix(".0")


def line(start: tuple[float, float], end: tuple[float, float], kind: str) -> str:
    """Return a straight line; `kind` is its class in the style sheet."""
    (x1, y1), (x2, y2) = start, end
    return f'<line class="{kind}" x1="{number(x1)}" y1="{number(y1)}" x2="{number(x2)}" y2="{number(y2)}"/>'


def polyline(points: Sequence[tuple[float, float]], kind: str) -> str:
    """Return a line through points; it is interrupted where a coordinate is NaN."""
    pieces, pen = [], "M"
    for x, y in points:
        if not (math.isfinite(x) and math.isfinite(y)):
            pen = "M"
            continue
        pieces.append(f"{pen}{number(x)} {number(y)}")
        pen = "L"
    return f'<path class="{kind}" d="{" ".join(pieces)}"/>'


def area(points: Sequence[tuple[float, float]], kind: str) -> str:
    """Return a filled polygon."""
    return f'<polygon class="{kind}" points="{" ".join(f"{number(x)},{number(y)}" for x, y in points)}"/>'


def label(text: str, x: float, y: float, *, anchor: str = "start", kind: str = "label", longest: int = 60) -> str:
    """Return a text whose `anchor` (start, middle or end) is at x; a longer one is shortened and has a tooltip."""
    attributes = f'class="{kind}" x="{number(x)}" y="{number(y)}" text-anchor="{anchor}"'
    if len(text) <= longest:
        return f"<text {attributes}>{escape(text)}</text>"
    return f"<text {attributes}>{escape(text[: longest - 1])}…<title>{escape(text)}</title></text>"


def dot(x: float, y: float, kind: str, tooltip: str) -> str:
    """Return a point with a text that appears when it is pointed at."""
    return f'<circle class="{kind}" cx="{number(x)}" cy="{number(y)}" r="5"><title>{escape(tooltip)}</title></circle>'


def text_width(text: str) -> float:
    """Return about how wide a label is in pixels."""
    return CHARACTER * len(text)


def linear_ticks(low: float, high: float, *, count: int = 5) -> list[float]:
    """Return round numbers between two bounds, about `count` of them.

    Examples
    --------
    >>> linear_ticks(0.61, 0.93)
    [0.65, 0.7, 0.75, 0.8, 0.85, 0.9]
    """
    raw = (high - low) / count
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= raw * 0.75)
    return [
        round(index * step, 12) for index in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    ]


def log_ticks(low: float, high: float) -> list[float]:
    """Return powers of ten between two positive bounds; also 2 and 5 times those where they are fewer than three.

    Examples
    --------
    >>> log_ticks(0.5, 700), log_ticks(3, 30)
    ([1.0, 10.0, 100.0], [5.0, 10.0, 20.0])
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    decades = [10.0**power for power in powers]
    ticks = [tick for tick in decades if low <= tick <= high]
    if len(ticks) >= 3:
        return ticks
    return [tick for decade in decades for tick in (decade, 2 * decade, 5 * decade) if low <= tick <= high]
