"""Joined rows and a policy come in; one finding for each bound of each metric goes out.

Every rule compares a number with a bound. Two questions decide: is the number on the right side,
and do the rows prove it? A rule with `prove` passes only on proof; one without it fails only on
proof, and passes when the number itself is on the right side. What is left, a person decides.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gitops.gate.catalogue import find_metric
from gitops.gate.interval import MIN_ROWS, Estimate, Resample, View, estimate, make_resample
from gitops.gate.metrics import Metric, find_obstacle
from gitops.gate.pair import Change, Pair, find_missing_scale, measure_change
from gitops.gate.units import find_units
from gitops.gate.verdict import Finding, Outcome
from gitops.gate.wording import compare, count_rows, figure, interval, interval_of_regression
from gitops.policy import MetricRule, Policy, Tolerance

if TYPE_CHECKING:
    from gitops.gate.evidence import Array, Evidence, Rows

MAX_REGRESSION, MIN_IMPROVEMENT = "max_regression", "min_improvement"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draws:
    """The resampled unit of each row, and how often each unit is drawn."""

    units: Array
    resample: Resample


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One bound of one metric, on rows where the candidate's metric is known."""

    rule: MetricRule
    name: str
    metric: Metric
    rows: Rows
    evidence: Evidence
    draws: _Draws

    @property
    def prove(self) -> bool:
        """An improvement is a promise, so it is proven; a bound is a guard rail, so harm is."""
        return self.name == MIN_IMPROVEMENT if self.rule.prove is None else self.rule.prove

    def finding(self, outcome: Outcome, reason: str) -> Finding:
        return _make_finding(self.rule, self.name, self.rows, outcome, reason)


def check_metrics(evidence: Evidence, rows: Rows, policy: Policy) -> tuple[Finding, ...]:
    """Judge every bound of every metric."""
    units = find_units(evidence, rows, policy.group)
    if isinstance(units, str):
        return tuple(
            _make_finding(rule, name, rows, Outcome.FAIL, f"{rule.metric} is not judged: {units}")
            for rule in policy.metrics
            for name in list_bounds(rule)
        )
    count = int(units.max(initial=-1)) + 1
    draws = _Draws(units=units, resample=make_resample(count, rows.digest))
    return tuple(
        finding for rule in policy.metrics for finding in _check_rule(rule, evidence, rows, draws)
    )


def list_bounds(rule: MetricRule) -> dict[str, float | Tolerance]:
    """Return the bounds that a rule sets, by the name that its finding carries."""
    given = {
        "min": rule.minimum,
        "max": rule.maximum,
        MAX_REGRESSION: rule.max_regression,
        MIN_IMPROVEMENT: rule.min_improvement,
    }
    return {name: bound for name, bound in given.items() if bound is not None}


def decide(found: Estimate, bound: float, *, at_most: bool, prove: bool) -> Outcome:
    """Say whether a number keeps its bound.

    Args:
        found: the number with its interval; an unknown interval decides nothing.
        bound: the bound, in the same units.
        at_most: the number must not exceed the bound; otherwise it must not fall below.
        prove: pass only if the whole interval keeps the bound.
    """
    side = 1.0 if at_most else -1.0
    ends = sorted((side * (found.low - bound), side * (found.high - bound)))
    if ends[0] > 0:
        return Outcome.FAIL
    known = math.isfinite(found.error)
    kept = ends[1] if prove else side * (found.point - bound)
    return Outcome.PASS if known and kept <= 0 else Outcome.INCONCLUSIVE


def _check_rule(rule: MetricRule, evidence: Evidence, rows: Rows, draws: _Draws) -> list[Finding]:
    bounds = list_bounds(rule)
    metric = find_metric(rule, evidence, rows)
    reason = metric if isinstance(metric, str) else _find_obstacle(metric, rows)
    if isinstance(metric, str) or reason:
        return [_make_finding(rule, name, rows, Outcome.FAIL, reason) for name in bounds]
    findings = []
    for name, bound in bounds.items():
        case = _Case(rule=rule, name=name, metric=metric, rows=rows, evidence=evidence, draws=draws)
        findings.append(_check_bound(case, bound))
    return findings


def _check_bound(case: _Case, bound: float | Tolerance) -> Finding:
    if isinstance(bound, Tolerance):
        return _check_relative(case, bound)
    return _check_absolute(case, bound)


def _find_obstacle(metric: Metric, rows: Rows) -> str:
    """Say why the candidate's metric is unknown, which is never a pass; empty when it is known."""
    fault = rows.fault or rows.candidate.fault
    reason = fault or find_obstacle(metric, rows.actual, rows.candidate.values)
    return reason and f"{metric.name} cannot be computed: {reason}"


def _make_finding(
    rule: MetricRule, name: str, rows: Rows, outcome: Outcome, reason: str
) -> Finding:
    return Finding(
        rule=f"{rule.metric}.{name}",
        outcome=outcome,
        reason=reason,
        severity=rule.severity,
        metric=rule.metric,
        rows=len(rows.ids),
    )


def _check_absolute(case: _Case, bound: float) -> Finding:
    """Compare the candidate's own value with a fixed bound."""
    at_most, rows = case.name == "max", case.rows
    view = View(actual=rows.actual, predicted=rows.candidate.values, units=case.draws.units)
    found = estimate(case.metric, lambda value: value, [view], case.draws.resample)
    found = found.within(*case.metric.span)
    outcome = decide(found, bound, at_most=at_most, prove=case.prove)
    stands = f"{case.metric.name} is {figure(found.point)} on {count_rows(len(rows.ids))}"
    demand = (
        f"at most {figure(bound)} is allowed"
        if at_most
        else f"at least {figure(bound)} is required"
    )
    reason = f"{stands} ({interval(found)}); {demand}{_doubt(case, outcome, found)}"
    return with_numbers(case.finding(outcome, reason), found, bound, candidate=found.point)


def _check_relative(case: _Case, tolerance: Tolerance) -> Finding:
    """Compare the candidate with the champion on the same rows."""
    champion = case.rows.champion
    if champion is None:
        reason = f"{case.metric.name} is not compared: {case.evidence.champion_reason}"
        return case.finding(Outcome.NOT_APPLICABLE, reason)
    fault = champion.fault or find_obstacle(case.metric, case.rows.actual, champion.values)
    if fault:
        reason = (
            f"{case.metric.name} cannot be compared, the champion has none on these rows: {fault}"
        )
        return case.finding(Outcome.INCONCLUSIVE, reason)
    pair = Pair(
        actual=case.rows.actual,
        candidate=case.rows.candidate.values,
        champion=champion.values,
        units=case.draws.units,
    )
    if reason := find_missing_scale(case.metric, pair, tolerance, case.draws.resample):
        return case.finding(Outcome.FAIL, reason)
    improvement = case.name == MIN_IMPROVEMENT
    change = measure_change(
        case.metric, pair, tolerance, case.draws.resample, improvement=improvement
    )
    return _judge_change(case, tolerance, change)


def _judge_change(case: _Case, tolerance: Tolerance, change: Change) -> Finding:
    """Judge the change in the direction that the rule names; positive is more of it."""
    improvement = case.name == MIN_IMPROVEMENT
    found, bound = change.found, change.bound
    outcome = decide(found, bound, at_most=not improvement, prove=case.prove)
    regression = change.reversed if improvement else found
    reason = (
        f"{compare(case.metric.name, change.candidate, change.champion, regression)} on the same "
        f"{count_rows(len(case.rows.ids))} ({interval_of_regression(regression)}); "
        f"{_demand(case.name, tolerance, bound)}{_doubt(case, outcome, found)}"
    )
    finding = with_numbers(case.finding(outcome, reason), found, bound, candidate=change.candidate)
    difference = change.candidate - change.champion
    finding = replace(finding, champion=change.champion, difference=difference)
    return forgive_unfair(case.evidence, finding)


def _demand(name: str, tolerance: Tolerance, bound: float) -> str:
    size = f"{figure(bound)} ({tolerance})" if tolerance.relative else figure(bound)
    if name == MIN_IMPROVEMENT:
        return f"an improvement of at least {size} is required"
    return f"at most {size} worse is tolerated"


def _doubt(case: _Case, outcome: Outcome, found: Estimate) -> str:
    """Say why the rows do not settle it, and what they could; empty when they do."""
    if outcome is not Outcome.INCONCLUSIVE:
        return ""
    rows, units = len(case.rows.ids), len(case.draws.resample.group)
    if units < MIN_ROWS:
        few = count_rows(rows) if units == rows else f"{units} groups of rows"
        return f", and {few} are too few to tell (at least {MIN_ROWS})"
    if not math.isfinite(found.detectable):
        return f", which {count_rows(rows)} cannot settle"
    return (
        f", which {count_rows(rows)} cannot settle: they detect a change of "
        f"{figure(found.detectable)} or more"
    )


def with_numbers(finding: Finding, found: Estimate, bound: float, *, candidate: float) -> Finding:
    """Return the finding with its figures; what is not finite is unknown."""
    return replace(
        finding,
        candidate=candidate,
        low=_finite(found.low),
        high=_finite(found.high),
        bound=bound,
        detectable=_finite(found.detectable),
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def forgive_unfair(evidence: Evidence, finding: Finding) -> Finding:
    """A champion that may have learnt these rows looks better than it is: no proof of harm."""
    if not evidence.holdout_changed or finding.outcome is not Outcome.FAIL:
        return finding
    reason = (
        f"{finding.reason}; but the champion was trained under another split and may have seen "
        "these rows, which favours it"
    )
    return replace(finding, outcome=Outcome.INCONCLUSIVE, reason=reason)
