"""The verdict as JSON, JUnit and OpenMetrics: complete, valid, and safe whatever the data holds."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from gitops.errors import InputError
from gitops.gate.formats import (
    render_junit,
    render_openmetrics,
    verdict_from_json,
    verdict_to_json,
)
from gitops.gate.judge import judge
from gitops.gate.verdict import Finding, Outcome, Verdict, worst_outcome
from gitops.policy import Severity
from tests.gate_evidence import make_evidence, make_policy, make_rule, noisy

ACTUAL, GOOD = noisy(noise=2.9)
_, BAD = noisy(noise=4.8, seed=2)
POLICY = make_policy(make_rule(maximum=4.5, max_regression="2%"), make_rule("r2", minimum=0.6))
VERDICTS = (
    judge(make_evidence(ACTUAL, GOOD, BAD), POLICY),
    judge(make_evidence(ACTUAL, BAD, GOOD), POLICY),
    judge(make_evidence(ACTUAL, GOOD), POLICY),
    judge(make_evidence(ACTUAL[:5], GOOD[:5]), POLICY),
    judge(make_evidence(ACTUAL, [None] * 119), POLICY),
)
SCHEMA = json.loads(Path("gitops/schemas/gate.schema.json").read_text())

texts = st.text(max_size=30)
numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False)
findings = st.builds(
    Finding,
    rule=texts,
    outcome=st.sampled_from(Outcome),
    reason=texts,
    severity=st.sampled_from(Severity),
    metric=texts,
    rows=st.integers(0, 10**6),
    candidate=numbers,
    champion=numbers,
    difference=numbers,
    low=numbers,
    high=numbers,
    bound=numbers,
    detectable=numbers,
)


@st.composite
def verdicts(draw: st.DrawFn) -> Verdict:
    found = tuple(draw(st.lists(findings, max_size=4)))
    return Verdict(
        model=draw(texts),
        outcome=worst_outcome(found),
        reason=draw(texts),
        findings=found,
        fingerprint=draw(texts),
        candidate=draw(texts),
        champion=draw(texts),
        policy=draw(texts),
        rows=draw(st.integers(0)),
        key=draw(texts),
    )


@pytest.mark.parametrize("verdict", VERDICTS, ids=lambda verdict: verdict.outcome)
def test_the_document_is_valid_and_reads_back_as_it_was(verdict: Verdict) -> None:
    body = json.loads(json.dumps(verdict_to_json(verdict), allow_nan=False))
    Draft202012Validator(SCHEMA).validate(body)
    assert verdict_from_json(body) == verdict


@given(verdicts())
def test_any_verdict_reads_back_as_it_was(verdict: Verdict) -> None:
    assert verdict_from_json(json.loads(json.dumps(verdict_to_json(verdict)))) == verdict


def test_the_schema_names_exactly_what_a_verdict_has() -> None:
    body = verdict_to_json(VERDICTS[0])
    assert set(SCHEMA["properties"]) == set(SCHEMA["required"]) == set(body)
    finding = SCHEMA["$defs"]["finding"]
    assert set(finding["properties"]) == set(finding["required"]) == set(body["findings"][0])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("outcome",), "FAIL"),
        (("outcome",), "INCONCLUSIVE"),
        (("outcome",), "pass"),
        (("outcome",), ["PASS"]),
        (("rows",), True),
        (("rows",), -1),
        (("rows",), 1.5),
        (("key",), None),
        (("findings",), []),
        (("findings",), {}),
        (("findings", 0), "PASS"),
        (("findings", 0, "outcome"), "FAIL"),
        (("findings", 0, "severity"), "ignore"),
        (("findings", 0, "extra"), 1),
        (("findings", 0, "low"), float("nan")),
        (("findings", 0, "low"), float("inf")),
        (("findings", 0, "low"), 10**400),
        (("findings", 0, "low"), True),
        (("findings", 0, "low"), "0.1"),
        (("attribution",), {}),
        (("schema_version",), 2),
        (("waived",), True),
    ],
)
def test_a_document_that_was_tampered_with_is_refused(path: tuple[Any, ...], value: Any) -> None:
    body = copy.deepcopy(verdict_to_json(VERDICTS[0]))
    place: Any = body
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(InputError):
        verdict_from_json(body)


def test_a_failing_rule_cannot_be_hidden_by_editing_the_outcome() -> None:
    body = verdict_to_json(VERDICTS[1])
    with pytest.raises(InputError, match="is PASS, but the findings say FAIL"):
        verdict_from_json({**body, "outcome": "PASS"})


def test_junit_has_a_case_for_each_finding_and_a_failure_for_what_is_not_known() -> None:
    undecided = VERDICTS[3]
    suite = ET.fromstring(render_junit(undecided))[0]
    cases = {case.get("name"): case for case in suite}
    assert len(cases) == len(undecided.findings) == int(suite.get("tests", ""))
    failure = cases["rmse.max"].find("failure")
    assert failure is not None
    assert failure.get("type") == "INCONCLUSIVE"
    assert cases["rmse.max_regression"].find("skipped") is not None
    assert cases["leak.target"].find("failure") is None


def test_junit_does_not_fail_on_a_warning() -> None:
    finding = Finding(rule="x", outcome=Outcome.FAIL, reason="r", severity=Severity.WARN)
    suite = ET.fromstring(render_junit(replace(VERDICTS[0], findings=(finding,))))[0]
    assert suite.get("failures") == "0"
    assert suite.findtext("testcase/system-out") == "FAIL: r"


@given(verdicts())
def test_junit_is_well_formed_whatever_the_data_holds(verdict: Verdict) -> None:
    suite = ET.fromstring(render_junit(verdict).encode())[0]
    assert [case.tag for case in suite] == ["testcase"] * len(verdict.findings)


@given(verdicts())
def test_openmetrics_has_one_sample_a_line_whatever_the_data_holds(verdict: Verdict) -> None:
    text = render_openmetrics(verdict)
    text.encode()
    *lines, end, last = text.splitlines() if text.endswith("\n\n") else [*text.splitlines(), ""]
    assert (end, last) == ("# EOF", "")
    for line in lines:
        assert line.startswith(("# TYPE gitops_gate_", "gitops_gate_"))
        if not line.startswith("#"):
            float(line.rsplit(" ", 1)[1])


def test_openmetrics_has_the_figures() -> None:
    text = render_openmetrics(VERDICTS[0])
    candidate = next(f.candidate for f in VERDICTS[0].findings if f.rule == "rmse.max")
    assert 'gitops_gate_passed{model="fuel",rule="rmse.max"} 1\n' in text
    assert f'gitops_gate_candidate{{model="fuel",rule="rmse.max"}} {candidate!r}\n' in text
    assert text.count("# TYPE gitops_gate_candidate gauge") == 1
