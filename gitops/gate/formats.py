"""A verdict comes in; its JSON document, JUnit report or OpenMetrics text goes out.

The JSON document is also read back, by commands that must not believe it.
"""

from __future__ import annotations

import math
import re
import sys
from dataclasses import asdict, fields
from html import escape
from typing import TYPE_CHECKING, Any

from gitops.errors import InputError
from gitops.gate.verdict import (
    Attribution,
    AttributionLine,
    Finding,
    Outcome,
    Severity,
    Verdict,
    worst_outcome,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

SCHEMA_VERSION = 1
# What XML 1.0 cannot carry, and what would break a line of OpenMetrics.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")
_GAUGES: Mapping[str, Callable[[Finding], float | None]] = {
    "candidate": lambda finding: finding.candidate,
    "champion": lambda finding: finding.champion,
    "difference": lambda finding: finding.difference,
    "low": lambda finding: finding.low,
    "high": lambda finding: finding.high,
    "bound": lambda finding: finding.bound,
    "detectable": lambda finding: finding.detectable,
}


def verdict_to_json(verdict: Verdict) -> dict[str, Any]:
    """Return the JSON document of a verdict, as gate.schema.json describes it."""
    body = {"schema_version": SCHEMA_VERSION, **asdict(verdict)}
    body["findings"] = [asdict(finding) for finding in verdict.findings]
    if verdict.attribution is not None:
        body["attribution"]["lines"] = [asdict(line) for line in verdict.attribution.lines]
    return body


def verdict_from_json(body: object) -> Verdict:
    """Read a verdict back, believing nothing.

    Raises:
        InputError: a key is missing or unknown, a value has the wrong type, a number is not finite,
            an outcome is unknown, or the outcome is not the worst of the findings.
    """
    content = _object(body, "verdict", {"schema_version", *_names(Verdict)})
    if content.pop("schema_version") != SCHEMA_VERSION:
        raise _refuse("schema_version", f"must be {SCHEMA_VERSION}")
    content["outcome"] = _outcome(content["outcome"], "outcome")
    content["findings"] = tuple(
        _finding(finding, f"findings[{i}]")
        for i, finding in enumerate(_list(content["findings"], "findings"))
    )
    content["attribution"] = _attribution(content["attribution"])
    content["rows"] = _count(content["rows"], "rows")
    for name in _names(Verdict) - {"outcome", "findings", "attribution", "rows"}:
        content[name] = _text(content[name], name)
    verdict = Verdict(**content)
    worst = worst_outcome(verdict.findings)
    if verdict.outcome is not worst:
        raise _refuse("outcome", f"is {verdict.outcome}, but the findings say {worst}")
    return verdict


def _finding(body: object, where: str) -> Finding:
    content = _object(body, where, _names(Finding))
    content["outcome"] = _outcome(content["outcome"], f"{where}.outcome")
    content["severity"] = _severity(content["severity"], f"{where}.severity")
    content["rows"] = _count(content["rows"], f"{where}.rows")
    for name in ("rule", "reason", "metric"):
        content[name] = _text(content[name], f"{where}.{name}")
    for name in _GAUGES:
        content[name] = _number(content[name], f"{where}.{name}")
    return Finding(**content)


def _attribution(body: object) -> Attribution | None:
    if body is None:
        return None
    content = _object(body, "attribution", _names(Attribution))
    lines = (
        _line(line, f"attribution.lines[{i}]")
        for i, line in enumerate(_list(content["lines"], "attribution.lines"))
    )
    sentence = _text(content["sentence"], "attribution.sentence")
    return Attribution(lines=tuple(lines), sentence=sentence)


def _line(body: object, where: str) -> AttributionLine:
    content = _object(body, where, _names(AttributionLine))
    metric = _text(content.pop("metric"), f"{where}.metric")
    numbers = {name: _number(value, f"{where}.{name}") for name, value in content.items()}
    return AttributionLine(metric=metric, **numbers)


def _refuse(where: str, what: str) -> InputError:
    return InputError(f"{where} {what}", where="verdict", hint="run `gitops gate` again")


def _names(cls: type) -> set[str]:
    return {field.name for field in fields(cls)}


def _object(body: object, where: str, names: set[str]) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise _refuse(where, "is not an object")
    if odd := sorted(names.symmetric_difference(body), key=str):
        raise _refuse(where, f"has missing or unknown keys: {', '.join(map(str, odd))}")
    return dict(body)


def _list(value: object, where: str) -> Sequence[Any]:
    if not isinstance(value, list):
        raise _refuse(where, "is not a list")
    return value


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise _refuse(where, "is not text")
    return value


def _count(value: object, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _refuse(where, "is not a count")
    return value


def _number(value: object, where: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _refuse(where, "is not a number")
    if not -sys.float_info.max <= value <= sys.float_info.max:
        raise _refuse(where, "is not a finite number")
    return float(value)


def _outcome(value: object, where: str) -> Outcome:
    if not isinstance(value, str) or value not in set(Outcome):
        raise _refuse(where, f"is not one of {', '.join(Outcome)}")
    return Outcome(value)


def _severity(value: object, where: str) -> Severity:
    if not isinstance(value, str) or value not in set(Severity):
        raise _refuse(where, f"is not one of {', '.join(Severity)}")
    return Severity(value)


def render_junit(verdict: Verdict) -> str:
    """Return JUnit XML with one test case for each finding, for GitLab's view of a merge request.

    What the gate cannot tell is a failure of type INCONCLUSIVE; findings that only warn succeed,
    with their reason as output.
    """
    cases = [_render_case(verdict.model, finding) for finding in verdict.findings]
    bad = sum("<failure" in case for case in cases)
    skipped = sum("<skipped" in case for case in cases)
    name = f"gate {verdict.model}"
    head = f'<testsuite name="{_xml(name)}" tests="{len(cases)}" failures="{bad}" errors="0"'
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n'
        f'{head} skipped="{skipped}">\n' + "\n".join(cases) + "\n</testsuite>\n</testsuites>\n"
    )


def _render_case(model: str, finding: Finding) -> str:
    reason = _xml(finding.reason)
    if finding.outcome is Outcome.PASS or finding.severity is Severity.WARN:
        body = f"<system-out>{finding.outcome}: {reason}</system-out>"
    elif finding.outcome is Outcome.NOT_APPLICABLE:
        body = f'<skipped message="{reason}"/>'
    else:
        body = f'<failure type="{finding.outcome}" message="{reason}">{reason}</failure>'
    return f'<testcase classname="gate.{_xml(model)}" name="{_xml(finding.rule)}">{body}</testcase>'


def _xml(text: str) -> str:
    return escape(_UNPRINTABLE.sub(" ", text), quote=True)


def render_openmetrics(verdict: Verdict) -> str:
    """Return OpenMetrics text: the figures of each finding, and whether it passed (1)."""
    lines = ["# TYPE gitops_gate_passed gauge"]
    labels = [_labels(verdict.model, finding) for finding in verdict.findings]
    for label, finding in zip(labels, verdict.findings, strict=True):
        lines.append(f"gitops_gate_passed{label} {int(finding.outcome is Outcome.PASS)}")
    for name, read in _GAUGES.items():
        values = [(label, read(f)) for label, f in zip(labels, verdict.findings, strict=True)]
        known = [f"gitops_gate_{name}{label} {value!r}" for label, value in values if _known(value)]
        lines += [f"# TYPE gitops_gate_{name} gauge", *known] if known else []
    return "\n".join([*lines, "# EOF"]) + "\n"


def _known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _labels(model: str, finding: Finding) -> str:
    return f'{{model="{_label(model)}",rule="{_label(finding.rule)}"}}'


def _label(text: str) -> str:
    return _UNPRINTABLE.sub(" ", text).replace("\\", "\\\\").replace('"', '\\"')
