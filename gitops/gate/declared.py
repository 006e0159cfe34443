"""The profile of the data and the columns' declared rules come in; a finding on each goes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops.gate.profile import NUMBER, ColumnProfile, DataProfile, name_value
from gitops.gate.verdict import Finding, Outcome
from gitops.gate.wording import figure, percent, quote_names, shorten

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gitops.policy import ColumnRule, DataRule


def check_declared(profile: DataProfile, rule: DataRule) -> tuple[Finding, ...]:
    """Check the columns that the policy describes; nothing where it describes none."""
    if not rule.columns:
        return ()
    columns = {column.name: column for column in profile.columns}
    faults = [
        fault
        for declared in rule.columns
        for fault in _find_faults(columns.get(declared.column), declared, profile.rows)
    ]
    if not faults:
        count = len(rule.columns)
        reason = f"{count} {'column is' if count == 1 else 'columns are'} as the policy says"
        faults = [("columns", Outcome.PASS, reason)]
    return tuple(
        Finding(rule=f"data.{name}", outcome=outcome, reason=reason, severity=rule.severity)
        for name, outcome, reason in faults
    )


def _find_faults(
    column: ColumnProfile | None, rule: ColumnRule, rows: int
) -> Iterator[tuple[str, Outcome, str]]:
    """Yield the end of the finding's name, its outcome and its reason."""
    place, name = f"column.{shorten(rule.column)}", quote_names([rule.column])
    if column is None:
        yield place, Outcome.FAIL, f"the policy has rules for {name}, and there is no such column"
        return
    if rule.kind is not None and column.kind != rule.kind:
        kind = "has no value at all" if column.kind == "empty" else f"is {column.kind}"
        yield f"{place}.kind", Outcome.FAIL, f"{name} {kind}; the policy says {rule.kind}"
    if reason := _find_beyond(column, rule):
        yield f"{place}.range", Outcome.FAIL, f"{name} {reason}"
    share = column.missing / max(rows, 1)
    if rule.missing is not None and share > rule.missing:
        reason = f"is missing in {percent(share)} of rows; at most {percent(rule.missing)} may be"
        yield f"{place}.missing", Outcome.FAIL, f"{name} {reason}"
    outcome, reason = _judge_values(column, rule.values)
    if reason:
        yield f"{place}.values", outcome, f"{name} {reason}"


def _find_beyond(column: ColumnProfile, rule: ColumnRule) -> str:
    if rule.minimum is None and rule.maximum is None:
        return ""
    if column.kind != NUMBER or column.low is None or column.high is None:
        return f"should hold numbers within bounds, and its kind is {column.kind}"
    faults = []
    if rule.minimum is not None and column.low < rule.minimum:
        faults.append(f"goes down to {figure(column.low)}; the policy says {figure(rule.minimum)}")
    if rule.maximum is not None and column.high > rule.maximum:
        faults.append(f"goes up to {figure(column.high)}; the policy says {figure(rule.maximum)}")
    return " and ".join(faults)


def _judge_values(column: ColumnProfile, allowed: tuple[str, ...] | None) -> tuple[Outcome, str]:
    if allowed is None:
        return Outcome.PASS, ""
    known = frozenset(map(_canonical, allowed))
    others = [value for value, _ in column.values if value not in known]
    if others:
        return Outcome.FAIL, f"has values that the policy does not list: {quote_names(others)}"
    if column.distinct > len(known):
        return Outcome.FAIL, f"has {column.distinct:,} values; the policy lists {len(known):,}"
    if column.distinct > len(column.values):
        seen = (
            f"only the {len(column.values)} most frequent of {column.distinct:,} values are known"
        )
        return Outcome.INCONCLUSIVE, seen
    return Outcome.PASS, ""


def _canonical(text: str) -> str:
    """Write an allowed number as the profile writes it: gitops.yaml may say 2.0 for 2."""
    try:
        return name_value(float(text))
    except ValueError:
        return text
