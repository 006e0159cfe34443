"""Evidence and a policy come in; the verdict, bound to exactly what was judged, goes out."""

from __future__ import annotations

import math
from collections.abc import Callable

from gitops.config import Task
from gitops.digest import make_digest
from gitops.errors import InputError
from gitops.gate.attribution import attribute
from gitops.gate.consistency import check_consistency
from gitops.gate.data import check_data
from gitops.gate.drift import check_drift
from gitops.gate.evidence import Comparison, Evidence, Rows, join_rows
from gitops.gate.imputation import check_imputation
from gitops.gate.leak import check_leak
from gitops.gate.rules import check_metrics, list_bounds
from gitops.gate.selftest import check_selftest
from gitops.gate.serving_check import check_serving
from gitops.gate.slices import check_slices
from gitops.gate.verdict import Finding, Outcome, Verdict, worst_outcome
from gitops.gate.wording import figure
from gitops.policy import MetricRule, Policy, Severity, Tolerance

Check = Callable[[Evidence, Rows, Policy], tuple[Finding, ...]]

# In the order in which a reviewer should read them: a leak explains all that follows.
CHECKS: tuple[Check, ...] = (
    check_leak,
    check_imputation,
    check_data,
    check_consistency,
    check_metrics,
    check_slices,
    check_serving,
    check_drift,
    check_selftest,
)


def judge(evidence: Evidence, policy: Policy, *, also: tuple[Finding, ...] = ()) -> Verdict:
    """Apply every rule of the policy to the evidence.

    The same evidence and policy give the same verdict, bit for bit, in any order of rows.

    Args:
        evidence: what to judge.
        policy: the rules, from the target branch.
        also: findings made elsewhere, e.g. about the policy itself; they decide like any other.

    Raises:
        InputError: the policy rules nothing or cannot be meant, or the evidence contradicts itself.
    """
    _refuse_policy(policy)
    _refuse_evidence(evidence)
    rows = join_rows(evidence.current, evidence.task, evidence.positive)
    found = tuple(finding for check in CHECKS for finding in check(evidence, rows, policy))
    findings = (*found, *check_f1(found, evidence.task), *_check_silence(found), *also)
    outcome = worst_outcome(findings)
    return Verdict(
        model=evidence.model,
        outcome=outcome,
        reason=_summarise(outcome, findings),
        findings=findings,
        fingerprint=evidence.fingerprint,
        candidate=evidence.candidate,
        champion=evidence.champion,
        policy=policy.digest,
        rows=len(rows.ids),
        key=_make_key(evidence, rows, policy),
        attribution=attribute(evidence, rows, policy),
    )


def _refuse_policy(policy: Policy) -> None:
    if not policy.metrics:
        raise InputError(
            "the policy has no rule, and no rule is not a pass",
            hint="add one under gate.metrics, e.g. `rmse: {max: 4.5, max_regression: 2%}`",
        )
    for rule in policy.metrics:
        _refuse_rule(rule)
    if all(rule.severity is Severity.WARN for rule in policy.metrics):
        raise InputError(
            "every rule of the policy only warns, so the gate would let everything through",
            hint="take `severity: warn` from at least one rule",
        )


def _refuse_rule(rule: MetricRule) -> None:
    bounds = list_bounds(rule)
    if not bounds:
        hint = "give it `min`, `max`, `max_regression` or `min_improvement`"
        raise InputError(f"the rule for {rule.metric} has no bound", hint=hint)
    for name, bound in bounds.items():
        if reason := _find_nonsense(bound):
            raise InputError(f"{rule.metric}.{name}: {reason}")


def _find_nonsense(bound: float | Tolerance) -> str:
    amount = bound.amount if isinstance(bound, Tolerance) else bound
    if isinstance(amount, bool) or not math.isfinite(amount):
        return f"{amount} is not a bound"
    if not isinstance(bound, Tolerance):
        return ""
    if amount < 0:
        return f"{bound} is negative; say how much, the rule says in which direction"
    if bound.relative and amount >= 1:
        return f"{bound} of the champion's value is no tolerance; 1% is written `1%`"
    return ""


def _refuse_evidence(evidence: Evidence) -> None:
    """Scores of other bundles, or columns of other rows, would make the verdict about nothing."""
    for comparison in filter(None, (evidence.current, evidence.earlier)):
        _refuse_comparison(evidence, comparison)
    for name, column in evidence.inputs.items():
        if len(column) != len(evidence.current.ids):
            raise InputError(
                f"column {name!r} has {len(column)} values for {len(evidence.current.ids)} rows"
            )


def _refuse_comparison(evidence: Evidence, comparison: Comparison) -> None:
    champion = comparison.champion.bundle if comparison.champion else ""
    for name, given, scored in (
        ("candidate", evidence.candidate, comparison.candidate.bundle),
        ("champion", evidence.champion, champion),
    ):
        if given != scored:
            raise InputError(
                f"the {name} is {given or 'nothing'}, but the scores are of {scored or 'nothing'}",
                hint="run `gitops run experimental` again",
            )


def check_f1(findings: tuple[Finding, ...], task: Task) -> tuple[Finding, ...]:
    """Of two classes, F1 is the harmonic mean of precision and recall: do the figures say so?"""
    known = [(f.metric, f.candidate) for f in findings if f.is_overall]
    values = {metric: value for metric, value in known if value is not None}
    if task is not Task.BINARY or not values.keys() >= {"precision", "recall", "f1"}:
        return ()
    precision, recall, f1 = (values[name] for name in ("precision", "recall", "f1"))
    mean = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    holds = math.isclose(f1, mean, rel_tol=1e-9, abs_tol=1e-12)
    reason = (
        f"f1 {figure(f1)} {'is' if holds else 'is not'} the harmonic mean of precision "
        f"{figure(precision)} and recall {figure(recall)}, which is {figure(mean)}"
    )
    outcome = Outcome.PASS if holds else Outcome.FAIL
    return (Finding(rule="consistency.f1", outcome=outcome, reason=reason),)


def _check_silence(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Without a champion, a policy that only compares has judged nothing."""
    spoken = {f.outcome for f in findings if f.is_overall and f.severity is Severity.BLOCK}
    if spoken != {Outcome.NOT_APPLICABLE}:
        return ()
    reason = (
        "no rule could judge this model: every one compares it with a champion, and there is none; "
        "add `min` or `max`, or let a person decide"
    )
    return (Finding(rule="policy.bounds", outcome=Outcome.INCONCLUSIVE, reason=reason),)


def _summarise(outcome: Outcome, findings: tuple[Finding, ...]) -> str:
    blocking = [f for f in findings if f.severity is Severity.BLOCK]
    if outcome is not Outcome.PASS:
        return next(f.reason for f in blocking if f.outcome is outcome)
    held = [f for f in blocking if f.is_overall and f.outcome is Outcome.PASS]
    verb = "rule holds" if len(held) == 1 else "rules hold"
    # A comparison with the champion says more than a bound, so it is the one to quote.
    quoted = next((f for f in held if f.champion is not None), held[0])
    warned = [f for f in findings if f not in blocking and f.outcome is not Outcome.PASS]
    also = "".join(f"; look at {f.rule}: {f.reason}" for f in warned[:1])
    return f"{len(held)} {verb} on the held-out rows: {quoted.reason}{also}"


def _make_key(evidence: Evidence, rows: Rows, policy: Policy) -> str:
    return make_digest(
        {
            "fingerprint": evidence.fingerprint,
            "candidate": evidence.candidate,
            "champion": evidence.champion,
            "policy": policy.digest,
            "rows": rows.digest,
        }
    )
