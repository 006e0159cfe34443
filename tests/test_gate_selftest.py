"""The gate tests itself: known-bad candidates are refused, and a policy that lets one in is named."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gitops.config import Task
from gitops.gate.evidence import join_rows
from gitops.gate.formats import verdict_to_json
from gitops.gate.judge import judge
from gitops.gate.mutants import make_mutants
from gitops.gate.rules import check_metrics
from gitops.gate.selftest import check_selftest
from gitops.gate.verdict import Outcome, worst_outcome
from gitops.policy import Direction, MetricRule, Policy, Severity, SliceRule, Tolerance
from tests.gate_evidence import (
    CANDIDATE,
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
    from gitops.gate.verdict import Finding
    from gitops.run import Scores

ACTUAL, GOOD = noisy(noise=2.9)
_, OTHER = noisy(noise=3.0, seed=2)
SHARES = {2: (0.6, 0.4), 4: (0.4, 0.3, 0.2, 0.1)}
REGRESSION = make_policy(
    make_rule("rmse", maximum=4.5, max_regression="2%"), make_rule("r2", minimum=0.6)
)
BINARY = make_policy(
    make_rule("f1", minimum=0.6, max_regression=0.05), make_rule("roc_auc", minimum=0.8)
)
MULTICLASS = make_policy(make_rule("accuracy", minimum=0.6, max_regression=0.05))


def classified(classes: int, rows: int = 300, *, champion: bool = True) -> Evidence:
    """Return evidence of classifiers that are right rather often."""
    random = np.random.default_rng(classes)
    names = tuple(map(str, range(classes)))
    actual = random.choice(classes, rows, p=SHARES[classes])

    def score(bundle: str) -> Scores:
        weights = np.exp(random.normal(size=(rows, classes)) + 2 * np.eye(classes)[actual])
        return make_classifier(weights / weights.sum(axis=1, keepdims=True), names, bundle)

    return make_class_evidence(
        [names[place] for place in actual],
        score(CANDIDATE),
        score(CHAMPION) if champion else None,
        task=Task.BINARY if classes == 2 else Task.MULTICLASS,
    )


CASES = {
    "regression": (make_evidence(ACTUAL, GOOD, OTHER), REGRESSION),
    "a first regression": (make_evidence(ACTUAL, GOOD), REGRESSION),
    "binary": (classified(2), BINARY),
    "a first binary": (classified(2, champion=False), BINARY),
    "multiclass": (classified(4), MULTICLASS),
    "a first multiclass": (classified(4, champion=False), MULTICLASS),
}
ALL = {"shuffled", "constant", "dropped", "nan"}


def run(evidence: Evidence, policy: Policy) -> list[Finding]:
    rows = join_rows(evidence.current, evidence.task, evidence.positive)
    return list(check_selftest(evidence, rows, policy))


@pytest.mark.parametrize("case", CASES)
def test_a_policy_with_sense_refuses_every_known_bad_candidate(case: str) -> None:
    evidence, policy = CASES[case]
    (finding,) = run(evidence, policy)
    assert (finding.rule, finding.outcome) == ("selftest", Outcome.PASS)
    tried = set(finding.reason.partition(": ")[2].split(", "))
    assert tried == ALL if evidence.current.champion is None else ALL | {"noise", "labels"}


@pytest.mark.parametrize("case", CASES)
def test_each_known_bad_candidate_is_refused_by_the_rules_themselves(case: str) -> None:
    evidence, policy = CASES[case]
    rows = join_rows(evidence.current, evidence.task, evidence.positive)
    for mutant in make_mutants(evidence, rows, policy):
        for draw in mutant.draws:
            assert worst_outcome(check_metrics(evidence, draw, policy)) is not Outcome.PASS


@pytest.mark.parametrize(
    ("evidence", "policy", "name", "words"),
    [
        (
            make_evidence(ACTUAL, GOOD),
            make_policy(make_rule("rmse", maximum=20)),
            "shuffled",
            "set `rmse.max` below 10",
        ),
        (
            make_evidence(ACTUAL, GOOD),
            make_policy(make_rule("rmse", maximum=8)),
            "constant",
            "the mean of the labels for every row would pass (rmse is 6.",
        ),
        (
            make_evidence(ACTUAL, GOOD, OTHER),
            make_policy(make_rule("rmse", max_regression="2%")),
            "labels",
            "add `max` to rmse",
        ),
        (
            make_evidence(ACTUAL, GOOD, OTHER),
            make_policy(make_rule("r2", max_regression=0.1)),
            "labels",
            "add `min` to r2",
        ),
        (
            classified(2),
            make_policy(make_rule("accuracy", minimum=0.3)),
            "shuffled",
            "set `accuracy.min` above 0.",
        ),
        (
            classified(2, champion=False),
            make_policy(make_rule("f1", minimum=0.55)),
            "constant",
            "class `1` for every row would pass (f1 is 0.5",
        ),
        (
            classified(2, champion=False),
            make_policy(make_rule("recall", minimum=0.5)),
            "constant",
            "class `1` for every row would pass (recall is 1",
        ),
        (
            classified(4, champion=False),
            make_policy(make_rule("accuracy", minimum=0.3)),
            "constant",
            "the share of each class for every row would pass",
        ),
    ],
)
def test_a_policy_that_lets_one_through_is_named_with_figures_and_a_cure(
    evidence: Evidence, policy: Policy, name: str, words: str
) -> None:
    finding = next(f for f in run(evidence, policy) if f.rule == f"selftest.{name}")
    assert finding.outcome is Outcome.FAIL
    assert finding.reason.startswith("vacuous policy: ")
    assert words in finding.reason


def test_nothing_can_pass_a_vacuous_policy() -> None:
    verdict = judge(make_evidence(ACTUAL, GOOD), make_policy(make_rule(maximum=20)))
    assert find(verdict, "rmse.max").outcome is Outcome.PASS
    assert verdict.outcome is Outcome.FAIL
    assert verdict.reason.startswith("vacuous policy: ")


def test_a_tolerance_that_only_warns_does_not_refuse() -> None:
    warn = make_rule("rmse", maximum=4.5, severity=Severity.WARN)
    policy = make_policy(make_rule("mae", maximum=50), warn)
    assert {f.rule for f in run(make_evidence(ACTUAL, GOOD), policy)} >= {"selftest.shuffled"}


def test_the_cure_that_is_named_cures() -> None:
    evidence = make_evidence(ACTUAL, GOOD, OTHER)
    loose = Policy(metrics=(make_rule("rmse", max_regression="2%"),))
    tight = Policy(metrics=(make_rule("rmse", maximum=4.5, max_regression="2%"),))
    assert run(evidence, loose)[0].outcome is Outcome.FAIL
    assert run(evidence, tight)[0].outcome is Outcome.PASS


def test_noise_is_added_until_it_costs_twice_the_tolerance() -> None:
    evidence = make_evidence(ACTUAL, GOOD, OTHER)
    rows = join_rows(evidence.current)
    mutant = next(m for m in make_mutants(evidence, rows, REGRESSION) if m.name == "noise")
    findings = check_metrics(evidence, mutant.draws[0], REGRESSION)
    found = next(f for f in findings if f.rule == "rmse.max_regression")
    assert found.difference is not None
    assert found.bound is not None
    assert found.difference == pytest.approx(2 * found.bound, rel=0.01)


def test_a_custom_metric_is_put_to_the_test_as_well() -> None:
    def within_three(actual: Any, predicted: Any) -> float:
        return float(np.mean(np.abs(actual - predicted) <= 3))

    rule = MetricRule(
        metric="within",
        minimum=0.5,
        max_regression=Tolerance(amount=0.1),
        function="metrics.py:within_three",
        direction=Direction.HIGHER,
    )
    evidence = replace(make_evidence(ACTUAL, GOOD, OTHER), custom={"within": within_three})
    assert run(evidence, make_policy(rule))[0].outcome is Outcome.PASS
    (finding, *_) = run(evidence, make_policy(replace(rule, minimum=0.05)))
    assert finding.outcome is Outcome.FAIL


def test_a_slice_may_be_what_refuses() -> None:
    inputs = {"org": ["us", "eu"] * 60}
    evidence = make_evidence([*ACTUAL[:118], 1.0, 2.0], [*GOOD[:118], 1.0, 2.0], None, inputs)
    champion = make_scores([*OTHER[:118], 1.5, 2.5], CHAMPION)
    current = replace(evidence.current, champion=champion)
    evidence = replace(evidence, champion=CHAMPION, current=current)
    policy = make_policy(make_rule("rmse", maximum=20))
    sliced = replace(
        policy,
        slices=SliceRule(by=("org",), max_regression=Tolerance(amount=0.02, relative=True)),
    )
    assert "selftest.shuffled" in {f.rule for f in run(evidence, policy)}
    assert "selftest.shuffled" not in {f.rule for f in run(evidence, sliced)}


@pytest.mark.parametrize(
    "evidence",
    [
        make_evidence([], []),
        make_evidence([3.0] * 50, GOOD[:50]),
        make_evidence([None, 1.0], [1, 1]),
    ],
    ids=["no rows", "one label", "no label"],
)
def test_rows_that_cannot_tell_good_from_bad_test_nothing(evidence: Evidence) -> None:
    assert [f.outcome for f in run(evidence, REGRESSION)] == [Outcome.NOT_APPLICABLE]


def test_a_candidate_without_predictions_still_lets_the_policy_be_tested() -> None:
    evidence = make_evidence(ACTUAL, [None] * 119)
    assert run(evidence, REGRESSION)[0].outcome is Outcome.PASS
    vacuous = make_policy(make_rule(maximum=20))
    assert {f.rule for f in run(evidence, vacuous)} == {"selftest.constant"}


@pytest.mark.parametrize("case", ["regression", "binary", "multiclass"])
def test_the_same_evidence_is_tested_the_same_way_in_any_order(case: str) -> None:
    evidence, policy = CASES[case]
    documents = {
        json.dumps(verdict_to_json(judge(given, policy)))
        for given in (evidence, evidence, shuffled(evidence, 3))
    }
    assert len(documents) == 1


def test_a_million_rows_are_tested_on_a_sample_of_them() -> None:
    random = np.random.default_rng(1)
    actual = random.normal(23, 7, 1_000_000)
    evidence = make_evidence(ACTUAL, GOOD, OTHER)
    rows = join_rows(evidence.current)
    models = [actual + random.normal(0, 3, len(actual)) for _ in range(2)]
    large = replace(
        rows,
        ids=tuple(map(str, range(len(actual)))),
        order=np.arange(len(actual)),
        actual=actual,
        candidate=replace(rows.candidate, values=models[0]),
        champion=replace(rows.candidate, values=models[1]),
    )
    start = time.perf_counter()
    (finding,) = check_selftest(evidence, large, REGRESSION)
    assert finding.outcome is Outcome.PASS
    assert time.perf_counter() - start < 10
