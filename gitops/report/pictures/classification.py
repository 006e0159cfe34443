"""Figures of a classification come in; pictures of ROC and calibration go out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops.report.classes import calibration_error
from gitops.report.markup import Markup, tag
from gitops.report.number import render_number
from gitops.report.pictures.chart import (
    Scale,
    across_scale,
    diamond,
    disc,
    draw_axes,
    draw_svg,
    line,
    polyline,
    up_scale,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitops.report.classes import Bin, Curve

_KINDS = ("line candidate", "line champion")


def draw_curves(curves: Sequence[Curve], *, anchor: str) -> Markup:
    """Draw the ROC curves of both models; the diagonal is a guess."""
    across, up = across_scale((0.0, 1.0), margin=0), up_scale((0.0, 1.0), margin=0.02)
    lines = [
        polyline(((across.at(x), up.at(y)) for x, y in curve.corners), kind=kind)
        for curve, kind in zip(curves, _KINDS, strict=False)
    ]
    shapes = (
        *draw_axes(across, up, across_title="false positive rate", up_title="true positive rate"),
        tag("line", class_="ideal", **line(across.at(0), up.at(0), across.at(1), up.at(1))),
        *reversed(lines),
    )
    return draw_svg(shapes, anchor=anchor, title="ROC curve", text=describe_curves(curves))


def describe_curves(curves: Sequence[Curve]) -> str:
    """Return the areas under the curves in one sentence."""
    first, *rest = [render_number(curve.area) for curve in curves]
    other = "".join(f" (champion {area})" for area in rest)
    return f"Area under the curve {first}{other}; 0.5 is a guess, 1 is perfect."


def draw_calibration(bins: Sequence[tuple[Bin, ...]], *, anchor: str) -> Markup:
    """Draw predicted probability against the share that came true, with 90 % intervals."""
    across, up = across_scale((0.0, 1.0), margin=0.02), up_scale((0.0, 1.0), margin=0.02)
    marks = [
        mark
        for one, kind in reversed(list(zip(bins, _KINDS, strict=False)))
        for mark in _draw_bins(one, across, up, kind)
    ]
    shapes = (
        *draw_axes(across, up, across_title="predicted probability", up_title="share that was so"),
        tag("line", class_="ideal", **line(across.at(0), up.at(0), across.at(1), up.at(1))),
        *marks,
    )
    return draw_svg(shapes, anchor=anchor, title="Calibration", text=describe_calibration(bins))


def _draw_bins(bins: Sequence[Bin], across: Scale, up: Scale, kind: str) -> list[Markup]:
    draw = disc if kind == _KINDS[0] else diamond
    places = [(across.at(one.predicted), up.at(one.share)) for one in bins]
    ends = [
        tag("line", class_=f"thin {kind}", **line(x, up.at(one.low), x, up.at(one.high)))
        for one, (x, _) in zip(bins, places, strict=True)
    ]
    return [*ends, polyline(places, kind=f"faint {kind}"), *(draw(x, y) for x, y in places)]


def describe_calibration(bins: Sequence[tuple[Bin, ...]]) -> str:
    """Return in one sentence how far probabilities are from what came true."""
    first, *rest = [render_number(calibration_error(one)) for one in bins]
    other = "".join(f" (champion {error})" for error in rest)
    return f"On average a probability is {first} away from what came true{other}."
