"""Parts of a page come in; the sections of its HTML that are made of words and tables go out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops.gate.verdict import Outcome
from gitops.report.document import (
    MOST_ROWS,
    Place,
    render_card,
    render_checks,
    render_chip,
    render_fold,
    render_informs,
    render_long_table,
    render_rest,
    render_table,
)
from gitops.report.markup import Markup, join, tag
from gitops.report.number import render_interval, render_number, render_seconds
from gitops.report.page import DOCUMENTS, Group, Page, four_numbers, short_digest
from gitops.report.pictures.spans import draw_row, span_scale
from gitops.report.span import has_numbers, make_span, slice_label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitops.gate.verdict import Finding
    from gitops.report.pictures.chart import Scale

OPEN_SLICES = 12
MOST_LINES = 2_000
_SLICE_LEAD = (
    "How much worse than the champion each slice fares; the green side is allowed. A slice fails "
    "only on proof, and the proofs of all slices are corrected together (Holm), so that many slices "
    "make no false alarm likelier. Faint ones have too few rows and are only shown."
)


def render_slices(page: Page, place: Place) -> Markup:
    """Return a forest plot of the slices as a table: one row each, all on one scale per metric."""
    findings = page.group(Group.SLICE)
    if not findings:
        return Markup("")
    told = [finding for finding in findings if not has_numbers(finding)]
    rows = [
        _slice(finding, scale, f"{place.anchor}-slice-{index}")
        for index, (finding, scale) in enumerate(_scaled(findings))
    ]
    first, rest = rows[:OPEN_SLICES], rows[OPEN_SLICES:MOST_ROWS]
    parts = [_slice_table(first)] if first else []
    if rest:
        parts.append(render_fold(f"{len(rows) - len(first):,} more slices", _slice_table(rest)))
    parts.append(render_rest(len(rows) - MOST_ROWS))
    return render_card(place, "Slices", *parts, render_checks(told), lead=_SLICE_LEAD)


def _scaled(findings: Sequence[Finding]) -> list[tuple[Finding, Scale | None]]:
    """Give each slice with figures the scale of its metric."""
    spans: dict[str, list[Finding]] = {}
    for finding in findings:
        if has_numbers(finding):
            spans.setdefault(finding.metric, []).append(finding)
    scales = {}
    for metric, members in spans.items():
        drawn = [span for span in map(make_span, members) if span]
        scales[metric] = span_scale(drawn) if drawn else None
    return [(one, scales[one.metric]) for one in findings if has_numbers(one)]


def _slice_table(rows: Sequence[Markup]) -> Markup:
    names = ("Slice", "Rows", "Candidate", "Champion", "Regression, 90 % interval")
    heads = (
        tag("th", name, scope="col", role="columnheader", class_="n" if 0 < index < 4 else None)
        for index, name in enumerate(names)
    )
    return tag(
        "table",
        tag("thead", tag("tr", *heads, role="row"), role="rowgroup"),
        tag("tbody", *rows, role="rowgroup"),
        class_="rules slices",
        role="table",
    )


def _slice(finding: Finding, scale: Scale | None, anchor: str) -> Markup:
    faint = finding.outcome is Outcome.NOT_APPLICABLE
    chip = tag("span", "not judged", class_="tag") if faint else render_chip(finding.outcome)
    name = tag(
        "div", chip, tag("code", slice_label(finding)), render_informs(finding), class_="name"
    )
    metric = tag("div", finding.metric, class_="because")
    figures = (
        ("Rows", f"{finding.rows:,}"),
        ("Candidate", render_number(finding.candidate)),
        ("Champion", render_number(finding.champion)),
    )
    return tag(
        "tr",
        tag("th", name, metric, scope="row", role="rowheader"),
        *(tag("td", text, class_="n", role="cell", data_label=label) for label, text in figures),
        _slice_interval(finding, scale, anchor),
        role="row",
        class_="faint" if faint else None,
    )


def _slice_interval(finding: Finding, scale: Scale | None, anchor: str) -> Markup:
    span = make_span(finding)
    words = render_interval(finding.low, finding.high)
    text = tag("div", f"{words}; at most {render_number(finding.bound)}", class_="small")
    if span is None or scale is None:
        text = tag("div", render_number(finding.difference, signed=True), class_="small")
        return tag("td", text, class_="seen", role="cell")
    tone = finding.outcome.lower()
    picture = draw_row(span, scale, anchor=anchor, rule=slice_label(finding), tone=tone)
    return tag("td", text, picture, class_="seen", role="cell")


def render_data(page: Page, place: Place, *pictures: str) -> Markup:
    """Return what the data checks found, and how the changed columns moved."""
    findings = page.group(Group.DATA)
    if not findings and not pictures:
        return Markup("")
    return render_card(place, "Data", render_checks(findings), *pictures)


def render_serving(page: Page, place: Place) -> Markup:
    """Return what it takes to serve both models, with its bounds and checks."""
    findings = page.group(Group.SERVING)
    if not findings and not page.serving:
        return Markup("")
    rows = (
        (line.name, line.write(line.candidate), line.write(line.champion), line.write(line.bound))
        for line in page.serving
    )
    names = ("Cost", "Candidate", "Champion", "At most")
    table = render_table(names, rows, numbers=True) if page.serving else Markup("")
    return render_card(place, "Serving", table, render_checks(findings))


def render_attribution(page: Page, place: Place) -> Markup:
    """Return both models on the earlier and on the current rows."""
    attribution = page.verdict.attribution
    if attribution is None:
        return Markup("")
    rows = [
        (line.metric, *(render_number(value) for value in four_numbers(line)))
        for line in attribution.lines
    ]
    names = (
        "Metric",
        "Champion, old rows",
        "Candidate, old rows",
        "Champion, new rows",
        "Candidate, new rows",
    )
    table = render_long_table(names, rows, numbers=True)
    return render_card(place, "Data or model", table, lead=attribution.sentence)


def render_policy(page: Page, place: Place) -> Markup:
    """Return the change of the policy as a diff."""
    if not page.policy_change:
        return Markup("")
    lines = page.policy_change.splitlines()
    block = tag("pre", *map(_diff_line, lines[:MOST_LINES]), tabindex="0")
    rest = render_rest(len(lines) - MOST_LINES)
    return render_card(place, "Policy change", block, rest, lead=page.policy_note)


def _diff_line(line: str) -> Markup:
    classes = {"+": "add", "-": "del", "@": "at"}
    return tag("span", line, "\n", class_=classes.get(line[:1]))


def render_history(page: Page, place: Place) -> Markup:
    """Return which files changed, and which steps ran and why."""
    changes = [(tag("code", line.path), line.kind, line.status) for line in page.changes]
    steps = [
        (step.name, step.action, step.reason, render_seconds(step.seconds))
        for step in page.run.steps
    ]
    nothing = tag("p", "Nothing that concerns this model.", class_="soft")
    changed = render_long_table(("File", "Kind", "Change"), changes) if changes else nothing
    ran = render_long_table(("Step", "Action", "Why", "Time"), steps)
    return tag(
        "div",
        render_card(place, "What changed", changed),
        render_card(place, "What ran, and why", ran),
        class_="pair",
    )


def render_origin(page: Page, place: Place) -> Markup:
    """Return what the page is about, exactly.

    Digests are cut for the eye; the whole ones are in the title and in the documents.
    """
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
    pairs = [
        join((tag("dt", name), tag("dd", tag("code", _short(value), title=value))))
        for name, value in facts.items()
    ]
    if page.documents:
        paths = (tag("div", _document(path, place)) for path in page.documents[:MOST_ROWS])
        pairs.append(join((tag("dt", "For machines"), tag("dd", *paths))))
    return render_card(place, "Where it comes from", tag("dl", *pairs, class_="facts"))


def _document(path: str, place: Place) -> Markup:
    """Link a document that lies beside the page; its name is one of ours, never data."""
    name = path.rpartition("/")[2]
    if place.alone and name in DOCUMENTS:
        return tag("a", tag("code", path), href=name, type=DOCUMENTS[name])
    return tag("code", path)


def _short(value: str) -> str:
    return " ".join(short_digest(word) if len(word) >= 40 else word for word in value.split())
