"""Numbers and shapes come in; scales, ticks, axes and whole SVG pictures go out.

Colours come from the page's style sheet; a shape tells the two models apart as well, so that no
picture depends on colour alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from gitops.report.markup import Markup, join, tag
from gitops.report.number import MINUS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MOST_DOTS = 500
WIDTH, HEIGHT = 440.0, 300.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 12.0, 12.0, 44.0
# Below these a range cannot be told from one value: there are not enough floating-point numbers.
_SAME, _TINY = 1e-9, 1e-200
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Maps numbers between `low` and `high` to pixels between `start` and `end`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Return the pixel of a number; numbers outside stay at the nearer end."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def across_scale(values: Iterable[float], *, margin: float = 0.04) -> Scale:
    """Return the scale from left to right of a picture of the usual size."""
    return make_scale(values, start=_LEFT, end=WIDTH - _RIGHT, margin=margin)


def up_scale(values: Iterable[float], *, margin: float = 0.04) -> Scale:
    """Return the scale from bottom to top of a picture of the usual size."""
    return make_scale(values, start=HEIGHT - _BOTTOM, end=_TOP, margin=margin)


def make_scale(values: Iterable[float], *, start: float, end: float, margin: float = 0.04) -> Scale:
    """Return a scale that holds every value, with a share of their range as margin on each side."""
    known = tuple(values)
    low, high = min(known), max(known)
    room = (high - low) * margin
    if high - low <= _SAME * max(abs(low), abs(high), _TINY):
        room = max(abs(low), abs(high)) * 0.1 or 1.0
    return Scale(low=low - room, high=high + room, start=start, end=end)


def make_ticks(low: float, high: float, *, count: int = 5) -> tuple[float, ...]:
    """Return about `count` round numbers between two numbers: steps of 1, 2 or 5 times ten to n."""
    rough = (high - low) / count
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough * 0.999)
    first, last = math.ceil(low / step), math.floor(high / step)
    return tuple(index * step for index in range(first, last + 1))


def _render_tick(value: float) -> str:
    return f"{value:,.6g}".replace("-", MINUS)


def draw_axes(across: Scale, up: Scale, *, across_title: str, up_title: str) -> tuple[Markup, ...]:
    """Draw grid, ticks and titles of both axes."""
    floor, middle = up.start, (across.start + across.end) / 2
    return (
        *(_tick_up(value, across, up) for value in make_ticks(up.low, up.high)),
        *(
            _tick_across(value, across.at(value), floor)
            for value in make_ticks(across.low, across.high)
        ),
        tag("line", class_="axis", **line(across.start, floor, across.end, floor)),
        tag("text", across_title, class_="name", x=middle, y=HEIGHT - 6, text_anchor="middle"),
        tag(
            "text",
            up_title,
            class_="name",
            transform=f"translate(11 {(up.start + up.end) / 2}) rotate(-90)",
            text_anchor="middle",
        ),
    )


def _tick_up(value: float, across: Scale, up: Scale) -> Markup:
    y = up.at(value)
    grid = tag("line", class_="grid", **line(across.start, y, across.end, y))
    label = tag(
        "text", _render_tick(value), class_="tick", x=across.start - 6, y=y + 4, text_anchor="end"
    )
    return join((grid, label))


def _tick_across(value: float, x: float, floor: float) -> Markup:
    return tag("text", _render_tick(value), class_="tick", x=x, y=floor + 17, text_anchor="middle")


def line(x1: float, y1: float, x2: float, y2: float) -> dict[str, float]:
    """Return the attributes of a line."""
    return {"x1": x1, "y1": y1, "x2": x2, "y2": y2}


def thin(items: Sequence[_Item]) -> Sequence[_Item]:
    """Return evenly spaced items: a million dots would say no more and take seconds to draw."""
    return items[:: max(1, math.ceil(len(items) / MOST_DOTS))]


def disc(x: float, y: float, *, kind: str = "candidate") -> Markup:
    """Draw the mark of the candidate."""
    return tag("circle", class_=kind, cx=x, cy=y, r=3.4)


def diamond(x: float, y: float) -> Markup:
    """Draw the mark of the champion."""
    return tag("path", class_="champion", d=f"M{x:.1f} {y - 4:.1f}l4 4-4 4-4-4z")


def polyline(points: Iterable[tuple[float, float]], *, kind: str) -> Markup:
    """Draw a line through points, in pixels."""
    steps = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return tag("path", class_=kind, d=Markup(f"M{steps}"))


def dot_marks() -> tuple[Markup, Markup]:
    """Return the marks of candidate and champion for the legend of a picture of dots."""
    return disc(7, 7), diamond(7, 7)


def bar_marks() -> tuple[Markup, Markup]:
    """Return the marks of candidate and champion for the legend of a picture of bars."""
    bar = tag("rect", class_="candidate", x=1, y=3, width=12, height=9)
    return bar, tag("path", class_="outline", d="M0 11H4V4H10V11H14")


def line_marks() -> tuple[Markup, Markup]:
    """Return the marks of candidate and champion for the legend of a picture of lines."""
    ends = ((0.0, 7.0), (14.0, 7.0))
    return polyline(ends, kind="line candidate"), polyline(ends, kind="line champion")


def draw_legend(names: Sequence[str], marks: Sequence[Markup]) -> Markup:
    """Name marks; those without a name are left out."""
    items = (
        tag("li", tag("svg", mark, view_box="0 0 14 14", aria_hidden="true"), name)
        for name, mark in zip(names, marks, strict=False)
    )
    return tag("ul", *items, class_="legend")


def draw_svg(
    shapes: Iterable[Markup],
    *,
    anchor: str,
    title: str,
    text: str,
    width: float = WIDTH,
    height: float = HEIGHT,
) -> Markup:
    """Put shapes into one picture with a title and a description for those who do not see it.

    Args:
        shapes: what to draw, the last on top.
        anchor: prefix of the ids in this picture, unique in the page.
        title: what is drawn.
        text: what it shows, in words.
        width: in pixels, the unit of every shape.
        height: in pixels.
    """
    return tag(
        "svg",
        tag("title", title, id=f"{anchor}-title"),
        tag("desc", text, id=f"{anchor}-text"),
        *shapes,
        view_box=f"0 0 {width:g} {height:g}",
        role="img",
        aria_labelledby=f"{anchor}-title {anchor}-text",
    )
