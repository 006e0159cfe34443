"""The profile of a data set: what it says, that order does not matter, and that forgeries fail."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops.config import Holdout, Task
from gitops.errors import InputError
from gitops.gate.profile import (
    ColumnProfile,
    DataProfile,
    make_profile,
    name_value,
    profile_from_json,
    profile_to_json,
)
from gitops.table import Cell, Split, Table, split_table

COLUMNS = ("id", "hp", "name", "note", "mpg")
ROWS: tuple[tuple[Cell, ...], ...] = (
    (1, 130, "audi", None, 18.5),
    (2, None, "bmw", None, 15),
    (3, 150.5, "audi", None, 18.5),
    (4, 130, 3, None, None),
)


def profile_rows(
    rows: tuple[tuple[Cell, ...], ...], held: tuple[int, ...] = (1,), task: Task = Task.REGRESSION
) -> DataProfile:
    labelled = [i for i in range(len(rows)) if rows[i][-1] is not None]
    split = Split(
        train=Table(columns=COLUMNS, rows=tuple(rows[i] for i in labelled if i not in held)),
        held_out=Table(columns=COLUMNS[:-1], rows=tuple(rows[i][:-1] for i in held)),
        ids=tuple(str(i) for i in held),
        labels=(1.0,) * len(held),
        unlabelled=len(rows) - len(labelled),
    )
    table = Table(columns=COLUMNS, rows=rows)
    return make_profile(table, split, target="mpg", task=task, data="md5")


def test_numbers_text_and_nothing_at_all_are_told_apart() -> None:
    _, hp, name, note, mpg = profile_rows(ROWS).columns
    assert (hp.kind, hp.missing, hp.low, hp.high, hp.distinct) == ("number", 1, 130, 150.5, 2)
    assert hp.values == (("130", 2), ("150.5", 1))
    assert list(hp.sample) == [130, 130, 150.5]
    assert name == ColumnProfile(
        name="name",
        kind="text",
        missing=0,
        low=None,
        high=None,
        distinct=3,
        values=(("audi", 2), ("3", 1), ("bmw", 1)),
        sample=(),
    )
    assert (note.kind, note.missing, note.low) == ("empty", 4, None)
    assert mpg.values == (("18.5", 2), ("15", 1))


def test_repeated_straddling_and_unlabelled_rows_are_counted() -> None:
    again = (*ROWS, ROWS[0], (2, None, "bmw", None, 99))
    profile = profile_rows(again, held=(0, 1))
    assert (profile.rows, profile.unlabelled) == (6, 1)
    assert profile.duplicates == 1
    assert profile.straddling == 2


def test_classes_are_counted_as_text_and_a_regression_has_none() -> None:
    assert profile_rows(ROWS, task=Task.BINARY).labels == (("15", 1), ("18.5", 2))
    assert profile_rows(ROWS).labels == ()


def test_the_order_of_rows_and_the_place_of_columns_do_not_matter() -> None:
    source = random.Random(1)
    rows = [(i, source.gauss(0, 1), source.choice("abc"), i % 7) for i in range(3000)]
    profiles = []
    for order in ((0, 1, 2, 3), (3, 2, 0, 1)):
        source.shuffle(rows)
        columns = tuple("iacm"[place] for place in order)
        table = Table(
            columns=columns, rows=tuple(tuple(row[place] for place in order) for row in rows)
        )
        holdout = Holdout(key=("i",))
        split = split_table(table, target="m", holdout=holdout, where="data.csv")
        made = make_profile(table, split, target="m", task=Task.REGRESSION, data="d")
        profiles.append({column.name: column for column in made.columns})
    assert profiles[0] == profiles[1]


def test_a_sample_is_of_the_same_rows_in_every_column() -> None:
    rows = tuple((float(i), float(2 * i), i) for i in range(12_000))
    table = Table(columns=("a", "b", "y"), rows=rows)
    split = split_table(table, target="y", holdout=Holdout(key=("a",)), where="data.csv")
    made = make_profile(table, split, target="y", task=Task.REGRESSION, data="d")
    one, two, _ = made.columns
    assert len(one.sample) == 10_000
    assert tuple(2 * value for value in one.sample) == two.sample


CELLS = st.one_of(st.none(), st.integers(-5, 5), st.floats(allow_nan=False), st.text(max_size=3))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.just(1), CELLS, CELLS, CELLS, CELLS), min_size=1, max_size=20))
def test_any_profile_survives_the_way_through_json(rows: list[tuple[Cell, ...]]) -> None:
    finite = tuple(
        tuple(None if cell in (float("inf"), float("-inf")) else cell for cell in row)
        for row in rows
    )
    profile = profile_rows(finite, held=(), task=Task.MULTICLASS)
    document = json.loads(json.dumps(profile_to_json(profile), allow_nan=False))
    assert profile_from_json(document) == profile


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rows", -1),
        ("rows", True),
        ("rows", 3.0),
        ("data", None),
        ("columns", "abc"),
        ("labels", [["a", "b"]]),
        ("labels", [["a"]]),
        ("more", 1),
    ],
)
def test_a_document_that_is_no_profile_is_refused(field: str, value: Any) -> None:
    with pytest.raises(InputError, match="no profile"):
        profile_from_json({**profile_to_json(profile_rows(ROWS)), field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", "boolean"),
        ("low", None),
        ("high", float("nan")),
        ("sample", [2.0, 1.0]),
        ("sample", [True]),
        ("missing", "0"),
    ],
)
def test_a_column_that_no_data_can_have_is_refused(field: str, value: Any) -> None:
    body = profile_to_json(profile_rows(ROWS))
    columns = [{**body["columns"][1], field: value}]
    with pytest.raises(InputError, match="no profile"):
        profile_from_json({**body, "columns": columns})


def test_the_same_number_is_the_same_text() -> None:
    assert [name_value(cell) for cell in (1, 1.0, 2.5, 1e300, "1.0")][:3] == ["1", "1", "2.5"]
    assert name_value("1.0") == "1.0"
