"""A model that knows the answer is refused, and named before anything else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.config import Task
from gitops.gate.judge import judge
from gitops.gate.leak import measure_purity, measure_strength
from gitops.gate.verdict import Outcome, Verdict
from gitops.policy import Severity
from gitops.run import Problem, ProblemKind
from tests.gate_evidence import (
    find,
    make_class_evidence,
    make_classifier,
    make_evidence,
    make_policy,
    make_rule,
    make_scores,
    noisy,
)

ACTUAL, GOOD = noisy(noise=2.9)
POLICY = make_policy(make_rule(maximum=4.5))
ACTUALS = np.array(ACTUAL)


def judge_problem(kind: ProblemKind, column: str) -> Verdict:
    problem = Problem(kind=kind, message=f"no column {column}", columns=(column,))
    return judge(make_evidence(ACTUAL, make_scores([None] * 119, problem=problem)), POLICY)


def judge_column(column: list[object]) -> Verdict:
    return judge(make_evidence(ACTUAL, GOOD, inputs={"consumption": column}), POLICY)


def test_a_model_that_needs_the_target_is_named_a_leak_before_anything_else() -> None:
    verdict = judge_problem(ProblemKind.NEEDS_TARGET, "mpg")
    assert verdict.outcome is Outcome.FAIL
    assert verdict.findings[0].rule == "leak.target"
    assert verdict.reason == verdict.findings[0].reason
    assert verdict.reason.startswith("the model needs the target column `mpg` as an input")


def test_a_model_that_needs_a_column_computed_before_training_is_named() -> None:
    verdict = judge_problem(ProblemKind.NEEDS_UNKNOWN_COLUMN, "mpg_class")
    assert verdict.outcome is Outcome.FAIL
    assert verdict.findings[0].rule == "leak.column"
    assert "`mpg_class`, computed before training" in verdict.reason


def test_without_predictions_no_metric_passes() -> None:
    verdict = judge_problem(ProblemKind.NEEDS_TARGET, "mpg")
    assert find(verdict, "rmse.max").outcome is Outcome.FAIL
    assert find(verdict, "consistency.predictions").outcome is Outcome.NOT_APPLICABLE


def test_rows_that_carry_the_target_are_refused() -> None:
    verdict = judge(make_evidence(ACTUAL, GOOD, inputs={"mpg": ACTUAL}), POLICY)
    assert verdict.outcome is Outcome.FAIL
    assert "carry the target column `mpg`" in verdict.reason


def test_the_target_in_other_units_is_shown_and_left_to_a_person() -> None:
    verdict = judge_column([235.2 / (60 + value) for value in ACTUAL])
    finding = find(verdict, "leak.feature")
    assert (finding.outcome, finding.severity) == (Outcome.INCONCLUSIVE, Severity.WARN)
    assert "`consumption` alone predicts `mpg`" in finding.reason
    assert verdict.outcome is Outcome.PASS
    assert "look at leak.feature" in verdict.reason


def test_a_category_that_is_the_target_in_words_is_shown() -> None:
    words = [f"class {value // 0.5}" if i < 60 else "rest" for i, value in enumerate(ACTUAL)]
    labels = [value // 0.5 if i < 60 else 100.0 for i, value in enumerate(ACTUAL)]
    assert measure_strength(words, np.array(labels)) > 0.99


@pytest.mark.parametrize(
    "column",
    [
        [f"car {i}" for i in range(119)],
        [value + 4 * (-1) ** i for i, value in enumerate(ACTUAL)],
        [3] * 119,
        [None] * 100 + ACTUAL[100:],
        [None] * 119,
    ],
    ids=["a name per row", "a good feature", "a constant", "few values", "no values"],
)
def test_an_honest_column_is_not_suspected(column: list[object]) -> None:
    verdict = judge_column(column)
    assert find(verdict, "leak.feature").outcome is Outcome.PASS
    assert verdict.outcome is Outcome.PASS


@given(st.lists(st.one_of(st.floats(), st.none(), st.booleans(), st.text()), max_size=60))
def test_the_strength_of_any_column_is_between_zero_and_one(column: list[object]) -> None:
    strength = measure_strength(column, ACTUALS[: len(column)])
    assert 0.0 <= strength <= 1.0 + 1e-12


def judge_classes(column: list[object], classes: list[str]) -> Verdict:
    """Judge classifiers that are often right, on rows that have one raw column."""
    names = tuple(sorted(set(classes)))
    random = np.random.default_rng(1)
    chances = 0.05 + random.random((len(classes), len(names)))
    chances[np.arange(len(classes)), [names.index(name) for name in classes]] += 1
    chances /= chances.sum(axis=1, keepdims=True)
    evidence = make_class_evidence(
        classes,
        make_classifier(chances, names),
        task=Task.BINARY if len(names) == 2 else Task.MULTICLASS,
        inputs={"code": column},
    )
    return judge(evidence, make_policy(make_rule("accuracy", minimum=0.6)))


THREE = ["low", "low", "mid", "high", "low"] * 30
TWO = ["no", "no", "yes"] * 50


@pytest.mark.parametrize(
    ("column", "classes"),
    [
        ([name.upper() for name in THREE], THREE),
        ([{"low": 7, "mid": 1, "high": 3}[name] for name in THREE], THREE),
        ([int(name == "yes") for name in TWO], TWO),
        ([i + 1000 * (name == "no") for i, name in enumerate(TWO)], TWO),
        ([None if i % 9 == 0 else name for i, name in enumerate(THREE)], THREE),
    ],
    ids=["words", "codes", "a flag", "a number that splits", "with gaps"],
)
def test_a_column_that_is_the_class_in_other_words_is_shown(
    column: list[object], classes: list[str]
) -> None:
    verdict = judge_classes(column, classes)
    finding = find(verdict, "leak.feature")
    assert (finding.outcome, finding.severity) == (Outcome.INCONCLUSIVE, Severity.WARN)
    assert "`code` alone predicts" in finding.reason


@pytest.mark.parametrize(
    ("column", "classes"),
    [
        ([f"row {i}" for i in range(150)], THREE),
        ([i * 7919 % 150 for i in range(150)], TWO),
        (["a", "b"] * 75, THREE),
        (["yes" if i % 10 == 0 else name for i, name in enumerate(TWO)], TWO),
        ([5] * 150, TWO),
        ([None] * 150, TWO),
    ],
    ids=["a name per row", "a number per row", "unrelated", "a good feature", "constant", "empty"],
)
def test_an_honest_column_of_a_classification_is_not_suspected(
    column: list[object], classes: list[str]
) -> None:
    assert find(judge_classes(column, classes), "leak.feature").outcome is Outcome.PASS


def test_a_single_class_cannot_be_told_by_anything() -> None:
    assert measure_purity(["a", "b"] * 30, np.zeros(60)) == 0.0


@given(st.lists(st.one_of(st.floats(), st.none(), st.booleans(), st.text()), max_size=60))
def test_how_well_a_column_tells_the_class_is_between_zero_and_one(column: list[object]) -> None:
    places = np.arange(len(column)) % 3
    assert 0.0 <= measure_purity(column, places) <= 1.0
    assert 0.0 <= measure_purity(column, places % 2) <= 1.0 + 1e-12
