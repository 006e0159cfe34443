"""A verdict, the run behind it and what changed come in; the page that a reviewer reads goes out.

The page is a plain value; `markdown`, `html` and `terminal` each write it down for one place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gitops.gate.verdict import AttributionLine, Finding, Outcome, Verdict
from gitops.report.number import NOTHING, render_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitops.run import Run

MEANING = {
    Outcome.PASS: "Every rule that decides holds: this model may be released.",
    Outcome.FAIL: "The gate says no: nothing is released.",
    Outcome.INCONCLUSIVE: "The held-out rows cannot tell: a person decides.",
    Outcome.NOT_APPLICABLE: "There was nothing to judge.",
}
_URGENCY = (Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.PASS, Outcome.NOT_APPLICABLE)
_UPPER_BOUNDS = (".max", ".max_regression")
_LOWER_BOUNDS = (".min", ".min_improvement")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeLine:
    """One changed file: its path, what kind of file it is, and how it changed."""

    path: str
    kind: str
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """Held-out rows to draw, in units of the target; every number is finite.

    Attributes:
        actual: what was measured.
        candidate: what the candidate predicts, aligned with `actual`.
        champion: what the champion predicts, aligned with `actual`; empty when there is none.
    """

    actual: tuple[float, ...]
    candidate: tuple[float, ...]
    champion: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Everything that a report shows of one model.

    Attributes:
        verdict: what the gate says.
        run: what was trained and scored, and on which rows.
        changes: the changed files that concern this model.
        policy_change: unified diff of the model's policy, empty when it did not change.
        policy_note: one sentence on which policy was applied.
        points: rows to draw, or None.
        commands: what to do next.
    """

    verdict: Verdict
    run: Run
    changes: tuple[ChangeLine, ...] = ()
    policy_change: str = ""
    policy_note: str = ""
    points: Points | None = None
    commands: tuple[str, ...] = ()

    @property
    def model(self) -> str:
        """Return the name of the model."""
        return self.verdict.model

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return the findings as a reviewer needs them: the worst first."""
        return tuple(sorted(self.verdict.findings, key=_urgency))

    @property
    def unsaid(self) -> tuple[tuple[Finding, str], ...]:
        """Return what neither headline nor table says: findings, each with its reason.

        The reason is empty where it is the headline.
        """
        headline = self.verdict.reason
        return tuple(
            (finding, "" if finding.reason == headline else finding.reason)
            for finding in self.findings
            if not has_numbers(finding)
            or (finding.outcome is not Outcome.PASS and finding.reason != headline)
        )

    @property
    def champion_name(self) -> str:
        """Return the version of the champion, e.g. ``fuel@v1.1.0``; empty when there is none."""
        return self.run.champion.version if self.run.champion else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What a rule compares with its bound: a point, its 90 % interval, and the allowed side.

    All numbers are finite and in units of the metric.
    """

    point: float
    low: float
    high: float
    bound: float
    below: bool


def make_points(
    actual: Sequence[float | None],
    candidate: Sequence[float | None],
    champion: Sequence[float | None] = (),
) -> Points | None:
    """Keep the rows for which every model has a finite prediction; None when no row is left.

    Args:
        actual: one value for each held-out row, in units of the target.
        candidate: predictions, aligned with `actual`.
        champion: predictions, aligned with `actual`, or empty when there is no champion.
    """
    columns = (actual, candidate, champion) if champion else (actual, candidate)
    rows = [row for row in map(_finite_row, zip(*columns, strict=True)) if row]
    if not rows:
        return None
    first, second, *third = zip(*rows, strict=True)
    return Points(actual=first, candidate=second, champion=third[0] if third else ())


def _finite_row(row: tuple[float | None, ...]) -> tuple[float, ...] | None:
    kept = tuple(value for value in row if value is not None and math.isfinite(value))
    return kept if len(kept) == len(row) else None


def label_outcome(outcome: Outcome) -> str:
    """Return an outcome as a person reads it."""
    return outcome.replace("_", " ")


def short_digest(digest: str) -> str:
    """Return the first twelve digits of a digest or commit, without the name of its algorithm."""
    return digest.removeprefix("sha256:")[:12]


def render_bound(finding: Finding) -> str:
    """Write the bound with its side, e.g. ``≤ 4.50``; a dash when there is none."""
    number = render_number(finding.bound)
    return number if number == NOTHING else f"{bound_side(finding)} {number}".strip()


def bound_side(finding: Finding) -> str:
    """Return the sign between a value and its bound, ``≤`` or ``≥``; empty for other rules."""
    if finding.rule.endswith(_UPPER_BOUNDS):
        return "≤"
    return "≥" if finding.rule.endswith(_LOWER_BOUNDS) else ""


def compared_name(finding: Finding) -> str:
    """Return what the finding's interval is of: ``value``, ``regression`` or ``improvement``."""
    if finding.rule.endswith("regression"):
        return "regression"
    return "improvement" if finding.rule.endswith("improvement") else "value"


def four_numbers(line: AttributionLine) -> tuple[float | None, ...]:
    """Return champion and candidate on the earlier rows, then both on the current rows."""
    earlier = line.champion_earlier, line.candidate_earlier
    return (*earlier, line.champion_current, line.candidate_current)


def make_span(finding: Finding) -> Span | None:
    """Return what the finding compares with its bound; None where there is nothing to draw."""
    side = bound_side(finding)
    numbers = (finding.low, finding.high, finding.bound)
    finite = _finite_row(numbers)
    if not side or finite is None:
        return None
    low, high, bound = finite
    point = _compared(finding, middle=(low + high) / 2)
    return Span(point=point, low=low, high=high, bound=bound, below=side == "≤")


def _compared(finding: Finding, *, middle: float) -> float:
    """Return the point inside the interval.

    A regression is measured in the bad direction of its metric and an improvement in the good one,
    so the difference may come with either sign; the right one lies in the interval.
    """
    if finding.rule.endswith((".max", ".min")):
        options = [finding.candidate]
    else:
        options = [finding.difference, None if finding.difference is None else -finding.difference]
    finite = [value for value in options if value is not None and math.isfinite(value)]
    return min(finite, key=lambda value: abs(value - middle), default=middle)


def has_numbers(finding: Finding) -> bool:
    """Tell whether a finding has figures for the table of rules."""
    return any(value is not None for value in (finding.candidate, finding.difference, finding.low))


def metric_findings(verdict: Verdict) -> tuple[Finding, ...]:
    """Return one finding for each metric, one that compares with a champion if there is one."""
    chosen: dict[str, Finding] = {}
    for finding in verdict.findings:
        if finding.metric and finding.candidate is not None:
            known = chosen.get(finding.metric)
            if known is None or known.champion is None:
                chosen[finding.metric] = finding
    return tuple(chosen.values())


def _urgency(finding: Finding) -> tuple[int, bool]:
    """What fails keeps the gate's order, in which a cause comes before what follows from it."""
    quiet = finding.outcome is Outcome.PASS and not has_numbers(finding)
    return _URGENCY.index(finding.outcome), quiet
