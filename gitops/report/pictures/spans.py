"""An interval and its bound come in; one small picture of both goes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops.report.markup import Markup, tag
from gitops.report.number import render_interval, render_number
from gitops.report.pictures.chart import Scale, draw_svg, line, make_scale

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gitops.report.span import Span

_WIDTH, _SIDE = 240.0, 10.0


def draw_span(span: Span, *, anchor: str, rule: str, tone: str) -> Markup:
    """Draw an interval against its bound, with the allowed side shaded.

    Args:
        span: what the rule compares.
        anchor: prefix of the ids in this picture, unique in the page.
        rule: name of the rule, for the title.
        tone: class of the outcome: ``pass``, ``fail``, ``inconclusive`` or ``not_applicable``.
    """
    across = span_scale([span], margin=0.16)
    return draw_svg(
        (*_allowed(span, across, 28), _label(span, across), *_reach(span, across, tone)),
        anchor=anchor,
        title=f"{rule}: interval and bound",
        text=_describe_span(span),
        width=_WIDTH,
        height=46,
    )


def span_scale(spans: Iterable[Span], *, margin: float = 0.06) -> Scale:
    """Return one scale for several intervals, so that they can be compared, zero included if near."""
    values = [value for one in spans for value in (one.point, one.low, one.high, one.bound)]
    return make_scale(values, start=_SIDE, end=_WIDTH - _SIDE, margin=margin)


def draw_row(span: Span, across: Scale, *, anchor: str, rule: str, tone: str) -> Markup:
    """Draw one row of a forest plot: like `draw_span`, on a scale that all rows share."""
    zero = across.at(0.0)
    shown = across.low < 0 < across.high
    return draw_svg(
        (
            *_allowed(span, across, 22),
            *([tag("line", class_="zero", **line(zero, 0, zero, 26))] if shown else []),
            *_reach(span, across, tone, middle=13),
        ),
        anchor=anchor,
        title=f"{rule}: interval and bound",
        text=_describe_span(span),
        width=_WIDTH,
        height=26,
    )


def _allowed(span: Span, across: Scale, height: float) -> tuple[Markup, ...]:
    bound = across.at(span.bound)
    left, right = (0.0, bound) if span.below else (bound, _WIDTH)
    return (
        tag("rect", class_="allowed", x=left, y=2, width=right - left, height=height),
        tag("line", class_="bound", **line(bound, 0, bound, height + 3)),
    )


def _label(span: Span, across: Scale) -> Markup:
    # The label is centred on the bound as far as it stays in the picture.
    middle = min(max(across.at(span.bound), 42.0), 198.0)
    return tag("text", _bound_label(span), class_="tick", x=middle, y=43, text_anchor="middle")


def _reach(span: Span, across: Scale, tone: str, *, middle: float = 16) -> tuple[Markup, ...]:
    low, high = across.at(span.low), across.at(span.high)
    top, bottom = middle - 5, middle + 5
    return (
        tag("line", class_=f"reach {tone}", **line(low, middle, high, middle)),
        tag("line", class_=f"cap {tone}", **line(low, top, low, bottom)),
        tag("line", class_=f"cap {tone}", **line(high, top, high, bottom)),
        tag("circle", class_=f"point {tone}", cx=across.at(span.point), cy=middle, r=4.5),
    )


def _bound_label(span: Span) -> str:
    return f"{'at most' if span.below else 'at least'} {render_number(span.bound)}"


def _describe_span(span: Span) -> str:
    interval = render_interval(span.low, span.high)
    return (
        f"{render_number(span.point)}, 90 % interval {interval}; {_bound_label(span)} is allowed."
    )
