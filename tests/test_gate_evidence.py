"""Rows are joined by id, and every way in which they can be wrong is named."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.config import Task
from gitops.gate.evidence import join_rows, to_number
from gitops.gate.judge import judge
from gitops.gate.verdict import Outcome
from gitops.run import Problem, ProblemKind, Scores
from tests.gate_evidence import (
    find,
    make_class_evidence,
    make_classifier,
    make_evidence,
    make_ids,
    make_policy,
    make_rule,
    make_scores,
    noisy,
    shuffled,
)

POLICY = make_policy(make_rule("rmse", maximum=4.5))
IDS = make_ids(4)
ACTUAL = [20.0, 30.0, 25.0, 18.0]
NOT_NUMBERS = (None, math.nan, math.inf, -math.inf, True, "3.2", 10**400)


def test_predictions_are_joined_by_row_id_and_not_by_position() -> None:
    scores = make_scores([1.0, 2.0, 3.0, 4.0], ids=IDS[::-1])
    rows = join_rows(make_evidence(ACTUAL, scores).current)
    assert rows.candidate.values.tolist() == [4.0, 3.0, 2.0, 1.0]


def test_the_digest_of_rows_does_not_depend_on_their_order() -> None:
    evidence = make_evidence(ACTUAL, ACTUAL)
    digests = {join_rows(shuffled(evidence, seed).current).digest for seed in range(5)}
    assert len(digests) == 1


def test_another_positive_class_is_another_digest() -> None:
    """The verdict's key must change with what the metrics look for."""
    evidence = make_class_evidence(["a", "b"], make_classifier([0.2, 0.7], ("a", "b")))
    digests = {
        join_rows(evidence.current, Task.BINARY, positive).digest for positive in ("", "a", "b")
    }
    assert len(digests) == 3


@pytest.mark.parametrize(
    ("scores", "reason"),
    [
        (make_scores([1.0, 2.0, 3.0]), 'row "row-0003" without a prediction'),
        (make_scores([1.0] * 5), 'row "row-0004" predicted that the holdout does not have'),
        (make_scores([1.0] * 5, ids=(*IDS, IDS[1])), 'row "row-0001" with more than one'),
        (make_scores([1.0, 2.0], ids=IDS), "4 row ids come with 2 predictions"),
        (make_scores([]), '4 rows, "row-0000" the first, without a prediction'),
    ],
)
def test_a_row_that_is_not_predicted_exactly_once_fails_by_name(
    scores: Scores, reason: str
) -> None:
    verdict = judge(make_evidence(ACTUAL, scores), POLICY)
    finding = find(verdict, "consistency.predictions")
    assert finding.outcome is Outcome.FAIL
    assert reason in finding.reason
    assert verdict.outcome is Outcome.FAIL
    assert verdict.reason == finding.reason


@pytest.mark.parametrize("value", NOT_NUMBERS, ids=lambda value: repr(value)[:8])
def test_a_prediction_that_is_not_a_finite_number_fails(value: object) -> None:
    verdict = judge(make_evidence(ACTUAL, [20.0, value, 25.0, 18.0]), POLICY)
    assert find(verdict, "consistency.predictions").outcome is Outcome.FAIL
    assert find(verdict, "rmse.max").outcome is Outcome.FAIL
    assert '"row-0001"' in verdict.reason


@pytest.mark.parametrize("value", NOT_NUMBERS, ids=lambda value: repr(value)[:8])
def test_a_label_that_is_not_a_finite_number_fails(value: object) -> None:
    verdict = judge(make_evidence([20.0, value, 25.0, 18.0], ACTUAL), POLICY)
    assert find(verdict, "consistency.labels").outcome is Outcome.FAIL
    assert find(verdict, "rmse.max").outcome is Outcome.FAIL
    assert '"row-0001"' in verdict.reason


def test_no_rows_at_all_fail() -> None:
    verdict = judge(make_evidence([], []), POLICY)
    assert verdict.outcome is Outcome.FAIL
    assert "no held-out rows" in verdict.reason


def test_a_model_that_predicts_one_number_for_every_row_fails() -> None:
    actual, _ = noisy(noise=1)
    verdict = judge(make_evidence(actual, [23.0] * len(actual)), make_policy(make_rule(maximum=99)))
    assert verdict.outcome is Outcome.FAIL
    assert "predicts 23 for every row" in verdict.reason


@pytest.mark.parametrize(
    "kind", [ProblemKind.REFUSED_ROWS, ProblemKind.UNREADABLE, ProblemKind.CRASHED]
)
def test_a_candidate_that_cannot_predict_fails_with_kind_and_message(kind: ProblemKind) -> None:
    scores = make_scores([None] * 4, problem=Problem(kind=kind, message="out of cheese"))
    verdict = judge(make_evidence(ACTUAL, scores), POLICY)
    assert verdict.outcome is Outcome.FAIL
    assert kind.replace("_", " ") in verdict.reason
    assert "out of cheese" in verdict.reason


@given(st.one_of(st.floats(), st.integers(), st.booleans(), st.text(), st.none()))
def test_only_finite_numbers_are_numbers(value: object) -> None:
    number = to_number(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        assert number is None
    else:
        assert number is None or math.isfinite(number)
