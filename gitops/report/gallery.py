"""Rows, figures and columns of a page come in; the sections of its HTML with pictures go out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops.report.classes import make_calibrations, make_confusion, make_curves
from gitops.report.columns import MOST_DRAWN
from gitops.report.document import Place, render_card, render_fold, render_sentence
from gitops.report.markup import Markup, join, tag
from gitops.report.models import ImportanceLine
from gitops.report.number import render_count
from gitops.report.pictures.chart import bar_marks, dot_marks, draw_legend, line_marks
from gitops.report.pictures.classification import (
    describe_calibration,
    describe_curves,
    draw_calibration,
    draw_curves,
)
from gitops.report.pictures.columns import (
    describe_column,
    describe_importance,
    draw_column,
    draw_importance,
    pair_marks,
)
from gitops.report.pictures.regression import (
    describe_errors,
    describe_predictions,
    draw_errors,
    draw_predictions,
)
from gitops.report.pictures.rows import describe_duel, draw_duel, make_duel
from gitops.report.points import ClassPoints, Points

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitops.report.classes import Confusion
    from gitops.report.columns import ColumnShift, DataShift

MOST_INPUTS = 12
MOST_NAMED = 20
_MODELS = ("candidate", "champion")


def render_pictures(
    points: Points | ClassPoints | None, importance: Sequence[ImportanceLine], place: Place
) -> Markup:
    """Return what the models do on the held-out rows, and what moves them."""
    cards: list[Markup] = []
    if isinstance(points, Points):
        cards = _regression(points, place)
    elif points is not None:
        cards = _classification(points, place)
    if points is not None and (duel := make_duel(points)):
        picture = draw_duel(duel, anchor=f"{place.anchor}-duel")
        caption = f"{describe_duel(duel)} The green side is the candidate's."
        cards.append(_card(place, "Row by row", Markup(""), picture, caption))
    if importance:
        cards.append(_importance(importance, place))
    return tag("div", *cards, class_="pair") if cards else Markup("")


def _card(place: Place, title: str, legend: Markup, picture: Markup, caption: str) -> Markup:
    return render_card(
        place, title, legend, tag("figure", picture, tag("figcaption", render_sentence(caption)))
    )


def _names(points: Points | ClassPoints) -> tuple[str, ...]:
    return _MODELS if points.champion else _MODELS[:1]


def _regression(points: Points, place: Place) -> list[Markup]:
    names, anchor = _names(points), place.anchor
    predictions = draw_predictions(points, anchor=f"{anchor}-predictions")
    errors = draw_errors(points, anchor=f"{anchor}-errors")
    dots, bars = draw_legend(names, dot_marks()), draw_legend(names, bar_marks())
    return [
        _card(place, "Predicted against actual", dots, predictions, describe_predictions(points)),
        _card(place, "Errors", bars, errors, describe_errors(points)),
    ]


def _classification(points: ClassPoints, place: Place) -> list[Markup]:
    names, anchor = _names(points), place.anchor
    legend = draw_legend(names, dot_marks())
    cards = [render_confusion(make_confusion(points), place)]
    if curves := make_curves(points):
        picture = draw_curves(curves, anchor=f"{anchor}-roc")
        about = f"Of the class `{points.positive}`." if points.positive else "All classes together."
        text = f"{about} {describe_curves(curves)}"
        lines = draw_legend(names, line_marks())
        cards.append(_card(place, "ROC curve", lines, picture, text))
    bins = make_calibrations(points)
    picture = draw_calibration(bins, anchor=f"{anchor}-calibration")
    cards.append(_card(place, "Calibration", legend, picture, describe_calibration(bins)))
    return cards


def render_confusion(confusion: Confusion, place: Place) -> Markup:
    """Return a table of actual against predicted classes, the champion's counts below."""
    heads = [tag("th", "actual \N{RIGHTWARDS ARROW} predicted", scope="col")]
    heads += [tag("th", name, scope="col", class_="n") for name in confusion.classes]
    old = confusion.champion or (None,) * len(confusion.classes)
    rows = (
        tag("tr", tag("th", name, scope="row"), *_cells(index, new, before))
        for index, (name, new, before) in enumerate(
            zip(confusion.classes, confusion.candidate, old, strict=True)
        )
    )
    table = tag(
        "table",
        tag("thead", tag("tr", *heads)),
        tag("tbody", *rows),
        class_=f"confusion{' many' if len(confusion.classes) > 3 else ''}",
    )
    lead = "Rows of each actual class by the class predicted: the candidate's count"
    lead += ", the champion's below." if confusion.champion else "."
    return render_card(place, "Confusion", tag("div", table, class_="scroll"), lead=lead)


def _cells(index: int, new: Sequence[int], old: Sequence[int] | None) -> list[Markup]:
    total = max(1, sum(new))
    return [
        tag(
            "td",
            tag("b", f"{count:,}"),
            tag("span", f"champion {old[column]:,}", class_="than") if old else Markup(""),
            class_=f"n {'right' if column == index else 'wrong'} share-{round(5 * count / total)}",
        )
        for column, count in enumerate(new)
    ]


def _importance(lines: Sequence[ImportanceLine], place: Place) -> Markup:
    shown = lines[:MOST_INPUTS]
    picture = draw_importance(shown, anchor=f"{place.anchor}-inputs")
    rest = len(lines) - len(shown)
    more = f" {render_count(rest, 'more input')} not drawn." if rest else ""
    text = f"How far each input moves a prediction on average. {describe_importance(shown)}{more}"
    return _card(place, "Weight of each input", draw_legend(_MODELS, pair_marks()), picture, text)


def render_shift(shift: DataShift | None, place: Place) -> Markup:
    """Return pictures of the columns that moved most; the others are named."""
    if shift is None:
        return Markup("")
    figures = (
        _column(column, f"{place.anchor}-column-{index}")
        for index, column in enumerate(shift.drawn)
    )
    before, after = (render_count(rows, "row") for rows in shift.rows)
    lead = f"{before} before, {after} now. The columns that moved most, at most {MOST_DRAWN}:"
    named = {
        "Columns that are gone": shift.vanished,
        "New columns": shift.appeared,
        "Other columns": tuple(column.name for column in shift.named),
    }
    lists = (_named(title, names) for title, names in named.items())
    return join((tag("p", lead, class_="lead"), tag("div", *figures, class_="grid"), *lists))


def _column(column: ColumnShift, anchor: str) -> Markup:
    marks = pair_marks() if column.values else bar_marks()
    return tag(
        "figure",
        tag("p", tag("code", column.name), class_="title"),
        draw_legend(("now", "before"), marks),
        draw_column(column, anchor=anchor),
        tag("figcaption", describe_column(column)),
    )


def _named(title: str, names: Sequence[str]) -> Markup:
    if not names:
        return Markup("")
    codes = [tag("li", tag("code", name)) for name in names]
    listed = tag("ul", *codes[:200], class_="names")
    if len(names) <= MOST_NAMED:
        return tag("div", tag("span", title, class_="soft small"), listed)
    return render_fold(f"{title}: {len(names):,}", listed)
