"""A column is cut into parts, one for each value or quarter, and values that vanished are told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gitops.gate.evidence import join_rows
from gitops.gate.partition import find_vanished, make_parts
from tests.gate_columns import data, numbers, words
from tests.gate_evidence import make_evidence

if TYPE_CHECKING:
    from collections.abc import Sequence

ONES = [1.0] * 120
EVIDENCE = make_evidence(ONES, ONES, inputs={"side": ["left", "right"] * 60})


def test_quarters_and_columns_that_nobody_profiled_cannot_vanish() -> None:
    evidence = make_evidence(ONES, ONES, inputs={"side": list(range(120))})
    parts = make_parts(evidence, join_rows(evidence.current), "side")
    few, many = numbers("side", range(500, 520)), numbers("side", range(500, 521))
    text = words("side", {"left": 50})
    for old in (few, many, text):
        profiled = replace(evidence, champion_profile=data(old))
        assert find_vanished(profiled, "side", parts, 1) == []
    values = make_parts(EVIDENCE, join_rows(EVIDENCE.current), "side")
    lost = replace(EVIDENCE, champion_profile=data(few))
    assert len(find_vanished(lost, "side", values, 1)) == 20
    assert find_vanished(lost, "side", values, 2) == []
    assert find_vanished(replace(lost, champion_profile=data(many)), "side", values, 1) == []
    assert find_vanished(lost, "other", values, 1) == []
    assert find_vanished(replace(lost, champion_profile=None), "side", values, 1) == []
    still = replace(lost, profile=data(numbers("side", range(500, 519))))
    assert find_vanished(still, "side", values, 1) == [("519", 1)]


def parts_of(column: Sequence[object]) -> list[tuple[str, str, list[int]]]:
    rows = len(column)
    evidence = make_evidence([1.0] * rows, [1.0] * rows, inputs={"hp": column})
    parts = make_parts(evidence, join_rows(evidence.current), "hp")
    assert {part.column for part in parts} == {"hp"}
    assert [part.identity for part in parts] == [f"hp={part.value}" for part in parts]
    return [(part.value, part.description, part.places.tolist()) for part in parts]


def test_a_column_is_cut_by_value_with_missing_cells_as_one() -> None:
    assert parts_of(["b", None, "a", "b", 2]) == [
        ("(missing)", "`hp` is missing", [1]),
        ("2", "`hp` is `2`", [4]),
        ("a", "`hp` is `a`", [2]),
        ("b", "`hp` is `b`", [0, 3]),
    ]
    ((value, described, _),) = parts_of(["x" * 90])
    assert (value, described) == ("x" * 90, f"`hp` is `{'x' * 80}`")


def test_more_than_twenty_numbers_are_cut_into_quarters_by_rank() -> None:
    assert len(parts_of([*range(20), 3, None])) == 21
    first, *others, missing = parts_of([None, *range(20, -1, -1)])
    assert first == (
        "quarter 1",
        "`hp` is at most 5 (the first quarter of its numbers)",
        [16, 17, 18, 19, 20, 21],
    )
    assert [(value, words, places[0], len(places)) for value, words, places in others] == [
        ("quarter 2", "`hp` is 5 to 10 (the second quarter of its numbers)", 11, 5),
        ("quarter 3", "`hp` is 10 to 15 (the third quarter of its numbers)", 6, 5),
        ("quarter 4", "`hp` is above 15 (the last quarter of its numbers)", 1, 5),
    ]
    assert missing == ("(missing)", "`hp` is missing", [0])
    assert [value for value, *_ in parts_of(list(range(21)))][-1] == "quarter 4"


def test_one_word_among_many_numbers_makes_them_values() -> None:
    assert len(parts_of([*range(30), "n/a"])) == 31
    assert len(parts_of([*range(30), True])) == 31


def test_an_empty_quarter_is_left_out() -> None:
    column = [0] * 60 + list(range(1, 41))
    values = [value for value, *_ in parts_of(column)]
    assert values == ["quarter 1", "quarter 3", "quarter 4"]
