"""A page comes in; the folded sections of its Markdown note, tables instead of pictures, go out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops.report.classes import make_calibrations, make_confusion, make_curves
from gitops.report.escape import render_code, render_fence, render_prose
from gitops.report.note import (
    render_checks,
    render_details,
    render_names,
    render_outcome,
    render_table,
)
from gitops.report.number import (
    render_count,
    render_interval,
    render_number,
    render_seconds,
    render_share,
)
from gitops.report.page import Group, Page, four_numbers, short_digest
from gitops.report.pictures.classification import describe_calibration, describe_curves
from gitops.report.pictures.regression import describe_errors, describe_predictions
from gitops.report.pictures.rows import describe_duel, make_duel
from gitops.report.points import ClassPoints, Points
from gitops.report.span import render_bound, slice_label

if TYPE_CHECKING:
    from gitops.gate.verdict import Finding
    from gitops.report.classes import Confusion

MOST_INPUTS = 10
LONGEST_DIFF = 20_000
_ATTRIBUTION_HEADS = (
    "metric", "champion, old rows", "candidate, old rows", "champion, new rows",
    "candidate, new rows",
)  # fmt: skip
_SLICE_HEADS = (
    "slice", "metric", "n", "candidate", "champion", "difference", "90 % interval", "bound",
    "outcome",
)  # fmt: skip
_SLICES = (
    "Interval and bound are of the regression, worse is positive. A slice fails only on proof, and "
    "the proofs of all slices are corrected together (Holm). Those that are not applicable have too "
    "few rows and are only shown."
)


def render_slices(page: Page) -> str:
    """Return the slices as a table."""
    rows = [_slice(finding) for finding in page.group(Group.SLICE)]
    table = render_table(_SLICE_HEADS, rows, align=":--|:--|--:|--:|--:|--:|:--|--:|:--")
    return render_details("Slices", table, _SLICES if rows else "")


def _slice(finding: Finding) -> tuple[str, ...]:
    return (
        render_code(slice_label(finding), limit=120),
        render_code(finding.metric, limit=60),
        f"{finding.rows:,}",
        render_number(finding.candidate),
        render_number(finding.champion),
        render_number(finding.difference, signed=True),
        render_interval(finding.low, finding.high),
        render_bound(finding),
        render_outcome(finding),
    )


def render_rows(page: Page) -> str:
    """Return in words what the pictures of the held-out rows show."""
    points = page.points
    if points is None:
        return ""
    duel = make_duel(points)
    told = [describe_duel(duel)] if duel else []
    if isinstance(points, Points):
        lines = [describe_predictions(points), describe_errors(points), *told]
        return render_details("Predictions", "\n".join(f"- {line}" for line in lines))
    curves = make_curves(points)
    lines = [*([describe_curves(curves)] if curves else []), *told]
    lines.append(describe_calibration(make_calibrations(points)))
    return render_details(
        "Predictions",
        _confusion(make_confusion(points), points),
        "\n".join(f"- {line}" for line in lines),
    )


def _confusion(confusion: Confusion, points: ClassPoints) -> str:
    heads = ("actual, then predicted", *(render_code(name, limit=40) for name in confusion.classes))
    old = confusion.champion or (None,) * len(confusion.classes)
    rows = [
        (render_code(name, limit=40), *_counts(new, before))
        for name, new, before in zip(confusion.classes, confusion.candidate, old, strict=True)
    ]
    table = render_table(heads, rows, align="|".join([":--", *("--:" for _ in confusion.classes)]))
    reading = "Rows of each actual class by the class predicted"
    return f"{table}\n\n{reading}{' (in brackets: the champion).' if points.champion else '.'}"


def _counts(new: tuple[int, ...], old: tuple[int, ...] | None) -> tuple[str, ...]:
    if old is None:
        return tuple(f"{count:,}" for count in new)
    return tuple(f"{count:,} ({other:,})" for count, other in zip(new, old, strict=True))


def render_importance(page: Page) -> str:
    """Return the weightiest inputs of both models as a table."""
    rows = [
        (render_code(line.name), render_number(line.candidate), render_number(line.champion))
        for line in page.importance[:MOST_INPUTS]
    ]
    rest = len(page.importance) - len(rows)
    table = render_table(("input", "candidate", "champion"), rows, align=":--|--:|--:")
    reading = "How far each input moves a prediction on average, in units of the prediction."
    more = f"and {render_count(rest, 'more input')}." if rest > 0 else ""
    return render_details("Weight of each input", table, more, reading if rows else "")


def render_attribution(page: Page) -> str:
    """Return what the data did and what the model did: one sentence and a table."""
    attribution = page.verdict.attribution
    if attribution is None:
        return ""
    rows = [
        (render_code(line.metric), *(render_number(value) for value in four_numbers(line)))
        for line in attribution.lines
    ]
    sentence = f"**Data or model**: {render_prose(attribution.sentence)}"
    return f"{sentence}\n\n{render_table(_ATTRIBUTION_HEADS, rows, align=':--|--:|--:|--:|--:')}"


def render_data(page: Page) -> str:
    """Return the data checks, and the columns that moved most as a table."""
    shift = page.shift
    if shift is None:
        return render_details("Data", render_checks(page.group(Group.DATA)))
    rows = [
        (
            render_code(column.name),
            render_share(column.distance),
            *map(render_share, column.missing),
        )
        for column in shift.drawn
    ]
    heads = ("column", "distributions apart by", "missing before", "missing now")
    before, after = (render_count(count, "row") for count in shift.rows)
    return render_details(
        "Data",
        render_checks(page.group(Group.DATA)),
        f"{before} before, {after} now. The columns that moved most:" if rows else "",
        render_table(heads, rows, align=":--|--:|--:|--:"),
        render_names("Columns that are gone", shift.vanished),
        render_names("New columns", shift.appeared),
        render_names("Other columns", [column.name for column in shift.named]),
    )


def render_serving(page: Page) -> str:
    """Return what it takes to serve both models as a table, and its checks."""
    rows = [
        (line.name, line.write(line.candidate), line.write(line.champion), line.write(line.bound))
        for line in page.serving
    ]
    table = render_table(
        ("cost", "candidate", "champion", "at most"), rows, align=":--|--:|--:|--:"
    )
    return render_details("Serving", table, render_checks(page.group(Group.SERVING)))


def render_policy(page: Page) -> str:
    """Return the change of the policy as a diff."""
    if not page.policy_change:
        return ""
    note = f"**Policy change**: {render_prose(page.policy_note)}".rstrip(": ")
    cut = len(page.policy_change) - LONGEST_DIFF
    more = f"\n\nand {cut:,} more characters." if cut > 0 else ""
    return f"{note}\n\n{render_fence(page.policy_change[:LONGEST_DIFF], 'diff')}{more}"


def render_changes(page: Page) -> str:
    """Return the changed files as a table."""
    rows = [
        (render_code(line.path), render_code(line.kind), render_code(line.status))
        for line in page.changes
    ]
    table = render_table(("file", "kind", "change"), rows, align=":--|:--|:--")
    return render_details("What changed", table or "Nothing that concerns this model.")


def render_steps(page: Page) -> str:
    """Return what ran and why as a table."""
    rows = [
        (
            render_code(step.name),
            render_code(step.action),
            render_prose(step.reason),
            render_seconds(step.seconds),
        )
        for step in page.run.steps
    ]
    table = render_table(("step", "action", "why", "time"), rows, align=":--|:--|:--|--:")
    return render_details("What ran, and why", table)


def render_origin(page: Page) -> str:
    """Return what the note is about, exactly, and where machines read the same."""
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
    machines = render_names("For machines", page.documents)
    return render_details("Where it comes from", "\n".join(lines), machines)
