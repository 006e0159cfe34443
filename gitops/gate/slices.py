"""Joined rows and the policy's slices come in; findings on where the candidate does harm go out.

A slice is failed only on proof: with many slices some look worse by chance, so the chances of all
comparisons are corrected together, by Holm's method.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gitops.gate.catalogue import find_metric
from gitops.gate.interval import MIN_ROWS, Resample, make_resample
from gitops.gate.metrics import Metric, find_obstacle, measure
from gitops.gate.pair import Change, Pair, find_missing_scale, measure_change
from gitops.gate.partition import Part, find_vanished, make_parts
from gitops.gate.rules import forgive_unfair, with_numbers
from gitops.gate.units import find_units
from gitops.gate.verdict import Finding, Outcome
from gitops.gate.wording import compare, count_rows, figure, interval_of_regression
from gitops.policy import MetricRule, Policy, SliceRule

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gitops.gate.evidence import Array, Evidence, Rows

LEVEL = 0.05
# More values than this to judge in one column are no slices that anybody could read.
MAX_JUDGED = 100
_MAX_SHOWN = 10
_LONGEST = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One metric on one slice that is large enough to judge."""

    part: Part
    metric: Metric
    rule: SliceRule
    pair: Pair
    resample: Resample

    def finding(self, outcome: Outcome, reason: str) -> Finding:
        return _make_finding(self.part, self.metric, self.rule, outcome, reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """What a case showed: the change, and how likely such rows are without harm."""

    case: _Case
    change: Change
    chance: float


def check_slices(evidence: Evidence, rows: Rows, policy: Policy) -> tuple[Finding, ...]:
    """Compare both models on each value of the policy's columns."""
    rule = policy.slices
    if rule is None:
        return ()
    if stop := _find_stop(evidence, rows, rule):
        return stop
    units = find_units(evidence, rows, policy.group)
    if isinstance(units, str):
        return (_make_whole(rule, Outcome.FAIL, f"slices are not judged: {units}"),)
    found = {name: _find_metric(name, evidence, rows, policy) for name in _names(rule, policy)}
    metrics = [metric for metric in found.values() if isinstance(metric, Metric)]
    unknown = [
        _make_whole(rule, Outcome.FAIL, reason, name)
        for name, reason in found.items()
        if isinstance(reason, str)
    ]
    whole = Pair(
        actual=rows.actual,
        candidate=rows.candidate.values,
        champion=rows.champion.values if rows.champion else rows.actual,
        units=units,
    )
    columns = [_check_column(column, metrics, rule, evidence, rows, whole) for column in rule.by]
    return (*unknown, *_settle([item for column in columns for item in column], evidence))


def _find_stop(evidence: Evidence, rows: Rows, rule: SliceRule) -> tuple[Finding, ...]:
    """Return why no slice can be compared, or nothing."""
    missing = [column for column in rule.by if column not in evidence.inputs]
    if missing:
        return tuple(
            _make_whole(
                rule, Outcome.FAIL, f"there is no raw column `{column}` to slice by", column
            )
            for column in missing
        )
    if fault := rows.fault or rows.candidate.fault:
        return (_make_whole(rule, Outcome.FAIL, f"slices cannot be compared: {fault}"),)
    if rows.champion is None:
        reason = f"slices are not compared: {evidence.champion_reason}"
        return (_make_whole(rule, Outcome.NOT_APPLICABLE, reason),)
    if rows.champion.fault:
        reason = f"slices cannot be compared with the champion: {rows.champion.fault}"
        return (_make_whole(rule, Outcome.INCONCLUSIVE, reason),)
    return ()


def _names(rule: SliceRule, policy: Policy) -> tuple[str, ...]:
    return rule.metrics or tuple(each.metric for each in policy.metrics if each.function is None)


def _find_metric(name: str, evidence: Evidence, rows: Rows, policy: Policy) -> Metric | str:
    rules = [each for each in policy.metrics if each.metric == name] or [MetricRule(metric=name)]
    return find_metric(rules[0], evidence, rows)


def _check_column(
    column: str,
    metrics: Sequence[Metric],
    rule: SliceRule,
    evidence: Evidence,
    rows: Rows,
    whole: Pair,
) -> list[Finding | _Judged]:
    parts = make_parts(evidence, rows, column)
    large = [part for part in parts if len(part.places) >= rule.min_rows]
    if len(large) > MAX_JUDGED:
        reason = (
            f"`{column}` has {len(large):,} values with {rule.min_rows} rows or more, and at most "
            f"{MAX_JUDGED} can be judged: slice by a coarser column"
        )
        return [_make_whole(rule, Outcome.FAIL, reason, column)]
    small = sorted((p for p in parts if len(p.places) < rule.min_rows), key=_by_size)
    found: list[Finding | _Judged] = list(_report_vanished(column, rule, evidence, parts))
    for part in large:
        pair = _take(whole, part.places)
        resample = make_resample(int(pair.units.max()) + 1, f"{rows.digest} {part.identity}")
        found += [
            _measure(_Case(part=part, metric=metric, rule=rule, pair=pair, resample=resample))
            for metric in metrics
        ]
    for part in small[:_MAX_SHOWN]:
        pair = _take(whole, part.places)
        found += [_show(part, metric, rule, pair) for metric in metrics]
    return found + _fold(column, rule, small[_MAX_SHOWN:])


def _by_size(part: Part) -> tuple[int, str]:
    return -len(part.places), part.value


def _take(whole: Pair, places: Array) -> Pair:
    _, units = np.unique(whole.units[places], return_inverse=True)
    return Pair(
        actual=whole.actual[places],
        candidate=whole.candidate[places],
        champion=whole.champion[places],
        units=units,
    )


def _report_vanished(
    column: str, rule: SliceRule, evidence: Evidence, parts: Sequence[Part]
) -> Iterable[Finding]:
    lost = find_vanished(evidence, column, parts, rule.min_rows)
    if lost:
        named = ", ".join(f"`{_cap(value)}` ({count_rows(rows)})" for value, rows in lost[:5])
        more = f" and {len(lost) - 5} more" if len(lost) > 5 else ""
        reason = (
            f"values of `{column}` that the champion's data has are gone: {named}{more}; nobody "
            "can tell how the candidate fares there"
        )
        yield _make_whole(rule, Outcome.FAIL, reason, column)


def _measure(case: _Case) -> Finding | _Judged:
    pair, metric, where = case.pair, case.metric, case.part.description
    if reason := metric.undefined(pair.actual):
        reason = f"where {where}, {metric.name} is not compared: {reason}"
        return case.finding(Outcome.NOT_APPLICABLE, reason)
    if len(case.resample.group) < MIN_ROWS:
        reason = f"where {where}, fewer than {MIN_ROWS} groups of rows are too few to tell"
        return case.finding(Outcome.NOT_APPLICABLE, reason)
    if reason := find_obstacle(metric, pair.actual, pair.candidate):
        reason = f"where {where}, {metric.name} cannot be computed: {reason}"
        return case.finding(Outcome.FAIL, reason)
    reason = find_obstacle(metric, pair.actual, pair.champion) or find_missing_scale(
        metric, pair, case.rule.max_regression, case.resample
    )
    if reason:
        reason = f"where {where}, {metric.name} cannot be compared: {reason}"
        return case.finding(Outcome.INCONCLUSIVE, reason)
    change = measure_change(metric, pair, case.rule.max_regression, case.resample)
    chance = change.found.chance(change.bound, len(case.resample.group))
    return _Judged(case=case, change=change, chance=chance)


def correct_chances(chances: Sequence[float]) -> list[float]:
    """Return Holm's corrected p-values: those up to 0.05 hold together with 95 % confidence."""
    corrected, highest = [0.0] * len(chances), 0.0
    ordered = sorted(range(len(chances)), key=lambda i: (chances[i], i))
    for place, i in enumerate(ordered):
        highest = max(highest, min(1.0, (len(chances) - place) * chances[i]))
        corrected[i] = highest
    return corrected


def _settle(items: Sequence[Finding | _Judged], evidence: Evidence) -> list[Finding]:
    """Turn what was judged into findings, in the same order, correcting all chances together."""
    judged = [item for item in items if isinstance(item, _Judged)]
    corrected = iter(correct_chances([item.chance for item in judged]))
    return [
        item if isinstance(item, Finding) else _decide(item, next(corrected), len(judged), evidence)
        for item in items
    ]


def _decide(judged: _Judged, chance: float, count: int, evidence: Evidence) -> Finding:
    case, change = judged.case, judged.change
    found, tolerance = change.found, case.rule.max_regression
    harm = chance <= LEVEL
    among = f"among {count} comparisons" if count > 1 else "in the only comparison"
    size = f"{figure(change.bound)} ({tolerance})" if tolerance.relative else figure(change.bound)
    compared = compare(case.metric.name, change.candidate, change.champion, found)
    proof = "that more is lost is proven" if harm else "that more is lost is not proven"
    reason = (
        f"where {case.part.description}, {compared} on {count_rows(len(case.part.places))} "
        f"({interval_of_regression(found)}); at most {size} worse is tolerated, and {proof} "
        f"{among} (Holm's p {figure(chance)})"
    )
    finding = case.finding(Outcome.FAIL if harm else Outcome.PASS, reason)
    finding = with_numbers(finding, found, change.bound, candidate=change.candidate)
    difference = change.candidate - change.champion
    finding = replace(finding, champion=change.champion, difference=difference)
    return forgive_unfair(evidence, finding)


def _show(part: Part, metric: Metric, rule: SliceRule, pair: Pair) -> Finding:
    """Show a slice that is too small to judge."""
    values = {
        name: measure(metric, pair.actual, predicted)
        for name, predicted in (("candidate", pair.candidate), ("champion", pair.champion))
        if not find_obstacle(metric, pair.actual, predicted)
    }
    numbers = "".join(f", {name} {figure(value)}" for name, value in values.items())
    verb = "is" if len(part.places) == 1 else "are"
    reason = (
        f"where {part.description}, {count_rows(len(part.places))} {verb} shown and not judged "
        f"(fewer than {rule.min_rows}): {metric.name}{numbers or ' has no value there'}"
    ).replace(f"{metric.name}, ", f"{metric.name} ")
    finding = _make_finding(part, metric, rule, Outcome.NOT_APPLICABLE, reason)
    return replace(finding, candidate=values.get("candidate"), champion=values.get("champion"))


def _fold(column: str, rule: SliceRule, parts: Sequence[Part]) -> list[Finding | _Judged]:
    if not parts:
        return []
    rows = sum(len(part.places) for part in parts)
    reason = (
        f"{len(parts):,} more values of `{column}` have fewer than {rule.min_rows} rows each, "
        f"{count_rows(rows)} together: not judged"
    )
    return [_make_whole(rule, Outcome.NOT_APPLICABLE, reason, f"{column}.small")]


def _make_whole(rule: SliceRule, outcome: Outcome, reason: str, column: str = "") -> Finding:
    name = f"slice.{_cap(column)}" if column else "slice"
    return Finding(rule=name, outcome=outcome, reason=reason, severity=rule.severity)


def _make_finding(
    part: Part, metric: Metric, rule: SliceRule, outcome: Outcome, reason: str
) -> Finding:
    return Finding(
        rule=f"slice.{_cap(part.column)}={_cap(part.value)}.{metric.name}",
        outcome=outcome,
        reason=reason,
        severity=rule.severity,
        metric=metric.name,
        rows=len(part.places),
    )


def _cap(text: str) -> str:
    """Return text that is printable and short; what was cut off still tells two texts apart."""
    plain = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    if len(plain) <= _LONGEST:
        return plain
    return f"{plain[:_LONGEST]}~{hashlib.sha256(text.encode()).hexdigest()[:8]}"
