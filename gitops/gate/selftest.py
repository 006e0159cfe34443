"""Evidence and a policy come in; whether that policy refuses candidates known to be bad goes out.

A policy that lets predictions through which belong to other rows proves nothing about those that
do not: it is called vacuous, and nothing can pass it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from gitops.gate.catalogue import find_metric
from gitops.gate.metrics import Metric
from gitops.gate.mutants import Mutant, make_mutants
from gitops.gate.rules import check_metrics
from gitops.gate.slices import check_slices
from gitops.gate.verdict import Finding, Outcome
from gitops.gate.wording import figure
from gitops.policy import Policy, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gitops.gate.evidence import Array, Evidence, Predictions, Rows

# So many rows, spread evenly over the labels, tell a bad candidate as well as a million do.
MOST_ROWS = 1000


def check_selftest(evidence: Evidence, rows: Rows, policy: Policy) -> tuple[Finding, ...]:
    """Judge known-bad candidates on these rows: each must be refused."""
    if rows.fault or len(rows.ids) < 2 or np.ptp(rows.actual) == 0:
        reason = "the policy was not put to the test: no two usable labels differ"
        return (_make_finding("selftest", Outcome.NOT_APPLICABLE, reason),)
    sample = _sample(rows)
    # What was never trained is disturbed here, so numbers may leave what floats can hold.
    with np.errstate(all="ignore"):
        mutants = tuple(make_mutants(evidence, sample, policy))
        judged = [(mutant, _let_through(mutant, evidence, policy)) for mutant in mutants]
    # One finding for each way to be bad, however many forms it has.
    accepted = {mutant.name: (mutant, passed) for mutant, passed in reversed(judged) if passed}
    if accepted:
        return tuple(
            _accuse(*pair, evidence, sample, policy) for pair in reversed(accepted.values())
        )
    named = ", ".join(dict.fromkeys(mutant.name for mutant in mutants))
    reason = f"the policy refuses {len(mutants)} candidates that are known to be bad: {named}"
    return (_make_finding("selftest", Outcome.PASS, reason),)


def _sample(rows: Rows) -> Rows:
    """Return few enough rows to judge often, the labels in the same proportions."""
    if len(rows.ids) <= MOST_ROWS:
        return rows
    places = np.linspace(0, len(rows.ids) - 1, MOST_ROWS).round().astype(np.intp)
    kept = np.sort(np.argsort(rows.actual, kind="stable")[places])
    return replace(
        rows,
        ids=tuple(rows.ids[place] for place in kept),
        order=rows.order[kept],
        actual=rows.actual[kept],
        candidate=_pick(rows.candidate, kept),
        champion=rows.champion and _pick(rows.champion, kept),
    )


def _pick(model: Predictions, kept: Array) -> Predictions:
    return model if model.fault else replace(model, values=model.values[kept])


def _let_through(mutant: Mutant, evidence: Evidence, policy: Policy) -> tuple[Finding, ...]:
    """Return what passed a bad candidate, or nothing when it is refused, in any draw."""
    passed: tuple[Finding, ...] = ()
    for rows in mutant.draws:
        passed = _judge(rows, evidence, policy)
        if not passed:
            return ()
    return passed


def _judge(rows: Rows, evidence: Evidence, policy: Policy) -> tuple[Finding, ...]:
    """Return the rules that passed, or nothing as soon as one refuses."""
    passed: list[Finding] = []
    for found in _find(rows, evidence, policy):
        blocking = [finding for finding in found if finding.severity is Severity.BLOCK]
        if any(f.outcome in (Outcome.FAIL, Outcome.INCONCLUSIVE) for f in blocking):
            return ()
        passed += [finding for finding in blocking if finding.outcome is Outcome.PASS]
    return tuple(passed)


def _find(rows: Rows, evidence: Evidence, policy: Policy) -> Iterator[tuple[Finding, ...]]:
    """Judge one rule at a time: a bad candidate seldom gets past the first."""
    for rule in policy.metrics:
        yield check_metrics(evidence, rows, replace(policy, metrics=(rule,)))
    yield check_slices(evidence, rows, policy)


def _accuse(
    mutant: Mutant,
    passed: tuple[Finding, ...],
    evidence: Evidence,
    rows: Rows,
    policy: Policy,
) -> Finding:
    absolute = [f for f in passed if f.rule in (f"{f.metric}.min", f"{f.metric}.max")]
    # A slice may pass as well, but only a metric has a bound to tighten.
    quoted = (absolute or [f for f in passed if f.rule.startswith(f.metric)] or passed)[0]
    if absolute and quoted.candidate is not None:
        side = "below" if quoted.rule.endswith(".max") else "above"
        cure = f"set `{quoted.rule}` {side} {figure(quoted.candidate)}, or add another metric"
    else:
        cure = f"add `{_name_bound(quoted, evidence, rows, policy)}` to {quoted.metric}"
    reason = f"vacuous policy: {mutant.words} would pass ({quoted.reason}); {cure}"
    return _make_finding(f"selftest.{mutant.name}", Outcome.FAIL, reason)


def _name_bound(finding: Finding, evidence: Evidence, rows: Rows, policy: Policy) -> str:
    rule = next(rule for rule in policy.metrics if rule.metric == finding.metric)
    metric = find_metric(rule, evidence, rows)
    return "min" if isinstance(metric, Metric) and metric.higher_is_better else "max"


def _make_finding(name: str, outcome: Outcome, reason: str) -> Finding:
    return Finding(rule=name, outcome=outcome, reason=reason)
