"""What a gate's documents say to the letter, and how each forged field is refused by name."""

from __future__ import annotations

import copy
import sys
from dataclasses import replace
from typing import Any

import pytest

from gitops.errors import InputError
from gitops.gate.formats import (
    render_junit,
    render_openmetrics,
    verdict_from_json,
    verdict_to_json,
)
from gitops.gate.verdict import Attribution, AttributionLine, Finding, Outcome, Verdict
from gitops.policy import Severity

GOOD = Finding(
    rule="rmse.max",
    outcome=Outcome.PASS,
    reason="rmse is 3",
    metric="rmse",
    rows=40,
    candidate=3.0,
    low=2.5,
    high=3.5,
    bound=4.0,
    detectable=0.8,
)
COMPARED = replace(
    GOOD, rule="rmse.max_regression", champion=2.75, difference=0.25, detectable=None
)
NOTED = Finding(rule="drift", outcome=Outcome.FAIL, reason='a "b" <c>\n', severity=Severity.WARN)
SKIPPED = Finding(rule="slice", outcome=Outcome.NOT_APPLICABLE, reason="no champion")
DOUBT = Finding(rule="policy.bounds", outcome=Outcome.INCONCLUSIVE, reason="who's & why")
LINE = AttributionLine(
    metric="rmse",
    champion_earlier=2.5,
    candidate_earlier=None,
    champion_current=2.75,
    candidate_current=3.0,
)
VERDICT = Verdict(
    model="fuel",
    outcome=Outcome.INCONCLUSIVE,
    reason="who's & why",
    findings=(GOOD, COMPARED, NOTED, SKIPPED, DOUBT),
    fingerprint="sha256:f",
    candidate="sha256:c",
    champion="sha256:b",
    policy="sha256:p",
    rows=40,
    key="sha256:k",
    attribution=Attribution(lines=(LINE, replace(LINE, metric="mae")), sentence="the data did it"),
)
NUMBERS = ("candidate", "champion", "difference", "low", "high", "bound", "detectable")


def test_a_verdict_with_an_attribution_reads_back_as_it_was() -> None:
    body = verdict_to_json(VERDICT)
    assert body["schema_version"] == 1
    assert body["attribution"]["lines"][1]["metric"] == "mae"
    assert isinstance(body["attribution"]["lines"], list)
    assert verdict_from_json(body) == VERDICT


def forge(path: tuple[Any, ...], value: Any) -> Any:
    body = copy.deepcopy(verdict_to_json(VERDICT))
    if not path:
        return value
    place: Any = body
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return body


OUTCOMES = "is not one of PASS, FAIL, INCONCLUSIVE, NOT_APPLICABLE"
FINDING, LINES = ("findings", 1), ("attribution", "lines")


@pytest.mark.parametrize(
    ("path", "value", "what"),
    [
        ((), [], "verdict is not an object"),
        (("b",), 1, "verdict has missing or unknown keys: b"),
        ((7,), 1, "verdict has missing or unknown keys: 7"),
        (("schema_version",), 2, "schema_version must be 1"),
        (("outcome",), "pass", f"outcome {OUTCOMES}"),
        (("outcome",), None, f"outcome {OUTCOMES}"),
        (("outcome",), "PASS", "outcome is PASS, but the findings say INCONCLUSIVE"),
        (("rows",), -1, "rows is not a count"),
        (("rows",), True, "rows is not a count"),
        *(((name,), 1, f"{name} is not text") for name in ("model", "reason", "key", "policy")),
        (("findings",), {}, "findings is not a list"),
        (FINDING, None, "findings[1] is not an object"),
        (FINDING, {}, None),
        ((*FINDING, "outcome"), 1, f"findings[1].outcome {OUTCOMES}"),
        ((*FINDING, "severity"), "ignore", "findings[1].severity is not one of block, warn"),
        ((*FINDING, "severity"), None, "findings[1].severity is not one of block, warn"),
        ((*FINDING, "rows"), 1.5, "findings[1].rows is not a count"),
        *(
            ((*FINDING, name), None, f"findings[1].{name} is not text")
            for name in ("rule", "reason", "metric")
        ),
        *(((*FINDING, name), "1", f"findings[1].{name} is not a number") for name in NUMBERS),
        ((*FINDING, "low"), False, "findings[1].low is not a number"),
        ((*FINDING, "low"), float("nan"), "findings[1].low is not a finite number"),
        ((*FINDING, "high"), float("-inf"), "findings[1].high is not a finite number"),
        (("attribution",), "no", "attribution is not an object"),
        (("attribution", "sentence"), None, "attribution.sentence is not text"),
        (LINES, None, "attribution.lines is not a list"),
        ((*LINES, 1), "mae", "attribution.lines[1] is not an object"),
        ((*LINES, 1, "b"), 1, "attribution.lines[1] has missing or unknown keys: b"),
        ((*LINES, 1, "metric"), 3, "attribution.lines[1].metric is not text"),
        (
            (*LINES, 1, "champion_current"),
            "3",
            "attribution.lines[1].champion_current is not a number",
        ),
    ],
)
def test_a_forged_field_is_refused_by_its_place(
    path: tuple[Any, ...], value: Any, what: str | None
) -> None:
    with pytest.raises(InputError) as caught:
        verdict_from_json(forge(path, value))
    keys = ", ".join(sorted(verdict_to_json(VERDICT)["findings"][0]))
    assert caught.value.what == (what or f"findings[1] has missing or unknown keys: {keys}")
    assert caught.value.where == "verdict"
    assert caught.value.hint == "run `gitops gate` again"


def test_keys_that_are_missing_or_unknown_are_all_named_even_when_they_are_no_text() -> None:
    body = forge(("b",), 1)
    body[7] = body.pop("key")
    with pytest.raises(InputError, match=r"unknown keys: 7, b, key$"):
        verdict_from_json(body)


@pytest.mark.parametrize("value", [sys.float_info.max, -sys.float_info.max, 0, 2, None])
def test_every_finite_number_and_none_at_all_is_a_figure(value: float | None) -> None:
    read = verdict_from_json(forge((*FINDING, "low"), value)).findings[1].low
    assert read == value
    assert type(read) is (type(None) if value is None else float)


def test_no_rows_are_a_count() -> None:
    assert verdict_from_json(forge(("rows",), 0)).rows == 0


def test_junit_says_what_passed_what_was_skipped_and_what_nobody_can_tell() -> None:
    case = '<testcase classname="gate.fuel" name='
    assert render_junit(VERDICT) == (
        '<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n'
        '<testsuite name="gate fuel" tests="5" failures="1" errors="0" skipped="1">\n'
        f'{case}"rmse.max"><system-out>PASS: rmse is 3</system-out></testcase>\n'
        f'{case}"rmse.max_regression"><system-out>PASS: rmse is 3</system-out></testcase>\n'
        f'{case}"drift"><system-out>FAIL: a &quot;b&quot; &lt;c&gt; </system-out></testcase>\n'
        f'{case}"slice"><skipped message="no champion"/></testcase>\n'
        f'{case}"policy.bounds"><failure type="INCONCLUSIVE" message="who&#x27;s &amp; why">'
        "who&#x27;s &amp; why</failure></testcase>\n"
        "</testsuite>\n</testsuites>\n"
    )


def test_openmetrics_has_one_block_for_each_figure_that_is_known() -> None:
    findings = (replace(GOOD, rule='a\\b"c\n', low=float("nan")), COMPARED, SKIPPED)
    label = r'{model="fuel",rule="a\\b\"c "}'
    compared = '{model="fuel",rule="rmse.max_regression"}'
    assert render_openmetrics(replace(VERDICT, findings=findings)).splitlines() == [
        "# TYPE gitops_gate_passed gauge",
        f"gitops_gate_passed{label} 1",
        f"gitops_gate_passed{compared} 1",
        'gitops_gate_passed{model="fuel",rule="slice"} 0',
        "# TYPE gitops_gate_candidate gauge",
        f"gitops_gate_candidate{label} 3.0",
        f"gitops_gate_candidate{compared} 3.0",
        "# TYPE gitops_gate_champion gauge",
        f"gitops_gate_champion{compared} 2.75",
        "# TYPE gitops_gate_difference gauge",
        f"gitops_gate_difference{compared} 0.25",
        "# TYPE gitops_gate_low gauge",
        f"gitops_gate_low{compared} 2.5",
        "# TYPE gitops_gate_high gauge",
        f"gitops_gate_high{label} 3.5",
        f"gitops_gate_high{compared} 3.5",
        "# TYPE gitops_gate_bound gauge",
        f"gitops_gate_bound{label} 4.0",
        f"gitops_gate_bound{compared} 4.0",
        "# TYPE gitops_gate_detectable gauge",
        f"gitops_gate_detectable{label} 0.8",
        "# EOF",
    ]


def test_a_figure_that_no_finding_has_is_left_out() -> None:
    text = render_openmetrics(replace(VERDICT, findings=(SKIPPED,)))
    assert text == (
        '# TYPE gitops_gate_passed gauge\ngitops_gate_passed{model="fuel",rule="slice"} 0\n# EOF\n'
    )
