"""What the findings on data say to the letter, and where each of their limits lies."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from gitops.gate.data import check_data
from gitops.gate.evidence import join_rows
from gitops.gate.verdict import Finding, Outcome
from gitops.policy import ColumnRule, DataRule, Policy, Severity
from tests.gate_columns import data, numbers, words
from tests.gate_evidence import make_evidence, noisy

if TYPE_CHECKING:
    from gitops.gate.profile import ColumnProfile, DataProfile

PASS, FAIL = Outcome.PASS, Outcome.FAIL
DOUBT, NONE = Outcome.INCONCLUSIVE, Outcome.NOT_APPLICABLE
BLOCK, WARN = Severity.BLOCK, Severity.WARN
ACTUAL, GOOD = noisy(100, noise=3)
HP = numbers("hp", [100.5 + 2 * i for i in range(20)])
ORG = words("org", {"us": 600, "eu": 400})


def judge_data(
    new: DataProfile | None,
    old: DataProfile | None = None,
    rule: DataRule | None = None,
    **more: Any,
) -> dict[str, Finding]:
    """Return the findings on data, by rule, on a hundred held-out rows."""
    evidence = make_evidence(ACTUAL, GOOD, GOOD if old else None)
    earlier = evidence.current if old else None
    evidence = replace(evidence, profile=new, champion_profile=old, earlier=earlier)
    evidence = replace(evidence, **more)
    policy = Policy(metrics=(), data=rule or DataRule())
    return {f.rule: f for f in check_data(evidence, join_rows(evidence.current), policy)}


def said(rule: str, outcome: Outcome, reason: str, severity: Severity = BLOCK) -> Finding:
    return Finding(rule=rule, outcome=outcome, reason=reason, severity=severity)


def compare(
    old: ColumnProfile, new: ColumnProfile, name: str, rule: DataRule | None = None
) -> Finding | None:
    return judge_data(data(new), data(old, name="old"), rule).get(name)


def test_the_champions_own_data_is_said_to_be_so_and_only_faults_are_added() -> None:
    own = data(HP)
    unchanged = said("data.unchanged", PASS, "the data is the champion's data, byte for byte", WARN)
    rule = DataRule(severity=WARN)
    assert judge_data(own, own, rule) == {"data.unchanged": unchanged}
    broken = replace(own, duplicates=51)
    assert list(judge_data(broken, own)) == ["data.unchanged", "data.duplicates"]
    nameless = replace(own, data="")
    assert "data.unchanged" not in judge_data(nameless, nameless)


def test_without_a_profile_of_the_champions_data_only_unchanged_rows_tell() -> None:
    same = judge_data(data(HP), champion="b")
    assert list(same) == ["data.unchanged"]
    assert "data.unchanged" not in judge_data(data(HP))
    assert judge_data(data(HP), None, DataRule(severity=WARN), champion="b", earlier=1)[
        "data.learnt"
    ] == said(
        "data.learnt",
        DOUBT,
        "the data changed, and nothing is known about the champion's data",
        WARN,
    )


def test_what_is_not_compared_says_why() -> None:
    first = "the data is not compared: there is no champion yet"
    assert judge_data(data(HP))["data.learnt"] == said("data.learnt", NONE, first)
    chosen = "the policy says not to compare the data with the champion's"
    found = judge_data(data(HP), data(HP, name="old"), DataRule(learnt=False, severity=WARN))
    assert found["data.learnt"] == said("data.learnt", NONE, chosen, WARN)


@pytest.mark.parametrize(("columns", "outcome"), [((), NONE), ((ColumnRule(column="hp"),), FAIL)])
def test_data_that_nobody_looked_at_is_said_to_be_so(
    columns: tuple[ColumnRule, ...], outcome: Outcome
) -> None:
    found = judge_data(None, None, DataRule(columns=columns, severity=WARN))
    reason = "the data was not looked at: there is no profile of it"
    assert found == {"data.profile": said("data.profile", outcome, reason, WARN)}


@pytest.mark.parametrize(
    ("duplicates", "rows", "outcome", "figures"),
    [
        (50, 1000, PASS, "50 of 1,000 rows (5 %)"),
        (51, 1000, FAIL, "51 of 1,000 rows (5.1 %)"),
        (1200, 1200, FAIL, "1,200 of 1,200 rows (100 %)"),
        (1, 0, FAIL, "1 of 0 rows (100 %)"),
    ],
)
def test_repeated_rows_are_refused_beyond_their_share(
    duplicates: int, rows: int, outcome: Outcome, figures: str
) -> None:
    found = judge_data(data(HP, rows=rows, duplicates=duplicates), rule=DataRule(severity=WARN))
    reason = f"{figures} repeat another row in every column; at most 5 % is allowed"
    assert found["data.duplicates"] == said("data.duplicates", outcome, reason, WARN)


REMEMBER = ", so the model may remember them: name what tells rows apart in `holdout.key`"


@pytest.mark.parametrize(
    ("rows", "outcome", "severity", "end"),
    [(0, PASS, BLOCK, ""), (1, DOUBT, WARN, REMEMBER), (2, FAIL, BLOCK, REMEMBER)],
)
def test_held_out_inputs_of_training_rows_are_shown_and_refused_beyond_one_in_a_hundred(
    rows: int, outcome: Outcome, severity: Severity, end: str
) -> None:
    reason = (
        f"{rows} of 100 held-out rows ({rows} %) have inputs that are in the training rows as well"
    )
    found = judge_data(data(HP, straddling=rows))["data.straddling"]
    assert found == said("data.straddling", outcome, reason + end, severity)


def test_straddling_is_counted_in_thousands_and_survives_no_rows_at_all() -> None:
    evidence = make_evidence([], [])
    found = judge_data(data(HP, straddling=1200), current=evidence.current)["data.straddling"]
    assert found.reason.startswith("1,200 of 0 held-out rows (120,000 %) have")


@pytest.mark.parametrize(("rows", "outcome"), [(50, PASS), (51, DOUBT)])
def test_rows_without_an_answer_are_shown_beyond_one_in_twenty(rows: int, outcome: Outcome) -> None:
    reason = (
        f"{rows} of 1,000 rows ({rows / 10:g} %) have no `mpg`, and are neither learnt from nor "
        "judged"
    )
    found = judge_data(data(HP, unlabelled=rows))["data.unlabelled"]
    assert found == said("data.unlabelled", outcome, reason, WARN)


def test_an_empty_file_has_shares_too() -> None:
    found = judge_data(data(HP, rows=0, unlabelled=1200))["data.unlabelled"]
    assert found.reason.startswith("1,200 of 0 rows (120,000 %) have")


def test_the_schema_tells_all_that_vanished_appeared_and_changed_in_one_sentence() -> None:
    old = data(HP, ORG, numbers("acc", [1]), numbers("doors", [4]), name="old")
    new = data(
        words("hp", {"n/a": 1}), ORG, numbers("a", [1]), numbers("b", [1]), numbers("c", [1])
    )
    rule = DataRule(columns=(ColumnRule(column="c"),), severity=WARN)
    assert judge_data(new, old, rule)["data.schema"] == said(
        "data.schema",
        FAIL,
        "columns `acc`, `doors` vanished; columns `a`, `b` appeared; column `hp` was numbers and "
        "holds text now, e.g. `n/a`",
        WARN,
    )
    one = judge_data(data(HP, ORG), data(HP, numbers("acc", [1]), name="old"))["data.schema"]
    assert one.reason == "column `acc` vanished; column `org` appeared"
    same = judge_data(data(HP, ORG), data(ORG, HP, name="old"), DataRule(severity=WARN))
    good = "the same 2 columns as the champion's data, of the same kinds"
    assert same["data.schema"] == said("data.schema", PASS, good, WARN)


def test_a_column_that_left_its_range_is_named_and_a_declared_range_stands_above() -> None:
    tens = numbers("hp", [10 * value for value in HP.sample])
    warn = DataRule(severity=WARN)
    found = compare(HP, tens, "data.range.hp", warn)
    assert found is not None
    assert (found.outcome, found.severity) == (FAIL, WARN)
    assert found.reason.startswith("`hp` is 10 times what it was")
    good = "no column of numbers left the range that the champion's data showed"
    assert compare(HP, HP, "data.range", warn) == said("data.range", PASS, good, WARN)
    for bound in (ColumnRule(column="hp", minimum=0), ColumnRule(column="hp", maximum=9e9)):
        declared = DataRule(columns=(bound,))
        assert compare(HP, tens, "data.range", declared) == said("data.range", PASS, good)
    kind = DataRule(columns=(ColumnRule(column="hp", kind="number"),))
    assert compare(HP, tens, "data.range.hp", kind) is not None


def test_the_range_was_learnt_from_the_numbers_that_were_there() -> None:
    """Of a thousand rows twenty held a number: seven of forty far values may be an accident's."""
    new = numbers("hp", [*range(100, 133), 300, 301, 302, 303, 304, 305])
    few = replace(HP, missing=980)
    assert compare(HP, new, "data.range.hp") is not None
    assert compare(few, new, "data.range.hp") is None


def test_gaps_that_came_are_refused_and_gaps_that_went_are_shown() -> None:
    gaps = replace(HP, missing=60)
    reasons = [
        f"`hp` is missing in {new} of 1,000 rows, and was in {old} of 1,000 in the champion's data"
        for old, new in (("0 %", "6 %"), ("6 %", "0 %"))
    ]
    warn = DataRule(severity=WARN)
    came = compare(HP, gaps, "data.missing.hp", warn)
    assert came == said("data.missing.hp", FAIL, reasons[0], WARN)
    went = compare(gaps, HP, "data.filled.hp")
    filled = f"{reasons[1]}: what were the gaps filled with?"
    assert went == said("data.filled.hp", DOUBT, filled, WARN)
    good = "no column has clearly more missing cells than in the champion's data"
    assert compare(gaps, HP, "data.missing", warn) == said("data.missing", PASS, good, WARN)
    assert compare(HP, gaps, "data.filled.hp") is None


def test_a_declared_share_of_gaps_stands_above_the_learnt_one() -> None:
    gaps = replace(HP, missing=60)
    declared = DataRule(columns=(ColumnRule(column="hp", missing=0.1),))
    assert compare(HP, gaps, "data.missing.hp", declared) is None
    other = DataRule(columns=(ColumnRule(column="hp", minimum=0.0),))
    assert compare(HP, gaps, "data.missing.hp", other) is not None


def test_gaps_are_surer_the_more_columns_there_are_and_new_columns_are_not_asked() -> None:
    """Fisher's exact p of 2 in 40 against 11 in 40 is 0.0067: enough for one column, not for two."""
    old, new = replace(HP, missing=2), replace(HP, missing=11)
    columns = (numbers("acc", [1]),)
    alone = judge_data(data(new, *columns, rows=40), data(old, rows=40, name="old"))
    both = judge_data(data(new, *columns, rows=40), data(old, *columns, rows=40, name="old"))
    assert ("data.missing.hp" in alone, "data.missing.hp" in both) == (True, False)
    filled = judge_data(data(old, *columns, rows=40), data(new, *columns, rows=40, name="old"))
    assert "data.filled.hp" not in filled


def test_a_long_name_is_cut_in_the_name_of_the_finding() -> None:
    long = "x" * 90
    old, new = numbers(long, range(100)), numbers(long, [0.5, *range(100_000, 100_099)], missing=70)
    names = judge_data(data(new), data(old, name="old"))
    assert {name.partition("~")[0] for name in names if "~" in name} == {
        f"data.missing.{'x' * 80}",
    }
    back = judge_data(data(old), data(new, name="old"))
    assert any(name.startswith(f"data.filled.{'x' * 80}~") for name in back)


def judge_labels(old: dict[str, int], new: dict[str, int]) -> Finding | None:
    states = (
        data(HP, labels=tuple(labels.items()), name=name)
        for labels, name in ((old, "old"), (new, "new"))
    )
    before, after = states
    return judge_data(after, before, DataRule(severity=WARN)).get("data.labels")


@pytest.mark.parametrize(
    ("old", "new", "outcome", "reason"),
    [
        (
            {"a": 500, "b": 500},
            {"a": 402, "b": 598},
            PASS,
            "the classes are as balanced as in the champion's data: `b` 59.8 %, `a` 40.2 %",
        ),
        (
            {"a": 500, "b": 500},
            {"a": 398, "b": 602},
            DOUBT,
            (
                "the classes are balanced otherwise than in the champion's data (`a` 50 %, `b` 50 % "
                "then, `b` 60.2 %, `a` 39.8 % now): is that the world, or how the rows were collected?"
            ),
        ),
        (
            {"a": 60, "b": 60},
            {"a": 40, "b": 80},
            PASS,
            "the classes are as balanced as in the champion's data: `b` 66.7 %, `a` 33.3 %",
        ),
        (
            {"b": 1, "a": 1, "c": 6},
            {"c": 6, "d": 1, "e": 1},
            FAIL,
            "no row is of class `b`, `a` any more; class `d`, `e` is new",
        ),
        ({"a": 1, "b": 1}, {"a": 2}, FAIL, "no row is of class `b` any more"),
        ({"a": 2}, {"a": 1, "b": 1}, FAIL, "class `b` is new"),
        (
            {"a": 1, "b": 1, "c": 1, "d": 1, "e": 4},
            {"a": 1, "b": 1, "c": 1, "d": 1, "e": 4},
            PASS,
            (
                "the classes are as balanced as in the champion's data: `e` 50 %, `a` 12.5 %, "
                "`b` 12.5 %, `c` 12.5 % and 1 more"
            ),
        ),
        (
            {"d": 1, "b": 1, "c": 1, "a": 1},
            {"d": 1, "b": 1, "c": 1, "a": 1},
            PASS,
            (
                "the classes are as balanced as in the champion's data: `a` 25 %, `b` 25 %, "
                "`c` 25 %, `d` 25 %"
            ),
        ),
    ],
)
def test_the_balance_of_classes_is_told_in_shares(
    old: dict[str, int], new: dict[str, int], outcome: Outcome, reason: str
) -> None:
    assert judge_labels(old, new) == said("data.labels", outcome, reason, WARN)


def test_without_classes_on_both_sides_there_is_no_balance() -> None:
    assert judge_labels({}, {"a": 1}) is None
    assert judge_labels({"a": 1}, {}) is None
