"""Columns before and after, and inputs of both models, come in; pictures of them go out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops.report.escape import clean
from gitops.report.markup import Markup, tag
from gitops.report.number import render_number
from gitops.report.pictures.chart import Scale, across_scale, draw_axes, draw_svg, up_scale
from gitops.report.pictures.regression import count_bins, draw_bars, draw_outline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitops.report.columns import ColumnShift
    from gitops.report.models import ImportanceLine

_BINS = 24
_STEP = 30.0
_LONGEST_NAME = 22
_LEFT, _RIGHT = 150.0, 384.0


def draw_column(column: ColumnShift, *, anchor: str) -> Markup:
    """Draw one column's distribution: bars for the new data, a line or marks for the old."""
    if column.values:
        rows = [(name, after, before) for name, before, after in column.values]
        shapes, height = draw_pairs(rows, percent=True)
    else:
        shapes, height = _draw_histograms(column), 300.0
    text = describe_column(column)
    title = f"{clean(column.name)}: before and after"
    return draw_svg(shapes, anchor=anchor, title=title, text=text, height=height)


def describe_column(column: ColumnShift) -> str:
    """Return in one sentence how far the column moved."""
    before, after = (f"{100 * share:.1f} %" for share in column.missing)
    missing = "" if before == after else f"; missing cells {before} before, {after} now"
    return f"The two distributions differ by up to {100 * column.distance:.0f} % of rows{missing}."


def _draw_histograms(column: ColumnShift) -> tuple[Markup, ...]:
    across = across_scale((*column.before, *column.after), margin=0)
    shares = [
        [100 * count / max(1, len(one)) for count in count_bins(one, across, _BINS)]
        for one in (column.after, column.before)
    ]
    up = up_scale((0.0, max(map(max, shares)) * 1.08), margin=0)
    return (
        *draw_axes(across, up, across_title=clean(column.name, limit=40), up_title="% of rows"),
        *draw_bars(shares[0], across, up),
        draw_outline(shares[1], across, up),
    )


def draw_importance(lines: Sequence[ImportanceLine], *, anchor: str) -> Markup:
    """Draw how much each input moves a prediction: a bar for the candidate, one for the champion."""
    rows = [(line.name, line.candidate, line.champion) for line in lines]
    shapes, height = draw_pairs(rows)
    return draw_svg(
        shapes,
        anchor=anchor,
        title="Weight of each input",
        text=describe_importance(lines),
        height=height,
    )


def describe_importance(lines: Sequence[ImportanceLine]) -> str:
    """Return the weightiest input of each model in one sentence."""
    told = []
    for model in ("candidate", "champion"):
        known = [(getattr(line, model) or 0.0, line.name) for line in lines]
        weight, name = max(known, key=lambda pair: pair[0])
        told.append(f"the {model} most by `{clean(name, limit=60)}`" if weight else "")
    named = " and ".join(part for part in told if part)
    return f"Moved {named}." if named else "No input moves a prediction."


def draw_pairs(
    rows: Sequence[tuple[str, float | None, float | None]], *, percent: bool = False
) -> tuple[tuple[Markup, ...], float]:
    """Draw two bars under each other for each name; return the shapes and their height."""
    largest = max((value for _, *both in rows for value in both if value), default=1.0)
    across = Scale(low=0.0, high=largest, start=_LEFT, end=_RIGHT)
    shapes = [
        shape
        for index, row in enumerate(rows)
        for shape in _draw_pair(row, across, 4 + index * _STEP, percent=percent)
    ]
    return tuple(shapes), 8 + len(rows) * _STEP


def pair_marks() -> tuple[Markup, Markup]:
    """Return the marks of the first and the second bar for the legend of `draw_pairs`."""
    both = ("candidate", "hollow champion")
    first, second = (tag("rect", class_=kind, x=1, y=3, width=12, height=8) for kind in both)
    return first, second


def _draw_pair(
    row: tuple[str, float | None, float | None], across: Scale, top: float, *, percent: bool
) -> list[Markup]:
    name, *values = row
    label = clean(name, limit=_LONGEST_NAME) or "(empty)"
    shapes = [tag("text", label, class_="name", x=_LEFT - 10, y=top + 16, text_anchor="end")]
    for value, kind, y in zip(
        values, ("candidate", "hollow champion"), (top, top + 12), strict=True
    ):
        if value is None:
            continue
        width, text = across.at(value) - _LEFT, _write(value, percent=percent)
        shapes += [
            tag("rect", class_=kind, x=_LEFT, y=y, width=width, height=10),
            tag("text", text, class_="tick", x=_LEFT + width + 5, y=y + 9.5),
        ]
    return shapes


def _write(value: float, *, percent: bool) -> str:
    return f"{100 * value:.1f} %" if percent else render_number(value)
