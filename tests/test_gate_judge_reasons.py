"""What the verdict's first line, key and refusals say, to the letter."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gitops.config import Task
from gitops.digest import make_digest
from gitops.errors import InputError
from gitops.gate.evidence import join_rows
from gitops.gate.judge import check_f1, judge
from gitops.gate.verdict import Finding, Outcome
from gitops.policy import Severity
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
)

if TYPE_CHECKING:
    from gitops.gate.evidence import Evidence
    from gitops.policy import Policy

ACTUAL, GOOD = noisy(40, noise=2.9)
_, BAD = noisy(40, noise=4.8, seed=2)
ALONE, BETTER = make_evidence(ACTUAL, GOOD), make_evidence(ACTUAL, GOOD, BAD)
BOUND = make_rule("rmse", maximum=5)
COMPARED = make_rule("mae", max_regression=1.0)


def refuse(evidence: Evidence, policy: Policy) -> tuple[str, str]:
    with pytest.raises(InputError) as caught:
        judge(evidence, policy)
    return caught.value.what, caught.value.hint


@pytest.mark.parametrize(
    ("policy", "what", "hint"),
    [
        (
            make_policy(),
            "the policy has no rule, and no rule is not a pass",
            "add one under gate.metrics, e.g. `rmse: {max: 4.5, max_regression: 2%}`",
        ),
        (
            make_policy(make_rule()),
            "the rule for rmse has no bound",
            "give it `min`, `max`, `max_regression` or `min_improvement`",
        ),
        (
            make_policy(replace(BOUND, severity=Severity.WARN)),
            "every rule of the policy only warns, so the gate would let everything through",
            "take `severity: warn` from at least one rule",
        ),
        *(
            (make_policy(rule), f"rmse.{what}", "")
            for rule, what in (
                (make_rule(maximum=float("inf")), "max: inf is not a bound"),
                (make_rule(minimum=True), "min: True is not a bound"),
                (make_rule(max_regression=float("nan")), "max_regression: nan is not a bound"),
                (
                    make_rule(min_improvement=-0.5),
                    (
                        "min_improvement: -0.5 is negative; say how much, the rule says in which "
                        "direction"
                    ),
                ),
                (
                    make_rule(max_regression="100%"),
                    (
                        "max_regression: 100% of the champion's value is no tolerance; 1% is written "
                        "`1%`"
                    ),
                ),
            )
        ),
    ],
)
def test_a_policy_that_decides_nothing_is_refused_with_a_way_out(
    policy: Policy, what: str, hint: str
) -> None:
    assert refuse(ALONE, policy) == (what, hint)


def test_bounds_at_the_edge_of_sense_are_accepted() -> None:
    rules = (make_rule(minimum=-1, max_regression=0), make_rule("mae", max_regression="99%"))
    warned = make_rule("r2", max_regression=1.0, severity=Severity.WARN)
    assert judge(BETTER, make_policy(warned, *rules)).findings


@pytest.mark.parametrize(
    ("evidence", "what"),
    [
        (
            replace(ALONE, candidate="sha256:x"),
            f"the candidate is sha256:x, but the scores are of {CANDIDATE}",
        ),
        (
            replace(BETTER, champion=""),
            f"the champion is nothing, but the scores are of {CHAMPION}",
        ),
        (
            replace(ALONE, champion="sha256:x"),
            "the champion is sha256:x, but the scores are of nothing",
        ),
        (
            replace(BETTER, earlier=replace(BETTER.current, champion=make_scores(BAD, "b"))),
            f"the champion is {CHAMPION}, but the scores are of b",
        ),
    ],
)
def test_scores_of_other_bundles_are_refused_by_name(evidence: Evidence, what: str) -> None:
    assert refuse(evidence, make_policy(BOUND)) == (what, "run `gitops run experimental` again")


def test_columns_of_other_rows_are_refused_by_name() -> None:
    evidence = replace(ALONE, inputs={"hp": ACTUAL, "wght": [1, 2]})
    what = "column 'wght' has 2 values for 40 rows"
    assert refuse(evidence, make_policy(BOUND)) == (what, "")


def test_a_verdict_is_bound_to_what_was_judged() -> None:
    policy = make_policy(BOUND)
    verdict = judge(BETTER, policy)
    assert (verdict.model, verdict.rows) == ("fuel", 40)
    assert (verdict.candidate, verdict.champion) == (CANDIDATE, CHAMPION)
    assert (verdict.fingerprint, verdict.policy) == (BETTER.fingerprint, policy.digest)
    assert verdict.key == make_digest(
        {
            "fingerprint": BETTER.fingerprint,
            "candidate": CANDIDATE,
            "champion": CHAMPION,
            "policy": policy.digest,
            "rows": join_rows(BETTER.current).digest,
        }
    )


def test_findings_come_in_the_order_in_which_they_explain_each_other() -> None:
    names = [finding.rule for finding in judge(BETTER, make_policy(BOUND, COMPARED)).findings]
    assert names == [
        "leak.target",
        "data.profile",
        "consistency.labels",
        "consistency.predictions",
        "rmse.max",
        "mae.max_regression",
        "serving.signature",
        "selftest",
    ]


def test_the_first_line_quotes_a_comparison_and_one_warning() -> None:
    warned = [make_rule(name, maximum=0.1, severity=Severity.WARN) for name in ("mape", "medae")]
    verdict = judge(BETTER, make_policy(BOUND, COMPARED, *warned))
    mae, mape = find(verdict, "mae.max_regression"), find(verdict, "mape.max")
    assert verdict.outcome is Outcome.PASS
    assert verdict.reason == (
        f"2 rules hold on the held-out rows: {mae.reason}; look at mape.max: {mape.reason}"
    )
    alone = judge(ALONE, make_policy(BOUND))
    first = find(alone, "rmse.max").reason
    assert alone.reason == f"1 rule holds on the held-out rows: {first}"


def test_a_policy_that_only_compares_has_judged_no_first_model() -> None:
    silence = Finding(
        rule="policy.bounds",
        outcome=Outcome.INCONCLUSIVE,
        reason=(
            "no rule could judge this model: every one compares it with a champion, and there is "
            "none; add `min` or `max`, or let a person decide"
        ),
    )
    warned = make_rule("rmse", maximum=9, severity=Severity.WARN)
    assert judge(ALONE, make_policy(COMPARED)).findings[-1] == silence
    assert judge(ALONE, make_policy(COMPARED, warned)).findings[-1] == silence
    assert silence not in judge(ALONE, make_policy(COMPARED, BOUND)).findings
    assert silence not in judge(BETTER, make_policy(COMPARED)).findings


def f1_findings(precision: float, recall: float, f1: float | None) -> tuple[Finding, ...]:
    values = {"precision": precision, "recall": recall, "f1": f1}
    return tuple(
        Finding(rule=f"{name}.min", outcome=Outcome.PASS, reason="", metric=name, candidate=value)
        for name, value in values.items()
    )


@pytest.mark.parametrize(
    ("precision", "recall", "f1", "outcome", "reason"),
    [
        (
            0.5,
            0.25,
            1 / 3,
            Outcome.PASS,
            "f1 0.333 is the harmonic mean of precision 0.5 and recall 0.25, which is 0.333",
        ),
        (
            0.5,
            0.25,
            0.34,
            Outcome.FAIL,
            "f1 0.34 is not the harmonic mean of precision 0.5 and recall 0.25, which is 0.333",
        ),
        (
            0.0,
            0.0,
            0.1,
            Outcome.FAIL,
            "f1 0.1 is not the harmonic mean of precision 0 and recall 0, which is 0",
        ),
        (
            1.0,
            1.0,
            1.0 + 1e-8,
            Outcome.FAIL,
            "f1 1 is not the harmonic mean of precision 1 and recall 1, which is 1",
        ),
        (
            0.0,
            0.0,
            1e-13,
            Outcome.PASS,
            "f1 1.00e-13 is the harmonic mean of precision 0 and recall 0, which is 0",
        ),
    ],
)
def test_f1_is_checked_against_precision_and_recall(
    precision: float, recall: float, f1: float, outcome: Outcome, reason: str
) -> None:
    finding = Finding(rule="consistency.f1", outcome=outcome, reason=reason)
    assert check_f1(f1_findings(precision, recall, f1), Task.BINARY) == (finding,)
    assert check_f1(f1_findings(precision, recall, f1), Task.MULTICLASS) == ()
    assert check_f1(f1_findings(precision, recall, None), Task.BINARY) == ()


def test_the_task_and_the_positive_class_reach_the_rows() -> None:
    labels = ["no", "yes", "no", "no"] * 20
    evidence = make_class_evidence(
        labels, make_classifier([0.2, 0.7, 0.6, 0.1] * 20), positive="no"
    )
    rules = [make_rule(name, minimum=0.1) for name in ("precision", "recall", "f1")]
    verdict = judge(evidence, make_policy(*rules))
    assert find(verdict, "recall.min").candidate == pytest.approx(2 / 3)
    assert find(verdict, "consistency.f1").outcome is Outcome.PASS
