"""Spans and points come in; small SVG pictures, each with a title and a description, go out.

Colours come from the page's style sheet; a shape tells the two models apart as well, so that no
picture depends on colour alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from gitops.report.markup import Markup, join, tag
from gitops.report.number import MINUS, render_count, render_interval, render_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gitops.report.page import Points, Span

MOST_DOTS = 500
MOST_BINS = 28
# Below these a range cannot be told from one value: there are not enough floating-point numbers.
_SAME, _TINY = 1e-9, 1e-200
_WIDTH, _HEIGHT = 440.0, 300.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 12.0, 12.0, 44.0


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


def draw_span(span: Span, *, anchor: str, rule: str, tone: str) -> Markup:
    """Draw an interval against its bound, with the allowed side shaded.

    Args:
        span: what the rule compares.
        anchor: prefix of the ids in this picture, unique in the page.
        rule: name of the rule, for the title.
        tone: class of the outcome: ``pass``, ``fail``, ``inconclusive`` or ``not_applicable``.
    """
    values = (span.point, span.low, span.high, span.bound)
    across = make_scale(values, start=10, end=230, margin=0.16)
    return _svg(
        240,
        46,
        anchor=anchor,
        title=f"{rule}: interval and bound",
        text=_describe_span(span),
        shapes=(*_allowed(span, across), *_reach(span, across, tone)),
    )


def _allowed(span: Span, across: Scale) -> tuple[Markup, ...]:
    bound = across.at(span.bound)
    left, right = (0.0, bound) if span.below else (bound, 240.0)
    # The label is centred on the bound as far as it stays in the picture.
    middle = min(max(bound, 42.0), 198.0)
    return (
        tag("rect", class_="allowed", x=left, y=2, width=right - left, height=28),
        tag("line", class_="bound", **_line(bound, 0, bound, 31)),
        tag("text", _bound_label(span), class_="tick", x=middle, y=43, text_anchor="middle"),
    )


def _reach(span: Span, across: Scale, tone: str) -> tuple[Markup, ...]:
    low, high = across.at(span.low), across.at(span.high)
    return (
        tag("line", class_=f"reach {tone}", **_line(low, 16, high, 16)),
        tag("line", class_=f"cap {tone}", **_line(low, 11, low, 21)),
        tag("line", class_=f"cap {tone}", **_line(high, 11, high, 21)),
        tag("circle", class_=f"point {tone}", cx=across.at(span.point), cy=16, r=4.5),
    )


def _bound_label(span: Span) -> str:
    return f"{'at most' if span.below else 'at least'} {render_number(span.bound)}"


def _describe_span(span: Span) -> str:
    interval = render_interval(span.low, span.high)
    return (
        f"{render_number(span.point)}, 90 % interval {interval}; {_bound_label(span)} is allowed."
    )


def draw_predictions(points: Points, *, anchor: str) -> Markup:
    """Draw predicted against actual, at most `MOST_DOTS` rows of each model."""
    values = (*points.actual, *points.candidate, *points.champion)
    across = make_scale(values, start=_LEFT, end=_WIDTH - _RIGHT)
    up = make_scale(values, start=_HEIGHT - _BOTTOM, end=_TOP)
    return _svg(
        _WIDTH,
        _HEIGHT,
        anchor=anchor,
        title="Predicted against actual",
        text=describe_predictions(points),
        shapes=(
            *_axes(across, up, across_title="actual", up_title="predicted"),
            tag("line", class_="ideal", **_line(across.start, up.start, across.end, up.end)),
            *(_diamond(across.at(x), up.at(y)) for x, y in _dots(points.actual, points.champion)),
            *(_disc(across.at(x), up.at(y)) for x, y in _dots(points.actual, points.candidate)),
        ),
    )


def describe_predictions(points: Points) -> str:
    """Return in one sentence what the picture of predictions shows."""
    rows = render_count(len(points.actual), "held-out row")
    worst = [render_number(max(map(abs, errors))) for errors in _both_errors(points)]
    return f"{rows}; the largest error is {_compare(worst)}."


def draw_errors(points: Points, *, anchor: str) -> Markup:
    """Draw the histogram of errors: bars for the candidate, a line for the champion."""
    errors = _both_errors(points)
    across = make_scale(
        (0.0, *(error for one in errors for error in one)),
        start=_LEFT,
        end=_WIDTH - _RIGHT,
        margin=0,
    )
    bins = min(MOST_BINS, max(8, math.ceil(2 * len(points.actual) ** 0.5)))
    counts = [_histogram(one, across, bins) for one in errors]
    up = Scale(low=0, high=max(map(max, counts)) * 1.08, start=_HEIGHT - _BOTTOM, end=_TOP)
    zero = across.at(0)
    return _svg(
        _WIDTH,
        _HEIGHT,
        anchor=anchor,
        title="Errors: predicted minus actual",
        text=describe_errors(points),
        shapes=(
            *_axes(across, up, across_title="predicted minus actual", up_title="rows"),
            *_bars(counts[0], across, up),
            *(tag("path", class_="outline", d=_outline(one, across, up)) for one in counts[1:]),
            tag("line", class_="zero", **_line(zero, up.start, zero, up.end)),
        ),
    )


def describe_errors(points: Points) -> str:
    """Return in one sentence what the histogram shows."""
    typical = [render_number(median(map(abs, errors))) for errors in _both_errors(points)]
    return f"Half of the rows are off by less than {_compare(typical)}."


def draw_dot_legend(points: Points) -> Markup:
    """Name the marks of `draw_predictions`."""
    return _legend(points, _disc(7, 7), _diamond(7, 7))


def draw_bar_legend(points: Points) -> Markup:
    """Name the marks of `draw_errors`."""
    bar = tag("rect", class_="candidate", x=1, y=3, width=12, height=9)
    return _legend(points, bar, tag("path", class_="outline", d="M0 11H4V4H10V11H14"))


def _legend(points: Points, *marks: Markup) -> Markup:
    names = ("candidate", "champion") if points.champion else ("candidate",)
    items = (
        tag("li", tag("svg", mark, view_box="0 0 14 14", aria_hidden="true"), name)
        for mark, name in zip(marks, names, strict=False)
    )
    return tag("ul", *items, class_="legend")


def _compare(numbers: Sequence[str]) -> str:
    first, *rest = numbers
    return first + "".join(f" (champion {number})" for number in rest)


def _both_errors(points: Points) -> list[list[float]]:
    models = [points.candidate, points.champion] if points.champion else [points.candidate]
    return [[p - a for p, a in zip(one, points.actual, strict=True)] for one in models]


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


def _axes(across: Scale, up: Scale, *, across_title: str, up_title: str) -> tuple[Markup, ...]:
    floor, middle = up.start, (across.start + across.end) / 2
    return (
        *(_tick_up(value, across, up) for value in make_ticks(up.low, up.high)),
        *(
            _tick_across(value, across.at(value), floor)
            for value in make_ticks(across.low, across.high)
        ),
        tag("line", class_="axis", **_line(across.start, floor, across.end, floor)),
        tag("text", across_title, class_="name", x=middle, y=_HEIGHT - 6, text_anchor="middle"),
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
    line = tag("line", class_="grid", **_line(across.start, y, across.end, y))
    label = tag(
        "text", _render_tick(value), class_="tick", x=across.start - 6, y=y + 4, text_anchor="end"
    )
    return join((line, label))


def _tick_across(value: float, x: float, floor: float) -> Markup:
    return tag("text", _render_tick(value), class_="tick", x=x, y=floor + 17, text_anchor="middle")


def _line(x1: float, y1: float, x2: float, y2: float) -> dict[str, float]:
    return {"x1": x1, "y1": y1, "x2": x2, "y2": y2}


def _dots(actual: Sequence[float], predicted: Sequence[float]) -> list[tuple[float, float]]:
    """Return evenly spaced rows: a million dots would say no more and take seconds to draw."""
    stride = max(1, math.ceil(len(predicted) / MOST_DOTS))
    return list(zip(actual, predicted, strict=False))[::stride]


def _disc(x: float, y: float) -> Markup:
    return tag("circle", class_="candidate", cx=x, cy=y, r=3.4)


def _diamond(x: float, y: float) -> Markup:
    return tag("path", class_="champion", d=f"M{x:.1f} {y - 4:.1f}l4 4-4 4-4-4z")


def _histogram(errors: Sequence[float], across: Scale, bins: int) -> list[int]:
    counts = [0] * bins
    width = (across.high - across.low) / bins
    for error in errors:
        counts[min(bins - 1, int((error - across.low) / width))] += 1
    return counts


def _edges(across: Scale, bins: int) -> list[float]:
    width = (across.end - across.start) / bins
    return [across.start + width * index for index in range(bins + 1)]


def _bars(counts: Sequence[int], across: Scale, up: Scale) -> list[Markup]:
    sides = pairwise(_edges(across, len(counts)))
    return [
        tag(
            "rect",
            class_="candidate",
            x=left + 0.5,
            y=up.at(count),
            width=right - left - 1,
            height=up.start - up.at(count),
        )
        for (left, right), count in zip(sides, counts, strict=True)
        if count
    ]


def _outline(counts: Sequence[int], across: Scale, up: Scale) -> str:
    sides = pairwise(_edges(across, len(counts)))
    steps = (
        f"L{left:.1f} {up.at(count):.1f}L{right:.1f} {up.at(count):.1f}"
        for (left, right), count in zip(sides, counts, strict=True)
    )
    return f"M{across.start:.1f} {up.start:.1f}{''.join(steps)}L{across.end:.1f} {up.start:.1f}"


def _svg(
    width: float, height: float, *, anchor: str, title: str, text: str, shapes: Iterable[Markup]
) -> Markup:
    return tag(
        "svg",
        tag("title", title, id=f"{anchor}-title"),
        tag("desc", text, id=f"{anchor}-text"),
        *shapes,
        view_box=f"0 0 {width:g} {height:g}",
        role="img",
        aria_labelledby=f"{anchor}-title {anchor}-text",
    )
