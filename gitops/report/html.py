"""A page comes in; one self-contained HTML document, without scripts or outside hosts, goes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops.gate.verdict import Finding
from gitops.report.document import (
    Place,
    render_card,
    render_checks,
    render_chip,
    render_document,
    render_informs,
    render_passed,
    render_sentence,
    render_sign,
)
from gitops.report.gallery import render_pictures, render_shift
from gitops.report.markup import Markup, join, tag
from gitops.report.number import render_count, render_interval, render_number
from gitops.report.page import MEANING, Group, Page, group_of, label_outcome, metric_findings
from gitops.report.pictures.spans import draw_span
from gitops.report.sections import (
    render_attribution,
    render_data,
    render_history,
    render_origin,
    render_policy,
    render_serving,
    render_slices,
)
from gitops.report.span import compared_name, has_numbers, make_span, render_bound

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_FIGURES = 11
MOST_RULES = 60


def render_html(page: Page) -> str:
    """Return the report of one model as an HTML document."""
    title = f"{page.model}: {label_outcome(page.verdict.outcome)}"
    return render_document(title, render_page(page, Place(anchor="report", alone=True)))


def render_page(page: Page, place: Place) -> Markup:
    """Return the report of one model, to stand at a place in a document."""
    return join(
        (
            _banner(page, place),
            _figures(page),
            _rules(page, place),
            render_slices(page, place),
            render_pictures(page.points, page.importance, place),
            render_attribution(page, place),
            render_data(page, place, *_shift(page, place)),
            render_serving(page, place),
            render_policy(page, place),
            render_history(page, place),
            render_origin(page, place),
        )
    )


def _banner(page: Page, place: Place) -> Markup:
    outcome = page.verdict.outcome
    against = f"against {page.champion_name}" if page.champion_name else "no champion yet"
    word = place.heading(
        join((render_sign(outcome), label_outcome(outcome))), below=0, class_="word"
    )
    return tag(
        "header",
        tag("p", f"{page.model} · {against}", class_="who"),
        word,
        tag("p", render_sentence(page.verdict.reason), class_="why"),
        tag("p", MEANING[outcome], class_="so"),
        _waiver(page),
        _next(page),
        class_=f"banner {outcome.lower()}",
    )


def _waiver(page: Page) -> Markup:
    if not page.waiver:
        return Markup("")
    return tag("p", tag("b", "Waived"), " ", render_sentence(page.waiver), class_="waiver")


def _next(page: Page) -> Markup:
    if not page.commands:
        return Markup("")
    commands = (tag("li", tag("code", command)) for command in page.commands)
    return tag("div", tag("span", "Next"), tag("ul", *commands), class_="next")


def _shift(page: Page, place: Place) -> tuple[Markup, ...]:
    return (render_shift(page.shift, place),) if page.shift else ()


def _figures(page: Page) -> Markup:
    """One figure for each metric, and the rows that everything rests on."""
    current, earlier = page.run.current, page.run.earlier
    than = f"{current.train_rows:,} to train on" + (
        f" · {earlier.rows:,} held out before" if earlier else ""
    )
    return tag(
        "dl",
        *map(_metric_figure, metric_findings(page.verdict)[:MOST_FIGURES]),
        _figure("held-out rows", f"{current.rows:,}", than),
        class_="figures",
    )


def _metric_figure(finding: Finding) -> Markup:
    than = "not compared with a champion"
    if finding.champion is not None:
        difference = render_number(finding.difference, signed=True)
        than = f"champion {render_number(finding.champion)} · {difference}"
    return _figure(finding.metric, render_number(finding.candidate), than)


def _figure(name: str, value: str, than: str) -> Markup:
    return tag(
        "div", tag("dt", name), tag("dd", value, class_="big"), tag("dd", than, class_="than")
    )


def _rules(page: Page, place: Place) -> Markup:
    rules = page.rules[:MOST_RULES]
    drawn = any(_is_drawn(finding) for finding in rules)
    shown = _rules_table(rules, place) if drawn else render_checks(rules)
    rest = page.unlisted + len(page.rules) - len(rules)
    more = (
        f"{render_count(rest, 'more finding')} with trouble in the sections below." if rest else ""
    )
    return render_card(
        place,
        "Rules",
        shown,
        tag("p", more, class_="soft small") if more else Markup(""),
        render_passed(page.quiet),
        render_passed(page.passed_selftest, title="The gate's test of itself"),
        lead=_rules_lead(page, drawn=drawn),
    )


def _rules_table(rules: Sequence[Finding], place: Place) -> Markup:
    names = ("Rule", "Candidate", "Champion", "Difference", "90 % interval and bound", "Detectable")
    heads = (tag("th", n, scope="col", role="columnheader", class_=_side(n)) for n in names)
    rows = (_rule(finding, f"{place.anchor}-rule-{index}") for index, finding in enumerate(rules))
    return tag(
        "table",
        tag("thead", tag("tr", *heads, role="row"), role="rowgroup"),
        tag("tbody", *rows, role="rowgroup"),
        class_="rules",
        role="table",
    )


def _is_drawn(finding: Finding) -> bool:
    """Tell whether a finding has figures that no later section shows."""
    return has_numbers(finding) and group_of(finding) is Group.MODEL


def _side(name: str) -> str | None:
    return "n" if name in {"Candidate", "Champion", "Difference", "Detectable"} else None


def _rules_lead(page: Page, *, drawn: bool) -> str:
    rows = render_count(page.verdict.rows, "held-out row")
    same = ", the same rows for both models" if page.champion_name else ""
    reading = (
        " The bar is the 90 % interval, the green side is allowed; a regression counts worse as "
        "positive. Detectable is the smallest change that this many rows would show four times out "
        "of five."
    )
    return f"Judged on {rows}{same}.{reading if drawn else ''}"


def _rule(finding: Finding, anchor: str) -> Markup:
    if not _is_drawn(finding):
        return tag("tr", _rule_name(finding, colspan="6"), role="row")
    return tag(
        "tr",
        _rule_name(finding),
        _number("Candidate", render_number(finding.candidate)),
        _number("Champion", render_number(finding.champion)),
        _number("Difference", render_number(finding.difference, signed=True)),
        _interval(finding, anchor),
        _number("Detectable", render_number(finding.detectable)),
        role="row",
    )


def _rule_name(finding: Finding, colspan: str | None = None) -> Markup:
    name = tag(
        "div",
        render_chip(finding.outcome),
        tag("code", finding.rule),
        render_informs(finding),
        class_="name",
    )
    because = tag("div", render_sentence(finding.reason), class_="because")
    return tag("th", name, because, scope="row", role="rowheader", colspan=colspan)


def _number(label: str, text: str) -> Markup:
    return tag("td", text, class_="n", role="cell", data_label=label)


def _interval(finding: Finding, anchor: str) -> Markup:
    span = make_span(finding)
    words = render_interval(finding.low, finding.high)
    if span is None:
        limit = tag("div", render_bound(finding), class_="small soft")
        return tag("td", words, limit, class_="seen", role="cell")
    picture = draw_span(span, anchor=anchor, rule=finding.rule, tone=finding.outcome.lower())
    return tag(
        "td",
        tag("div", f"{compared_name(finding)} {words}", class_="small"),
        picture,
        class_="seen",
        role="cell",
    )
