"""A team's own metric is judged like a built-in one, and its faults are named."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gitops.gate.evidence import join_rows
from gitops.gate.rules import check_metrics
from gitops.gate.verdict import Outcome
from gitops.policy import Direction, MetricRule
from tests.gate_evidence import (
    CHAMPION,
    make_class_evidence,
    make_classifier,
    make_evidence,
    make_policy,
    make_rule,
    make_scores,
    noisy,
)

if TYPE_CHECKING:
    from gitops.gate.evidence import Array, CustomMetric, Evidence
    from gitops.gate.verdict import Finding

ACTUAL, GOOD = noisy(noise=2.9)
_, BAD = noisy(noise=4.8, seed=2)


def within_three(actual: Array, predicted: Array) -> float:
    return float((np.abs(predicted - actual) <= 3).mean())


def make_custom_rule(**bounds: Any) -> MetricRule:
    rule = make_rule("within_three", **bounds)
    return replace(rule, function="metrics.py:within_three", direction=Direction.HIGHER)


def judge_custom(
    evidence: Evidence, function: CustomMetric | None = within_three, **bounds: Any
) -> Finding:
    custom = {} if function is None else {"within_three": function}
    evidence = replace(evidence, custom=custom)
    rows = join_rows(evidence.current, evidence.task, evidence.positive)
    (finding,) = check_metrics(evidence, rows, make_policy(make_custom_rule(**bounds)))
    return finding


def test_a_custom_metric_is_bounded_like_any_other() -> None:
    evidence = make_evidence(ACTUAL, GOOD)
    finding = judge_custom(evidence, minimum=0.5)
    assert finding.outcome is Outcome.PASS
    assert finding.candidate == within_three(np.array(ACTUAL), np.array(GOOD))
    assert finding.low is not None
    assert finding.high is not None
    assert finding.low < finding.candidate < finding.high
    assert judge_custom(evidence, minimum=0.9).outcome is Outcome.FAIL


def test_a_custom_metric_is_compared_in_the_direction_that_its_rule_names() -> None:
    worse, better = make_evidence(ACTUAL, BAD, GOOD), make_evidence(ACTUAL, GOOD, BAD)
    assert judge_custom(worse, max_regression=0.02).outcome is Outcome.FAIL
    assert judge_custom(better, max_regression=0.02).outcome is Outcome.PASS
    assert judge_custom(better, min_improvement=0.02).outcome is Outcome.PASS


def test_the_same_model_is_no_regression() -> None:
    evidence = make_evidence(ACTUAL, GOOD, make_scores(GOOD, CHAMPION))
    finding = judge_custom(evidence, max_regression=0.0)
    assert (finding.outcome, finding.difference) == (Outcome.PASS, 0.0)


def test_the_same_rows_give_the_same_finding() -> None:
    evidence = make_evidence(ACTUAL, GOOD, BAD)
    assert judge_custom(evidence, max_regression=0.02) == judge_custom(
        evidence, max_regression=0.02
    )


def raise_error(actual: Array, predicted: Array) -> float:
    raise ZeroDivisionError("no rows of interest")


def sort_labels(actual: Array, predicted: Array) -> float:
    actual.sort()
    return 1.0


ANSWERS = itertools.count(1)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (raise_error, "its function raised ZeroDivisionError: no rows of interest"),
        (sort_labels, "its function raised ValueError"),
        (lambda actual, predicted: math.nan, "its function returned nan"),
        (lambda actual, predicted: True, "its function returned True"),
        (lambda actual, predicted: "0.9", "its function returned '0.9'"),
        (lambda actual, predicted: predicted, "its function returned array("),
        (lambda actual, predicted: float(next(ANSWERS)), "answers differently each time"),
        (None, "the target branch has no function metrics.py:within_three"),
    ],
)
def test_a_function_that_gives_no_number_fails_by_name(function: Any, reason: str) -> None:
    finding = judge_custom(make_evidence(ACTUAL, GOOD), function, minimum=0.1)
    assert finding.outcome is Outcome.FAIL
    assert reason in finding.reason


def test_a_function_that_fails_on_resampled_rows_only_decides_nothing() -> None:
    def distinct_only(actual: Array, predicted: Array) -> float:
        return 1.0 if len(set(actual.tolist())) == len(ACTUAL) else math.nan

    finding = judge_custom(make_evidence(ACTUAL, GOOD), distinct_only, minimum=0.5)
    assert finding.outcome is Outcome.INCONCLUSIVE


def test_a_function_on_classes_gets_text_and_probabilities_of_the_sorted_classes() -> None:
    labels = ["yes", "no"] * 10
    chances = np.where(np.arange(20) % 2 == 0, 0.9, 0.2)
    seen = []

    def share(actual: Array, predicted: Array) -> float:
        seen.append((actual.tolist()[:2], predicted.round(6).tolist()[:2]))
        return float((predicted.argmax(axis=1) == (actual == "yes")).mean())

    evidence = make_class_evidence(labels, make_classifier(chances), positive="no")
    assert judge_custom(evidence, share, minimum=0.5).candidate == 1.0
    assert seen[0] == (["yes", "no"], [[0.1, 0.9], [0.8, 0.2]])
