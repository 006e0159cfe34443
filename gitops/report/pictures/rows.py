"""What two models make of each row comes in; a picture of one model against the other goes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gitops.report.classes import true_chances
from gitops.report.markup import Markup, tag
from gitops.report.number import render_count
from gitops.report.pictures.chart import (
    across_scale,
    disc,
    draw_axes,
    draw_svg,
    line,
    thin,
    up_scale,
)
from gitops.report.pictures.regression import find_errors
from gitops.report.points import Points

if TYPE_CHECKING:
    from gitops.report.points import ClassPoints


@dataclass(frozen=True, slots=True, kw_only=True)
class Duel:
    """One number of each row for both models, and whether the smaller one is better."""

    what: str
    candidate: tuple[float, ...]
    champion: tuple[float, ...]
    smaller: bool


def make_duel(points: Points | ClassPoints) -> Duel | None:
    """Return the size of each row's error, or the probability of its true class.

    None when there is no champion to compare with.
    """
    if not points.champion:
        return None
    if isinstance(points, Points):
        new, old = (tuple(map(abs, errors)) for errors in find_errors(points))
        return Duel(what="size of the error", candidate=new, champion=old, smaller=True)
    new, old = true_chances(points)
    return Duel(what="probability of the true class", candidate=new, champion=old, smaller=False)


def draw_duel(duel: Duel, *, anchor: str) -> Markup:
    """Draw candidate against champion, at most `MOST_DOTS` rows; on the diagonal they are equal."""
    values = (0.0, *duel.candidate, *duel.champion, *(() if duel.smaller else (1.0,)))
    across, up = across_scale(values, margin=0.02), up_scale(values, margin=0.02)
    dots = thin(list(zip(duel.champion, duel.candidate, strict=True)))
    shapes = (
        _better_side(duel, across.start, across.end, up.start, up.end),
        *draw_axes(
            across, up, across_title=f"champion: {duel.what}", up_title=f"candidate: {duel.what}"
        ),
        tag("line", class_="ideal", **line(across.start, up.start, across.end, up.end)),
        *(disc(across.at(x), up.at(y)) for x, y in dots),
    )
    text = describe_duel(duel)
    return draw_svg(
        shapes, anchor=anchor, title="Candidate against champion, row by row", text=text
    )


def _better_side(duel: Duel, left: float, right: float, floor: float, top: float) -> Markup:
    corner = f"{right:g} {floor:g}" if duel.smaller else f"{left:g} {top:g}"
    return tag("path", class_="allowed", d=f"M{left:g} {floor:g}L{right:g} {top:g}L{corner}z")


def describe_duel(duel: Duel) -> str:
    """Return in one sentence on how many rows each model is better."""
    pairs = list(zip(duel.candidate, duel.champion, strict=True))
    lower, higher = sum(a < b for a, b in pairs), sum(a > b for a, b in pairs)
    better, worse = (lower, higher) if duel.smaller else (higher, lower)
    rows = render_count(len(pairs), "row")
    return (
        f"By {duel.what}, the candidate is better on {better:,} of {rows} and the champion on "
        f"{worse:,}."
    )
