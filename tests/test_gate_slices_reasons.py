"""What a finding on a slice says to the letter, and how columns are cut into slices."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gitops.gate.evidence import join_rows
from gitops.gate.slices import check_slices, correct_chances
from gitops.gate.verdict import Finding, Outcome
from gitops.policy import Severity, SliceRule, Tolerance
from gitops.run import Problem, ProblemKind
from tests.gate_columns import data, words
from tests.gate_evidence import (
    CHAMPION,
    make_evidence,
    make_policy,
    make_rule,
    make_scores,
    noisy,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitops.gate.evidence import Evidence

PASS, FAIL = Outcome.PASS, Outcome.FAIL
DOUBT, NONE = Outcome.INCONCLUSIVE, Outcome.NOT_APPLICABLE
WARN = Severity.WARN
ROWS = 120
ACTUAL, OLD = noisy(ROWS, noise=3)
NEW = [value + 0.5 * (-1) ** i for i, value in enumerate(OLD)]
HARMED = [value + (9 * (-1) ** (i // 2) if i % 2 else 0) for i, value in enumerate(OLD)]
SIDES = ["left", "right"] * (ROWS // 2)
MAE = make_policy(make_rule("mae", maximum=9))


def judge_slices(
    evidence: Evidence, *by: str, amount: float = 0.5, group: str | None = None, **options: Any
) -> list[Finding]:
    tolerance = Tolerance(amount=amount, relative=options.pop("relative", False))
    rule = SliceRule(by=by or ("side",), max_regression=tolerance, severity=WARN, **options)
    policy = replace(MAE, slices=rule, group=group)
    return list(check_slices(evidence, join_rows(evidence.current), policy))


def evidence_on(
    column: Sequence[object] = SIDES, candidate: Any = NEW, champion: Any = OLD
) -> Evidence:
    return make_evidence(ACTUAL, candidate, champion, {"side": column})


def whole(outcome: Outcome, reason: str, rule: str = "slice") -> list[Finding]:
    return [Finding(rule=rule, outcome=outcome, reason=reason, severity=WARN)]


def test_harm_is_told_with_every_figure_and_the_correction() -> None:
    left, right = judge_slices(evidence_on(candidate=HARMED), amount=0.1, relative=True)
    assert left.reason == (
        "where `side` is `left`, mae 2 is no different from the champion's on 60 rows (90 % "
        "interval 0 to 0); at most 0.2 (10%) worse is tolerated, and that more is lost is not "
        "proven among 2 comparisons (Holm's p 1)"
    )
    assert (left.rule, left.outcome, left.severity) == ("slice.side=left.mae", PASS, WARN)
    told, _, chance = right.reason.rpartition(" (Holm's p ")
    assert told == (
        "where `side` is `right`, mae 9.43 is 7.5 worse than the champion's 1.93 on 60 rows (90 % "
        "interval 6.53 to 8.01); at most 0.193 (10%) worse is tolerated, and that more is lost is "
        "proven among 2 comparisons"
    )
    assert float(chance.rstrip(")")) < 1e-12
    assert (right.rule, right.outcome, right.rows) == ("slice.side=right.mae", FAIL, 60)
    assert right.metric == "mae"
    assert right.candidate is not None
    assert right.champion is not None
    assert right.difference == right.candidate - right.champion
    assert right.bound == pytest.approx(0.1 * right.champion)
    assert right.low is not None
    assert right.high is not None
    assert right.low < right.difference < right.high
    assert right.detectable is not None


def test_a_single_comparison_needs_no_correction() -> None:
    (finding,) = judge_slices(evidence_on(["all"] * ROWS))
    assert finding.reason.endswith(
        "at most 0.5 worse is tolerated, and that more is lost is not proven in the only "
        "comparison (Holm's p 1)"
    )


CRASHED = Problem(kind=ProblemKind.CRASHED, message="no cheese")


@pytest.mark.parametrize(
    ("evidence", "outcome", "reason"),
    [
        (
            evidence_on(champion=None),
            NONE,
            "slices are not compared: there is no champion yet",
        ),
        (
            evidence_on(candidate=make_scores([], problem=CRASHED)),
            FAIL,
            "slices cannot be compared: there are no predictions: no cheese",
        ),
        (
            evidence_on(champion=make_scores([], CHAMPION, problem=CRASHED)),
            DOUBT,
            "slices cannot be compared with the champion: there are no predictions: no cheese",
        ),
    ],
)
def test_what_stops_all_slices_is_said_once(
    evidence: Evidence, outcome: Outcome, reason: str
) -> None:
    assert judge_slices(evidence) == whole(outcome, reason)


def test_columns_and_groups_that_do_not_exist_are_named() -> None:
    found = judge_slices(evidence_on(), "side", "a", "b")
    assert found == [
        *whole(FAIL, "there is no raw column `a` to slice by", "slice.a"),
        *whole(FAIL, "there is no raw column `b` to slice by", "slice.b"),
    ]
    reason = "slices are not judged: there is no raw column `who` to group the rows by"
    assert judge_slices(evidence_on(), group="who") == whole(FAIL, reason)


def test_a_metric_that_does_not_exist_is_named_first() -> None:
    first, *rest = judge_slices(evidence_on(), metrics=("rmsle", "mae"))
    assert [first] == whole(
        FAIL,
        "there is no metric 'rmsle' for regression; known are rmse, mae, medae, r2, mape",
        "slice.rmsle",
    )
    assert [finding.rule for finding in rest] == ["slice.side=left.mae", "slice.side=right.mae"]


def test_thirty_rows_are_judged_and_fewer_are_shown() -> None:
    column = ["a"] * 30 + ["b"] * 29 + ["c"] + ["d"] * 60
    found = {finding.rule: finding for finding in judge_slices(evidence_on(column))}
    assert list(found) == [f"slice.side={value}.mae" for value in "adbc"]
    b, c = found["slice.side=b.mae"], found["slice.side=c.mae"]
    assert b == Finding(
        rule="slice.side=b.mae",
        outcome=NONE,
        reason=(
            "where `side` is `b`, 29 rows are shown and not judged (fewer than 30): mae candidate "
            "2.36, champion 2.18"
        ),
        severity=WARN,
        metric="mae",
        rows=29,
        candidate=b.candidate,
        champion=b.champion,
    )
    assert c.reason.startswith("where `side` is `c`, 1 row is shown")
    assert found["slice.side=a.mae"].reason.count("among 2 comparisons") == 1


def test_a_value_that_a_small_slice_leaves_undefined_is_none() -> None:
    column, actual = ["rare"] * 5 + ["common"] * 115, [3.0] * 5 + ACTUAL[5:]
    evidence = make_evidence(actual, NEW, OLD, {"side": column})
    rare = judge_slices(evidence, metrics=("r2",))[-1]
    assert rare.reason == (
        "where `side` is `rare`, 5 rows are shown and not judged (fewer than 30): r2 has no value "
        "there"
    )
    assert (rare.candidate, rare.champion) == (None, None)
    huge = [1e200, *NEW[1:]]
    shown = judge_slices(replace(evidence, **vars_of(huge)), metrics=("rmse",))[-1]
    assert shown.candidate is None
    assert shown.champion is not None
    assert "(fewer than 30): rmse champion " in shown.reason


def vars_of(candidate: list[float]) -> dict[str, Any]:
    evidence = make_evidence([3.0] * 5 + ACTUAL[5:], candidate, OLD)
    return {"current": evidence.current}


def test_ten_small_slices_are_shown_the_largest_first_and_the_rest_are_counted() -> None:
    column = [f"n{i // 10:02}" for i in range(110)] + ["m"] * 4 + ["k"] * 6
    found = judge_slices(evidence_on(column))
    shown = [finding.rule for finding in found[:-1]]
    assert shown == [f"slice.side=n{i:02}.mae" for i in range(10)]
    assert found[-1:] == whole(
        NONE,
        "3 more values of `side` have fewer than 30 rows each, 20 rows together: not judged",
        "slice.side.small",
    )
    exactly = judge_slices(evidence_on([f"n{i // 12:02}" for i in range(ROWS)]))
    assert len(exactly) == 10


def test_a_hundred_values_can_be_judged_and_not_one_more() -> None:
    actual, old = noisy(202, noise=3)
    for values, rule in ((100, "slice.side=v000.mae"), (101, "slice.side")):
        column = [f"v{i % values:03}" for i in range(2 * values)]
        evidence = make_evidence(
            actual[: 2 * values], old[: 2 * values], old[: 2 * values], {"side": column}
        )
        found = judge_slices(evidence, min_rows=2)
        assert found[0].rule == rule
    assert found == whole(
        FAIL,
        "`side` has 101 values with 2 rows or more, and at most 100 can be judged: slice by a "
        "coarser column",
        "slice.side",
    )


def test_what_has_no_meaning_or_no_value_in_a_slice_says_where() -> None:
    actual = [7.0 if side == "left" else value for side, value in zip(SIDES, ACTUAL, strict=True)]
    evidence = make_evidence(actual, NEW, OLD, {"side": SIDES})
    left = judge_slices(evidence, metrics=("r2",))[0]
    assert (left.outcome, left.reason) == (
        NONE,
        (
            "where `side` is `left`, r2 is not compared: every label is the same, so there is nothing "
            "to explain"
        ),
    )
    assert (left.rule, left.severity, left.rows) == ("slice.side=left.r2", WARN, 60)
    huge = [1e200, *NEW[1:]]
    far = "the predictions are too far from the labels to compute it"
    broken = judge_slices(evidence_on(candidate=huge), metrics=("rmse",))[0]
    assert (broken.outcome, broken.reason) == (
        FAIL,
        f"where `side` is `left`, rmse cannot be computed: {far}",
    )
    unfair = judge_slices(evidence_on(champion=huge), metrics=("rmse",))[0]
    assert (unfair.outcome, unfair.reason) == (
        DOUBT,
        f"where `side` is `left`, rmse cannot be compared: {far}",
    )
    zero = judge_slices(evidence_on(champion=ACTUAL), amount=0.1, relative=True)[0]
    assert zero.outcome is DOUBT
    assert zero.reason.startswith(
        "where `side` is `left`, mae cannot be compared: the champion's mae 0 cannot be told"
    )


@pytest.mark.parametrize(("groups", "judged"), [(10, True), (9, False)])
def test_ten_groups_are_judged_and_fewer_are_too_few(groups: int, judged: bool) -> None:
    inputs: dict[str, list[Any]] = {"side": SIDES, "who": [i // 2 % groups for i in range(ROWS)]}
    evidence = make_evidence(ACTUAL, NEW, OLD, inputs)
    found = judge_slices(evidence, group="who")
    assert [finding.outcome is not NONE for finding in found] == [judged, judged]
    if not judged:
        few = "where `side` is `left`, fewer than 10 groups of rows are too few to tell"
        assert found[0].reason == few


def test_values_that_vanished_are_counted_and_five_are_named() -> None:
    lost = {f"v{i}": 90 - i for i in range(7)}
    old = data(words("side", {"left": 100, **lost, "few": 29, "enough": 30}))
    evidence = replace(evidence_on(), champion_profile=old)
    assert judge_slices(evidence)[:1] == whole(
        FAIL,
        "values of `side` that the champion's data has are gone: `v0` (90 rows), `v1` (89 rows), "
        "`v2` (88 rows), `v3` (87 rows), `v4` (86 rows) and 3 more; nobody can tell how the "
        "candidate fares there",
        "slice.side",
    )
    one = replace(evidence, champion_profile=data(words("side", {"long" * 20: 90})))
    digest = hashlib.sha256(("long" * 20).encode()).hexdigest()[:8]
    assert f"are gone: `{'long' * 10}~{digest}` (90 rows);" in judge_slices(one)[0].reason
    kept = replace(evidence, champion_profile=data(words("side", {"few": 29})))
    assert judge_slices(kept)[0].rule == "slice.side=left.mae"


def test_equal_chances_are_corrected_in_the_order_they_come() -> None:
    assert correct_chances([0.02, 0.02]) == [0.04, 0.04]
    assert correct_chances([0.5, 0.001, 0.3]) == pytest.approx([0.6, 0.003, 0.6])


def test_the_sample_of_a_slice_is_its_own() -> None:
    """Two slices with the same rows and predictions differ by what their resamples draw."""
    found = judge_slices(replace(evidence_on(), inputs={"a": SIDES, "b": SIDES}), "a", "b")
    ends = [(finding.low, finding.high) for finding in found]
    assert len(set(ends)) == 4
    assert np.ptp([low for low, _ in ends if low is not None]) < 0.5
