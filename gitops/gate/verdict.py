"""What the gate says: findings, one per rule, go in; the verdict, the worst of them, goes out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from gitops.policy import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "Attribution",
    "AttributionLine",
    "Finding",
    "Outcome",
    "Severity",
    "Verdict",
    "worst_outcome",
]


class Outcome(StrEnum):
    """The result of one rule, and of a whole verdict."""

    PASS = "PASS"  # noqa: S105 - an outcome, not a password
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    NOT_APPLICABLE = "NOT_APPLICABLE"


# From best to worst; a verdict is as good as its worst blocking finding.
_BADNESS = {
    Outcome.NOT_APPLICABLE: 0,
    Outcome.PASS: 1,
    Outcome.INCONCLUSIVE: 2,
    Outcome.FAIL: 3,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One rule applied once.

    Attributes:
        rule: stable identifier, e.g. ``rmse.max``, ``rmse.max_regression``, ``leak.target``.
        outcome: what came out.
        reason: one sentence for a reviewer, with the figures that matter.
        severity: ``warn`` findings are shown and never decide.
        metric: name of the metric, empty where the rule is not about one.
        rows: number of held-out rows judged.
        candidate: value of the metric for the candidate.
        champion: value of the metric for the champion.
        difference: candidate minus champion, in units of the metric.
        low: lower end of the 90 % interval of what the bound is compared with: the candidate's
            value, its regression (positive is worse) or its improvement (positive is better);
            None where that end is unknown. The sampling error of a bound that is relative to the
            champion is counted in.
        high: upper end of that interval.
        bound: the bound, in units of the metric: an upper one for `max` and `max_regression`, a
            lower one for `min` and `min_improvement`.
        detectable: smallest change that this many rows would detect with 80 % power.
    """

    rule: str
    outcome: Outcome
    reason: str
    severity: Severity = Severity.BLOCK
    metric: str = ""
    rows: int = 0
    candidate: float | None = None
    champion: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    bound: float | None = None
    detectable: float | None = None

    @property
    def is_overall(self) -> bool:
        """Tell whether it is about a metric on all held-out rows, not on a slice of them."""
        return bool(self.metric) and self.rule.startswith(f"{self.metric}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributionLine:
    """One metric of both models, in its own units, on the earlier and the current held-out rows.

    A value is None where it cannot be computed.
    """

    metric: str
    champion_earlier: float | None
    candidate_earlier: float | None
    champion_current: float | None
    candidate_current: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """What the change of the data did, what the change of the model did, and that in words."""

    lines: tuple[AttributionLine, ...]
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The gate's word on one candidate, bound to exactly what was judged.

    Attributes:
        model: name of the model in gitops.yaml.
        outcome: the worst of the blocking findings.
        reason: the one sentence that a reviewer reads first.
        findings: every rule applied, in a fixed order.
        fingerprint: digest of everything the candidate depends on.
        candidate: digest of the candidate's bundle.
        champion: digest of the champion's bundle, empty when there is none yet.
        policy: digest of the policy applied.
        rows: number of held-out rows.
        key: digest of fingerprint, candidate, champion, policy and held-out rows.
        attribution: old and new model on old and new rows, when the data changed.
    """

    model: str
    outcome: Outcome
    reason: str
    findings: tuple[Finding, ...]
    fingerprint: str
    candidate: str
    champion: str
    policy: str
    rows: int
    key: str
    attribution: Attribution | None = None


def worst_outcome(findings: Iterable[Finding]) -> Outcome:
    """Return the worst outcome among the blocking findings; no rule that passed is a FAIL.

    A verdict needs something that speaks for it: findings that are all NOT_APPLICABLE, or none at
    all, prove nothing, and nothing proven is not a pass.
    """
    blocking = [finding.outcome for finding in findings if finding.severity is Severity.BLOCK]
    worst = max(blocking, key=_BADNESS.__getitem__, default=Outcome.FAIL)
    return Outcome.FAIL if worst is Outcome.NOT_APPLICABLE else worst
