"""One column then and now: each fault in its words, and the figures on either side of each limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gitops.gate.data_columns import find_kind_change, find_missing_change, find_range_fault
from gitops.policy import ColumnRule
from tests.gate_columns import empty, numbers, words

if TYPE_CHECKING:
    from collections.abc import Sequence

NUMBERS, TEXT = numbers("hp", [1.5, 2.5]), words("hp", {"1": 9, "n/a": 2, "inf": 1})
WAS_NUMBERS = "column `hp` was numbers and holds text now"


def test_a_change_of_kind_is_told_with_the_first_value_that_is_no_number() -> None:
    assert find_kind_change(NUMBERS, TEXT, None) == f"{WAS_NUMBERS}, e.g. `n/a`"
    assert find_kind_change(NUMBERS, words("hp", {"inf": 1}), None) == f"{WAS_NUMBERS}, e.g. `inf`"
    assert find_kind_change(NUMBERS, words("hp", {"1": 9}), None) == WAS_NUMBERS
    became = "column `hp` was text and holds only numbers now"
    assert find_kind_change(TEXT, NUMBERS, None) == became


def test_the_same_kind_no_kind_or_the_declared_kind_is_no_change() -> None:
    assert find_kind_change(NUMBERS, NUMBERS, None) == ""
    assert find_kind_change(NUMBERS, empty("hp"), None) == ""
    assert find_kind_change(empty("hp"), TEXT, None) == ""
    assert find_kind_change(NUMBERS, TEXT, ColumnRule(column="hp", kind="text")) == ""
    assert find_kind_change(NUMBERS, TEXT, ColumnRule(column="hp", kind="number")) != ""
    assert find_kind_change(NUMBERS, TEXT, ColumnRule(column="hp")) != ""


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (
            (0, 1000),
            (50, 1000),
            "`hp` is missing in 5 % of 1,000 rows, and was in 0 % of 1,000 in the champion's data",
        ),
        ((0, 1000), (49, 1000), ""),
        ((48_000, 100_000), (50_000, 100_000), ""),
        ((0, 0), (0, 0), ""),
        ((0, 0), (10, 10), ""),
        ((1, 20), (5, 20), ""),
    ],
)
def test_more_missing_cells_count_from_five_points_on_and_only_when_they_are_sure(
    old: tuple[int, int], new: tuple[int, int], reason: str
) -> None:
    assert find_missing_change("hp", old, new, columns=1) == reason
    mirrored = find_missing_change("hp", new, old, columns=1, fewer=True)
    assert bool(mirrored) is bool(reason)
    assert find_missing_change("hp", old, new, columns=1, fewer=True) == ""


def test_filled_gaps_are_told_in_the_same_words() -> None:
    assert find_missing_change("hp", (300, 1200), (20, 1000), columns=3, fewer=True) == (
        "`hp` is missing in 2 % of 1,000 rows, and was in 25 % of 1,200 in the champion's data"
    )


def test_the_more_columns_are_asked_the_surer_each_answer_must_be() -> None:
    """Fisher's exact p of 2 in 40 against 11 in 40 is 0.0067."""
    found = [
        bool(find_missing_change("hp", (2, 40), (11, 40), columns=columns)) for columns in (1, 2)
    ]
    assert found == [True, False]


BEFORE = [100.5 + i for i in range(20)]


def range_fault(
    before: Sequence[float], after: Sequence[float], *, seen: int = 1000, **changed: Any
) -> str:
    return find_range_fault(numbers("hp", before, **changed), numbers("hp", after), seen=seen)


def test_only_numbers_have_a_range() -> None:
    far = numbers("hp", [9e9] * 30)
    assert find_range_fault(words("hp", {"a": 1}), far, seen=9) == ""
    assert find_range_fault(numbers("hp", BEFORE), words("hp", {"a": 1}), seen=9) == ""
    assert range_fault(BEFORE, BEFORE) == ""


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (10, "10 times what it was in the champion's data (median 110 then, 1,100 now)"),
        (13.9, "10 times what it was in the champion's data (median 110 then, 1,529 now)"),
        (1000, "1,000 times what it was in the champion's data (median 110 then, 110,000 now)"),
        (0.001, "1/1,000 of what it was in the champion's data (median 110 then, 0.11 now)"),
    ],
)
def test_a_column_times_a_power_of_ten_is_told_by_its_medians(factor: float, words: str) -> None:
    after = [value * factor for value in BEFORE]
    fault = range_fault(BEFORE, after)
    assert fault == f"`hp` is {words}: lost decimal points, or other units?"
    negative = range_fault([-value for value in BEFORE], [-value for value in after])
    assert negative.startswith(f"`hp` is {words.split(' (', maxsplit=1)[0]} (median -110 then, -")


def test_a_factor_that_is_no_power_of_ten_or_differs_within_the_column_is_none() -> None:
    assert "far outside" in range_fault(BEFORE, [value * 14.5 for value in BEFORE])
    uneven = [value * (10 if i < 10 else 15) for i, value in enumerate(BEFORE)]
    assert "far outside" in range_fault(BEFORE, uneven)


def test_nineteen_numbers_have_no_shape_to_compare() -> None:
    tens = [value * 10 for value in BEFORE]
    assert "10 times" in range_fault(BEFORE, tens)
    assert "has 19 of 19 values far outside" in range_fault(BEFORE, tens[1:])
    assert "has 20 of 20 values far outside" in range_fault(BEFORE[1:], tens)


def test_of_five_quantiles_three_must_be_comparable() -> None:
    """Zeros have no ratio: up to two of the five quantiles may be zero."""
    zeros, tens = [0.0] * 7, [value * 10 for value in BEFORE]
    assert "10 times" in range_fault(zeros + BEFORE, zeros + tens)
    more = [0.0] * 21
    assert "far outside" in range_fault(more + BEFORE, more + tens)


@pytest.mark.parametrize(
    ("decimals", "factor", "found"), [(4, 3, True), (3, 3, False), (4, 2.9, False), (20, 4, True)]
)
def test_lost_decimal_points_are_told_where_no_single_factor_explains_them(
    decimals: int, factor: float, found: bool
) -> None:
    """A fifth of the values must have had decimals, and the median must have grown threefold."""
    before = [100.0] * (20 - decimals) + [100.5] * decimals
    after = [factor * 100.0 if decimals < 20 else 402.0] * 20
    fault = range_fault(before, after, low=-1e6, high=1e6)
    then, now = ("100", "300") if decimals < 20 else ("100", "402")
    share = f"{5 * decimals} %"
    told = (
        f"`hp` had decimals in {share} of its values and has none now, and its median went from "
        f"{then} to {now}: were the decimal points lost?"
    )
    assert fault == (told if found else "")


def test_one_value_with_decimals_left_is_none_lost() -> None:
    assert range_fault([100.5] * 20, [400.0] * 19 + [400.5], low=-1e6, high=1e6) == ""


def test_far_values_are_counted_and_the_farthest_is_named() -> None:
    """From 100.5 to 119.5: beyond 138.5 and below 81.5 is further out than the range is wide."""
    new = [*BEFORE, 81.5, 138.5, 81.4, 138.6, 150.0, -50.0]
    assert range_fault(BEFORE, new) == (
        "`hp` has 4 of 26 values far outside what the champion's data showed (100 to 120), the "
        "farthest -50: lost decimal points, or other units?"
    )
    assert range_fault(BEFORE, new[:-1]) == ""


def test_how_many_far_values_are_too_many_depends_on_how_much_was_seen() -> None:
    """Half as many seen as rows: one of two is beyond by accident, and log 0.01 / log 0.5 is 6.6."""
    new = [*BEFORE, *BEFORE[:13], *([200.0] * 7)]
    assert "has 7 of 40 values far" in range_fault(BEFORE, new, seen=20)
    assert range_fault(BEFORE, new[:-1], seen=20) == ""
    assert range_fault(BEFORE, new, seen=0) == range_fault(BEFORE, new, seen=1) == ""


def test_a_column_of_one_value_has_no_width_to_be_far_from() -> None:
    assert range_fault([5.0] * 20, [7.0] * 20) == ""


@pytest.mark.parametrize(
    ("sample", "changed", "numbering"),
    [
        (range(20), {}, True),
        (range(19), {}, False),
        ([0.5, *range(1, 20)], {}, False),
        (range(20), {"high": 39.0}, True),
        (range(20), {"high": 40.0}, False),
        (range(-19, 1), {"low": -40.0}, False),
        (range(-19, 1), {"low": -39.0}, True),
        (range(20), {"values": (("0", 2), ("1", 1))}, False),
    ],
)
def test_a_column_that_numbers_rows_is_whole_dense_and_never_repeats(
    sample: Sequence[float], changed: dict[str, Any], numbering: bool
) -> None:
    fault = range_fault(sample, [value + 300 for value in range(40)], **changed)
    assert (fault == "") is numbering
