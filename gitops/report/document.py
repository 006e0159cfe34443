"""Pieces of a page come in; the elements that every HTML document is built from go out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gitops.gate.verdict import Finding, Outcome, Severity
from gitops.report.markup import Markup, join, tag
from gitops.report.number import NOTHING, render_count
from gitops.report.page import label_outcome
from gitops.report.style import STYLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MOST_ROWS = 200
MOST_CHECKS = 12
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
    """Where a page stands: prefix of its ids, level of its heading, and whether it stands alone.

    A page alone lies beside the documents for machines and links to them.
    """

    anchor: str
    level: int = 1
    alone: bool = False

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


def render_fold(summary: str, *children: str) -> Markup:
    """Return content that opens when it is asked for; paper shows it open."""
    return tag("details", tag("summary", summary), *children)


def render_long_table(
    names: Sequence[str],
    rows: Sequence[Iterable[str]],
    *,
    numbers: bool = False,
    open_rows: int = 12,
) -> Markup:
    """Return a table whose first rows are open and whose others fold; the last are only counted."""
    first, rest = rows[:open_rows], rows[open_rows:MOST_ROWS]
    parts = [render_table(names, first, numbers=numbers)]
    if rest:
        summary = f"{render_count(len(rows) - len(first), 'more row')}"
        parts.append(render_fold(summary, render_table(names, rest, numbers=numbers)))
    return join((*parts, render_rest(len(rows) - MOST_ROWS)))


def render_rest(count: int) -> Markup:
    """Say how many rows are not shown at all; nothing when none is left."""
    return (
        tag("p", f"and {count:,} more, not shown", class_="soft small") if count > 0 else Markup("")
    )


def render_checks(findings: Sequence[Finding]) -> Markup:
    """Return findings as a list: those with trouble open, those that passed folded."""
    open_ones = [one for one in findings if one.outcome is not Outcome.PASS]
    passed = [one for one in findings if one.outcome is Outcome.PASS]
    shown = open_ones[:MOST_CHECKS]
    parts = [tag("ul", *map(_check, shown), class_="checks")] if shown else []
    if rest := open_ones[MOST_CHECKS:MOST_ROWS]:
        listed = tag("ul", *map(_check, rest), class_="checks")
        parts.append(render_fold(render_count(len(rest), "more finding"), listed))
    parts.append(render_rest(len(open_ones) - MOST_ROWS))
    return join((*parts, render_passed(passed)))


def render_passed(findings: Sequence[Finding], *, title: str = "") -> Markup:
    """Return checks that passed, folded into one line; nothing when there is none."""
    if not findings:
        return Markup("")
    count = render_count(len(findings), "check")
    listed = tag("ul", *map(_check, findings[:MOST_ROWS]), class_="checks")
    summary = join((render_chip(Outcome.PASS), f" {title or f'{count} passed'}"))
    return render_fold(summary, listed, render_rest(len(findings) - MOST_ROWS))


def _check(finding: Finding) -> Markup:
    return tag(
        "li",
        render_chip(finding.outcome),
        tag("code", finding.rule),
        render_informs(finding),
        tag("span", render_sentence(finding.reason), class_="because"),
    )


def render_informs(finding: Finding) -> Markup:
    """Mark a finding that does not decide."""
    warn = finding.severity is Severity.WARN
    return tag("span", "informs only", class_="tag") if warn else Markup("")


def _cells(row: Iterable[str], *, numbers: bool) -> list[Markup]:
    first, *rest = row
    side = "n" if numbers else None
    return [tag("th", first, scope="row"), *(tag("td", cell, class_=side) for cell in rest)]
