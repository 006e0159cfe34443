"""What a finding on a metric says to the letter, with every figure, and what it leaves unsaid."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from gitops.config import Task
from gitops.gate.catalogue import find_metric
from gitops.gate.evidence import join_rows
from gitops.gate.interval import Estimate
from gitops.gate.rules import check_metrics, decide, list_bounds
from gitops.gate.verdict import Finding, Outcome
from gitops.policy import Direction, MetricRule, Severity, Tolerance
from gitops.run import Problem, ProblemKind
from tests.gate_evidence import (
    CHAMPION,
    make_evidence,
    make_policy,
    make_rule,
    make_scores,
    noisy,
)

if TYPE_CHECKING:
    from gitops.gate.evidence import Evidence

PASS, FAIL = Outcome.PASS, Outcome.FAIL
DOUBT, NONE = Outcome.INCONCLUSIVE, Outcome.NOT_APPLICABLE
ACTUAL, GOOD = noisy(noise=2.9)
_, BAD = noisy(noise=4.8, seed=2)
SIMILAR = [value + 0.4 * (-1) ** i for i, value in enumerate(GOOD)]
ALONE = make_evidence(ACTUAL, GOOD)


def judge_rules(evidence: Evidence, *rules: MetricRule, group: str | None = None) -> list[Finding]:
    policy = replace(make_policy(*rules), group=group)
    return list(check_metrics(evidence, join_rows(evidence.current), policy))


def judge_rule(evidence: Evidence, rule: MetricRule, group: str | None = None) -> Finding:
    (finding,) = judge_rules(evidence, rule, group=group)
    return finding


@pytest.mark.parametrize(
    ("candidate", "champion", "rule", "outcome", "reason"),
    [
        (
            GOOD,
            None,
            make_rule(maximum=2.0),
            FAIL,
            "rmse is 2.46 on 119 rows (90 % interval 2.18 to 2.95); at most 2 is allowed",
        ),
        (
            GOOD,
            None,
            make_rule("r2", minimum=0.6),
            PASS,
            "r2 is 0.868 on 119 rows (90 % interval 0.815 to 0.908); at least 0.6 is required",
        ),
        (
            BAD,
            GOOD,
            make_rule(max_regression="2%"),
            FAIL,
            (
                "rmse 4.75 is 2.29 worse than the champion's 2.46 on the same 119 rows (90 % interval "
                "1.69 to 2.94); at most 0.0492 (2%) worse is tolerated"
            ),
        ),
        (
            GOOD,
            BAD,
            make_rule(min_improvement="1%"),
            PASS,
            (
                "rmse 2.46 is 2.29 better than the champion's 4.75 on the same 119 rows (90 % interval "
                "1.7 to 2.93); an improvement of at least 0.0475 (1%) is required"
            ),
        ),
        (
            GOOD,
            SIMILAR,
            make_rule(min_improvement=0.01),
            DOUBT,
            (
                "rmse 2.46 is 0.0426 better than the champion's 2.5 on the same 119 rows (90 % interval "
                "0.102 better to 0.0276 worse); an improvement of at least 0.01 is required, which 119 "
                "rows cannot settle: they detect a change of 0.0898 or more"
            ),
        ),
        (
            SIMILAR,
            GOOD,
            make_rule(max_regression=0.0, prove=True),
            DOUBT,
            (
                "rmse 2.5 is 0.0426 worse than the champion's 2.46 on the same 119 rows (90 % interval "
                "0.0276 better to 0.102 worse); at most 0 worse is tolerated, which 119 rows cannot "
                "settle: they detect a change of 0.0898 or more"
            ),
        ),
        (
            GOOD,
            GOOD,
            make_rule(max_regression=0.5),
            PASS,
            (
                "rmse 2.46 is no different from the champion's on the same 119 rows (90 % interval 0 to "
                "0); at most 0.5 worse is tolerated"
            ),
        ),
    ],
)
def test_a_finding_says_what_was_found_on_how_many_rows_and_what_is_allowed(
    candidate: list[float],
    champion: list[float] | None,
    rule: MetricRule,
    outcome: Outcome,
    reason: str,
) -> None:
    finding = judge_rule(make_evidence(ACTUAL, candidate, champion), rule)
    assert (finding.outcome, finding.reason) == (outcome, reason)
    assert (finding.metric, finding.rows, finding.severity) == (rule.metric, 119, Severity.BLOCK)


def test_the_figures_of_an_absolute_bound_are_those_of_the_candidate() -> None:
    finding = judge_rule(ALONE, make_rule(maximum=3.0, severity=Severity.WARN))
    assert finding.candidate == pytest.approx(2.4585, abs=1e-4)
    assert (finding.champion, finding.difference) == (None, None)
    assert finding.bound == 3.0
    assert (finding.low, finding.high) == pytest.approx((2.1812, 2.9489), abs=1e-4)
    assert finding.detectable == pytest.approx(0.4438, abs=1e-4)
    assert finding.severity is Severity.WARN


def test_the_figures_of_a_comparison_are_regressions_or_improvements() -> None:
    """Both intervals count in that the bound, a share of the champion, is itself a sample's."""
    worse = judge_rule(make_evidence(ACTUAL, BAD, GOOD), make_rule(max_regression="2%"))
    better = judge_rule(make_evidence(ACTUAL, GOOD, BAD), make_rule(min_improvement="2%"))
    for finding, sign in ((worse, 1), (better, -1)):
        assert finding.difference == pytest.approx(sign * 2.28916, abs=1e-5)
        assert finding.low is not None
        assert finding.high is not None
        assert finding.low < 2.28916 < finding.high
    assert worse.bound == pytest.approx(0.02 * 2.45852, abs=1e-5)
    assert better.bound == pytest.approx(0.02 * 4.74768, abs=1e-5)


def test_bounds_are_judged_in_the_order_of_the_rule_and_of_the_policy() -> None:
    rule = make_rule(min_improvement=1, max_regression=1, maximum=9, minimum=1)
    assert list_bounds(rule) == {
        "min": 1,
        "max": 9,
        "max_regression": Tolerance(amount=1),
        "min_improvement": Tolerance(amount=1),
    }
    found = judge_rules(make_evidence(ACTUAL, GOOD, BAD), make_rule("r2", minimum=0), rule)
    assert [finding.rule for finding in found] == [
        "r2.min",
        *(f"rmse.{name}" for name in ("min", "max", "max_regression", "min_improvement")),
    ]


def around(low: float, point: float, high: float, error: float = 1.0) -> Estimate:
    return Estimate(point=point, low=low, high=high, error=error)


@pytest.mark.parametrize(
    ("found", "prove", "outcome"),
    [
        (around(4, 5, 6), False, DOUBT),
        (around(3, 4, 5), False, PASS),
        (around(2, 3, 4), True, PASS),
        (around(2, 3, 4.001), True, DOUBT),
        (around(4.001, 5, 6), False, FAIL),
        (around(1, 2, 3, math.nan), False, DOUBT),
        (around(5, 6, 7, math.nan), False, FAIL),
    ],
)
def test_what_touches_the_bound_keeps_it(found: Estimate, prove: bool, outcome: Outcome) -> None:
    assert decide(found, 4.0, at_most=True, prove=prove) is outcome


def test_a_bound_that_the_span_of_the_metric_rules_out_is_decided_by_it() -> None:
    perfect = judge_rule(make_evidence(ACTUAL, ACTUAL), make_rule(maximum=0.0))
    assert (perfect.low, perfect.high, perfect.outcome) == (0.0, 0.0, PASS)


def test_too_few_rows_are_said_to_be_too_few_with_no_interval() -> None:
    finding = judge_rule(make_evidence(ACTUAL[:9], GOOD[:9]), make_rule(maximum=99))
    assert finding.reason == (
        "rmse is 2.02 on 9 rows (90 % interval unknown); at most 99 is allowed, and 9 rows are too "
        "few to tell (at least 10)"
    )
    assert (finding.low, finding.high, finding.detectable) == (None, None, None)
    ten = judge_rule(make_evidence(ACTUAL[:10], GOOD[:10]), make_rule(maximum=99))
    assert ten.outcome is PASS


def test_few_groups_are_said_to_be_groups() -> None:
    grouped = replace(ALONE, inputs={"who": [i % 4 for i in range(119)]})
    finding = judge_rule(grouped, make_rule(maximum=99), "who")
    assert finding.reason.endswith("and 4 groups of rows are too few to tell (at least 10)")


def test_a_median_whose_interval_nobody_knows_cannot_be_settled() -> None:
    def distinct_only(actual: Any, predicted: Any) -> float:
        return 1.0 if len(set(actual.tolist())) == len(ACTUAL) else math.nan

    rule = replace(make_rule("own", minimum=0.5), function="f.py:f", direction=Direction.HIGHER)
    finding = judge_rule(replace(ALONE, custom={"own": distinct_only}), rule)
    assert finding.reason == (
        "own is 1 on 119 rows (90 % interval unknown); at least 0.5 is required, which 119 rows "
        "cannot settle"
    )


@pytest.mark.parametrize(
    ("evidence", "rule", "outcome", "reason"),
    [
        (
            ALONE,
            make_rule(max_regression="2%"),
            NONE,
            "rmse is not compared: there is no champion yet",
        ),
        (
            make_evidence(ACTUAL, GOOD, [1e200] * 119),
            make_rule(max_regression=1.0),
            DOUBT,
            (
                "rmse cannot be compared, the champion has none on these rows: the predictions are too "
                "far from the labels to compute it"
            ),
        ),
        (
            make_evidence(
                ACTUAL,
                GOOD,
                make_scores(
                    [], CHAMPION, problem=Problem(kind=ProblemKind.CRASHED, message="no cheese")
                ),
            ),
            make_rule(max_regression=1.0),
            DOUBT,
            (
                "rmse cannot be compared, the champion has none on these rows: there are no "
                "predictions: no cheese"
            ),
        ),
        (
            make_evidence(ACTUAL, GOOD, ACTUAL),
            make_rule(max_regression="2%"),
            FAIL,
            (
                "the champion's rmse 0 cannot be told from zero, so 2% of it has no meaning; give the "
                "tolerance in units of rmse"
            ),
        ),
        (
            make_evidence(ACTUAL, [None] * 119),
            make_rule(maximum=1),
            FAIL,
            (
                'rmse cannot be computed: 119 rows, "row-0000" the first, whose prediction is not a '
                "finite number (missing)"
            ),
        ),
        (
            make_evidence([None, *ACTUAL[1:]], GOOD),
            make_rule(maximum=1),
            FAIL,
            'rmse cannot be computed: row "row-0000" whose label is not a finite number (missing)',
        ),
        (
            ALONE,
            make_rule("rmsle", maximum=1),
            FAIL,
            "there is no metric 'rmsle' for regression; known are rmse, mae, medae, r2, mape",
        ),
        (
            ALONE,
            replace(make_rule("own", minimum=1), function="f.py:f", direction=Direction.HIGHER),
            FAIL,
            "the target branch has no function f.py:f to compute it with",
        ),
    ],
)
def test_what_cannot_be_judged_says_why(
    evidence: Evidence, rule: MetricRule, outcome: Outcome, reason: str
) -> None:
    finding = judge_rule(evidence, replace(rule, severity=Severity.WARN))
    assert (finding.outcome, finding.reason) == (outcome, reason)
    assert (finding.metric, finding.rows) == (rule.metric, 119)
    assert finding.severity is Severity.WARN
    assert (finding.candidate, finding.bound, finding.low) == (None, None, None)


def test_a_custom_metric_without_a_direction_is_refused() -> None:
    rule = replace(make_rule("own", minimum=1), function="f.py:f")
    custom = {"own": lambda actual, predicted: 1.0}
    reason = find_metric(rule, replace(ALONE, custom=custom), join_rows(ALONE.current))
    assert reason == "the rule does not say which way own gets better"


def test_an_unknown_group_stops_every_bound() -> None:
    found = judge_rules(
        ALONE, make_rule(minimum=0, maximum=9), make_rule("r2", minimum=0), group="who"
    )
    ends = "is not judged: there is no raw column `who` to group the rows by"
    assert [(f.rule, f.outcome, f.reason) for f in found] == [
        ("rmse.min", FAIL, f"rmse {ends}"),
        ("rmse.max", FAIL, f"rmse {ends}"),
        ("r2.min", FAIL, f"r2 {ends}"),
    ]


def test_a_champion_that_may_know_the_rows_is_named_as_such_only_where_it_wins() -> None:
    evidence = replace(make_evidence(ACTUAL, BAD, GOOD), holdout_changed=True)
    finding = judge_rule(evidence, make_rule(max_regression="2%"))
    assert finding.outcome is DOUBT
    assert finding.reason.endswith(
        "at most 0.0492 (2%) worse is tolerated; but the champion was trained under another split "
        "and may have seen these rows, which favours it"
    )
    absolute = judge_rule(evidence, make_rule(maximum=1))
    assert absolute.outcome is FAIL
    alike = replace(make_evidence(ACTUAL, SIMILAR, GOOD), holdout_changed=True)
    doubt = judge_rule(alike, make_rule(max_regression=0.0, prove=True))
    assert "another split" not in doubt.reason


def test_every_task_knows_its_own_metrics_in_a_fixed_order() -> None:
    rows = join_rows(ALONE.current)
    known = {task: find_metric(make_rule("none"), replace(ALONE, task=task), rows) for task in Task}
    shared = "accuracy, log_loss, brier, balanced_accuracy"
    assert known == {
        Task.REGRESSION: "there is no metric 'none' for regression; known are rmse, mae, medae, "
        "r2, mape",
        Task.BINARY: f"there is no metric 'none' for binary; known are {shared}, precision, "
        "recall, f1, roc_auc, pr_auc",
        Task.MULTICLASS: f"there is no metric 'none' for multiclass; known are {shared}, f1",
    }
