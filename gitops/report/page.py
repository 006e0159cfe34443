"""A verdict, the run behind it and what changed come in; the page that a reviewer reads goes out.

The page is a plain value; `markdown`, `html` and `terminal` each write it down for one place.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from gitops.gate.verdict import AttributionLine, Finding, Outcome, Severity, Verdict
from gitops.report.span import has_numbers

if TYPE_CHECKING:
    from gitops.report.columns import DataShift
    from gitops.report.models import ImportanceLine, ServingLine
    from gitops.report.points import ClassPoints, Points
    from gitops.run import Run


class Group(StrEnum):
    """Where on a page a finding is told in full."""

    MODEL = "model"
    SLICE = "slice"
    DATA = "data"
    SERVING = "serving"
    SELFTEST = "selftest"


MEANING = {
    Outcome.PASS: "Every rule that decides holds: this model may be released.",
    Outcome.FAIL: "The gate says no: nothing is released.",
    Outcome.INCONCLUSIVE: "The evidence cannot tell: a person decides.",
    Outcome.NOT_APPLICABLE: "There was nothing to judge.",
}
_GROUPS = {
    "slice": Group.SLICE,
    "data": Group.DATA,
    "drift": Group.DATA,
    "serving": Group.SERVING,
    "selftest": Group.SELFTEST,
}
_URGENCY = (Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.PASS, Outcome.NOT_APPLICABLE)
# What lies beside a page for machines, and of which type it is.
DOCUMENTS = {
    "verdict.json": "application/json",
    "junit.xml": "application/xml",
    "metrics.txt": "text/plain",
}
# More findings of one group than this are left to their own section.
MOST_LISTED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeLine:
    """One changed file: its path, what kind of file it is, and how it changed."""

    path: str
    kind: str
    status: str


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
        importance: weight of each input in both models, the weightiest first.
        serving: what it takes to serve both models.
        shift: how the data moved, None when it did not or is not known.
        waiver: who let this verdict through, and why; empty when nobody did.
        documents: paths of the same content for machines.
        commands: what to do next.
    """

    verdict: Verdict
    run: Run
    changes: tuple[ChangeLine, ...] = ()
    policy_change: str = ""
    policy_note: str = ""
    points: Points | ClassPoints | None = None
    importance: tuple[ImportanceLine, ...] = ()
    serving: tuple[ServingLine, ...] = ()
    shift: DataShift | None = None
    waiver: str = ""
    documents: tuple[str, ...] = ()
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
    def rules(self) -> tuple[Finding, ...]:
        """Return what decides: findings about the model, and trouble of every other group."""
        listed = {id(finding) for group in Group for finding in self._listed(group)}
        return tuple(one for one in self.findings if id(one) in listed and not _is_quiet(one))

    @property
    def quiet(self) -> tuple[Finding, ...]:
        """Return checks of the model that passed and have no figures."""
        return tuple(finding for finding in self.group(Group.MODEL) if _is_quiet(finding))

    @property
    def passed_selftest(self) -> tuple[Finding, ...]:
        """Return what the gate's test of itself found in order."""
        return tuple(one for one in self.group(Group.SELFTEST) if one.outcome is Outcome.PASS)

    @property
    def unlisted(self) -> int:
        """Return how many findings with trouble stand in their own section only."""
        troubled = [f for f in self.findings if group_of(f) is not Group.MODEL and _is_trouble(f)]
        return len(troubled) - sum(group_of(f) is not Group.MODEL for f in self.rules)

    @property
    def unsaid(self) -> tuple[tuple[Finding, str], ...]:
        """Return rules that neither headline nor table tells: findings, each with its reason.

        The reason is empty where it is the headline.
        """
        headline = self.verdict.reason
        return tuple(
            (finding, "" if finding.reason == headline else finding.reason)
            for finding in self.rules
            if not has_numbers(finding)
            or (finding.outcome is not Outcome.PASS and finding.reason != headline)
        )

    def group(self, group: Group) -> tuple[Finding, ...]:
        """Return the findings of a group, the worst first."""
        return tuple(finding for finding in self.findings if group_of(finding) is group)

    def _listed(self, group: Group) -> tuple[Finding, ...]:
        findings = self.group(group)
        if group is Group.MODEL:
            return findings
        # A test that could not be made has no section of its own, and silence would look like a pass.
        needed = findings if group is Group.SELFTEST else filter(_is_trouble, findings)
        return tuple(needed)[:MOST_LISTED]

    @property
    def champion_name(self) -> str:
        """Return the version of the champion, e.g. ``fuel@v1.1.0``; empty when there is none."""
        return self.run.champion.version if self.run.champion else ""


def label_outcome(outcome: Outcome) -> str:
    """Return an outcome as a person reads it."""
    return outcome.replace("_", " ")


def short_digest(digest: str) -> str:
    """Return the first twelve digits of a digest or commit, without the name of its algorithm."""
    return digest.removeprefix("sha256:")[:12]


def four_numbers(line: AttributionLine) -> tuple[float | None, ...]:
    """Return champion and candidate on the earlier rows, then both on the current rows."""
    earlier = line.champion_earlier, line.candidate_earlier
    return (*earlier, line.champion_current, line.candidate_current)


def group_of(finding: Finding) -> Group:
    """Return the group of a finding, which the first word of its rule names."""
    return _GROUPS.get(finding.rule.partition(".")[0], Group.MODEL)


def metric_findings(verdict: Verdict) -> tuple[Finding, ...]:
    """Return one finding for each metric, one that compares with a champion if there is one."""
    chosen: dict[str, Finding] = {}
    for finding in verdict.findings:
        judged = group_of(finding) is Group.MODEL and finding.candidate is not None
        if finding.metric and judged:
            known = chosen.get(finding.metric)
            if known is None or (known.champion is None and finding.champion is not None):
                chosen[finding.metric] = finding
    return tuple(chosen.values())


def _urgency(finding: Finding) -> tuple[int, bool, bool]:
    """What fails keeps the gate's order, in which a cause comes before what follows from it."""
    warns = finding.severity is Severity.WARN
    return _URGENCY.index(finding.outcome), warns and _is_trouble(finding), _is_quiet(finding)


def _is_trouble(finding: Finding) -> bool:
    return finding.outcome in (Outcome.FAIL, Outcome.INCONCLUSIVE)


def _is_quiet(finding: Finding) -> bool:
    return finding.outcome is Outcome.PASS and not has_numbers(finding)
