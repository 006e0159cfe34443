"""What it takes to serve a model is bounded by name, and clients of the champion can go on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gitops.gate.judge import judge
from gitops.gate.verdict import Finding, Outcome
from gitops.policy import MetricRule, Policy, ServingRule, SignatureChange
from gitops.run import Inspection
from tests.gate_evidence import find, make_evidence, noisy
from tests.gate_profiles import profile

ACTUAL, GOOD = noisy(noise=2.9)
INPUTS = (("wght", "number", False), ("hp", "number", True))
DATA = profile(
    {"wght": [1, 2] * 50, "hp": [3, None] * 50, "acc": [4] * 100, "mpg": list(range(100))}
)


def inspection(*inputs: tuple[str, str, bool], **changed: Any) -> Inspection:
    found = Inspection(
        bundle="b",
        split="s",
        size_bytes=2_500_000,
        load_seconds=0.2,
        p50_ms=0.4,
        p99_ms=1.9,
        inputs=inputs or INPUTS,
        importance=(),
    )
    return replace(found, **changed)


def judge_serving(
    rule: ServingRule,
    new: Inspection | None = None,
    old: Inspection | None = None,
    *,
    first: bool = False,
) -> dict[str, Finding]:
    evidence = replace(
        make_evidence(ACTUAL, GOOD, None if first else GOOD),
        inspection=new,
        champion_inspection=old,
        profile=DATA,
    )
    policy = Policy(metrics=(MetricRule(metric="rmse", maximum=4.5),), serving=rule)
    findings = judge(evidence, policy).findings
    return {f.rule: f for f in findings if f.rule.startswith("serving.")}


def bound(name: str, value: float) -> ServingRule:
    values: dict[str, Any] = {name: value}
    return ServingRule(**values)


@pytest.mark.parametrize(
    ("name", "good", "bad", "words"),
    [
        ("max_load_seconds", 0.2, 0.1, "loading takes 0.2 s; at most 0.1 s is allowed"),
        ("max_p50_ms", 0.5, 0.3, "half of single requests take at most 0.4 ms"),
        ("max_p99_ms", 2, 1, "99 % of single requests take at most 1.9 ms"),
        ("max_size_mb", 2.5, 2.4, "the bundle has 2.5 MB; at most 2.4 MB is allowed"),
    ],
)
def test_a_bound_is_kept_or_broken_by_name(name: str, good: float, bad: float, words: str) -> None:
    rule = f"serving.{name}"
    kept = judge_serving(bound(name, good), inspection(), inspection())
    assert (kept[rule].outcome, kept[rule].bound) == (Outcome.PASS, good)
    broken = judge_serving(bound(name, bad), inspection(), inspection())[rule]
    assert broken.outcome is Outcome.FAIL
    assert words in broken.reason


def test_a_bound_on_what_nobody_measured_is_broken() -> None:
    findings = judge_serving(ServingRule(max_p99_ms=20))
    assert findings["serving.max_p99_ms"].outcome is Outcome.FAIL
    assert "was not measured" in findings["serving.max_p99_ms"].reason


@pytest.mark.parametrize("value", [float("nan"), -1.0])
def test_a_figure_that_is_none_is_no_pass(value: float) -> None:
    findings = judge_serving(ServingRule(max_p99_ms=20), inspection(p99_ms=value), inspection())
    assert findings["serving.max_p99_ms"].outcome is Outcome.FAIL


def judge_signature(
    *inputs: tuple[str, str, bool], change: SignatureChange = SignatureChange.COMPATIBLE
) -> dict[str, Finding]:
    return judge_serving(ServingRule(signature=change), inspection(*inputs), inspection())


def test_the_same_inputs_in_another_order_are_the_same() -> None:
    for change in (SignatureChange.NONE, SignatureChange.COMPATIBLE):
        finding = judge_signature(*INPUTS[::-1], change=change)["serving.signature"]
        assert finding.outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ((*INPUTS, ("doors", "number", True)), "asks for `doors`, which requests made for"),
        ((("wght", "category", False), INPUTS[1]), "takes `wght` as a category"),
        ((INPUTS[0], ("hp", "number", False)), "refuses rows without `hp`, which the champion"),
    ],
)
def test_a_request_that_the_champion_took_must_stay_valid(
    inputs: tuple[tuple[str, str, bool], ...], words: str
) -> None:
    finding = judge_signature(*inputs)["serving.signature"]
    assert finding.outcome is Outcome.FAIL
    assert words in finding.reason


@pytest.mark.parametrize(
    "inputs",
    [INPUTS[:1], (("wght", "number", True), INPUTS[1])],
    ids=["fewer inputs", "more forgiving"],
)
def test_asking_for_less_is_compatible_and_still_a_change(
    inputs: tuple[tuple[str, str, bool], ...],
) -> None:
    assert judge_signature(*inputs)["serving.signature"].outcome is Outcome.PASS
    strict = judge_signature(*inputs, change=SignatureChange.NONE)["serving.signature"]
    assert strict.outcome is Outcome.FAIL


def test_a_new_input_that_every_raw_row_has_is_shown_to_clients() -> None:
    findings = judge_signature(*INPUTS, ("acc", "number", False))
    assert findings["serving.signature"].outcome is Outcome.PASS
    assert findings["serving.inputs"].reason.startswith("the candidate also asks for `acc`")
    strict = judge_signature(*INPUTS, ("acc", "number", False), change=SignatureChange.NONE)
    assert strict["serving.signature"].outcome is Outcome.FAIL


def test_a_new_input_with_gaps_in_the_data_must_take_them() -> None:
    old = inspection(INPUTS[0])
    rule = ServingRule()
    refused = judge_serving(rule, inspection(INPUTS[0], ("hp", "number", False)), old)
    assert "refuses rows without `hp`, which the data has" in refused["serving.signature"].reason
    taken = judge_serving(rule, inspection(*INPUTS), old)
    assert taken["serving.signature"].outcome is Outcome.PASS


def test_what_cannot_be_compared_says_so() -> None:
    first = judge_serving(ServingRule(), inspection(), first=True)["serving.signature"]
    assert (first.outcome, "no champion" in first.reason) == (Outcome.NOT_APPLICABLE, True)
    unseen = judge_serving(ServingRule())["serving.signature"]
    assert unseen.outcome is Outcome.NOT_APPLICABLE
    half = judge_serving(ServingRule(), inspection())["serving.signature"]
    assert half.outcome is Outcome.FAIL
    declared = judge_serving(ServingRule(signature=SignatureChange.NONE))["serving.signature"]
    assert declared.outcome is Outcome.FAIL


def test_a_team_may_leave_the_signature_free() -> None:
    assert judge_signature(INPUTS[0], change=SignatureChange.ANY) == {}


def test_a_broken_bound_decides_the_verdict() -> None:
    evidence = replace(make_evidence(ACTUAL, GOOD), inspection=inspection())
    policy = Policy(
        metrics=(MetricRule(metric="rmse", maximum=4.5),), serving=ServingRule(max_size_mb=1)
    )
    verdict = judge(evidence, policy)
    assert verdict.outcome is Outcome.FAIL
    assert verdict.reason == find(verdict, "serving.max_size_mb").reason
