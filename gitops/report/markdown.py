"""A page comes in; the Markdown note for a merge request, safe whatever the data holds, goes out.

The first line is the verdict and the one reason; what a reviewer needs less often is folded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops.errors import RefusedError
from gitops.gate.verdict import Finding, Outcome, Severity
from gitops.report.escape import (
    clean,
    has_command,
    render_code,
    render_fence,
    render_prose,
    render_row,
)
from gitops.report.number import render_count, render_interval, render_number, render_seconds
from gitops.report.page import (
    Page,
    four_numbers,
    has_numbers,
    label_outcome,
    render_bound,
    short_digest,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MOST_ROWS = 100
LONGEST_DIFF = 20_000
_SIGNS = {
    Outcome.PASS: "✅",
    Outcome.FAIL: "❌",
    Outcome.INCONCLUSIVE: "❓",
    Outcome.NOT_APPLICABLE: "\N{HEAVY MINUS SIGN}",
}
_RULE_HEADS = (
    "rule", "candidate", "champion", "difference", "90 % interval", "bound", "n", "detectable",
    "outcome",
)  # fmt: skip
_READING = (
    "Interval and bound are of the value, or of the regression (worse is positive) or improvement "
    "(better is positive) that the rule names."
)
_ATTRIBUTION_HEADS = (
    "metric", "champion, old rows", "candidate, old rows", "champion, new rows",
    "candidate, new rows",
)  # fmt: skip


def render_markdown(page: Page) -> str:
    """Return the note, shorter than a forge's limit of 1,000,000 characters.

    Raises:
        RefusedError: a line would be carried out as a quick action of the account that posts it.
    """
    blocks = (
        _headline(page),
        _subject(page),
        _rules(page),
        _unsaid(page),
        _attribution(page),
        _policy(page),
        _details("What changed", _changes(page)),
        _details("What ran, and why", _steps(page)),
        _details("Where it comes from", _origin(page)),
        _next(page),
    )
    note = "\n\n".join(block for block in blocks if block) + "\n"
    if has_command(note):
        raise RefusedError("the report has a line that would run as a command", where=page.model)
    return note


def _headline(page: Page) -> str:
    outcome = page.verdict.outcome
    return f"{_SIGNS[outcome]} **{label_outcome(outcome)}**: {render_prose(page.verdict.reason)}"


def _subject(page: Page) -> str:
    against = (
        f"against {render_code(page.champion_name)}" if page.champion_name else "no champion yet"
    )
    rows = render_count(page.verdict.rows, "held-out row")
    return f"Model {render_code(page.model)}, {against}, {rows}."


def _rules(page: Page) -> str:
    rows = [_rule(finding) for finding in page.findings if has_numbers(finding)]
    table = _table(_RULE_HEADS, rows, align=":--|--:|--:|--:|:--|--:|--:|--:|:--")
    return f"{table}\n\n{_READING}" if rows else ""


def _rule(finding: Finding) -> tuple[str, ...]:
    return (
        render_code(finding.rule),
        render_number(finding.candidate),
        render_number(finding.champion),
        render_number(finding.difference, signed=True),
        render_interval(finding.low, finding.high),
        render_bound(finding),
        f"{finding.rows:,}",
        render_number(finding.detectable),
        _outcome(finding),
    )


def _outcome(finding: Finding) -> str:
    informs = " (informs only)" if finding.severity is Severity.WARN else ""
    return f"{_SIGNS[finding.outcome]} {label_outcome(finding.outcome)}{informs}"


def _unsaid(page: Page) -> str:
    return "\n".join(_unsaid_line(*pair) for pair in page.unsaid[:MOST_ROWS])


def _unsaid_line(finding: Finding, reason: str) -> str:
    why = f": {render_prose(reason)}" if reason else ""
    return f"- {_outcome(finding)} {render_code(finding.rule)}{why}"


def _attribution(page: Page) -> str:
    attribution = page.verdict.attribution
    if attribution is None:
        return ""
    rows = [
        (render_code(line.metric), *(render_number(value) for value in four_numbers(line)))
        for line in attribution.lines
    ]
    sentence = f"**Data or model**: {render_prose(attribution.sentence)}"
    return f"{sentence}\n\n{_table(_ATTRIBUTION_HEADS, rows, align=':--|--:|--:|--:|--:')}"


def _policy(page: Page) -> str:
    if not page.policy_change:
        return ""
    note = f"**Policy change**: {render_prose(page.policy_note)}".rstrip(": ")
    return f"{note}\n\n{render_fence(page.policy_change[:LONGEST_DIFF], 'diff')}"


def _changes(page: Page) -> str:
    if not page.changes:
        return "Nothing that concerns this model."
    rows = [
        (render_code(line.path), render_code(line.kind), render_code(line.status))
        for line in page.changes
    ]
    return _table(("file", "kind", "change"), rows, align=":--|:--|:--")


def _steps(page: Page) -> str:
    rows = [
        (
            render_code(step.name),
            render_code(step.action),
            render_prose(step.reason),
            render_seconds(step.seconds),
        )
        for step in page.run.steps
    ]
    return _table(("step", "action", "why", "time"), rows, align=":--|:--|:--|--:")


def _origin(page: Page) -> str:
    run, verdict = page.run, page.verdict
    facts = {
        "commit": run.commit,
        "compared with": run.base or "",
        "fingerprint": verdict.fingerprint,
        "candidate": verdict.candidate,
        "champion": verdict.champion,
        "policy": verdict.policy,
        "verdict": verdict.key,
    }
    lines = (
        f"- {name} {render_code(short_digest(value))}" for name, value in facts.items() if value
    )
    return "\n".join(lines)


def _next(page: Page) -> str:
    if not page.commands:
        return ""
    commands = "\n".join(clean(command) for command in page.commands)
    return f"Next:\n\n{render_fence(commands, 'sh')}"


def _details(summary: str, body: str) -> str:
    """Fold a block; the summary is a constant of this module, never data."""
    return f"<details><summary>{summary}</summary>\n\n{body}\n\n</details>"


def _table(heads: Iterable[str], rows: Sequence[Iterable[str]], *, align: str) -> str:
    if not rows:
        return ""
    shown = [render_row(row) for row in rows[:MOST_ROWS]]
    rest = len(rows) - MOST_ROWS
    more = [f"\n{render_count(rest, 'more row')} not shown."] if rest > 0 else []
    return "\n".join((render_row(heads), f"|{align}|", *shown, *more))
