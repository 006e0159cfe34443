"""What a profile keeps of a large or hostile file, and how a forged one is refused by its fault."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from gitops.config import Task
from gitops.errors import InputError
from gitops.gate.profile import (
    DataProfile,
    make_profile,
    name_value,
    profile_from_json,
    profile_to_json,
)
from gitops.table import Split, Table
from tests.gate_columns import data, empty, numbers, words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gitops.table import Cell

PROFILE = data(
    numbers("hp", [1.0, 2.5]),
    words("org", {"us": 2}),
    empty("note"),
    labels=(("no", 3), ("yes", 1)),
)


def profile(columns: Mapping[str, Sequence[Cell]], held: int = 0, **given: Any) -> DataProfile:
    """Return the profile of columns whose last one is the target; the last rows are held out."""
    names, rows = tuple(columns), tuple(zip(*columns.values(), strict=True))
    kept = len(rows) - held
    split = Split(
        train=Table(columns=names, rows=rows[:kept]),
        held_out=Table(columns=names[:-1], rows=tuple(row[:-1] for row in rows[kept:])),
        ids=tuple(map(str, range(held))),
        labels=(1.0,) * held,
        unlabelled=0,
    )
    options: dict[str, Any] = {"task": Task.REGRESSION, "data": "md5", **given}
    return make_profile(Table(columns=names, rows=rows), split, target=names[-1], **options)


def test_the_200_most_frequent_values_are_kept_and_equals_are_taken_in_order() -> None:
    cells = [value for value in range(201) for _ in range(1 + (value == 150))]
    number, text = profile({"a": cells, "b": [f"v{cell:03}" for cell in cells]}).columns
    assert (number.distinct, text.distinct) == (201, 201)
    rest = [value for value in range(200) if value != 150]
    assert number.values == (("150", 2), *((str(value), 1) for value in rest))
    assert text.values == (("v150", 2), *((f"v{value:03}", 1) for value in rest))


def test_a_long_value_is_cut_and_counted_together_with_what_looks_the_same() -> None:
    (column,) = profile({"a": ["x" * 200 + "y", "x" * 201, "x" * 200, "z", None]}).columns
    assert column.values == (("x" * 200, 3), ("z", 1))
    assert (column.kind, column.distinct, column.missing) == ("text", 4, 1)


def test_a_column_of_nothing_has_no_ends_and_no_values() -> None:
    column, _ = profile({"a": [None, None], "y": [1, 2]}).columns
    assert column == replace(empty("a"), missing=2)


def test_minus_zero_is_zero() -> None:
    made = profile({"a": [0.0, -0.0, 0], "b": ["x", "x", "x"]})
    assert made.duplicates == 2
    assert made.columns[0].values == (("0", 3),)


def test_rows_are_the_same_only_when_every_column_is() -> None:
    """Sums of columns must not collide: neither swapped cells nor moved ones are repeats."""
    grid = [(a, b) for a in range(60) for b in range(60)]
    made = profile({"a": [a for a, _ in grid], "b": [b for _, b in grid]})
    assert made.duplicates == 0
    mixed = profile({"a": ["1", 1, "b", None, "\ud800"], "b": [1, "1", None, "b", "\ud800"]})
    assert mixed.duplicates == 0
    same = profile({"a": ["x", 1, "x", 1.0, None, None], "b": [None] * 6})
    assert same.duplicates == 3


def test_a_held_out_row_straddles_by_its_inputs_whatever_its_answer() -> None:
    made = profile({"a": [1, 2, 3, 1, 2], "b": ["x", "y", "z", "x", "w"], "y": [1, 2, 3, 9, 9]}, 2)
    assert made.straddling == 1


def test_the_rows_of_a_sample_are_chosen_alike_on_every_day() -> None:
    rows = 12_000
    columns: dict[str, list[Cell]] = {
        "a": [i / 4 for i in range(rows)],
        "name": [f"car {i % 700}" for i in range(rows)],
        "y": list(range(rows)),
    }
    made = profile(columns)
    assert len(made.columns[0].sample) == 10_000
    kept = hashlib.sha256(repr(made.columns[0].sample).encode()).hexdigest()
    assert kept[:16] == "07f0cdd3089c7025"


@pytest.mark.parametrize(("columns", "rows"), [(50, 10_000), (51, 9803), (1001, 500)])
def test_many_columns_share_what_a_document_can_hold(columns: int, rows: int) -> None:
    cells = list(range(10_100 if columns < 100 else 510))
    made = profile({f"c{i}": cells for i in range(columns)})
    assert len(made.columns[0].sample) == rows


def test_labels_are_counted_as_text_with_gaps_left_out() -> None:
    columns: dict[str, list[Cell]] = {"a": [1, 2, 3, 4], "y": [1, 1.0, 2.5, None]}
    assert profile(columns, task=Task.MULTICLASS).labels == (("1", 2), ("2.5", 1))
    columns["y"] = ["b", "a", "b", None]
    assert profile(columns, task=Task.BINARY).labels == (("a", 1), ("b", 2))


def test_a_value_is_written_in_one_way() -> None:
    given = [name_value(cell) for cell in (3.0, -2, 0.1, float("inf"), "1.0")]
    assert given == ["3", "-2", "0.1", "inf", "1.0"]


def forge(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    body = profile_to_json(PROFILE)
    body["columns"] = [dict(column) for column in body["columns"]]
    place: Any = body
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return body


HP, ORG = ("columns", 0), ("columns", 1)
ENDS = "only a column of numbers has a smallest and a largest"


@pytest.mark.parametrize(
    ("path", "value", "fault"),
    [
        (("more",), 1, "the fields are not those of DataProfile"),
        (("data",), 1, "a text is missing"),
        (("rows",), -1, "-1 is not a count"),
        (("duplicates",), True, "True is not a count"),
        (("straddling",), 1.0, "1.0 is not a count"),
        (("unlabelled",), "x" * 60, f"{'x' * 40} is not a count"),
        (("columns",), {}, "a list is missing"),
        (HP, [], "the fields are not those of ColumnProfile"),
        ((*HP, "more"), 1, "the fields are not those of ColumnProfile"),
        ((*HP, "name"), None, "a text is missing"),
        ((*HP, "kind"), 1, "a text is missing"),
        ((*HP, "kind"), "boolean", "a column of kind 'boolean'"),
        ((*HP, "missing"), None, "None is not a count"),
        ((*HP, "distinct"), -2, "-2 is not a count"),
        ((*HP, "values"), None, "a list is missing"),
        ((*HP, "values"), [None], "a list is missing"),
        ((*HP, "values"), [[1, 1]], "a text is missing"),
        ((*HP, "values"), [["1", "1"]], "1 is not a count"),
        ((*HP, "sample"), None, "a list is missing"),
        ((*HP, "sample"), [2, 1], "a sample that is not sorted"),
        ((*HP, "sample"), [True], "True is not a finite number"),
        ((*HP, "sample"), ["x" * 60], f"{'x' * 40} is not a finite number"),
        ((*HP, "sample"), [float("inf")], "inf is not a finite number"),
        ((*HP, "low"), None, ENDS),
        ((*HP, "high"), "9", "9 is not a finite number"),
        ((*ORG, "low"), 1.0, ENDS),
        ((*ORG, "high"), 1.0, ENDS),
        (("labels",), None, "a list is missing"),
    ],
)
def test_a_forged_field_is_refused_with_its_fault(
    path: tuple[Any, ...], value: Any, fault: str
) -> None:
    with pytest.raises(InputError) as caught:
        profile_from_json(forge(path, value))
    assert caught.value.what == f"this is no profile of data: {fault}"
    assert caught.value.where == "profile"
    assert caught.value.hint == "run `gitops run experimental` again"


def test_what_is_no_document_at_all_is_refused() -> None:
    nothing: Any = None
    with pytest.raises(InputError, match="the fields are not those of DataProfile"):
        profile_from_json(nothing)


def test_a_profile_reads_back_and_whole_numbers_come_back_as_numbers() -> None:
    assert profile_from_json(profile_to_json(PROFILE)) == PROFILE
    column = profile_from_json(forge((*HP, "low"), 1)).columns[0]
    assert isinstance(column.low, float)
    assert profile_from_json(forge(("rows",), 0)).rows == 0
