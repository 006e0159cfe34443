"""A page comes in; the Markdown note for a merge request, safe whatever the data holds, goes out.

The first line is the verdict and the one reason; what a reviewer needs less often is folded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops.errors import RefusedError
from gitops.report.escape import clean, has_command, render_code, render_fence, render_prose
from gitops.report.folds import (
    render_attribution,
    render_changes,
    render_data,
    render_importance,
    render_origin,
    render_policy,
    render_rows,
    render_serving,
    render_slices,
    render_steps,
)
from gitops.report.note import (
    SIGNS,
    join_blocks,
    render_checks,
    render_details,
    render_list,
    render_outcome,
    render_table,
)
from gitops.report.number import render_count, render_interval, render_number
from gitops.report.page import Page, label_outcome
from gitops.report.span import has_numbers, render_bound

if TYPE_CHECKING:
    from gitops.gate.verdict import Finding

MOST_COMMANDS = 20
_RULE_HEADS = (
    "rule", "candidate", "champion", "difference", "90 % interval", "bound", "n", "detectable",
    "outcome",
)  # fmt: skip
_READING = (
    "Interval and bound are of the value, or of the regression (worse is positive) or improvement "
    "(better is positive) that the rule names."
)


def render_markdown(page: Page) -> str:
    """Return the note, far shorter than a forge's limit of 1,000,000 characters.

    Raises:
        RefusedError: a line would be carried out as a quick action of the account that posts it.
    """
    blocks = (
        _headline(page),
        _waiver(page),
        _subject(page),
        _rules(page),
        render_list(page.unsaid),
        _unlisted(page),
        render_details("Checks that passed", render_checks(page.quiet)),
        render_details("The gate tested itself", render_checks(page.passed_selftest)),
        render_slices(page),
        render_rows(page),
        render_importance(page),
        render_attribution(page),
        render_data(page),
        render_serving(page),
        render_policy(page),
        render_changes(page),
        render_steps(page),
        render_origin(page),
        _next(page),
    )
    note = join_blocks(blocks)
    if has_command(note):
        raise RefusedError("the report has a line that would run as a command", where=page.model)
    return note


def _headline(page: Page) -> str:
    outcome = page.verdict.outcome
    return f"{SIGNS[outcome]} **{label_outcome(outcome)}**: {render_prose(page.verdict.reason)}"


def _waiver(page: Page) -> str:
    return f"**Waived**: {render_prose(page.waiver)}" if page.waiver else ""


def _subject(page: Page) -> str:
    against = (
        f"against {render_code(page.champion_name)}" if page.champion_name else "no champion yet"
    )
    rows = render_count(page.verdict.rows, "held-out row")
    return f"Model {render_code(page.model)}, {against}, {rows}."


def _rules(page: Page) -> str:
    rows = [_rule(finding) for finding in page.rules if has_numbers(finding)]
    table = render_table(_RULE_HEADS, rows, align=":--|--:|--:|--:|:--|--:|--:|--:|:--")
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
        render_outcome(finding),
    )


def _unlisted(page: Page) -> str:
    rest = page.unlisted
    return (
        f"And {render_count(rest, 'more finding')} with trouble in the sections below."
        if rest
        else ""
    )


def _next(page: Page) -> str:
    if not page.commands:
        return ""
    commands = "\n".join(clean(command) for command in page.commands[:MOST_COMMANDS])
    return f"Next:\n\n{render_fence(commands, 'sh')}"
