"""A page comes in; what `gitops check` prints, aligned and as wide as the terminal, goes out."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from gitops.gate.verdict import Finding, Outcome, Severity
from gitops.report.escape import clean
from gitops.report.number import NOTHING, render_count, render_interval, render_number
from gitops.report.page import Group, Page, label_outcome
from gitops.report.span import has_numbers, render_bound

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_RESET, _BOLD, _DIM = "\x1b[0m", "\x1b[1m", "\x1b[2m"
_COLOURS = {
    Outcome.PASS: "\x1b[32m",
    Outcome.FAIL: "\x1b[31m",
    Outcome.INCONCLUSIVE: "\x1b[33m",
    Outcome.NOT_APPLICABLE: _DIM,
}
_SIGNS = {
    Outcome.PASS: "✓",
    Outcome.FAIL: "✗",
    Outcome.INCONCLUSIVE: "?",
    Outcome.NOT_APPLICABLE: NOTHING,
}
_HEADS = ("rule", "candidate", "champion", "diff", "90 % interval", "bound")
# Where the table is too wide, these columns go first: the bound and the interval say it all.
_EXPENDABLE = ("diff", "champion", "candidate")
_INDENT, _GAP = "  ", "  "
_COUNTED = (Group.SLICE, Group.DATA, Group.SERVING, Group.SELFTEST)
MOST_LINES = 30


def render_terminal(page: Page, *, colour: bool, width: int = 80) -> str:
    """Return the report for a terminal, ending with a line end.

    Args:
        page: what to show.
        colour: whether to use ANSI colours; the words say the same without them.
        width: columns of the terminal; only a single long word or command may exceed it.
    """
    blocks = (
        _headline(page, colour=colour, width=width),
        _waiver(page, width=width),
        _rules(page.rules[:MOST_LINES], colour=colour, width=width),
        _unsaid(page, colour=colour, width=width),
        _passed(page, colour=colour, width=width),
        _attribution(page, width=width),
        _next(page),
    )
    return "\n\n".join(block for block in blocks if block) + "\n"


def _headline(page: Page, *, colour: bool, width: int) -> str:
    outcome = page.verdict.outcome
    word = _paint(
        f"{_SIGNS[outcome]} {label_outcome(outcome)}", _COLOURS[outcome] + _BOLD, colour=colour
    )
    against = f"against {clean(page.champion_name)}" if page.champion_name else "no champion yet"
    rows = render_count(page.verdict.rows, "held-out row")
    subject = f"{clean(page.model, limit=30)}  {_paint(f'{against}, {rows}', _DIM, colour=colour)}"
    return f"{word}  {subject}\n{_wrap(page.verdict.reason, width)}"


def _wrap(text: str, width: int, *, indent: str = _INDENT) -> str:
    return textwrap.fill(
        clean(text, limit=600),
        width,
        initial_indent=indent,
        subsequent_indent=indent,
        break_on_hyphens=False,
    )


def _rules(findings: Iterable[Finding], *, colour: bool, width: int) -> str:
    shown = [finding for finding in findings if has_numbers(finding)]
    if not shown:
        return ""
    table = _fit([_HEADS, *(_rule(finding) for finding in shown)], width)
    head, *lines = _align(table)
    painted = (
        _paint_rule(line, one, colour=colour) for line, one in zip(lines, shown, strict=True)
    )
    return "\n".join((_paint(f"{_INDENT}  {head}".rstrip(), _DIM, colour=colour), *painted))


def _rule(finding: Finding) -> tuple[str, ...]:
    return (
        clean(finding.rule, limit=28),
        render_number(finding.candidate),
        render_number(finding.champion),
        render_number(finding.difference, signed=True),
        render_interval(finding.low, finding.high),
        render_bound(finding),
    )


def _fit(table: Sequence[tuple[str, ...]], width: int) -> list[tuple[str, ...]]:
    """Drop expendable columns until the table fits."""
    kept = list(range(len(table[0])))
    for name in _EXPENDABLE:
        if _table_width(table, kept) <= width:
            break
        kept.remove(table[0].index(name))
    return [tuple(row[column] for column in kept) for row in table]


def _table_width(table: Sequence[tuple[str, ...]], kept: Sequence[int]) -> int:
    cells = sum(max(len(row[column]) for row in table) for column in kept)
    return len(_INDENT) + 2 + cells + len(_GAP) * (len(kept) - 1)


def _align(table: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [_GAP.join(_pad_cells(row, widths)) for row in table]


def _pad_cells(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    first, *rest = row
    return [first.ljust(widths[0]), *(c.rjust(w) for c, w in zip(rest, widths[1:], strict=True))]


def _paint_rule(line: str, finding: Finding, *, colour: bool) -> str:
    sign = _paint(_SIGNS[finding.outcome], _COLOURS[finding.outcome], colour=colour)
    return f"{_INDENT}{sign} {line}".rstrip()


def _waiver(page: Page, *, width: int) -> str:
    return _wrap(f"waived: {page.waiver}", width) if page.waiver else ""


def _unsaid(page: Page, *, colour: bool, width: int) -> str:
    told = page.unsaid
    lines = [_unsaid_line(*pair, colour=colour, width=width) for pair in told[:MOST_LINES]]
    if rest := page.unlisted + max(0, len(told) - MOST_LINES):
        lines.append(f"{_INDENT}  and {render_count(rest, 'more finding')}: see the report")
    return "\n".join(lines)


def _unsaid_line(finding: Finding, reason: str, *, colour: bool, width: int) -> str:
    informs = " (informs only)" if finding.severity is Severity.WARN else ""
    sign = _paint(_SIGNS[finding.outcome], _COLOURS[finding.outcome], colour=colour)
    text = f"{clean(finding.rule, limit=60)}{informs}: {reason}".removesuffix(": ")
    return f"{_INDENT}{sign} {_wrap(text, width, indent=_INDENT + '  ').lstrip()}"


def _passed(page: Page, *, colour: bool, width: int) -> str:
    """Name what passed without figures, as many as one line holds, and count the slices."""
    names = [finding.rule for finding in page.quiet]
    names += [f.rule for group in _COUNTED for f in page.group(group) if f.outcome is Outcome.PASS]
    if not names:
        return ""
    sign = _paint(_SIGNS[Outcome.PASS], _COLOURS[Outcome.PASS], colour=colour)
    text = (
        f"{render_count(len(names), 'check')} passed: {', '.join(map(clean, names[:MOST_LINES]))}"
    )
    return f"{_INDENT}{sign} {clean(text, limit=width - len(_INDENT) - 2)}"


def _attribution(page: Page, *, width: int) -> str:
    attribution = page.verdict.attribution
    return _wrap(attribution.sentence, width) if attribution else ""


def _next(page: Page) -> str:
    return "\n".join(f"{_INDENT}next: {clean(command)}" for command in page.commands[:MOST_LINES])


def _paint(text: str, code: str, *, colour: bool) -> str:
    return f"{code}{text}{_RESET}" if colour else text
