"""Two profiles of the data come in; a finding on each column whose distribution moved goes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gitops.config import Task
from gitops.gate.profile import EMPTY, NUMBER, TEXT, ColumnProfile, DataProfile
from gitops.gate.significance import compare_counts, compare_samples, select_discoveries
from gitops.gate.verdict import Finding, Outcome
from gitops.gate.wording import figure, percent, quote_names, shorten

if TYPE_CHECKING:
    from gitops.gate.evidence import Evidence, Rows
    from gitops.policy import Policy, Severity

# Fewer values than this on either side look different by accident.
MIN_ROWS = 30
# A distance below this is no matter for a person, however many rows prove it.
LEAST_DISTANCE = 0.1
# Of the columns named, at most this share is expected to be named by accident.
FALSE_DISCOVERIES = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """One column on both sides, with the number of its values there."""

    old: ColumnProfile
    new: ColumnProfile
    then: int
    now: int


def check_drift(evidence: Evidence, rows: Rows, policy: Policy) -> tuple[Finding, ...]:
    """Compare each column's distribution with the champion's data; nothing to compare, no finding.

    Numbers are compared by the Kolmogorov-Smirnov distance, text by total variation. The classes of
    a classification are left to the check of label balance.
    """
    del rows
    old, new, severity = evidence.champion_profile, evidence.profile, policy.data.drift
    if old is None or new is None or severity is None or old.data == new.data != "":
        return ()
    left_out = evidence.target if evidence.task is not Task.REGRESSION else ""
    pairs = [pair for pair in _pair_columns(old, new) if pair.new.name != left_out]
    return _name_moved(pairs, severity)


def _pair_columns(old: DataProfile, new: DataProfile) -> list[_Pair]:
    before = {column.name: column for column in old.columns}
    pairs = [
        _Pair(
            old=before[column.name],
            new=column,
            then=_size(before[column.name], old),
            now=_size(column, new),
        )
        for column in new.columns
        if column.name in before and before[column.name].kind == column.kind != EMPTY
    ]
    return [pair for pair in pairs if min(pair.then, pair.now) >= MIN_ROWS]


def _size(column: ColumnProfile, profile: DataProfile) -> int:
    return len(column.sample) if column.kind == NUMBER else profile.rows - column.missing


def _name_moved(pairs: list[_Pair], severity: Severity) -> tuple[Finding, ...]:
    measured = {pair.new.name: _compare(pair) for pair in pairs}
    chances = {name: chance for name, (_, chance) in measured.items()}
    # First the false discoveries are controlled, over all columns, then what matters is kept.
    found = frozenset(select_discoveries(chances, FALSE_DISCOVERIES))
    moved = tuple(
        Finding(
            rule=f"drift.{shorten(pair.new.name)}",
            outcome=Outcome.FAIL,
            reason=_describe(pair, measured[pair.new.name][0]),
            severity=severity,
        )
        for pair in pairs
        if pair.new.name in found and measured[pair.new.name][0] >= LEAST_DISTANCE
    )
    return moved or (_make_calm(len(pairs), severity),)


def _make_calm(columns: int, severity: Severity) -> Finding:
    outcome = Outcome.PASS if columns else Outcome.NOT_APPLICABLE
    reason = (
        f"none of {columns} compared columns is distributed otherwise than in the champion's data"
        if columns
        else f"no column has {MIN_ROWS} values on both sides to compare distributions of"
    )
    return Finding(rule="drift", outcome=outcome, reason=reason, severity=severity)


def _compare(pair: _Pair) -> tuple[float, float]:
    if pair.new.kind == NUMBER:
        return compare_samples(pair.old.sample, pair.new.sample)
    before, after = _count_values(pair)
    return compare_counts(before, after, rest=(pair.then - sum(before), pair.now - sum(after)))


def _count_values(pair: _Pair) -> tuple[list[int], list[int]]:
    """Return the counts of all values whose count is known on both sides."""
    one, other = dict(pair.old.values), dict(pair.new.values)
    known = [
        value
        for value in sorted({*one, *other})
        if (value in one or _is_complete(pair.old)) and (value in other or _is_complete(pair.new))
    ]
    return [one.get(value, 0) for value in known], [other.get(value, 0) for value in known]


def _is_complete(column: ColumnProfile) -> bool:
    return column.distinct <= len(column.values)


def _describe(pair: _Pair, distance: float) -> str:
    name = quote_names([pair.new.name])
    if pair.new.kind == TEXT:
        value, then, now = _find_largest_shift(pair)
        most = f"{quote_names([value])} was {percent(then)} and is {percent(now)}"
        return f"{name} moved by {percent(distance)} of its values: {most}"
    median, other = (sample[len(sample) // 2] for sample in (pair.old.sample, pair.new.sample))
    return (
        f"{name} is distributed otherwise than in the champion's data: distance "
        f"{figure(distance)}, median {figure(median)} then and {figure(other)} now"
    )


def _find_largest_shift(pair: _Pair) -> tuple[str, float, float]:
    before, after = dict(pair.old.values), dict(pair.new.values)
    shares = [
        (value, before.get(value, 0) / pair.then, after.get(value, 0) / pair.now)
        for value in sorted({*before, *after})
    ]
    return max(shares, key=lambda share: abs(share[2] - share[1]))
