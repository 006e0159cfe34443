"""Declared rules for columns: what breaks them, told with both figures, and what just keeps them."""

from __future__ import annotations

from typing import Any

import pytest

from gitops.gate.declared import check_declared
from gitops.gate.verdict import Outcome
from gitops.policy import ColumnRule, DataRule, Severity
from tests.gate_columns import data, empty, numbers, words

PASS, FAIL, DOUBT, WARN = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE, Severity.WARN
COLUMNS = data(
    numbers("hp", range(10, 21), missing=100),
    words("org", {"us": 9, "eu": 2}),
    empty("note"),
    numbers("doors", [2, 4]),
    words("name", {"a": 2, "b": 1}, distinct=5),
)


def declare(column: str, **rule: Any) -> list[tuple[str, Outcome, str, Severity]]:
    columns = (ColumnRule(column=column, **rule),)
    found = check_declared(COLUMNS, DataRule(columns=columns, severity=WARN))
    return [(f.rule.removeprefix("data."), f.outcome, f.reason, f.severity) for f in found]


KEPT = ("columns", PASS, "1 column is as the policy says", WARN)


@pytest.mark.parametrize(
    ("column", "rule", "name", "reason"),
    [
        ("hp", {"kind": "text"}, ".kind", "`hp` is number; the policy says text"),
        ("note", {"kind": "text"}, ".kind", "`note` has no value at all; the policy says text"),
        ("hp", {"minimum": 10.1}, ".range", "`hp` goes down to 10; the policy says 10.1"),
        ("hp", {"maximum": 19}, ".range", "`hp` goes up to 20; the policy says 19"),
        (
            "hp",
            {"minimum": 12, "maximum": 13},
            ".range",
            "`hp` goes down to 10; the policy says 12 and goes up to 20; the policy says 13",
        ),
        (
            "note",
            {"maximum": 1},
            ".range",
            "`note` should hold numbers within bounds, and its kind is empty",
        ),
        (
            "hp",
            {"missing": 0.099},
            ".missing",
            "`hp` is missing in 10 % of rows; at most 9.9 % may be",
        ),
        (
            "org",
            {"values": ("us",)},
            ".values",
            "`org` has values that the policy does not list: `eu`",
        ),
        (
            "name",
            {"values": ("a", "b", "c", "d")},
            ".values",
            "`name` has 5 values; the policy lists 4",
        ),
        (
            "doors",
            {"values": ("2",)},
            ".values",
            "`doors` has values that the policy does not list: `4`",
        ),
        (
            "door",
            {"missing": 1},
            "",
            "the policy has rules for `door`, and there is no such column",
        ),
    ],
)
def test_a_declared_rule_that_is_broken_is_told_with_both_figures(
    column: str, rule: dict[str, Any], name: str, reason: str
) -> None:
    assert declare(column, **rule) == [(f"column.{column}{name}", FAIL, reason, WARN)]


@pytest.mark.parametrize(
    ("column", "rule"),
    [
        ("hp", {"kind": "number", "minimum": 10, "maximum": 20, "missing": 0.1}),
        ("doors", {"values": ("2.0", "4", "6")}),
        ("org", {"values": ("us", "eu")}),
        ("note", {"missing": 1.0}),
    ],
)
def test_a_declared_rule_that_is_just_kept_is_kept(column: str, rule: dict[str, Any]) -> None:
    assert declare(column, **rule) == [KEPT]


def test_values_beyond_those_that_the_profile_lists_are_not_guessed() -> None:
    ((name, outcome, reason, _),) = declare("name", values=tuple("abcde"))
    assert (name, outcome) == ("column.name.values", DOUBT)
    assert reason == "`name` only the 2 most frequent of 5 values are known"


def test_every_rule_of_a_column_is_told_in_order() -> None:
    found = declare("hp", kind="text", minimum=11, missing=0.0, values=("10",))
    places = ("kind", "range", "missing", "values")
    assert [name for name, *_ in found] == [f"column.hp.{place}" for place in places]


def test_a_missing_share_of_no_rows_is_none() -> None:
    rule = DataRule(columns=(ColumnRule(column="hp", missing=0.5),))
    (none,) = check_declared(data(numbers("hp", [1]), rows=0), rule)
    (one,) = check_declared(data(numbers("hp", [1], missing=1), rows=1), rule)
    assert (none.outcome, one.outcome) == (PASS, FAIL)


def test_a_policy_without_rules_for_columns_says_nothing() -> None:
    assert check_declared(COLUMNS, DataRule()) == ()
