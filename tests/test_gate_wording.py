"""Figures and phrases of a finding: short, exact at their limits, and never two names as one."""

from __future__ import annotations

import hashlib
import math

import pytest

from gitops.gate.interval import Estimate
from gitops.gate.verdict import Finding, Outcome, worst_outcome
from gitops.gate.wording import (
    compare,
    count_rows,
    figure,
    interval,
    interval_of_regression,
    percent,
    quote_names,
    shorten,
)
from gitops.policy import Severity


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0612345, "-0.0612"),
        (0.0001, "0.0001"),
        (0.0000999, "9.99e-05"),
        (4.107, "4.11"),
        (99.96, "100"),
        (999.4, "999"),
        (1000.0, "1,000"),
        (-12345.6, "-12,346"),
        (999_999_999.0, "999,999,999"),
        (1e9, "1.00e+09"),
        (-2.5e12, "-2.50e+12"),
    ],
)
def test_a_figure_has_three_digits_and_a_large_one_all_of_its_digits(
    value: float, text: str
) -> None:
    assert figure(value) == text


def test_rows_are_counted_in_words_and_shares_in_per_cent() -> None:
    assert [count_rows(rows) for rows in (0, 1, 2, 1200)] == [
        "0 rows",
        "1 row",
        "2 rows",
        "1,200 rows",
    ]
    assert (percent(0.1234), percent(0), percent(1)) == ("12.3 %", "0 %", "100 %")


def test_ten_names_are_quoted_and_the_rest_is_counted() -> None:
    names = [f"n{i}" for i in range(11)]
    ten = "`n0`, `n1`, `n2`, `n3`, `n4`, `n5`, `n6`, `n7`, `n8`, `n9`"
    assert quote_names(names[:10]) == ten
    assert quote_names(names) == f"{ten} and 1 more"
    assert quote_names([str(i) for i in range(1010)]).endswith("`9` and 1,000 more")
    assert quote_names(["x" * 81]) == f"`{'x' * 80}`"


def test_a_name_is_cut_beyond_eighty_characters_and_marked_with_its_digest() -> None:
    assert shorten("x" * 80) == "x" * 80
    long = "x" * 81
    assert shorten(long) == f"{'x' * 80}~{hashlib.sha256(long.encode()).hexdigest()[:8]}"
    assert shorten("\ud800" * 81).startswith("\ud800" * 80 + "~")


def between(low: float, high: float, point: float = 0.0) -> Estimate:
    return Estimate(point=point, low=low, high=high, error=1.0)


@pytest.mark.parametrize(
    ("low", "high", "plain", "regression"),
    [
        (2.611, 3.25, "2.61 to 3.25", "2.61 to 3.25"),
        (-0.1, 0.3, "-0.1 to 0.3", "0.1 better to 0.3 worse"),
        (-3.0, -2.0, "-3 to -2", "2 to 3"),
        (0.0, 2.0, "0 to 2", "0 to 2"),
        (-2.0, 0.0, "-2 to 0", "0 to 2"),
        (-math.inf, 0.3, "unknown", "unknown"),
        (-0.1, math.inf, "unknown", "unknown"),
    ],
)
def test_an_interval_is_written_with_both_ends_or_called_unknown(
    low: float, high: float, plain: str, regression: str
) -> None:
    assert interval(between(low, high)) == f"90 % interval {plain}"
    assert interval_of_regression(between(low, high)) == f"90 % interval {regression}"


@pytest.mark.parametrize(
    ("regression", "words"),
    [
        (0.0, "mae 3 is no different from the champion's"),
        (0.5, "mae 3 is 0.5 worse than the champion's 2.5"),
        (-0.25, "mae 3 is 0.25 better than the champion's 2.5"),
    ],
)
def test_a_comparison_says_by_how_much_and_in_which_direction(
    regression: float, words: str
) -> None:
    assert compare("mae", 3.0, 2.5, between(-1, 1, regression)) == words


def outcomes(*pairs: tuple[Outcome, Severity]) -> Outcome:
    return worst_outcome(
        Finding(rule="x", outcome=outcome, reason="", severity=severity)
        for outcome, severity in pairs
    )


def test_the_worst_blocking_finding_decides_and_nothing_proven_is_a_failure() -> None:
    good, doubt, bad, none = (
        (outcome, Severity.BLOCK)
        for outcome in (Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.FAIL, Outcome.NOT_APPLICABLE)
    )
    assert outcomes(none, good) is Outcome.PASS
    assert outcomes(good, doubt, none) is Outcome.INCONCLUSIVE
    assert outcomes(doubt, bad, good) is Outcome.FAIL
    assert outcomes(good, (Outcome.FAIL, Severity.WARN)) is Outcome.PASS
    assert outcomes(none, none) is Outcome.FAIL
    assert outcomes((Outcome.PASS, Severity.WARN)) is Outcome.FAIL
    assert outcomes() is Outcome.FAIL


@pytest.mark.parametrize(
    ("rule", "metric", "overall"),
    [
        ("f1.min", "f1", True),
        ("slice.org=1.f1", "f1", False),
        ("f1", "f1", False),
        ("data.schema", "", False),
    ],
)
def test_a_finding_is_about_all_rows_when_its_name_begins_with_its_metric(
    rule: str, metric: str, overall: bool
) -> None:
    finding = Finding(rule=rule, outcome=Outcome.PASS, reason="", metric=metric)
    assert finding.is_overall is overall
    assert (finding.severity, finding.rows) == (Severity.BLOCK, 0)
