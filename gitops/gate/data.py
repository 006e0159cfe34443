"""The profile of the candidate's data and of the champion's come in; findings on the data go out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops.gate.data_columns import find_kind_change, find_missing_change, find_range_fault
from gitops.gate.declared import check_declared
from gitops.gate.profile import DataProfile
from gitops.gate.significance import compare_counts
from gitops.gate.verdict import Finding, Outcome
from gitops.gate.wording import count_rows, percent, quote_names, shorten
from gitops.policy import Policy, Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitops.gate.evidence import Evidence, Rows
    from gitops.policy import DataRule

# Inputs that training has seen with their answer are remembered, not predicted.
MAX_STRADDLING = 0.01
MAX_UNLABELLED = 0.05
# A shift of the classes that is smaller changes no decision; a rarer one than this is no accident.
LEAST_SHIFT, SURE = 0.1, 0.001


def check_data(evidence: Evidence, rows: Rows, policy: Policy) -> tuple[Finding, ...]:
    """Check the candidate's data by itself and against the champion's."""
    profile, rule = evidence.profile, policy.data
    if profile is None:
        return (_miss_profile(rule),)
    own = (
        _check_duplicates(profile, rule),
        _check_straddling(profile, rule, len(rows.ids)),
        _check_unlabelled(profile, evidence.target),
    )
    declared = check_declared(profile, rule)
    if _is_unchanged(evidence, profile):
        unchanged = Finding(
            rule="data.unchanged",
            outcome=Outcome.PASS,
            reason="the data is the champion's data, byte for byte",
            severity=rule.severity,
        )
        broken = (finding for finding in own if finding.outcome is not Outcome.PASS)
        return (unchanged, *declared, *broken)
    return (*declared, *own, *_check_learnt(evidence, profile, rule))


def _miss_profile(rule: DataRule) -> Finding:
    outcome = Outcome.FAIL if rule.columns else Outcome.NOT_APPLICABLE
    reason = "the data was not looked at: there is no profile of it"
    return Finding(rule="data.profile", outcome=outcome, reason=reason, severity=rule.severity)


def _is_unchanged(evidence: Evidence, profile: DataProfile) -> bool:
    old = evidence.champion_profile
    if old is not None:
        return old.data == profile.data != ""
    return bool(evidence.champion) and evidence.earlier is None


def _check_duplicates(profile: DataProfile, rule: DataRule) -> Finding:
    share = profile.duplicates / max(profile.rows, 1)
    outcome = Outcome.FAIL if share > rule.duplicates else Outcome.PASS
    reason = (
        f"{profile.duplicates:,} of {count_rows(profile.rows)} ({percent(share)}) repeat another "
        f"row in every column; at most {percent(rule.duplicates)} is allowed"
    )
    return Finding(rule="data.duplicates", outcome=outcome, reason=reason, severity=rule.severity)


def _check_straddling(profile: DataProfile, rule: DataRule, held_out: int) -> Finding:
    share = profile.straddling / max(held_out, 1)
    outcome, severity = Outcome.PASS, rule.severity
    if share > MAX_STRADDLING:
        outcome = Outcome.FAIL
    elif share > 0:
        outcome, severity = Outcome.INCONCLUSIVE, Severity.WARN
    reason = (
        f"{profile.straddling:,} of {held_out:,} held-out rows ({percent(share)}) have inputs that "
        "are in the training rows as well"
    )
    if share > 0:
        reason += ", so the model may remember them: name what tells rows apart in `holdout.key`"
    return Finding(rule="data.straddling", outcome=outcome, reason=reason, severity=severity)


def _check_unlabelled(profile: DataProfile, target: str) -> Finding:
    share = profile.unlabelled / max(profile.rows, 1)
    outcome = Outcome.INCONCLUSIVE if share > MAX_UNLABELLED else Outcome.PASS
    reason = (
        f"{profile.unlabelled:,} of {count_rows(profile.rows)} ({percent(share)}) have no "
        f"{quote_names([target])}, and are neither learnt from nor judged"
    )
    return Finding(rule="data.unlabelled", outcome=outcome, reason=reason, severity=Severity.WARN)


def _check_learnt(evidence: Evidence, profile: DataProfile, rule: DataRule) -> tuple[Finding, ...]:
    old, outcome, reason = evidence.champion_profile, Outcome.NOT_APPLICABLE, ""
    if not rule.learnt:
        reason = "the policy says not to compare the data with the champion's"
    elif not evidence.champion:
        reason = f"the data is not compared: {evidence.champion_reason}"
    elif old is None:
        outcome = Outcome.INCONCLUSIVE
        reason = "the data changed, and nothing is known about the champion's data"
    if reason or old is None:
        return (
            Finding(rule="data.learnt", outcome=outcome, reason=reason, severity=rule.severity),
        )
    return (
        _check_schema(old, profile, rule),
        *_check_ranges(old, profile, rule),
        *_check_missing(old, profile, rule),
        *_check_labels(old, profile, rule),
    )


def _check_schema(old: DataProfile, new: DataProfile, rule: DataRule) -> Finding:
    before = {column.name: column for column in old.columns}
    after = {column.name: column for column in new.columns}
    declared = {column.column: column for column in rule.columns}
    faults = [
        _list_names("vanished", [name for name in before if name not in after]),
        _list_names("appeared", [n for n in after if n not in before and n not in declared]),
        *(
            find_kind_change(before[name], after[name], declared.get(name))
            for name in after
            if name in before
        ),
    ]
    reason = "; ".join(filter(None, faults))
    return Finding(
        rule="data.schema",
        outcome=Outcome.FAIL if reason else Outcome.PASS,
        reason=reason or f"the same {len(after)} columns as the champion's data, of the same kinds",
        severity=rule.severity,
    )


def _list_names(verb: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    return f"{'column' if len(names) == 1 else 'columns'} {quote_names(names)} {verb}"


def _check_ranges(old: DataProfile, new: DataProfile, rule: DataRule) -> tuple[Finding, ...]:
    # A declared range is a person's word on what may come, and stands above what was seen.
    declared = {c.column for c in rule.columns if c.minimum is not None or c.maximum is not None}
    before = {column.name: column for column in old.columns}
    faults = {
        column.name: find_range_fault(
            before[column.name], column, seen=old.rows - before[column.name].missing
        )
        for column in new.columns
        if column.name in before and column.name not in declared
    }
    good = "no column of numbers left the range that the champion's data showed"
    return _collect("data.range", faults, good, rule)


def _check_missing(old: DataProfile, new: DataProfile, rule: DataRule) -> tuple[Finding, ...]:
    declared = {column.column for column in rule.columns if column.missing is not None}
    before = {column.name: column for column in old.columns}
    pairs = [
        (before[column.name], column)
        for column in new.columns
        if column.name in before and column.name not in declared
    ]
    more, less = {}, {}
    for one, other in pairs:
        pair = ((one.missing, old.rows), (other.missing, new.rows))
        more[other.name] = find_missing_change(other.name, *pair, columns=len(pairs))
        less[other.name] = find_missing_change(other.name, *pair, columns=len(pairs), fewer=True)
    filled = (
        Finding(
            rule=f"data.filled.{shorten(name)}",
            outcome=Outcome.INCONCLUSIVE,
            reason=f"{reason}: what were the gaps filled with?",
            severity=Severity.WARN,
        )
        for name, reason in less.items()
        if reason
    )
    good = "no column has clearly more missing cells than in the champion's data"
    return (*_collect("data.missing", more, good, rule), *filled)


def _collect(name: str, faults: dict[str, str], good: str, rule: DataRule) -> tuple[Finding, ...]:
    """Return one finding for each column at fault, or one for all of them."""
    found = tuple(
        Finding(
            rule=f"{name}.{shorten(column)}",
            outcome=Outcome.FAIL,
            reason=reason,
            severity=rule.severity,
        )
        for column, reason in faults.items()
        if reason
    )
    return found or (Finding(rule=name, outcome=Outcome.PASS, reason=good, severity=rule.severity),)


def _check_labels(old: DataProfile, new: DataProfile, rule: DataRule) -> tuple[Finding, ...]:
    if not old.labels or not new.labels:
        return ()
    before, after = dict(old.labels), dict(new.labels)
    gone = [label for label in before if label not in after]
    fresh = [label for label in after if label not in before]
    labels = sorted({*before, *after})
    moved, chance = compare_counts(
        [before.get(label, 0) for label in labels], [after.get(label, 0) for label in labels]
    )
    outcome, reason = (
        Outcome.PASS,
        f"the classes are as balanced as in the champion's data: {_shares(new)}",
    )
    if gone or fresh:
        outcome = Outcome.FAIL
        parts = (
            f"no row is of class {quote_names(gone)} any more" if gone else "",
            f"class {quote_names(fresh)} is new" if fresh else "",
        )
        reason = "; ".join(filter(None, parts))
    elif moved >= LEAST_SHIFT and chance < SURE:
        outcome = Outcome.INCONCLUSIVE
        reason = (
            f"the classes are balanced otherwise than in the champion's data ({_shares(old)} then, "
            f"{_shares(new)} now): is that the world, or how the rows were collected?"
        )
    return (Finding(rule="data.labels", outcome=outcome, reason=reason, severity=rule.severity),)


def _shares(profile: DataProfile) -> str:
    total = sum(count for _, count in profile.labels)
    largest = sorted(profile.labels, key=lambda pair: (-pair[1], pair[0]))[:4]
    shown = ", ".join(f"{quote_names([name])} {percent(count / total)}" for name, count in largest)
    return shown if len(profile.labels) <= 4 else f"{shown} and {len(profile.labels) - 4} more"
