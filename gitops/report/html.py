"""A page comes in; one self-contained HTML document, without scripts or outside hosts, goes out."""

from __future__ import annotations

from gitops.gate.verdict import Finding, Outcome, Severity
from gitops.report.document import (
    Place,
    render_card,
    render_chip,
    render_document,
    render_sentence,
    render_sign,
    render_table,
)
from gitops.report.markup import Markup, join, tag
from gitops.report.number import (
    render_count,
    render_interval,
    render_number,
    render_seconds,
)
from gitops.report.page import (
    MEANING,
    Page,
    Points,
    compared_name,
    four_numbers,
    has_numbers,
    label_outcome,
    make_span,
    metric_findings,
    render_bound,
    short_digest,
)
from gitops.report.picture import (
    describe_errors,
    describe_predictions,
    draw_bar_legend,
    draw_dot_legend,
    draw_errors,
    draw_predictions,
    draw_span,
)


def render_html(page: Page) -> str:
    """Return the report of one model as an HTML document."""
    title = f"{page.model}: {label_outcome(page.verdict.outcome)}"
    return render_document(title, render_page(page, Place(anchor="report")))


def render_page(page: Page, place: Place) -> Markup:
    """Return the report of one model, to stand at a place in a document."""
    return join(
        (
            _banner(page, place),
            _figures(page),
            _rules(page, place),
            _pictures(page.points, place),
            _attribution(page, place),
            _policy(page, place),
            _history(page, place),
            _origin(page, place),
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
        _next(page),
        class_=f"banner {outcome.lower()}",
    )


def _figures(page: Page) -> Markup:
    """One figure for each metric, and the rows that everything rests on."""
    current, earlier = page.run.current, page.run.earlier
    than = f"{current.train_rows:,} to train on" + (
        f" · {earlier.rows:,} held out before" if earlier else ""
    )
    return tag(
        "dl",
        *map(_metric_figure, metric_findings(page.verdict)),
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
    names = ("Rule", "Candidate", "Champion", "Difference", "90 % interval and bound", "Detectable")
    heads = (tag("th", n, scope="col", role="columnheader", class_=_side(n)) for n in names)
    rows = (
        _rule(finding, f"{place.anchor}-rule-{index}")
        for index, finding in enumerate(page.findings)
    )
    table = tag(
        "table",
        tag("thead", tag("tr", *heads, role="row"), role="rowgroup"),
        tag("tbody", *rows, role="rowgroup"),
        class_="rules",
        role="table",
    )
    return render_card(place, "Rules", table, lead=_rules_lead(page))


def _side(name: str) -> str | None:
    return "n" if name in {"Candidate", "Champion", "Difference", "Detectable"} else None


def _rules_lead(page: Page) -> str:
    rows = render_count(page.verdict.rows, "held-out row")
    same = ", the same rows for both models" if page.champion_name else ""
    return (
        f"Judged on {rows}{same}. The bar is the 90 % interval, the green side is allowed; "
        "a regression counts worse as positive. Detectable is the smallest change that this many "
        "rows would show four times out of five."
    )


def _rule(finding: Finding, anchor: str) -> Markup:
    if not has_numbers(finding):
        quiet = "quiet" if finding.outcome is Outcome.PASS else None
        return tag("tr", _rule_name(finding, colspan="6"), role="row", class_=quiet)
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
    warn = finding.severity is Severity.WARN
    informs = tag("span", "informs only", class_="tag") if warn else Markup("")
    name = tag(
        "div", render_chip(finding.outcome), tag("code", finding.rule), informs, class_="name"
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


def _pictures(points: Points | None, place: Place) -> Markup:
    if points is None:
        return Markup("")
    predictions = draw_predictions(points, anchor=f"{place.anchor}-predictions")
    errors = draw_errors(points, anchor=f"{place.anchor}-errors")
    return tag(
        "div",
        _picture(
            place,
            "Predicted against actual",
            draw_dot_legend(points),
            predictions,
            describe_predictions(points),
        ),
        _picture(place, "Errors", draw_bar_legend(points), errors, describe_errors(points)),
        class_="pair",
    )


def _picture(place: Place, title: str, legend: Markup, picture: Markup, caption: str) -> Markup:
    return render_card(place, title, legend, tag("figure", picture, tag("figcaption", caption)))


def _attribution(page: Page, place: Place) -> Markup:
    attribution = page.verdict.attribution
    if attribution is None:
        return Markup("")
    rows = (
        (line.metric, *(render_number(value) for value in four_numbers(line)))
        for line in attribution.lines
    )
    names = (
        "Metric",
        "Champion, old rows",
        "Candidate, old rows",
        "Champion, new rows",
        "Candidate, new rows",
    )
    table = render_table(names, rows, numbers=True)
    return render_card(place, "Data or model", table, lead=attribution.sentence)


def _policy(page: Page, place: Place) -> Markup:
    if not page.policy_change:
        return Markup("")
    lines = (_diff_line(line) for line in page.policy_change.splitlines())
    return render_card(
        place, "Policy change", tag("pre", *lines, tabindex="0"), lead=page.policy_note
    )


def _diff_line(line: str) -> Markup:
    classes = {"+": "add", "-": "del", "@": "at"}
    return tag("span", line + "\n", class_=classes.get(line[:1]))


def _history(page: Page, place: Place) -> Markup:
    changes = ((tag("code", line.path), line.kind, line.status) for line in page.changes)
    steps = (
        (step.name, step.action, step.reason, render_seconds(step.seconds))
        for step in page.run.steps
    )
    changed = render_table(("File", "Kind", "Change"), changes) if page.changes else _nothing()
    ran = render_table(("Step", "Action", "Why", "Time"), steps)
    return tag(
        "div",
        render_card(place, "What changed", changed),
        render_card(place, "What ran, and why", ran),
        class_="pair",
    )


def _nothing() -> Markup:
    return tag("p", "Nothing that concerns this model.", class_="soft")


def _next(page: Page) -> Markup:
    if not page.commands:
        return Markup("")
    commands = (tag("li", tag("code", command)) for command in page.commands)
    return tag("div", tag("span", "Next"), tag("ul", *commands), class_="next")


def _origin(page: Page, place: Place) -> Markup:
    """Digests are cut for the eye; the whole ones are in the title and in the documents."""
    run, verdict = page.run, page.verdict
    facts = {
        "Commit": run.commit,
        "Compared with": run.base or "nothing: everything counts as changed",
        "Fingerprint": verdict.fingerprint,
        "Candidate": verdict.candidate,
        "Champion": " ".join((page.champion_name, verdict.champion)).strip() or run.champion_reason,
        "Policy": verdict.policy,
        "Verdict": verdict.key,
    }
    pairs = (
        join((tag("dt", name), tag("dd", tag("code", _short(value), title=value))))
        for name, value in facts.items()
    )
    return render_card(place, "Where it comes from", tag("dl", *pairs, class_="facts"))


def _short(value: str) -> str:
    return " ".join(short_digest(word) if len(word) >= 40 else word for word in value.split())
