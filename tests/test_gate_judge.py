"""The verdict: the worst of its findings, bound to its inputs, and the same on every day."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops.config import Task
from gitops.errors import ExitCode, InputError
from gitops.gate.formats import verdict_to_json
from gitops.gate.judge import check_f1, judge
from gitops.gate.verdict import Finding, Outcome
from gitops.policy import Policy, Severity
from tests.gate_evidence import (
    CHAMPION,
    find,
    make_class_evidence,
    make_classifier,
    make_evidence,
    make_policy,
    make_rule,
    make_scores,
    noisy,
    shuffled,
)

if TYPE_CHECKING:
    from gitops.gate.evidence import Evidence

ACTUAL, GOOD = noisy(noise=2.9)
_, BAD = noisy(noise=4.8, seed=2)
POLICY = make_policy(
    make_rule("rmse", maximum=4.5, max_regression="2%"),
    make_rule("r2", minimum=0.6),
    make_rule("medae", max_regression=1.0),
)


def test_a_better_candidate_passes_and_the_first_line_has_the_figures() -> None:
    verdict = judge(make_evidence(ACTUAL, GOOD, BAD), POLICY)
    assert verdict.outcome is Outcome.PASS
    assert verdict.reason.startswith("4 rules hold on the held-out rows: rmse ")
    assert "better than the champion's" in verdict.reason
    assert verdict.rows == 119


def test_a_worse_candidate_fails_and_the_first_line_is_the_first_rule_that_failed() -> None:
    verdict = judge(make_evidence(ACTUAL, BAD, GOOD), POLICY)
    assert verdict.outcome is Outcome.FAIL
    assert verdict.reason == find(verdict, "rmse.max_regression").reason


def test_a_first_model_passes_on_its_bounds_alone() -> None:
    verdict = judge(make_evidence(ACTUAL, GOOD), POLICY)
    assert verdict.outcome is Outcome.PASS
    assert find(verdict, "rmse.max_regression").outcome is Outcome.NOT_APPLICABLE
    assert verdict.reason.startswith("2 rules hold")


def test_a_first_model_that_nothing_but_a_champion_could_judge_is_left_to_a_person() -> None:
    policy = make_policy(make_rule(max_regression="2%"))
    verdict = judge(make_evidence(ACTUAL, GOOD), policy)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.findings[-1].rule == "policy.bounds"


def test_a_finding_made_elsewhere_decides_like_any_other() -> None:
    doubt = Finding(rule="policy.target", outcome=Outcome.INCONCLUSIVE, reason="whose rules?")
    verdict = judge(make_evidence(ACTUAL, GOOD), POLICY, also=(doubt,))
    assert (verdict.outcome, verdict.reason) == (Outcome.INCONCLUSIVE, "whose rules?")


def test_a_warning_is_shown_and_does_not_decide() -> None:
    strict = make_rule("mae", maximum=0.1, severity=Severity.WARN)
    verdict = judge(make_evidence(ACTUAL, GOOD), make_policy(*POLICY.metrics, strict))
    assert verdict.outcome is Outcome.PASS
    assert find(verdict, "mae.max").outcome is Outcome.FAIL
    assert "look at mae.max" in verdict.reason


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (make_policy(), "no rule is not a pass"),
        (make_policy(make_rule()), "has no bound"),
        (make_policy(make_rule(maximum=4.5, severity=Severity.WARN)), "only warns"),
        (make_policy(make_rule(maximum=float("nan"))), "rmse.max: nan is not a bound"),
        (make_policy(make_rule(max_regression=float("inf"))), "inf is not a bound"),
        (make_policy(make_rule(max_regression=-0.1)), "is negative"),
        (make_policy(make_rule(max_regression="101%")), "101% of the champion's value"),
    ],
)
def test_a_policy_that_decides_nothing_is_a_mistake_and_never_a_pass(
    policy: Policy, message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        judge(make_evidence(ACTUAL, GOOD), policy)
    assert caught.value.exit_code is ExitCode.BAD_INPUT


@pytest.mark.parametrize(
    "evidence",
    [
        replace(make_evidence(ACTUAL, GOOD), candidate="sha256:other"),
        replace(make_evidence(ACTUAL, GOOD, BAD), champion="sha256:other"),
        replace(make_evidence(ACTUAL, GOOD, BAD), champion=""),
        replace(make_evidence(ACTUAL, GOOD), champion=CHAMPION),
        make_evidence(ACTUAL, GOOD, inputs={"hp": [1.0]}),
    ],
)
def test_evidence_about_something_else_is_refused(evidence: Evidence) -> None:
    with pytest.raises(InputError):
        judge(evidence, POLICY)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_verdict_is_the_same_to_the_byte_in_any_order_of_rows(seed: int) -> None:
    evidence = make_evidence(ACTUAL, GOOD, BAD, inputs={"hp": ACTUAL[::-1]})
    documents = {
        json.dumps(verdict_to_json(judge(given, POLICY)))
        for given in (evidence, evidence, shuffled(evidence, seed))
    }
    assert len(documents) == 1


def test_the_key_changes_with_everything_that_the_verdict_is_bound_to() -> None:
    evidence = make_evidence(ACTUAL, GOOD)
    other_rows = make_evidence([ACTUAL[0] + 1, *ACTUAL[1:]], GOOD)
    other_bundle = make_evidence(ACTUAL, make_scores(GOOD, "sha256:other"))
    keys = {
        judge(evidence, POLICY).key,
        judge(replace(evidence, fingerprint="sha256:other"), POLICY).key,
        judge(evidence, make_policy(*POLICY.metrics[:2])).key,
        judge(other_rows, POLICY).key,
        judge(other_bundle, POLICY).key,
        judge(make_evidence(ACTUAL, GOOD, BAD), POLICY).key,
    }
    assert len(keys) == 6


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.floats(), st.floats(), st.floats()), min_size=1, max_size=30))
def test_whatever_the_numbers_are_the_gate_answers_and_never_with_nan(
    rows: list[tuple[float, float, float]],
) -> None:
    actual, candidate, champion = map(list, zip(*rows, strict=True))
    verdict = judge(make_evidence(actual, candidate, champion), POLICY)
    json.dumps(verdict_to_json(verdict), allow_nan=False)


def judge_f1(precision: float, recall: float, f1: float) -> tuple[Finding, ...]:
    figures = {"precision": precision, "recall": recall, "f1": f1}
    findings = tuple(
        Finding(rule=f"{name}.min", outcome=Outcome.PASS, reason="", metric=name, candidate=value)
        for name, value in figures.items()
    )
    return check_f1(findings, Task.BINARY)


def test_f1_must_be_the_harmonic_mean_of_precision_and_recall() -> None:
    (good,), (bad,) = judge_f1(0.5, 0.25, 1 / 3), judge_f1(0.5, 0.25, 0.375)
    assert (good.outcome, bad.outcome) == (Outcome.PASS, Outcome.FAIL)
    assert "f1 0.375 is not the harmonic mean of precision 0.5 and recall 0.25" in bad.reason
    assert judge_f1(0.0, 0.0, 0.0)[0].outcome is Outcome.PASS


def test_f1_is_checked_where_all_three_are_judged_and_there_are_two_classes() -> None:
    classes = ["no", "yes", "no", "yes", "yes"] * 30
    chances = [0.2 if i % 4 else 0.7 for i in range(150)]
    evidence = make_class_evidence(classes, make_classifier(chances))
    rules = [make_rule(name, minimum=0.1) for name in ("f1", "precision", "recall")]
    whole, part = (judge(evidence, make_policy(*some)) for some in (rules, rules[:2]))
    assert find(whole, "consistency.f1").outcome is Outcome.PASS
    assert "consistency.f1" not in {f.rule for f in part.findings}


def test_the_figures_of_a_slice_are_not_those_of_all_rows() -> None:
    """Once they were: a good classifier was refused because a slice's f1 contradicted the whole."""
    slice_finding = Finding(
        rule="slice.origin=1.f1", outcome=Outcome.PASS, reason="", metric="f1", candidate=0.9
    )
    figures = {"precision": 0.5, "recall": 0.25, "f1": 1 / 3}
    overall = tuple(
        Finding(rule=f"{name}.min", outcome=Outcome.PASS, reason="", metric=name, candidate=value)
        for name, value in figures.items()
    )
    (finding,) = check_f1((*overall, slice_finding), Task.BINARY)
    assert finding.outcome is Outcome.PASS
