"""Points come in; the picture of predictions as a file of its own, for a note, goes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops.report.markup import Markup, tag
from gitops.report.picture import draw_predictions
from gitops.report.style import STYLE

if TYPE_CHECKING:
    from gitops.report.page import Points

_NAMESPACE = '<svg xmlns="http://www.w3.org/2000/svg" '
# The page's body gives its pictures their letters; alone, a picture has no body.
_FONT = "svg{font-family:system-ui,sans-serif}"


def render_figure(points: Points) -> str:
    """Return an SVG document with its own colours, which follow the reader's light or dark mode."""
    picture = draw_predictions(points, anchor="predictions")
    head, inside = picture.split(">", maxsplit=1)
    # The ground makes it readable where a page's mode is not the reader's system's.
    ground = tag("rect", width="100%", height="100%", style="fill:var(--card)")
    style = tag("style", Markup(STYLE + _FONT))
    return f"{_NAMESPACE}{head.removeprefix('<svg ')}>{style}{ground}{inside}\n"
