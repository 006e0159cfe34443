"""Data is compared with the champion's: what went wrong is named, and honest new data passes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gitops.config import Holdout, Task
from gitops.gate.data import check_data
from gitops.gate.evidence import join_rows
from gitops.gate.verdict import Outcome
from gitops.policy import ColumnRule, DataRule, MetricRule, Policy, Severity
from tests.gate_profiles import about_data, compare_data, judge_data, profile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gitops.gate.profile import DataProfile
    from gitops.gate.verdict import Finding
    from gitops.table import Cell


def cars(rows: int = 400, *, seed: int = 1, **changed: Sequence[Cell] | None) -> Mapping[str, Any]:
    """Return columns of cars; None leaves a column out."""
    random = np.random.default_rng(seed)
    columns: dict[str, Any] = {
        "wght": random.integers(1600, 5200, rows).tolist(),
        "acc": random.normal(15.5, 2.7, rows).round(1).tolist(),
        "hp": [None if value < 0.02 else round(60 + 100 * value) for value in random.random(rows)],
        "price": random.lognormal(8, 1.5, rows).round(2).tolist(),
        "org": random.choice(["us", "eu", "jp"], rows).tolist(),
        "mpg": random.normal(23, 7, rows).round(1).tolist(),
    }
    columns.update(changed)
    return {name: column for name, column in columns.items() if column is not None}


OLD = profile(cars(), data="old")


def judge_cars(new: Mapping[str, Any], rule: DataRule | None = None) -> dict[str, Finding]:
    return about_data(judge_data(profile(new), OLD, rule))


def faults(findings: dict[str, Finding]) -> list[str]:
    return [name for name, f in findings.items() if f.outcome is not Outcome.PASS]


def lose_points(column: Sequence[float]) -> list[int]:
    return [int(str(value).replace(".", "")) for value in column]


def test_honest_new_data_passes_every_check() -> None:
    findings = judge_cars(cars(seed=2))
    assert faults(findings) == []
    assert {"data.schema", "data.range", "data.missing", "data.duplicates"} <= findings.keys()


def test_grown_data_with_a_somewhat_larger_range_passes() -> None:
    more = {name: [*column, *cars(seed=3)[name]] for name, column in cars().items()}
    more["wght"] = [value + 1500 if i > 700 else value for i, value in enumerate(more["wght"])]
    assert faults(judge_cars(more)) == []


@pytest.mark.parametrize("column", ["acc", "price", "mpg"])
def test_a_file_whose_decimal_points_were_lost_does_not_pass(column: str) -> None:
    new = {**cars(seed=2), column: lose_points(cars(seed=2)[column])}
    verdict = judge_data(profile(new), OLD)
    assert verdict.outcome is Outcome.FAIL
    assert verdict.reason.startswith(f"`{column}` ")
    assert "decimal points" in verdict.reason
    assert faults(about_data(verdict))[0] == f"data.range.{column}"


def test_lost_decimal_points_in_a_few_rows_are_found() -> None:
    column = [round(value * 10) if i < 5 else value for i, value in enumerate(cars(seed=2)["acc"])]
    findings = judge_cars(cars(seed=2, acc=column))
    assert "has 5 of 400 values far outside" in findings["data.range.acc"].reason


def test_three_far_values_are_outliers_and_not_a_fault() -> None:
    column = [99.0 if i < 3 else value for i, value in enumerate(cars(seed=2)["acc"])]
    assert faults(judge_cars(cars(seed=2, acc=column))) == []


@pytest.mark.parametrize(("factor", "words"), [(1000, "1,000 times"), (0.1, "1/10 of")])
def test_other_units_are_found_however_wide_the_range_is(factor: float, words: str) -> None:
    column = [value * factor for value in cars(seed=2)["price"]]
    finding = judge_cars(cars(seed=2, price=column))["data.range.price"]
    assert finding.outcome is Outcome.FAIL
    assert words in finding.reason


@pytest.mark.parametrize("seed", range(20))
def test_the_heaviest_honest_tail_is_not_taken_for_a_fault(seed: int) -> None:
    random = np.random.default_rng(seed)
    old, new = (profile(cars(price=random.pareto(1.0, 400).tolist()), data=d) for d in "ab")
    assert "data.range.price" not in about_data(judge_data(new, old))


def test_a_column_that_numbers_the_rows_may_grow() -> None:
    old = profile(cars(price=list(range(400))), data="old")
    new = profile(cars(2000, seed=2, price=list(range(2000))))
    assert "data.range" in about_data(judge_data(new, old))


def test_a_declared_range_stands_above_the_learnt_one() -> None:
    new = cars(seed=2, acc=lose_points(cars(seed=2)["acc"]))
    declared = DataRule(columns=(ColumnRule(column="acc", maximum=1000),))
    findings = judge_cars(new, declared)
    assert findings["data.range"].outcome is Outcome.PASS
    assert findings["data.columns"].outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"hp": None}, "column `hp` vanished"),
        ({"doors": [4] * 400}, "column `doors` appeared"),
        ({"acc": ["12,5"] * 400}, "column `acc` was numbers and holds text now, e.g. `12,5`"),
        ({"acc": [1.5] * 399 + ["n/a"]}, "column `acc` was numbers and holds text now, e.g. `n/a`"),
        ({"org": [1, 2] * 200}, "column `org` was text and holds only numbers now"),
    ],
)
def test_a_changed_schema_is_refused_by_name(changed: dict[str, Any], words: str) -> None:
    finding = judge_cars(cars(seed=2, **changed))["data.schema"]
    assert finding.outcome is Outcome.FAIL
    assert words in finding.reason


def test_a_column_that_the_policy_announces_may_appear_or_change() -> None:
    rule = DataRule(
        columns=(ColumnRule(column="doors"), ColumnRule(column="org", kind="number")),
        drift=None,
    )
    findings = judge_cars(cars(seed=2, doors=[4] * 400, org=[1, 2] * 200), rule)
    assert findings["data.schema"].outcome is Outcome.PASS


def test_clearly_more_missing_cells_are_refused_with_figures() -> None:
    column = [None if i % 8 == 0 else value for i, value in enumerate(cars(seed=2)["hp"])]
    finding = judge_cars(cars(seed=2, hp=column))["data.missing.hp"]
    assert finding.outcome is Outcome.FAIL
    assert "of 400 rows, and was in" in finding.reason


def test_a_few_more_missing_cells_are_not_worth_a_word() -> None:
    column = [None if i % 25 == 0 else value for i, value in enumerate(cars(seed=2)["hp"])]
    assert faults(judge_cars(cars(seed=2, hp=column))) == []


def test_gaps_that_were_filled_are_shown() -> None:
    gaps = [None if i % 5 == 0 else value for i, value in enumerate(cars()["hp"])]
    old = profile(cars(hp=gaps), data="old")
    finding = about_data(judge_data(profile(cars(seed=2)), old))["data.filled.hp"]
    assert (finding.outcome, finding.severity) == (Outcome.INCONCLUSIVE, Severity.WARN)


def test_repeated_rows_are_refused_above_the_allowed_share() -> None:
    twice = {name: [*column, *column[:50]] for name, column in cars(seed=2).items()}
    assert judge_cars(twice)["data.duplicates"].outcome is Outcome.FAIL
    assert judge_cars(twice, DataRule(duplicates=0.2))["data.duplicates"].outcome is Outcome.PASS


def straddle(rows: int) -> DataProfile:
    """Return data where some rows repeat with another answer, split by the answer."""
    columns = {name: [*column, *column[:rows]] for name, column in cars(1000, seed=2).items()}
    columns["mpg"] = [*columns["mpg"][:1000], *([99.5] * rows)]
    return profile(columns, holdout=Holdout(key=("mpg",)))


def test_held_out_rows_that_training_has_seen_are_refused() -> None:
    finding = about_data(judge_data(straddle(900)))["data.straddling"]
    assert finding.outcome is Outcome.FAIL
    assert "may remember them: name what tells rows apart in `holdout.key`" in finding.reason


def test_a_single_straddling_row_is_shown_and_does_not_block() -> None:
    one = replace(OLD, straddling=1)
    finding = about_data(judge_data(one))["data.straddling"]
    assert (finding.outcome, finding.severity) == (Outcome.INCONCLUSIVE, Severity.WARN)


def test_many_rows_without_an_answer_are_shown() -> None:
    column = [None if i % 10 == 0 else value for i, value in enumerate(cars(seed=2)["mpg"])]
    finding = judge_cars(cars(seed=2, mpg=column))["data.unlabelled"]
    assert finding.severity is Severity.WARN
    assert finding.reason.startswith("40 of 400 rows (10 %) have no `mpg`")


def test_the_champions_own_data_is_one_finding() -> None:
    findings = about_data(judge_data(OLD, OLD))
    assert list(findings) == ["data.unchanged"]


def test_a_first_release_is_judged_by_what_needs_no_champion() -> None:
    findings = about_data(judge_data(OLD))
    assert findings["data.learnt"].outcome is Outcome.NOT_APPLICABLE
    assert "there is no champion yet" in findings["data.learnt"].reason
    assert findings["data.duplicates"].outcome is Outcome.PASS


def test_new_data_beside_an_unknown_state_is_left_to_a_person() -> None:
    evidence = replace(compare_data(profile(cars()), OLD), champion_profile=None)
    policy = Policy(metrics=(MetricRule(metric="rmse", maximum=4.5),))
    findings = {f.rule: f for f in check_data(evidence, join_rows(evidence.current), policy)}
    assert findings["data.learnt"].outcome is Outcome.INCONCLUSIVE


def test_rules_about_data_that_nobody_looked_at_are_not_kept() -> None:
    rule = DataRule(columns=(ColumnRule(column="hp", minimum=1),))
    assert about_data(judge_data(None, None, rule))["data.profile"].outcome is Outcome.FAIL
    assert about_data(judge_data(None))["data.profile"].outcome is Outcome.NOT_APPLICABLE


def test_a_team_may_choose_not_to_compare() -> None:
    findings = judge_cars(cars(seed=2, hp=None), DataRule(learnt=False, severity=Severity.WARN))
    assert findings["data.learnt"].outcome is Outcome.NOT_APPLICABLE
    assert "data.schema" not in findings


@pytest.mark.parametrize(
    ("rule", "name", "words"),
    [
        (ColumnRule(column="doors"), "", "there is no such column"),
        (ColumnRule(column="org", kind="number"), ".kind", "is text; the policy says number"),
        (ColumnRule(column="acc", minimum=10), ".range", "the policy says 10"),
        (ColumnRule(column="acc", maximum=20), ".range", "the policy says 20"),
        (ColumnRule(column="org", minimum=1), ".range", "its kind is text"),
        (ColumnRule(column="hp", missing=0.0), ".missing", "at most 0 % may be"),
        (ColumnRule(column="org", values=("us", "eu")), ".values", "does not list: `jp`"),
    ],
)
def test_a_declared_rule_that_is_broken_is_named(rule: ColumnRule, name: str, words: str) -> None:
    finding = judge_cars(cars(), DataRule(columns=(rule,)))[f"data.column.{rule.column}{name}"]
    assert finding.outcome is Outcome.FAIL
    assert words in finding.reason


def test_declared_rules_that_hold_are_one_finding() -> None:
    rules = (
        ColumnRule(column="acc", kind="number", minimum=0, maximum=40, missing=0.0),
        ColumnRule(column="org", kind="text", values=("us", "eu", "jp")),
    )
    finding = judge_cars(cars(), DataRule(columns=rules))["data.columns"]
    assert (finding.outcome, finding.reason) == (
        Outcome.PASS,
        "2 columns are as the policy says",
    )


def test_an_allowed_number_is_the_same_however_it_is_written() -> None:
    rule = DataRule(columns=(ColumnRule(column="org", values=("1.0", "2")),))
    findings = judge_cars(cars(org=[1, 2] * 200), rule)
    assert findings["data.columns"].outcome is Outcome.PASS


def test_values_beyond_those_that_are_known_are_not_guessed() -> None:
    many = [f"v{i:03}" for i in range(250)]
    rule = DataRule(columns=(ColumnRule(column="org", values=tuple(many)),))
    new = cars(500, org=many * 2)
    assert judge_cars(new, rule)["data.column.org.values"].outcome is Outcome.INCONCLUSIVE
    fewer = DataRule(columns=(ColumnRule(column="org", values=tuple(many[:240])),))
    assert judge_cars(new, fewer)["data.column.org.values"].outcome is Outcome.FAIL


def judge_labels(old: Sequence[str], new: Sequence[str]) -> Finding:
    states = [
        profile(cars(len(labels), mpg=labels), data=str(seed), task=Task.MULTICLASS)
        for seed, labels in enumerate((old, new))
    ]
    evidence = compare_data(states[1], states[0])
    policy = Policy(metrics=(MetricRule(metric="rmse", maximum=4.5),))
    found = check_data(evidence, join_rows(evidence.current), policy)
    return next(finding for finding in found if finding.rule == "data.labels")


def test_the_balance_of_classes_is_compared() -> None:
    old = ["no", "no", "yes"] * 100
    assert judge_labels(old, ["no", "no", "no", "yes", "yes"] * 100).outcome is Outcome.PASS
    moved = judge_labels(old, ["no", "yes", "yes"] * 100)
    assert moved.outcome is Outcome.INCONCLUSIVE
    assert "`no` 66.7 %, `yes` 33.3 % then, `yes` 66.7 %, `no` 33.3 % now" in moved.reason


def test_a_class_that_comes_or_goes_is_named() -> None:
    finding = judge_labels(["no", "yes"] * 100, ["no", "maybe"] * 100)
    assert finding.outcome is Outcome.FAIL
    assert finding.reason == "no row is of class `yes` any more; class `maybe` is new"
