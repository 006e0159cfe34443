"""Held-out rows of a regression come in; pictures of predictions and errors go out."""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from gitops.report.markup import Markup, tag
from gitops.report.number import render_count, render_number
from gitops.report.pictures.chart import (
    Scale,
    across_scale,
    diamond,
    disc,
    draw_axes,
    draw_svg,
    line,
    polyline,
    thin,
    up_scale,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitops.report.points import Points

MOST_BINS = 28


def draw_predictions(points: Points, *, anchor: str) -> Markup:
    """Draw predicted against actual, at most `MOST_DOTS` rows of each model."""
    values = (*points.actual, *points.candidate, *points.champion)
    across, up = across_scale(values), up_scale(values)
    champion = thin(list(zip(points.actual, points.champion, strict=False)))
    candidate = thin(list(zip(points.actual, points.candidate, strict=True)))
    shapes = (
        *draw_axes(across, up, across_title="actual", up_title="predicted"),
        tag("line", class_="ideal", **line(across.start, up.start, across.end, up.end)),
        *(diamond(across.at(x), up.at(y)) for x, y in champion),
        *(disc(across.at(x), up.at(y)) for x, y in candidate),
    )
    text = describe_predictions(points)
    return draw_svg(shapes, anchor=anchor, title="Predicted against actual", text=text)


def describe_predictions(points: Points) -> str:
    """Return in one sentence what the picture of predictions shows."""
    rows = render_count(len(points.actual), "held-out row")
    worst = [render_number(max(map(abs, errors))) for errors in find_errors(points)]
    return f"{rows}; the largest error is {_compare(worst)}."


def draw_errors(points: Points, *, anchor: str) -> Markup:
    """Draw the histogram of errors: bars for the candidate, a line for the champion."""
    errors = find_errors(points)
    across = across_scale((0.0, *(error for one in errors for error in one)), margin=0)
    bins = min(MOST_BINS, max(8, math.ceil(2 * len(points.actual) ** 0.5)))
    counts = [count_bins(one, across, bins) for one in errors]
    up = up_scale((0.0, max(map(max, counts)) * 1.08), margin=0)
    zero = across.at(0)
    shapes = (
        *draw_axes(across, up, across_title="predicted minus actual", up_title="rows"),
        *draw_bars(counts[0], across, up),
        *(draw_outline(one, across, up) for one in counts[1:]),
        tag("line", class_="zero", **line(zero, up.start, zero, up.end)),
    )
    text = describe_errors(points)
    return draw_svg(shapes, anchor=anchor, title="Errors: predicted minus actual", text=text)


def describe_errors(points: Points) -> str:
    """Return in one sentence what the histogram shows."""
    typical = [render_number(median(map(abs, errors))) for errors in find_errors(points)]
    return f"Half of the rows are off by less than {_compare(typical)}."


def find_errors(points: Points) -> list[list[float]]:
    """Return predicted minus actual of the candidate and, if there is one, of the champion."""
    models = [points.candidate, points.champion] if points.champion else [points.candidate]
    return [[p - a for p, a in zip(one, points.actual, strict=True)] for one in models]


def _compare(numbers: Sequence[str]) -> str:
    first, *rest = numbers
    return first + "".join(f" (champion {number})" for number in rest)


def count_bins(values: Sequence[float], across: Scale, bins: int) -> list[int]:
    """Count values in equal parts of a scale."""
    counts = [0] * bins
    width = (across.high - across.low) / bins
    for value in values:
        counts[min(bins - 1, max(0, int((value - across.low) / width)))] += 1
    return counts


def _edges(across: Scale, bins: int) -> list[float]:
    width = (across.end - across.start) / bins
    return [across.start + width * index for index in range(bins + 1)]


def draw_bars(counts: Sequence[float], across: Scale, up: Scale) -> list[Markup]:
    """Draw a histogram as bars, the candidate's way."""
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


def draw_outline(counts: Sequence[float], across: Scale, up: Scale) -> Markup:
    """Draw a histogram as one stepped line, the champion's way."""
    sides = pairwise(_edges(across, len(counts)))
    tops = [(x, up.at(count)) for pair, count in zip(sides, counts, strict=True) for x in pair]
    ends = (across.start, up.start), (across.end, up.start)
    return polyline((ends[0], *tops, ends[1]), kind="outline")
