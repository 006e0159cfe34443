"""What a finding on drift says to the letter, and which columns are compared at all."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gitops.config import Task
from gitops.gate.drift import check_drift
from gitops.gate.evidence import join_rows
from gitops.gate.verdict import Finding, Outcome
from gitops.policy import DataRule, Policy, Severity
from tests.gate_columns import data, empty, numbers, words
from tests.gate_evidence import make_evidence

if TYPE_CHECKING:
    from gitops.gate.profile import ColumnProfile, DataProfile

BLOCK = Severity.BLOCK
ALIKE = "compared columns is distributed otherwise than in the champion's data"


def judge_drift(
    old: DataProfile | None,
    new: DataProfile | None,
    severity: Severity | None = BLOCK,
    task: Task = Task.REGRESSION,
) -> tuple[Finding, ...]:
    evidence = make_evidence([1.0, 2.0], [1.0, 2.0])
    evidence = replace(evidence, profile=new, champion_profile=old, task=task)
    policy = Policy(metrics=(), data=DataRule(drift=severity))
    return check_drift(evidence, join_rows(evidence.current), policy)


def compare(*pairs: tuple[ColumnProfile, ColumnProfile]) -> tuple[Finding, ...]:
    old, new = zip(*pairs, strict=True)
    return judge_drift(data(*old, name="old"), data(*new))


def said(rule: str, outcome: Outcome, reason: str) -> Finding:
    return Finding(rule=rule, outcome=outcome, reason=reason, severity=BLOCK)


HP, MOVED = numbers("hp", range(40)), numbers("hp", range(20, 60))


def test_moved_numbers_are_told_with_distance_and_medians() -> None:
    assert compare((HP, MOVED)) == (
        said(
            "drift.hp",
            Outcome.FAIL,
            "`hp` is distributed otherwise than in the champion's data: distance 0.5, median 20 "
            "then and 40 now",
        ),
    )


def test_moved_text_is_told_with_the_value_that_moved_most() -> None:
    old = words("org", {"eu": 300, "jp": 200, "us": 500})
    new = words("org", {"us": 500, "kr": 350, "eu": 150})
    assert compare((old, new)) == (
        said(
            "drift.org",
            Outcome.FAIL,
            "`org` moved by 35 % of its values: `kr` was 0 % and is 35 %",
        ),
    )
    gone = words("org", {"us": 700, "eu": 300})
    assert "`jp` was 20 % and is 0 %" in compare((old, gone))[0].reason


def test_shares_are_of_the_rows_that_have_a_value() -> None:
    old = words("org", {"us": 250, "eu": 250}, missing=500)
    new = words("org", {"us": 400, "eu": 50, "kr": 50}, missing=500)
    assert compare((old, new))[0].reason == (
        "`org` moved by 40 % of its values: `eu` was 50 % and is 10 %"
    )
    tied = words("org", {"us": 375, "eu": 125}, missing=500)
    assert compare((old, tied))[0].reason.endswith("`eu` was 50 % and is 25 %")


def test_nothing_moved_is_said_with_the_number_of_columns() -> None:
    org = words("org", {"us": 1000})
    calm = said("drift", Outcome.PASS, f"none of 2 {ALIKE}")
    assert compare((HP, HP), (org, org)) == (calm,)


@pytest.mark.parametrize(("size", "compared"), [(30, True), (29, False)])
def test_thirty_values_on_either_side_are_compared(size: int, compared: bool) -> None:
    few = numbers("hp", range(100, 100 + size))
    rare = words("hp", {"a": size}, missing=1000 - size)
    more = words("hp", {"b": 60}, missing=940)
    for old, new in ((HP, few), (few, HP), (rare, more), (more, rare)):
        (finding,) = compare((old, new))
        assert (finding.rule == "drift.hp") is compared
    nothing = "no column has 30 values on both sides to compare distributions of"
    if not compared:
        assert compare((HP, few)) == (said("drift", Outcome.NOT_APPLICABLE, nothing),)


def test_only_columns_of_the_same_kind_on_both_sides_are_compared() -> None:
    new = data(MOVED, empty("note"), words("acc", {"a": 1000}))
    old = data(numbers("acc", range(40)), empty("note"), numbers("age", range(40)), name="old")
    assert judge_drift(old, new)[0].outcome is Outcome.NOT_APPLICABLE


def test_without_two_states_or_a_severity_there_is_nothing_to_compare() -> None:
    old, new = data(HP, name="old"), data(MOVED)
    assert judge_drift(old, new) != ()
    assert judge_drift(None, new) == judge_drift(old, None) == judge_drift(old, new, None) == ()
    assert judge_drift(replace(old, data="new"), new) == ()
    assert judge_drift(replace(old, data=""), replace(new, data="")) != ()
    warned = judge_drift(old, new, Severity.WARN)
    assert [finding.severity for finding in warned] == [Severity.WARN]
    calm = judge_drift(old, data(HP), Severity.WARN)
    assert [finding.severity for finding in calm] == [Severity.WARN]


def test_the_classes_of_a_classification_are_left_to_the_check_of_their_balance() -> None:
    then, now = words("mpg", {"a": 1000}), words("mpg", {"b": 1000})
    old, new = data(then, HP, name="old"), data(now, HP)
    assert judge_drift(old, new)[0].rule == "drift.mpg"
    (calm,) = judge_drift(old, new, task=Task.MULTICLASS)
    assert calm.reason == f"none of 1 {ALIKE}"


def test_a_distance_below_a_tenth_is_no_matter() -> None:
    """Nine in a hundred of many rows moved, which is certain, and eleven, which matters."""
    old = words("org", {"us": 50_000, "eu": 50_000})
    for moved, names in ((9_900, ["drift"]), (10_100, ["drift.org"])):
        new = words("org", {"us": 50_000 + moved, "eu": 50_000 - moved})
        states = data(old, rows=100_000, name="old"), data(new, rows=100_000)
        assert [finding.rule for finding in judge_drift(*states)] == names


def test_a_value_that_a_long_list_leaves_out_is_not_called_gone() -> None:
    """Of 300 values the 200 most frequent are listed: the others are unknown, not zero."""
    listed = {f"v{i:03}": 3 for i in range(190)}
    long = words("org", {"us": 400, **listed}, distinct=300)
    new = words("org", {"us": 400, "kr": 600})
    assert [f.rule for f in compare((long, new))] == ["drift"]
    assert [f.rule for f in compare((new, long))] == ["drift"]
    moved = words("org", {"us": 700, "kr": 300})
    for pair in ((long, moved), (moved, long)):
        assert compare(pair)[0].reason.startswith("`org` moved by 30 % of its values: ")
    other = words("org", {"us": 400, **{f"w{i:03}": 3 for i in range(190)}}, distinct=300)
    assert [finding.rule for finding in compare((long, other))] == ["drift"]


def test_moved_columns_are_named_in_the_order_of_the_file() -> None:
    names = ["b", "a", "c"]
    pairs = [(numbers(n, range(40)), numbers(n, range(20, 60))) for n in names]
    calm = numbers("calm", range(40))
    found = compare(*pairs, (calm, calm))
    assert [finding.rule for finding in found] == ["drift.b", "drift.a", "drift.c"]
