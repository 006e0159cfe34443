"""Rows, findings and text come in; the elements that every Markdown note is built from go out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops.gate.verdict import Finding, Outcome, Severity
from gitops.report.escape import render_code, render_prose, render_row
from gitops.report.number import render_count
from gitops.report.page import label_outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MOST_ROWS = 60
# A forge refuses a note of 1,000,000 characters, and nobody reads a tenth of it.
MOST_CHARACTERS = 200_000
LEFT_OUT = "A section is left out here because the note would be too long; the HTML page has it."
SIGNS = {
    Outcome.PASS: "✅",
    Outcome.FAIL: "❌",
    Outcome.INCONCLUSIVE: "❓",
    Outcome.NOT_APPLICABLE: "\N{HEAVY MINUS SIGN}",
}


def join_blocks(blocks: Iterable[str]) -> str:
    """Return blocks as one note; a block that would make it too long is left out, and said so."""
    kept: list[str] = []
    room = MOST_CHARACTERS
    for block in blocks:
        if block:
            kept.append(block if len(block) <= room else LEFT_OUT)
            room -= len(kept[-1]) + 2
    return "\n\n".join(kept) + "\n"


def render_details(summary: str, *parts: str) -> str:
    """Fold parts under a summary, which is a constant and never data; nothing when all are empty."""
    body = "\n\n".join(part for part in parts if part)
    return f"<details><summary>{summary}</summary>\n\n{body}\n\n</details>" if body else ""


def render_table(heads: Iterable[str], rows: Sequence[Iterable[str]], *, align: str) -> str:
    """Return a table, empty when it has no row; rows beyond `MOST_ROWS` are only counted."""
    if not rows:
        return ""
    shown = [render_row(row) for row in rows[:MOST_ROWS]]
    return "\n".join((render_row(heads), f"|{align}|", *shown, *_more(len(rows), "row")))


def render_outcome(finding: Finding) -> str:
    """Return an outcome with its sign."""
    informs = " (informs only)" if finding.severity is Severity.WARN else ""
    return f"{SIGNS[finding.outcome]} {label_outcome(finding.outcome)}{informs}"


def render_list(findings: Sequence[tuple[Finding, str]]) -> str:
    """Return findings with their reasons as a list; those beyond `MOST_ROWS` are only counted."""
    lines = [_item(*pair) for pair in findings[:MOST_ROWS]]
    return "\n".join((*lines, *_more(len(findings), "finding")))


def render_checks(findings: Sequence[Finding]) -> str:
    """Return findings as a list, each with its reason."""
    return render_list([(finding, finding.reason) for finding in findings])


def render_names(title: str, names: Sequence[str]) -> str:
    """Return names after a constant title; those beyond `MOST_ROWS` are only counted."""
    if not names:
        return ""
    rest = len(names) - MOST_ROWS
    more = f" and {rest:,} more" if rest > 0 else ""
    return f"{title}: {', '.join(render_code(name) for name in names[:MOST_ROWS])}{more}."


def _item(finding: Finding, reason: str) -> str:
    why = f": {render_prose(reason)}" if reason else ""
    return f"- {render_outcome(finding)} {render_code(finding.rule)}{why}"


def _more(count: int, noun: str) -> list[str]:
    rest = count - MOST_ROWS
    return [f"\nand {render_count(rest, f'more {noun}')}."] if rest > 0 else []
