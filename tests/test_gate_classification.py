"""Classifiers: metrics agree with scikit-learn, classes are joined by name, nonsense is named."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sklearn import metrics as reference

from gitops.config import METRICS, Task
from gitops.gate.catalogue import CATALOGUE
from gitops.gate.consistency import check_consistency
from gitops.gate.evidence import join_rows
from gitops.gate.interval import View, estimate, make_resample
from gitops.gate.metrics import find_obstacle, measure
from gitops.gate.rules import check_metrics
from gitops.gate.verdict import Outcome
from gitops.table import sort_classes
from tests.gate_evidence import (
    CHAMPION,
    make_class_evidence,
    make_classifier,
    make_policy,
    make_rule,
    shuffled,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from gitops.gate.evidence import Array, Evidence
    from gitops.gate.verdict import Finding

BINARY, MULTICLASS = CATALOGUE[Task.BINARY], CATALOGUE[Task.MULTICLASS]
LABELLED = {"labels": range(5)}
BINARY_ORACLES: dict[str, Callable[[Array, Array], float]] = {
    "accuracy": lambda y, p: reference.accuracy_score(y, p >= 0.5),
    "balanced_accuracy": lambda y, p: reference.balanced_accuracy_score(y, p >= 0.5),
    "precision": lambda y, p: reference.precision_score(y, p >= 0.5),
    "recall": lambda y, p: reference.recall_score(y, p >= 0.5),
    "f1": lambda y, p: reference.f1_score(y, p >= 0.5),
    "roc_auc": reference.roc_auc_score,
    "pr_auc": reference.average_precision_score,
    "log_loss": reference.log_loss,
    "brier": reference.brier_score_loss,
}
MULTICLASS_ORACLES: dict[str, Callable[[Array, Array], float]] = {
    "accuracy": lambda y, p: reference.accuracy_score(y, p.argmax(axis=1)),
    "balanced_accuracy": lambda y, p: reference.balanced_accuracy_score(y, p.argmax(axis=1)),
    "f1": lambda y, p: reference.f1_score(y, p.argmax(axis=1), average="macro"),
    "log_loss": lambda y, p: reference.log_loss(y, p, **LABELLED),
    "brier": lambda y, p: reference.brier_score_loss(y, p, **LABELLED),
}


def draw_binary(rows: int, seed: int = 1, *, digits: int = 2) -> tuple[Array, Array]:
    """Return classes 0 and 1 and chances of 1, which are rounded so that many are equal."""
    random = np.random.default_rng(seed)
    actual = (random.random(rows) < 0.3).astype(np.intp)
    score = 0.35 + 0.25 * (actual - 0.3) + 0.2 * random.standard_normal(rows)
    return actual, np.clip(score, 0.01, 0.99).round(digits)


def draw_many(rows: int) -> tuple[Array, Array]:
    """Return classes 0 to 3 and chances of 0 to 4: the last one never occurs."""
    random = np.random.default_rng(2)
    actual = random.integers(0, 4, rows)
    chances = random.dirichlet(np.ones(5), rows)
    chances[np.arange(rows), actual] += 0.3
    return actual, chances / chances.sum(axis=1, keepdims=True)


def both(chances: Array) -> Array:
    return np.stack([1 - chances, chances], axis=1)


def names(actual: Array) -> list[str]:
    return ["yes" if label else "no" for label in actual]


ACTUAL, CHANCES = draw_binary(300)
_, OTHER = draw_binary(300, seed=9)


def judge_class_rule(evidence: Evidence, metric: str, name: str, **bounds: Any) -> Finding:
    rows = join_rows(evidence.current, evidence.task, evidence.positive)
    found = check_metrics(evidence, rows, make_policy(make_rule(metric, **bounds)))
    return next(finding for finding in found if finding.rule == f"{metric}.{name}")


def test_every_metric_that_the_configuration_knows_is_there_and_no_other() -> None:
    assert {task: set(known) for task, known in CATALOGUE.items()} == {
        task: set(known) for task, known in METRICS.items()
    }


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("rows", [30, 1_001])
def test_a_binary_metric_agrees_with_scikit_learn(name: str, rows: int) -> None:
    actual, chances = draw_binary(rows)
    ours = measure(BINARY[name], actual, both(chances))
    assert ours == pytest.approx(BINARY_ORACLES[name](actual, chances), rel=1e-9)


@pytest.mark.filterwarnings("ignore:y_pred contains classes")
@pytest.mark.parametrize("name", MULTICLASS)
@pytest.mark.parametrize("rows", [40, 1_001])
def test_a_multiclass_metric_agrees_with_scikit_learn(name: str, rows: int) -> None:
    actual, chances = draw_many(rows)
    ours = measure(MULTICLASS[name], actual, chances)
    assert ours == pytest.approx(MULTICLASS_ORACLES[name](actual, chances), rel=1e-9)


@pytest.mark.parametrize("task", [Task.BINARY, Task.MULTICLASS])
def test_the_standard_error_is_that_of_leaving_out_row_by_row(task: Task) -> None:
    """The influence of each row, which is derived by hand, against the jackknife."""
    rows = 250
    actual, chances = draw_many(rows)
    if task is Task.BINARY:
        actual, chances = draw_binary(rows)[0], both(draw_binary(rows)[1])
    for metric in CATALOGUE[task].values():
        kept = [np.delete(np.arange(rows), i) for i in range(rows)]
        left = np.array([measure(metric, actual[i], chances[i]) for i in kept])
        jackknife = math.sqrt((rows - 1) / rows * ((left - left.mean()) ** 2).sum())
        view = View(actual=actual, predicted=chances, units=np.arange(rows))
        found = estimate(metric, lambda value: value, [view], make_resample(rows, "x"))
        assert found.error == pytest.approx(jackknife, rel=0.03), metric.name
        assert found.low < found.point < found.high


def test_worse_is_up_for_the_losses_only() -> None:
    worse_up = {name for name, metric in BINARY.items() if metric.badness > 0}
    assert worse_up == {"log_loss", "brier"}


def test_classes_are_sorted_as_numbers_when_all_of_them_are() -> None:
    assert sort_classes({"10", "9", "-1.5"}) == ("-1.5", "9", "10")
    assert sort_classes({"10", "9", "none"}) == ("10", "9", "none")


def test_classes_are_joined_by_name_and_not_by_position() -> None:
    candidate = make_classifier(CHANCES)
    turned = make_classifier(both(CHANCES)[:, ::-1], ("yes", "no"), CHAMPION)
    evidence = make_class_evidence(names(ACTUAL), candidate, turned)
    finding = judge_class_rule(evidence, "log_loss", "max_regression", max_regression=0.0)
    assert (finding.outcome, finding.difference) == (Outcome.PASS, 0.0)


def test_metrics_look_for_the_positive_class_that_is_named() -> None:
    evidence = make_class_evidence(names(ACTUAL), make_classifier(CHANCES), positive="no")
    finding = judge_class_rule(evidence, "recall", "min", minimum=0.0)
    wanted = reference.recall_score(ACTUAL == 0, 1 - CHANCES >= 0.5)
    assert finding.candidate == pytest.approx(wanted)


def test_the_greater_of_two_classes_is_positive_when_none_is_named() -> None:
    labels = ["9" if label else "10" for label in ACTUAL]
    evidence = make_class_evidence(labels, make_classifier(CHANCES, ("10", "9")))
    assert join_rows(evidence.current, Task.BINARY).classes == ("9", "10")


def test_a_label_that_no_model_knows_fails_by_name() -> None:
    labels = ["perhaps", *names(ACTUAL)[1:]]
    evidence = make_class_evidence(labels, make_classifier(CHANCES), task=Task.MULTICLASS)
    finding = judge_class_rule(evidence, "accuracy", "min", minimum=0.1)
    assert finding.outcome is Outcome.FAIL
    assert 'labels are of the class "perhaps", which no model knows' in finding.reason


def test_a_class_that_only_the_champion_knows_fails_the_candidate() -> None:
    wide = np.column_stack([both(CHANCES) * 0.9, np.full(300, 0.1)])
    champion = make_classifier(wide, ("no", "yes", "maybe"), CHAMPION)
    labels = ["maybe", *names(ACTUAL)[1:]]
    evidence = make_class_evidence(labels, make_classifier(CHANCES), champion, task=Task.MULTICLASS)
    finding = judge_class_rule(evidence, "accuracy", "max_regression", max_regression=0.1)
    assert finding.outcome is Outcome.FAIL
    assert 'cannot predict the class "maybe"' in finding.reason


def test_a_class_that_is_new_to_the_champion_counts_against_it() -> None:
    wide = np.column_stack([both(CHANCES) * 0.9, np.full(300, 0.1)])
    candidate = make_classifier(wide, ("no", "yes", "maybe"))
    labels = ["maybe"] * 30 + names(ACTUAL)[30:]
    champion = make_classifier(CHANCES, bundle=CHAMPION)
    evidence = make_class_evidence(labels, candidate, champion, task=Task.MULTICLASS)
    finding = judge_class_rule(evidence, "log_loss", "max_regression", max_regression=0.0)
    assert finding.outcome is Outcome.PASS
    assert finding.champion is not None
    assert finding.champion == pytest.approx(3, abs=1.0)  # a tenth of the rows costs 34.5 each


@pytest.mark.parametrize(
    ("labels", "positive", "reason"),
    [
        (["maybe", "no", "yes"], "", 'two classes, and there are the classes "maybe", "no", "yes"'),
        (["no", "yes", "no"], "true", 'no row and no model knows the positive class "true"'),
        ([1.0, "no", "yes"], "", 'row "row-0000" whose label is not a class'),
        ([None, "", "yes"], "", '2 rows, "row-0000" the first, whose label is not a class'),
    ],
)
def test_labels_that_are_not_two_classes_fail_by_name(
    labels: list[Any], positive: str, reason: str
) -> None:
    classes = ("maybe", "no", "yes") if "maybe" in labels else ("no", "yes")
    chances = np.full((3, len(classes)), 1 / len(classes))
    evidence = make_class_evidence(labels, make_classifier(chances, classes), positive=positive)
    finding = judge_class_rule(evidence, "accuracy", "min", minimum=0.0)
    assert finding.outcome is Outcome.FAIL
    assert reason in finding.reason


@pytest.mark.parametrize(
    "chances",
    [
        (0.7, 0.4),
        (1.2, -0.2),
        (math.nan, 1.0),
        (True, False),
        ("0.5", "0.5"),
        (0.5,),
        (0.2, 0.3, 0.5),
        0.5,
        None,
    ],
    ids=repr,
)
def test_what_is_not_a_probability_for_each_class_fails_by_row(chances: Any) -> None:
    scores = make_classifier(CHANCES)
    broken = replace(scores, predictions=(chances, *scores.predictions[1:]))
    evidence = make_class_evidence(names(ACTUAL), broken)
    finding = judge_class_rule(evidence, "accuracy", "min", minimum=0.0)
    assert finding.outcome is Outcome.FAIL
    assert 'row "row-0000" whose prediction is not 2 probabilities' in finding.reason


@pytest.mark.parametrize("classes", [(), ("no", "yes", "yes")])
def test_a_model_that_does_not_name_its_classes_fails(classes: tuple[str, ...]) -> None:
    scores = replace(make_classifier(CHANCES), classes=classes)
    finding = judge_class_rule(
        make_class_evidence(names(ACTUAL), scores), "accuracy", "min", minimum=0.0
    )
    assert finding.outcome is Outcome.FAIL
    assert "does not name its classes" in finding.reason


def test_a_metric_without_meaning_says_why() -> None:
    ones, zeros = np.ones(20, dtype=np.intp), np.zeros(20, dtype=np.intp)
    chances = both(np.linspace(0.1, 0.4, 20))
    assert "same class" in find_obstacle(BINARY["roc_auc"], ones, chances)
    assert "same class" in find_obstacle(MULTICLASS["balanced_accuracy"], ones, chances)
    for name in ("recall", "f1", "pr_auc"):
        assert "no row is of the positive class" in find_obstacle(BINARY[name], zeros, chances)
    mixed = np.arange(20) % 2
    assert "no row is predicted" in find_obstacle(BINARY["precision"], mixed, chances)
    assert find_obstacle(BINARY["f1"], mixed, chances) == ""


def test_a_certain_and_wrong_prediction_costs_a_bounded_amount() -> None:
    actual = np.array([0, 1])
    certain = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert measure(BINARY["log_loss"], actual, certain) == pytest.approx(-math.log(1e-15) / 2)


def test_a_classifier_that_says_the_same_for_every_row_fails() -> None:
    evidence = make_class_evidence(names(ACTUAL), make_classifier(np.full(300, 0.3)))
    rows = join_rows(evidence.current, Task.BINARY)
    _, finding = check_consistency(evidence, rows, make_policy())
    assert finding.outcome is Outcome.FAIL
    assert "the same probabilities for every row" in finding.reason


def test_fifty_rows_without_an_error_do_not_prove_a_perfect_model() -> None:
    """None of 50 wrong: up to 6 % may be (the rule of three), so 97 % is not proven."""
    actual = np.arange(50) % 2
    evidence = make_class_evidence(names(actual), make_classifier(0.1 + 0.8 * actual))
    for minimum, outcome in ((0.97, Outcome.INCONCLUSIVE), (0.93, Outcome.PASS)):
        found = judge_class_rule(evidence, "accuracy", "min", minimum=minimum, prove=True)
        assert found.outcome is outcome
        assert found.low == pytest.approx(1 + math.log(0.05) / 50)
        assert found.high == 1.0


@pytest.mark.parametrize("metric", BINARY)
def test_a_champion_that_is_strictly_better_fails_the_candidate(metric: str) -> None:
    sharp = np.clip(0.5 + 1.5 * (CHANCES - 0.42), 0.01, 0.99)
    champion = make_classifier(sharp, bundle=CHAMPION)
    flipped = np.where(np.arange(300) % 2 == 0, 1 - sharp, sharp)
    evidence = make_class_evidence(names(ACTUAL), make_classifier(flipped), champion)
    finding = judge_class_rule(evidence, metric, "max_regression", max_regression="2%")
    assert finding.outcome is Outcome.FAIL, finding.reason
    assert "worse than the champion's" in finding.reason


@pytest.mark.parametrize("metric", BINARY)
def test_the_order_of_rows_changes_nothing(metric: str) -> None:
    champion = make_classifier(OTHER, bundle=CHAMPION)
    evidence = make_class_evidence(names(ACTUAL), make_classifier(CHANCES), champion)
    bounds = {"max_regression": 0.01}
    first = judge_class_rule(evidence, metric, "max_regression", **bounds)
    again = judge_class_rule(shuffled(evidence, 3), metric, "max_regression", **bounds)
    assert first == again


@pytest.mark.parametrize("metric", MULTICLASS)
def test_several_classes_are_judged_against_the_champion(metric: str) -> None:
    actual, chances = draw_many(600)
    labels, classes = [f"c{place}" for place in actual], tuple(f"c{i}" for i in range(5))
    shuffled_chances = chances[np.random.default_rng(1).permutation(600)]
    good = make_classifier(chances, classes)
    bad = make_classifier(shuffled_chances, classes, CHAMPION)
    for candidate, champion, outcome in (
        (good, bad, Outcome.PASS),
        (replace(bad, bundle=good.bundle), replace(good, bundle=CHAMPION), Outcome.FAIL),
    ):
        evidence = make_class_evidence(labels, candidate, champion, task=Task.MULTICLASS)
        finding = judge_class_rule(evidence, metric, "max_regression", max_regression="2%")
        assert finding.outcome is outcome, finding.reason


def test_a_metric_of_two_classes_is_none_of_several() -> None:
    labels = names(ACTUAL)
    evidence = make_class_evidence(labels, make_classifier(CHANCES), task=Task.MULTICLASS)
    finding = judge_class_rule(evidence, "roc_auc", "min", minimum=0.5)
    assert finding.outcome is Outcome.FAIL
    assert "no metric 'roc_auc' for multiclass" in finding.reason


def test_few_rows_without_an_interval_are_not_given_one() -> None:
    evidence = make_class_evidence(names(ACTUAL[:9]), make_classifier(CHANCES[:9]))
    finding = judge_class_rule(evidence, "accuracy", "min", minimum=0.1)
    assert (finding.outcome, finding.low, finding.high) == (Outcome.INCONCLUSIVE, None, None)
