"""What each bound means: which numbers pass, which fail, and what nobody can tell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.gate.evidence import join_rows
from gitops.gate.interval import Estimate
from gitops.gate.rules import check_metrics, decide
from gitops.gate.verdict import Finding, Outcome
from gitops.run import Problem, ProblemKind
from tests.gate_evidence import (
    CHAMPION,
    judge_rule,
    make_evidence,
    make_policy,
    make_rule,
    make_scores,
    noisy,
)

ACTUAL, GOOD = noisy(noise=2.9)
_, BAD = noisy(noise=4.8, seed=2)
SIMILAR = [value + 0.4 * (-1) ** i for i, value in enumerate(GOOD)]
FEW = slice(0, 9)


def around(low: float, point: float, high: float) -> Estimate:
    return Estimate(point=point, low=low, high=high, error=(high - low) / 3.29)


@pytest.mark.parametrize(
    ("found", "prove", "outcome"),
    [
        (around(1, 2, 3), False, Outcome.PASS),
        (around(1, 2, 3), True, Outcome.PASS),
        (around(3, 4, 5), True, Outcome.INCONCLUSIVE),
        (around(3, 3.9, 5), False, Outcome.PASS),
        (around(3, 4.5, 5), False, Outcome.INCONCLUSIVE),
        (around(4.1, 5, 6), False, Outcome.FAIL),
        (around(4.1, 5, 6), True, Outcome.FAIL),
        (Estimate(point=1, low=-math.inf, high=math.inf, error=math.nan), False, "INCONCLUSIVE"),
        (Estimate(point=9, low=-math.inf, high=math.inf, error=math.nan), True, "INCONCLUSIVE"),
    ],
)
def test_a_bound_of_four_is_decided_by_point_and_interval(
    found: Estimate, prove: bool, outcome: Outcome
) -> None:
    assert decide(found, 4.0, at_most=True, prove=prove) == outcome
    mirrored = Estimate(point=-found.point, low=-found.high, high=-found.low, error=found.error)
    assert decide(mirrored, -4.0, at_most=False, prove=prove) == outcome


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6), st.floats(0, 1e6), st.floats(-1e6, 1e6))
def test_asking_for_proof_never_turns_anything_into_a_pass(
    point: float, below: float, above: float, bound: float
) -> None:
    found = around(point - below, point, point + above)
    proven = decide(found, bound, at_most=True, prove=True)
    believed = decide(found, bound, at_most=True, prove=False)
    assert (proven, believed) in {
        (Outcome.PASS, Outcome.PASS),
        (Outcome.FAIL, Outcome.FAIL),
        (Outcome.INCONCLUSIVE, Outcome.PASS),
        (Outcome.INCONCLUSIVE, Outcome.INCONCLUSIVE),
    }


def test_an_upper_bound_passes_below_and_fails_on_evidence_above() -> None:
    evidence = make_evidence(ACTUAL, GOOD)
    assert judge_rule(evidence, make_rule(maximum=4.5), "max").outcome is Outcome.PASS
    finding = judge_rule(evidence, make_rule(maximum=2.0), "max")
    assert finding.outcome is Outcome.FAIL
    assert "at most 2 is allowed" in finding.reason


def test_a_lower_bound_holds_for_a_metric_where_higher_is_better() -> None:
    evidence = make_evidence(ACTUAL, GOOD)
    assert judge_rule(evidence, make_rule("r2", minimum=0.6), "min").outcome is Outcome.PASS
    assert judge_rule(evidence, make_rule("r2", minimum=0.97), "min").outcome is Outcome.FAIL


def test_a_champion_that_is_strictly_better_fails_the_candidate_and_says_by_how_much() -> None:
    finding = judge_rule(
        make_evidence(ACTUAL, BAD, GOOD), make_rule(max_regression="2%"), "max_regression"
    )
    assert finding.outcome is Outcome.FAIL
    assert "worse than the champion's" in finding.reason
    assert "on the same 119 rows (90 % interval " in finding.reason
    assert "(2%) worse is tolerated" in finding.reason
    assert finding.candidate is not None
    assert finding.champion is not None
    assert finding.difference == pytest.approx(finding.candidate - finding.champion)
    assert finding.bound == pytest.approx(0.02 * finding.champion)
    assert finding.bound is not None
    assert finding.low is not None
    assert finding.high is not None
    assert finding.difference is not None
    assert finding.bound < finding.low < finding.difference < finding.high


@pytest.mark.parametrize("metric", ["rmse", "mae", "medae", "r2"])
def test_a_champion_that_is_strictly_worse_passes_the_candidate(metric: str) -> None:
    evidence = make_evidence(ACTUAL, GOOD, BAD)
    rule = make_rule(metric, max_regression="2%", min_improvement=0.01)
    for name in ("max_regression", "min_improvement"):
        finding = judge_rule(evidence, rule, name)
        assert finding.outcome is Outcome.PASS
        assert "better than the champion's" in finding.reason


@pytest.mark.parametrize("metric", ["rmse", "mae", "medae", "r2", "mape"])
def test_the_same_model_is_no_regression_and_no_improvement(metric: str) -> None:
    evidence = make_evidence(ACTUAL, GOOD, make_scores(GOOD, CHAMPION))
    for tolerance in (0.0, "0%", "2%"):
        rule = make_rule(metric, max_regression=tolerance)
        finding = judge_rule(evidence, rule, "max_regression")
        assert (finding.outcome, finding.difference) == (Outcome.PASS, 0.0)
        assert (finding.low, finding.high) == (0.0, 0.0)
        assert "no different from the champion's" in finding.reason
    improvement = judge_rule(evidence, make_rule(metric, min_improvement=0.1), "min_improvement")
    assert improvement.outcome is Outcome.FAIL


def test_a_difference_that_the_rows_cannot_settle_is_left_to_a_person() -> None:
    evidence = make_evidence(ACTUAL, SIMILAR, GOOD)
    rule = make_rule(max_regression=0.0, prove=True)
    finding = judge_rule(evidence, rule, "max_regression")
    assert finding.outcome is Outcome.INCONCLUSIVE
    assert "119 rows cannot settle: they detect a change of" in finding.reason


def test_an_improvement_must_be_proven_unless_the_policy_says_otherwise() -> None:
    evidence = make_evidence(ACTUAL, GOOD, SIMILAR)
    proven = judge_rule(evidence, make_rule(min_improvement=0.0), "min_improvement")
    believed = judge_rule(evidence, make_rule(min_improvement=0.0, prove=False), "min_improvement")
    assert proven.difference is not None
    assert proven.difference < 0
    assert (proven.outcome, believed.outcome) == (Outcome.INCONCLUSIVE, Outcome.PASS)


def test_a_share_is_taken_of_the_size_of_the_champions_value_even_when_it_is_negative() -> None:
    """2 % of an r2 of -0.5 is 0.01: (candidate - champion) / |champion| may fall to -0.02."""
    shifted = [value + 12 for value in GOOD]
    evidence = make_evidence(ACTUAL, GOOD, shifted)
    finding = judge_rule(evidence, make_rule("r2", max_regression="2%"), "max_regression")
    assert finding.champion is not None
    assert finding.champion < 0
    assert finding.bound == pytest.approx(0.02 * abs(finding.champion))
    assert finding.outcome is Outcome.PASS


def test_a_share_of_a_champion_at_zero_has_no_meaning() -> None:
    perfect = judge_rule(
        make_evidence(ACTUAL, GOOD, ACTUAL), make_rule(max_regression="2%"), "max_regression"
    )
    mean = sum(ACTUAL) / len(ACTUAL)
    useless = [mean + 0.1 * (value - mean) * (-1) ** i for i, value in enumerate(ACTUAL)]
    near = judge_rule(
        make_evidence(ACTUAL, GOOD, useless), make_rule("r2", max_regression="2%"), "max_regression"
    )
    for finding in (perfect, near):
        assert finding.outcome is Outcome.FAIL
        assert "cannot be told from zero" in finding.reason
        assert "give the tolerance in units of" in finding.reason


def test_an_absolute_tolerance_works_against_a_champion_at_zero() -> None:
    evidence = make_evidence(ACTUAL, GOOD, ACTUAL)
    finding = judge_rule(evidence, make_rule(max_regression=5.0), "max_regression")
    assert finding.outcome is Outcome.PASS


def test_without_a_champion_a_comparison_does_not_apply_and_says_why() -> None:
    rule = make_rule(maximum=4.5, max_regression="2%")
    finding = judge_rule(make_evidence(ACTUAL, GOOD), rule, "max_regression")
    assert finding.outcome is Outcome.NOT_APPLICABLE
    assert finding.reason == "rmse is not compared: there is no champion yet"


def test_a_champion_that_cannot_be_scored_leaves_the_comparison_to_a_person() -> None:
    problem = Problem(kind=ProblemKind.REFUSED_ROWS, message="row a: `hp` is missing")
    champion = make_scores([None] * len(ACTUAL), CHAMPION, problem=problem)
    rule = make_rule(maximum=4.5, max_regression="2%")
    finding = judge_rule(make_evidence(ACTUAL, GOOD, champion), rule, "max_regression")
    assert finding.outcome is Outcome.INCONCLUSIVE
    assert "`hp` is missing" in finding.reason


def test_a_loss_against_a_champion_that_may_have_learnt_the_rows_is_no_proof() -> None:
    evidence = replace(make_evidence(ACTUAL, BAD, GOOD), holdout_changed=True)
    finding = judge_rule(evidence, make_rule(max_regression="2%"), "max_regression")
    assert finding.outcome is Outcome.INCONCLUSIVE
    assert "trained under another split" in finding.reason


def test_a_win_against_a_champion_that_may_have_learnt_the_rows_stands() -> None:
    evidence = replace(make_evidence(ACTUAL, GOOD, BAD), holdout_changed=True)
    finding = judge_rule(evidence, make_rule(max_regression="2%"), "max_regression")
    assert finding.outcome is Outcome.PASS


@pytest.mark.parametrize("name", ["max", "max_regression"])
def test_too_few_rows_decide_nothing(name: str) -> None:
    evidence = make_evidence(ACTUAL[FEW], GOOD[FEW], BAD[FEW])
    finding = judge_rule(evidence, make_rule(maximum=99, max_regression=99.0), name)
    assert finding.outcome is Outcome.INCONCLUSIVE
    assert "9 rows are too few to tell (at least 10)" in finding.reason


def test_a_metric_that_does_not_exist_fails_by_name() -> None:
    finding = judge_rule(make_evidence(ACTUAL, GOOD), make_rule("rmsle", maximum=1), "max")
    assert finding.outcome is Outcome.FAIL
    assert "no metric 'rmsle' for regression; known are rmse, mae" in finding.reason


def test_an_undefined_metric_fails_with_the_reason() -> None:
    zero = judge_rule(make_evidence([0.0, *ACTUAL[1:]], GOOD), make_rule("mape", maximum=9), "max")
    constant = judge_rule(make_evidence([3.0] * 119, GOOD), make_rule("r2", minimum=0), "min")
    huge = judge_rule(make_evidence(ACTUAL, [1e200, *GOOD[1:]]), make_rule(maximum=9), "max")
    assert [f.outcome for f in (zero, constant, huge)] == [Outcome.FAIL] * 3
    assert "1 label is 0" in zero.reason
    assert "every label is the same" in constant.reason
    assert "too far from the labels" in huge.reason


def judge_grouped(inputs: dict[str, Sequence[object]], group: str, name: str) -> Finding:
    evidence = make_evidence(ACTUAL, SIMILAR, GOOD, inputs)
    policy = replace(make_policy(make_rule(maximum=4.5, max_regression=0.1)), group=group)
    found = check_metrics(evidence, join_rows(evidence.current), policy)
    return next(finding for finding in found if finding.rule == f"rmse.{name}")


@pytest.mark.parametrize("name", ["max", "max_regression"])
def test_a_group_column_that_does_not_exist_fails_by_name(name: str) -> None:
    finding = judge_grouped({}, "patient", name)
    assert finding.outcome is Outcome.FAIL
    assert "no raw column `patient` to group the rows by" in finding.reason


def test_rows_of_few_groups_decide_nothing_however_many_they_are() -> None:
    finding = judge_grouped({"patient": [i % 9 for i in range(119)]}, "patient", "max")
    assert finding.outcome is Outcome.INCONCLUSIVE
    assert "9 groups of rows are too few to tell" in finding.reason


def test_a_group_for_each_row_is_no_group_at_all() -> None:
    alone = judge_grouped({"patient": [f"p{i:03}" for i in range(119)]}, "patient", "max")
    evidence = make_evidence(ACTUAL, SIMILAR, GOOD)
    assert alone == judge_rule(evidence, make_rule(maximum=4.5), "max")


def test_rows_without_a_group_belong_together() -> None:
    finding = judge_grouped({"patient": [None] * 119}, "patient", "max")
    assert finding.outcome is Outcome.INCONCLUSIVE
