"""Held-out rows come in; the one picture that says most, as a file of its own for a note, goes out."""

from __future__ import annotations

from gitops.report.classes import make_curves
from gitops.report.markup import Markup, tag
from gitops.report.pictures.classification import draw_curves
from gitops.report.pictures.regression import draw_predictions
from gitops.report.points import ClassPoints, Points
from gitops.report.style import STYLE

_NAMESPACE = '<svg xmlns="http://www.w3.org/2000/svg" '
# The page's body gives its pictures their letters; alone, a picture has no body.
_FONT = "svg{font-family:system-ui,sans-serif}"


def render_figure(points: Points | ClassPoints) -> str:
    """Return predictions against labels, or the ROC curve of classes; empty where there is none.

    An SVG document with its own colours, which follow the reader's light or dark mode.
    """
    picture = _draw(points)
    if not picture:
        return ""
    head, inside = picture.split(">", maxsplit=1)
    # The ground makes it readable where a page's mode is not the reader's system's.
    ground = tag("rect", width="100%", height="100%", style="fill:var(--card)")
    style = tag("style", Markup(STYLE + _FONT))
    return f"{_NAMESPACE}{head.removeprefix('<svg ')}>{style}{ground}{inside}\n"


def _draw(points: Points | ClassPoints) -> str:
    if isinstance(points, Points):
        return draw_predictions(points, anchor="predictions")
    curves = make_curves(points)
    return draw_curves(curves, anchor="roc") if curves else ""
