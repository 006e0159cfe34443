"""What is wrong with rows, labels, predictions and classes, told to the letter."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gitops.config import Task
from gitops.gate.consistency import check_consistency
from gitops.gate.evidence import Comparison, Rows, join_rows, to_number
from gitops.gate.verdict import Finding, Outcome
from gitops.run import Problem, ProblemKind, Scores
from tests.gate_evidence import (
    CHAMPION,
    make_class_evidence,
    make_classifier,
    make_evidence,
    make_ids,
    make_policy,
    make_scores,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

ACTUAL = [20.0, 30.0, 25.0, 18.0]
PASS, FAIL = Outcome.PASS, Outcome.FAIL


def join(actual: Sequence[Any], candidate: Any, champion: Any = None) -> Rows:
    return join_rows(make_evidence(actual, candidate, champion).current)


def join_classes(
    actual: Sequence[Any],
    candidate: Scores,
    champion: Scores | None = None,
    *,
    task: Task = Task.BINARY,
    positive: str = "",
) -> Rows:
    return join_rows(make_class_evidence(actual, candidate, champion).current, task, positive)


def digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def test_joined_rows_are_sorted_and_know_where_they_came_from() -> None:
    ids = ("c", "a", "b")
    comparison = Comparison(
        ids=ids,
        actual=(3.0, 1.0, 2.0),
        candidate=make_scores([30, 10, 20], ids=ids),
        champion=make_scores([0.2, 0.3, 0.1], CHAMPION, ids=("b", "c", "a")),
    )
    rows = join_rows(comparison)
    assert rows.ids == ("a", "b", "c")
    assert rows.order.tolist() == [1, 2, 0]
    assert rows.actual.tolist() == [1.0, 2.0, 3.0]
    assert rows.candidate.values.tolist() == [10.0, 20.0, 30.0]
    assert rows.champion is not None
    assert rows.champion.values.tolist() == [0.1, 0.2, 0.3]
    assert (rows.fault, rows.classes, rows.candidate.fault) == ("", (), "")
    assert rows.digest == digest('[["a","b","c"],["1.0","2.0","3.0"]]')


def test_the_positive_class_is_part_of_the_digest() -> None:
    rows = join_classes(["a", "b"], make_classifier([0.2, 0.7], ("a", "b")), positive="a")
    assert rows.digest == digest("""[["row-0000","row-0001"],["'a'","'b'"],"a"]""")
    assert rows.classes == ("b", "a")
    assert rows.actual.tolist() == [1, 0]
    assert rows.actual.dtype == np.intp
    assert rows.candidate.values == pytest.approx(np.array([[0.2, 0.8], [0.7, 0.3]]))


LONG = "x" * 50


@pytest.mark.parametrize(
    ("actual", "scores", "fault"),
    [
        (ACTUAL, make_scores([1.0] * 3), 'row "row-0003" without a prediction'),
        (ACTUAL, make_scores([1.0]), '3 rows, "row-0001" the first, without a prediction'),
        (ACTUAL, make_scores([1.0] * 5), 'row "row-0004" predicted that the holdout does not have'),
        (
            ACTUAL,
            make_scores([1.0] * 6, ids=(*make_ids(4), "row-0002", "row-0001")),
            '2 rows, "row-0001" the first, with more than one prediction',
        ),
        (ACTUAL, make_scores([1.0], ids=make_ids(4)), "4 row ids come with 1 predictions"),
        (
            ACTUAL,
            make_scores([1.0, "n/a", None, 2.0]),
            "2 rows, \"row-0001\" the first, whose prediction is not a finite number ('n/a')",
        ),
        (
            ACTUAL,
            make_scores([1.0, 2.0, None, LONG]),
            '2 rows, "row-0002" the first, whose prediction is not a finite number (missing)',
        ),
        (
            ACTUAL,
            make_scores([1.0, 2.0, 3.0, LONG]),
            f'row "row-0003" whose prediction is not a finite number (\'{"x" * 39})',
        ),
        (
            [1.0] * 1200,
            make_scores([]),
            '1,200 rows, "row-0000" the first, without a prediction',
        ),
        (
            ACTUAL,
            make_scores([], problem=Problem(kind=ProblemKind.CRASHED, message="no cheese")),
            "there are no predictions: no cheese",
        ),
    ],
)
def test_predictions_that_cannot_be_used_say_why(
    actual: list[float], scores: Scores, fault: str
) -> None:
    for predictions in (join(actual, scores).candidate, join(actual, actual, scores).champion):
        assert predictions is not None
        assert predictions.fault == fault
        assert predictions.problem == scores.problem
        assert predictions.values.size == 0


def test_a_long_row_id_is_cut_and_kept_as_it_is_written() -> None:
    ids = ("é" * 50,)
    rows = join_rows(
        Comparison(ids=ids, actual=(None,), candidate=make_scores([1], ids=ids), champion=None)
    )
    assert rows.fault == f'row "{"é" * 40}" whose label is not a finite number (missing)'


@pytest.mark.parametrize(
    ("ids", "actual", "fault"),
    [
        ((), (), "there are no held-out rows"),
        (("a", "b"), (1.0,), "2 row ids come with 1 labels"),
        (("a", "b", "a"), (1.0, 2.0, 3.0), 'row "a" with more than one label'),
        (("a", "b"), (1.0, math.nan), 'row "b" whose label is not a finite number (nan)'),
    ],
)
def test_labels_that_cannot_be_used_say_why(
    ids: tuple[str, ...], actual: tuple[float, ...], fault: str
) -> None:
    scores = make_scores([1.0] * len(set(ids)), ids=sorted(set(ids)))
    comparison = Comparison(ids=ids, actual=actual, candidate=scores, champion=None)
    assert join_rows(comparison).fault == fault


EVEN = make_classifier([0.5, 0.5, 0.5])


@pytest.mark.parametrize(
    ("actual", "task", "positive", "fault"),
    [
        (["no", "yes", "no"], Task.BINARY, "no", ""),
        (
            ["no", "yes", "no"],
            Task.BINARY,
            "si",
            'no row and no model knows the positive class "si"',
        ),
        (["no", "yes", "no"], Task.MULTICLASS, "si", ""),
        (
            ["no", "yes", "si"],
            Task.BINARY,
            "",
            'a binary model has two classes, and there are the classes "no", "si", "yes"',
        ),
        (
            ["no", "si", "ja"],
            Task.MULTICLASS,
            "",
            'labels are of the classes "ja", "si", which no model knows',
        ),
        (["no", "no", ""], Task.BINARY, "", 'row "row-0002" whose label is not a class'),
        (
            [True, "no", None],
            Task.MULTICLASS,
            "",
            '2 rows, "row-0000" the first, whose label is not a class',
        ),
    ],
)
def test_labels_that_are_no_classes_say_why(
    actual: list[Any], task: Task, positive: str, fault: str
) -> None:
    assert join_classes(actual, EVEN, task=task, positive=positive).fault == fault


def test_six_classes_are_too_many_to_name_and_each_is_cut() -> None:
    names = [f"{letter}{'x' * 50}" for letter in "abcdef"]
    rows = join_classes(names[:5], make_classifier([0.5] * 5), task=Task.MULTICLASS)
    five = ", ".join(f'"{name[:40]}"' for name in names[:5])
    assert rows.fault == f"labels are of the classes {five}, which no model knows"
    rows = join_classes(names, make_classifier([0.5] * 6), task=Task.MULTICLASS)
    assert rows.fault == f"labels are of the classes {five} and 1 more, which no model knows"


def test_without_any_model_nobody_misses_a_class() -> None:
    broken = replace(EVEN, classes=())
    rows = join_classes(["a", "b", "c"], broken, task=Task.MULTICLASS)
    assert rows.fault == ""
    assert rows.candidate.fault == "the model does not name its classes, each once"


def test_what_only_the_champion_knows_is_named_as_missing_from_the_candidate() -> None:
    champion = make_classifier(np.full((3, 3), 1 / 3), ("maybe", "no", "yes"), CHAMPION)
    rows = join_classes(["no", "maybe", "yes"], EVEN, champion, task=Task.MULTICLASS)
    assert rows.candidate.fault == ('the model cannot predict the class "maybe", which rows are')
    narrow = replace(EVEN, bundle=CHAMPION)
    turned = join_classes(
        ["no", "maybe", "yes"], replace(champion, bundle="c"), narrow, task=Task.MULTICLASS
    )
    assert turned.champion is not None
    assert turned.champion.fault == ""
    assert turned.champion.values[:, 0].tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("chances", "good"),
    [
        ((0.0, 1.0), True),
        ((1, 0), True),
        ((0.5, 0.5 + 9e-7), True),
        ((0.5, 0.5 - 9e-7), True),
        ((0.5, 0.5 + 1.1e-6), False),
        ((-1e-9, 1.0), False),
        ((0.0, 1.0 + 1e-9), False),
        ((None, 1.0), False),
        ([0.5, 0.5], False),
    ],
)
def test_probabilities_lie_between_zero_and_one_and_add_up_to_one(chances: Any, good: bool) -> None:
    scores = replace(EVEN, predictions=(EVEN.predictions[0], chances, chances))
    fault = join_classes(["no", "yes", "no"], scores).candidate.fault
    told = (
        '2 rows, "row-0001" the first, whose prediction is not 2 probabilities from 0 to 1 that '
        "add up to 1"
    )
    assert fault == ("" if good else told)


def check(rows: Rows) -> list[tuple[str, Outcome, str, int]]:
    found = check_consistency(make_evidence(ACTUAL, ACTUAL), rows, make_policy())
    assert all(isinstance(finding, Finding) for finding in found)
    return [(f.rule.removeprefix("consistency."), f.outcome, f.reason, f.rows) for f in found]


def test_rows_that_can_be_judged_say_so() -> None:
    assert check(join(ACTUAL, ACTUAL)) == [
        ("labels", PASS, "4 rows held out, each once and with a finite label", 4),
        ("predictions", PASS, "4 rows predicted, each once and with a finite number", 4),
    ]
    varied = make_classifier([0.1, 0.7, 0.4])
    assert check(join_classes(["no", "yes", "no"], varied)) == [
        ("labels", PASS, "3 rows held out, each once and with a class", 3),
        (
            "predictions",
            PASS,
            "3 rows predicted, each once and with probabilities that add up to 1",
            3,
        ),
    ]


@pytest.mark.parametrize(
    ("kind", "outcome", "reason"),
    [
        (ProblemKind.NEEDS_TARGET, Outcome.NOT_APPLICABLE, None),
        (ProblemKind.NEEDS_UNKNOWN_COLUMN, Outcome.NOT_APPLICABLE, None),
        (
            ProblemKind.REFUSED_ROWS,
            FAIL,
            "the candidate cannot predict (refused rows): no cheese",
        ),
    ],
)
def test_a_candidate_without_predictions_says_why(
    kind: ProblemKind, outcome: Outcome, reason: str | None
) -> None:
    scores = make_scores([], problem=Problem(kind=kind, message="no cheese"))
    told = reason or "there are no predictions: see the leak"
    assert check(join(ACTUAL, scores))[1] == ("predictions", outcome, told, 4)


def test_what_cannot_be_judged_says_so() -> None:
    labels, predictions = check(join([None, *ACTUAL[1:]], [1.0, 2.0, 3.0, None]))
    ends = "is not a finite number (missing)"
    assert labels == (
        "labels",
        FAIL,
        f'the held-out rows cannot be judged: row "row-0000" whose label {ends}',
        4,
    )
    assert predictions == (
        "predictions",
        FAIL,
        f'the candidate\'s predictions are incomplete: row "row-0003" whose prediction {ends}',
        4,
    )


def test_the_same_answer_for_every_row_is_refused_unless_it_is_right_for_all() -> None:
    told = "the candidate predicts 23.5 for every row, whatever it is"
    assert check(join(ACTUAL, [23.5] * 4))[1][1:3] == (FAIL, told)
    assert check(join([7.0] * 4, [23.5] * 4))[1][1] is PASS
    assert check(join([7.0], [23.5]))[1][1] is PASS
    assert check(join([7.0, 8.0], [23.5] * 2))[1][1] is FAIL
    assert check(join([None, 8.0], [23.5] * 2))[1][1] is PASS
    same = "the candidate predicts the same probabilities for every row, whatever it is"
    assert check(join_classes(["no", "yes", "no"], EVEN))[1][1:3] == (FAIL, same)


def test_only_what_is_finite_and_a_number_is_one() -> None:
    assert [to_number(value) for value in (1, 2.5, True, "3", None, math.inf, 10**400)] == [
        1.0,
        2.5,
        *[None] * 5,
    ]
