"""What it takes to serve both models comes in; findings on speed, size and signature go out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops.gate.verdict import Finding, Outcome
from gitops.gate.wording import figure, quote_names
from gitops.policy import Policy, ServingRule, Severity, SignatureChange

if TYPE_CHECKING:
    from gitops.gate.evidence import Evidence, Rows
    from gitops.gate.profile import DataProfile
    from gitops.run import Inspection

_BYTES_PER_MB = 1_000_000
_SIGNATURE = "serving.signature"
# What a bound is about, before and after the figure.
_WORDS = {
    "max_load_seconds": ("loading takes", "s"),
    "max_p50_ms": ("half of single requests take at most", "ms"),
    "max_p99_ms": ("99 % of single requests take at most", "ms"),
    "max_size_mb": ("the bundle has", "MB"),
}


def check_serving(evidence: Evidence, rows: Rows, policy: Policy) -> tuple[Finding, ...]:
    """Check the bounds on serving, and that clients of the champion can go on."""
    del rows
    return (
        *_check_bounds(evidence.inspection, policy.serving),
        *_check_signature(evidence, policy.serving),
    )


def _check_bounds(found: Inspection | None, rule: ServingRule) -> tuple[Finding, ...]:
    measured = (
        {
            "max_load_seconds": found.load_seconds,
            "max_p50_ms": found.p50_ms,
            "max_p99_ms": found.p99_ms,
            "max_size_mb": found.size_bytes / _BYTES_PER_MB,
        }
        if found
        else {}
    )
    bounds = {name: getattr(rule, name) for name in _WORDS}
    return tuple(
        _check_bound(name, bound, measured.get(name), rule.severity)
        for name, bound in bounds.items()
        if bound is not None
    )


def _check_bound(name: str, bound: float, value: float | None, severity: Severity) -> Finding:
    before, unit = _WORDS[name]
    if value is None:
        outcome = Outcome.FAIL
        reason = f"{name} is {figure(bound)}, and the candidate was not measured"
    else:
        # Written so that a figure that is no number fails.
        outcome = Outcome.PASS if 0 <= value <= bound else Outcome.FAIL
        reason = f"{before} {figure(value)} {unit}; at most {figure(bound)} {unit} is allowed"
    return Finding(
        rule=f"serving.{name}",
        outcome=outcome,
        reason=reason,
        severity=severity,
        candidate=value,
        bound=bound,
    )


def _check_signature(evidence: Evidence, rule: ServingRule) -> tuple[Finding, ...]:
    if rule.signature is SignatureChange.ANY:
        return ()
    if not evidence.champion:
        reason = f"what the model asks for is not compared: {evidence.champion_reason}"
        return (_make_finding(Outcome.NOT_APPLICABLE, reason, rule.severity),)
    old, new = evidence.champion_inspection, evidence.inspection
    if old is None or new is None:
        # A candidate that cannot predict at all has been refused for that already.
        unusable = evidence.current.candidate.problem is not None
        neither = old is new and rule.signature is SignatureChange.COMPATIBLE
        unmeasured = unusable or neither
        outcome = Outcome.NOT_APPLICABLE if unmeasured else Outcome.FAIL
        reason = "what the models ask for was not looked at, so it cannot be compared"
        return (_make_finding(outcome, reason, rule.severity),)
    return _compare(old, new, evidence.champion_profile or evidence.profile, rule)


def _compare(
    old: Inspection, new: Inspection, data: DataProfile | None, rule: ServingRule
) -> tuple[Finding, ...]:
    if sorted(old.inputs) == sorted(new.inputs):
        reason = f"the candidate asks for the same {len(new.inputs)} inputs as the champion"
        return (_make_finding(Outcome.PASS, reason, rule.severity),)
    before = {name: (kind, missing) for name, kind, missing in old.inputs}
    fresh = [name for name, _, _ in new.inputs if name not in before]
    if rule.signature is SignatureChange.NONE:
        gone = sorted(before.keys() - {name for name, _, _ in new.inputs})
        faults = [f"asks for {quote_names(fresh)} as well" if fresh else ""]
        faults += [f"no longer asks for {quote_names(gone)}" if gone else ""]
    else:
        faults = [_refuse_fresh(new, fresh, data)]
    faults += [_refuse_change(field, before, rule) for field in new.inputs if field[0] in before]
    reason = "; it ".join(filter(None, faults))
    if reason:
        return (_make_finding(Outcome.FAIL, f"the candidate {reason}", rule.severity),)
    reason = "every row that the champion's data holds is a valid request to the candidate too"
    passed = _make_finding(Outcome.PASS, reason, rule.severity)
    return (passed, _warn_clients(fresh)) if fresh else (passed,)


def _refuse_fresh(new: Inspection, fresh: list[str], data: DataProfile | None) -> str:
    """Say which new inputs a raw row, which is what clients send, does not have."""
    columns = {column.name: column for column in data.columns} if data else {}
    nullable = {name: missing for name, _, missing in new.inputs}
    unknown = [name for name in fresh if name not in columns]
    if unknown:
        return f"asks for {quote_names(unknown)}, which requests made for the champion lack"
    gaps = [name for name in fresh if columns[name].missing and not nullable[name]]
    return f"refuses rows without {quote_names(gaps)}, which the data has" if gaps else ""


def _refuse_change(
    field: tuple[str, str, bool], before: dict[str, tuple[str, bool]], rule: ServingRule
) -> str:
    name, kind, missing = field
    old_kind, old_missing = before[name]
    if kind != old_kind:
        return f"takes {quote_names([name])} as a {kind}, and the champion as a {old_kind}"
    if old_missing and not missing:
        return f"refuses rows without {quote_names([name])}, which the champion takes"
    if missing != old_missing and rule.signature is SignatureChange.NONE:
        return f"takes rows without {quote_names([name])}, which the champion refuses"
    return ""


def _warn_clients(fresh: list[str]) -> Finding:
    reason = (
        f"the candidate also asks for {quote_names(fresh)}: raw rows have them, but a client that "
        "sends only what the champion asked for has to send them from now on"
    )
    return Finding(
        rule="serving.inputs",
        outcome=Outcome.INCONCLUSIVE,
        reason=reason,
        severity=Severity.WARN,
    )


def _make_finding(outcome: Outcome, reason: str, severity: Severity) -> Finding:
    return Finding(rule=_SIGNATURE, outcome=outcome, reason=reason, severity=severity)
