"""Slices: harm in one place is found, chance is not, and what cannot be judged says so."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gitops.config import Task
from gitops.gate.evidence import join_rows
from gitops.gate.profile import ColumnProfile, DataProfile
from gitops.gate.slices import check_slices, correct_chances
from gitops.gate.verdict import Outcome
from gitops.policy import Severity, SliceRule, Tolerance
from gitops.run import Problem, ProblemKind
from tests.gate_evidence import (
    CHAMPION,
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
    from collections.abc import Sequence

    from gitops.gate.evidence import Evidence
    from gitops.gate.verdict import Finding

ROWS = 400
ACTUAL, CHAMPION_SAYS = noisy(ROWS, noise=3)
ORIGIN = ["usa", "europe", "japan", "usa"] * (ROWS // 4)
RANDOM = np.random.default_rng(4)
SIMILAR = (np.array(CHAMPION_SAYS) + 0.2 * RANDOM.standard_normal(ROWS)).tolist()
HARMED = [
    value + (6 if origin == "japan" else 0) * (-1) ** (i // 4 % 2)
    for i, (value, origin) in enumerate(zip(SIMILAR, ORIGIN, strict=True))
]


def slice_findings(
    evidence: Evidence, *by: str, tolerance: float | str = "10%", **options: Any
) -> dict[str, Finding]:
    rule = make_rule(max_regression=tolerance).max_regression or Tolerance(amount=0)
    policy = replace(
        make_policy(make_rule(max_regression="2%"), make_rule("mae", maximum=9.0)),
        slices=SliceRule(by=by, max_regression=rule, **options),
        group=None,
    )
    rows = join_rows(evidence.current, evidence.task, evidence.positive)
    found = check_slices(evidence, rows, policy)
    assert len({finding.rule for finding in found}) == len(found)
    return {finding.rule: finding for finding in found}


def evidence_on(column: Sequence[object], candidate: Sequence[float] = SIMILAR) -> Evidence:
    return make_evidence(ACTUAL, candidate, CHAMPION_SAYS, {"origin": column})


def test_without_slices_in_the_policy_there_is_nothing_to_say() -> None:
    evidence = evidence_on(ORIGIN)
    rows = join_rows(evidence.current)
    assert check_slices(evidence, rows, make_policy(make_rule(maximum=9))) == ()


def test_harm_to_one_value_fails_there_and_nowhere_else() -> None:
    found = slice_findings(evidence_on(ORIGIN, HARMED), "origin")
    outcomes = {rule: finding.outcome for rule, finding in found.items()}
    assert outcomes == {
        "slice.origin=europe.rmse": Outcome.PASS,
        "slice.origin=europe.mae": Outcome.PASS,
        "slice.origin=japan.rmse": Outcome.FAIL,
        "slice.origin=japan.mae": Outcome.FAIL,
        "slice.origin=usa.rmse": Outcome.PASS,
        "slice.origin=usa.mae": Outcome.PASS,
    }
    finding = found["slice.origin=japan.rmse"]
    assert finding.rows == 100
    assert finding.reason.startswith("where `origin` is `japan`, rmse ")
    assert "that more is lost is proven among 6 comparisons" in finding.reason
    assert finding.bound == pytest.approx(0.1 * (finding.champion or 0))


def test_only_the_metrics_that_the_rule_names_are_compared() -> None:
    found = slice_findings(evidence_on(ORIGIN), "origin", metrics=("medae",))
    assert {rule.rpartition(".")[2] for rule in found} == {"medae"}


def test_many_slices_that_differ_by_chance_pass() -> None:
    """Ten values each time: without correction four in ten would have one below 5 %."""
    failed = 0
    for seed in range(20):
        random = np.random.default_rng(seed)
        column = [f"v{value:02}" for value in random.integers(0, 10, ROWS)]
        noise = random.standard_normal((2, ROWS))
        evidence = make_evidence(
            ACTUAL, (ACTUAL + noise[0]).tolist(), (ACTUAL + noise[1]).tolist(), {"origin": column}
        )
        found = slice_findings(evidence, "origin", tolerance=0.0, min_rows=20, metrics=("mae",))
        failed += any(finding.outcome is Outcome.FAIL for finding in found.values())
    assert failed <= 3


def test_a_small_slice_is_shown_and_not_judged() -> None:
    column = ["rare" if i < 12 else "common" for i in range(ROWS)]
    finding = slice_findings(evidence_on(column, HARMED), "origin")["slice.origin=rare.rmse"]
    assert finding.outcome is Outcome.NOT_APPLICABLE
    assert "12 rows are shown and not judged (fewer than 30): rmse candidate" in finding.reason
    assert finding.candidate is not None
    assert finding.champion is not None


def test_many_small_slices_are_folded_into_one_line() -> None:
    column = [f"name {i // 2}" for i in range(ROWS)]
    found = slice_findings(evidence_on(column), "origin", metrics=("mae",))
    assert len(found) == 11
    assert "190 more values" in found["slice.origin.small"].reason
    assert "380 rows together" in found["slice.origin.small"].reason


def test_many_different_numbers_are_cut_into_quarters() -> None:
    weights: list[object] = [1500 + 7.5 * i for i in range(ROWS)]
    weights[3] = None
    found = slice_findings(evidence_on(weights), "origin", metrics=("mae",))
    assert list(found) == [
        *(f"slice.origin=quarter {i}.mae" for i in range(1, 5)),
        "slice.origin=(missing).mae",
    ]
    assert "the first quarter of its numbers" in found["slice.origin=quarter 1.mae"].reason
    assert {found[rule].rows for rule in list(found)[:4]} == {99, 100}


def test_few_different_numbers_are_values() -> None:
    found = slice_findings(evidence_on([4, 6.0, 8, 4] * 100), "origin", metrics=("mae",))
    assert list(found) == [f"slice.origin={value}.mae" for value in (4, 6, 8)]


def test_no_champion_is_said_once() -> None:
    evidence = make_evidence(ACTUAL, SIMILAR, None, {"origin": ORIGIN})
    found = slice_findings(evidence, "origin")
    assert [(rule, f.outcome) for rule, f in found.items()] == [("slice", Outcome.NOT_APPLICABLE)]
    assert "there is no champion yet" in found["slice"].reason


def test_a_column_that_does_not_exist_fails_by_name() -> None:
    found = slice_findings(evidence_on(ORIGIN), "country")
    assert found["slice.country"].outcome is Outcome.FAIL
    assert "no raw column `country`" in found["slice.country"].reason


def test_a_metric_that_does_not_exist_fails_by_name_and_the_others_are_compared() -> None:
    found = slice_findings(evidence_on(ORIGIN), "origin", metrics=("rmsle", "mae"))
    assert found["slice.rmsle"].outcome is Outcome.FAIL
    assert found["slice.origin=usa.mae"].outcome is Outcome.PASS


def test_rows_of_few_groups_are_not_judged() -> None:
    column = ["usa" if i % 2 else "japan" for i in range(ROWS)]
    inputs: dict[str, list[object]] = {
        "origin": [*column],
        "patient": [i // 40 for i in range(ROWS)],
    }
    policy = replace(
        make_policy(make_rule(maximum=9.0)),
        slices=SliceRule(by=("origin",), max_regression=Tolerance(amount=0.0)),
        group="patient",
    )
    evidence = make_evidence(ACTUAL, HARMED, CHAMPION_SAYS, inputs)
    few = replace(evidence, inputs={**inputs, "patient": [i // 80 for i in range(ROWS)]})
    outcomes = []
    for each in (evidence, few):
        found = check_slices(each, join_rows(each.current), policy)
        outcomes.append({finding.outcome for finding in found})
    assert Outcome.NOT_APPLICABLE not in outcomes[0]
    assert outcomes[1] == {Outcome.NOT_APPLICABLE}


def test_a_group_column_that_does_not_exist_fails() -> None:
    evidence = evidence_on(ORIGIN)
    policy = replace(
        make_policy(make_rule(maximum=9.0)),
        slices=SliceRule(by=("origin",), max_regression=Tolerance(amount=0.0)),
        group="patient",
    )
    (finding,) = check_slices(evidence, join_rows(evidence.current), policy)
    assert (finding.rule, finding.outcome) == ("slice", Outcome.FAIL)


def test_a_share_of_a_champion_at_zero_is_left_to_a_person() -> None:
    evidence = make_evidence(ACTUAL, SIMILAR, ACTUAL, {"origin": ORIGIN})
    found = slice_findings(evidence, "origin", metrics=("mae",))
    assert {finding.outcome for finding in found.values()} == {Outcome.INCONCLUSIVE}


def test_missing_predictions_fail() -> None:
    problem = Problem(kind=ProblemKind.CRASHED, message="out of cheese")
    scores = make_scores([None] * ROWS, problem=problem)
    evidence = make_evidence(ACTUAL, scores, CHAMPION_SAYS, {"origin": ORIGIN})
    assert slice_findings(evidence, "origin")["slice"].outcome is Outcome.FAIL


def test_a_champion_that_cannot_be_scored_leaves_slices_to_a_person() -> None:
    problem = Problem(kind=ProblemKind.REFUSED_ROWS, message="row a: `hp` is missing")
    scores = make_scores([None] * ROWS, CHAMPION, problem=problem)
    evidence = make_evidence(ACTUAL, SIMILAR, scores, {"origin": ORIGIN})
    assert slice_findings(evidence, "origin")["slice"].outcome is Outcome.INCONCLUSIVE


def test_a_column_of_too_many_large_values_fails_by_name() -> None:
    column = [f"name {i // 3}" for i in range(ROWS)]
    finding = slice_findings(evidence_on(column), "origin", min_rows=3)["slice.origin"]
    assert finding.outcome is Outcome.FAIL
    assert "slice by a coarser column" in finding.reason


def make_profile(**counts: int) -> DataProfile:
    column = ColumnProfile(
        name="origin",
        kind="text",
        missing=0,
        low=None,
        high=None,
        distinct=len(counts),
        values=tuple(counts.items()),
        sample=(),
    )
    return DataProfile(
        data="", rows=0, columns=(column,), duplicates=0, straddling=0, unlabelled=0, labels=()
    )


def test_a_value_that_vanished_fails_by_name() -> None:
    evidence = replace(
        evidence_on(ORIGIN),
        champion_profile=make_profile(usa=600, korea=80, japan=300, peru=4),
        profile=make_profile(usa=600, japan=300),
    )
    finding = slice_findings(evidence, "origin")["slice.origin"]
    assert finding.outcome is Outcome.FAIL
    assert "are gone: `korea` (80 rows);" in finding.reason


def test_a_value_that_is_left_in_the_training_rows_has_not_vanished() -> None:
    evidence = replace(
        evidence_on(ORIGIN),
        champion_profile=make_profile(korea=80),
        profile=make_profile(korea=40),
    )
    assert "slice.origin" not in slice_findings(evidence, "origin")


def test_a_loss_against_a_champion_that_may_have_learnt_the_rows_is_no_proof() -> None:
    evidence = replace(evidence_on(ORIGIN, HARMED), holdout_changed=True)
    finding = slice_findings(evidence, "origin")["slice.origin=japan.rmse"]
    assert finding.outcome is Outcome.INCONCLUSIVE


def test_slices_may_only_warn() -> None:
    found = slice_findings(evidence_on(ORIGIN, HARMED), "origin", severity=Severity.WARN)
    assert {finding.severity for finding in found.values()} == {Severity.WARN}


def test_a_name_that_is_long_or_unprintable_is_cut_and_escaped_and_stays_distinct() -> None:
    hostile = ["a" * 300 + "x", "a" * 300 + "y", "line\nbreak\x1b[31m", "é"] * 100
    found = slice_findings(evidence_on(hostile), "origin", metrics=("mae",))
    assert len(found) == 4
    assert all(rule.isprintable() and len(rule) < 80 for rule in found)
    assert "slice.origin=é.mae" in found


def test_slices_of_a_classification_skip_what_has_no_meaning_there() -> None:
    random = np.random.default_rng(1)
    labels = ["yes" if i % 4 == 0 or random.random() < 0.3 else "no" for i in range(ROWS)]
    chances = np.array([0.6 if label == "yes" else 0.3 for label in labels])
    candidate = chances + random.uniform(-0.2, 0.2, ROWS)
    evidence = make_class_evidence(
        labels,
        make_classifier(candidate),
        make_classifier(chances + random.uniform(-0.2, 0.2, ROWS), bundle=CHAMPION),
        task=Task.BINARY,
        inputs={"quarter": [i % 4 for i in range(ROWS)]},
    )
    metrics = ("roc_auc", "log_loss")
    found = slice_findings(evidence, "quarter", tolerance=0.1, metrics=metrics)
    first = found["slice.quarter=0.roc_auc"]
    assert first.outcome is Outcome.NOT_APPLICABLE
    assert "every row is of the same class" in first.reason
    assert found["slice.quarter=1.roc_auc"].outcome is Outcome.PASS


def test_the_order_of_rows_changes_nothing() -> None:
    evidence = evidence_on(ORIGIN, HARMED)
    assert slice_findings(evidence, "origin") == slice_findings(shuffled(evidence, 5), "origin")


def test_holm_multiplies_by_what_is_left_and_never_falls() -> None:
    assert correct_chances([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert correct_chances([]) == []
    assert correct_chances([0.9, 0.8]) == [1.0, 1.0]
