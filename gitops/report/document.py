"""Pieces of a page come in; the elements that every HTML document is built from go out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gitops.gate.verdict import Outcome
from gitops.report.markup import Markup, join, tag
from gitops.report.number import NOTHING
from gitops.report.page import label_outcome
from gitops.report.style import STYLE

if TYPE_CHECKING:
    from collections.abc import Iterable

_CONTENT_RULES = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)
_SIGNS = {
    Outcome.PASS: "✓",
    Outcome.FAIL: "✕",
    Outcome.INCONCLUSIVE: "?",
    Outcome.NOT_APPLICABLE: NOTHING,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a page stands in a document: prefix of its ids, and level of its own heading."""

    anchor: str
    level: int = 1

    def heading(self, text: str, *, below: int = 1, **attributes: str) -> Markup:
        """Return a heading `below` levels under the page's own."""
        return tag(f"h{self.level + below}", text, **attributes)


def render_document(title: str, body: Markup) -> str:
    """Return an HTML document whose policy lets it load nothing and run nothing."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_CONTENT_RULES),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Markup(STYLE)),
    )
    document = tag("html", head, tag("body", tag("main", body)), lang="en")
    return f"<!doctype html>\n{document}\n"


def render_sentence(text: str) -> Markup:
    """Return a sentence of the gate; what it quotes in back-ticks becomes code."""
    odd_is_code = enumerate(re.split(r"`([^`]+)`", text))
    return join(tag("code", part) if index % 2 else part for index, part in odd_is_code)


def render_chip(outcome: Outcome) -> Markup:
    """Return an outcome as a small label: a sign, a word and a colour."""
    return tag(
        "span", render_sign(outcome), label_outcome(outcome), class_=f"chip {outcome.lower()}"
    )


def render_sign(outcome: Outcome) -> Markup:
    """Return the sign of an outcome; a screen reader has the word beside it."""
    return tag("span", tag("i", _SIGNS[outcome]), class_="sign", aria_hidden="true")


def render_card(place: Place, title: str, *children: str, lead: str = "") -> Markup:
    """Return a section with a heading, an opening sentence and its content."""
    name = f"{place.anchor}-{title.lower().replace(' ', '-').replace(',', '')}"
    opening = tag("p", render_sentence(lead), class_="lead") if lead else Markup("")
    heading = place.heading(title, id=name)
    return tag("section", heading, opening, *children, class_="card", aria_labelledby=name)


def render_table(
    names: Iterable[str], rows: Iterable[Iterable[str]], *, numbers: bool = False
) -> Markup:
    """Return a table; the first cell names its row, and `numbers` aligns the others right."""
    heads = (
        tag("th", name, scope="col", class_="n" if numbers and index else None)
        for index, name in enumerate(names)
    )
    body = (tag("tr", *_cells(row, numbers=numbers)) for row in rows)
    table = tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *body))
    return tag("div", table, class_="scroll")


def _cells(row: Iterable[str], *, numbers: bool) -> list[Markup]:
    first, *rest = row
    side = "n" if numbers else None
    return [tag("th", first, scope="row"), *(tag("td", cell, class_=side) for cell in rest)]
