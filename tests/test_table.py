"""Rows and sides: a row belongs to the holdout by its key, whatever else happens to the data."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.config import DEFAULT_MISSING, Holdout, Task
from gitops.errors import InputError
from gitops.table import (
    Split,
    Table,
    class_text,
    parse_cell,
    parse_table,
    render_csv,
    render_holdout,
    render_labels,
    sort_classes,
    split_table,
)

HOLDOUT = Holdout(fraction=0.3, key=("name",))


def parse(text: str) -> Table:
    return parse_table(text.encode(), "cars.csv", missing=DEFAULT_MISSING)


def make_table(names: list[int]) -> Table:
    rows = tuple((f"car {name}", name % 7, float(name)) for name in names)
    return Table(columns=("name", "hp", "mpg"), rows=rows)


def split(table: Table, holdout: Holdout = HOLDOUT) -> Split:
    return split_table(table, target="mpg", holdout=holdout, where="cars.csv")


def test_cells_are_numbers_text_or_missing() -> None:
    table = parse("name,hp,mpg\nford,?,18.5\n audi ,95,2e1\n")
    assert table.columns == ("name", "hp", "mpg")
    assert table.rows == (("ford", None, 18.5), ("audi", 95, 20))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_read_off_the_header(delimiter: str) -> None:
    text = "\n".join(delimiter.join(row) for row in (["a", "b"], ["1", "x"]))
    assert parse(text).rows == ((1, "x"),)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "header is missing"),
        ("a,a\n1,2\n", "'a' appears twice"),
        ("a,b\n1\n", "row 2 has 1 cells, the header has 2"),
        ('a,b\n"1,2\n', "unexpected end of data"),
    ],
)
def test_a_broken_file_is_refused_by_name_and_line(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        parse(text)
    assert caught.value.where == "cars.csv"


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(InputError, match="not UTF-8"):
        parse_table(b"PAR1\xff\x00", "cars.parquet", missing=())


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_reads_as_itself(value: float) -> None:
    assert parse_cell(repr(value), frozenset()) == value


@pytest.mark.parametrize("text", ["inf", "-Infinity", "nan", "1_000", "0x10", "1,5"])
def test_what_only_looks_like_a_number_stays_text(text: str) -> None:
    assert parse_cell(text, frozenset()) == text


@given(st.sets(st.integers(0, 10_000), min_size=50, max_size=120), st.integers(0, 99))
def test_a_row_never_changes_side_when_data_grows(names: set[int], seed: int) -> None:
    first = sorted(names)
    grown = [*first, *range(20_000, 20_050)]
    random.Random(seed).shuffle(grown)
    before, after = split(make_table(first)), split(make_table(grown))
    assert set(before.ids) <= set(after.ids)
    assert not set(before.train.rows) & {
        (*row, label) for row, label in zip(after.held_out.rows, after.labels, strict=True)
    }


@given(st.integers(0, 99))
def test_the_order_of_rows_changes_nothing(seed: int) -> None:
    names = [*range(60), *range(30)]
    shuffled = random.Random(seed).sample(names, len(names))
    one, other = split(make_table(names)), split(make_table(shuffled))
    assert render_holdout(one) == render_holdout(other)
    assert render_labels(one) == render_labels(other)


def test_rows_that_share_a_key_share_a_side_and_keep_ids_of_their_own() -> None:
    table = Table(columns=("name", "mpg"), rows=tuple((f"n{i // 2}", i) for i in range(200)))
    result = split(table)
    assert len(set(result.ids)) == len(result.ids)
    held = {row[0] for row in result.held_out.rows}
    assert not held & {row[0] for row in result.train.rows}


def test_training_rows_have_the_target_and_held_out_rows_do_not() -> None:
    result = split(make_table(list(range(100))))
    assert result.train.columns == ("name", "hp", "mpg")
    for line in render_holdout(result).splitlines():
        assert set(json.loads(line)["row"]) == {"name", "hp"}
    assert render_csv(result.train).startswith("name,hp,mpg\n")


def test_the_share_is_about_what_was_asked_for() -> None:
    result = split(make_table(list(range(5000))))
    assert 0.28 < len(result.ids) / 5000 < 0.32


def test_another_salt_chooses_other_rows() -> None:
    table = make_table(list(range(100)))
    salted = Holdout(fraction=0.3, key=("name",), salt="2")
    assert set(split(table).held_out.rows) != set(split(table, salted).held_out.rows)


def test_rows_without_a_label_are_on_neither_side_and_counted() -> None:
    rows = (*make_table(list(range(50))).rows, ("new", 1, None))
    result = split(Table(columns=("name", "hp", "mpg"), rows=rows))
    assert result.unlabelled == 1
    assert len(result.ids) + len(result.train.rows) == 50


@pytest.mark.parametrize(
    ("table", "target", "says"),
    [
        (make_table(list(range(50))), "price", "there is no column 'price'"),
        (make_table([]), "mpg", "leaves no held-out rows"),
        (Table(columns=("name", "mpg"), rows=(("a", "fast"), ("b", 1))), "mpg", "split|no number"),
    ],
)
def test_a_table_that_cannot_be_split_is_refused(table: Table, target: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        split_table(table, target=target, holdout=Holdout(fraction=0.5), where="cars.csv")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (1.0, "1"),
        ("1.0", "1"),
        ("01", "1"),
        (-0.0, "0"),
        (2.5, "2.5"),
        ("2.50", "2.5"),
        (1e300, "1e+300"),
        (True, "true"),
        ("FALSE", "false"),
        (" gentoo ", "gentoo"),
        ("1_0", "1_0"),
        ("", None),
        (None, None),
        (float("nan"), None),
        ([1], None),
    ],
)
def test_a_class_reads_the_same_however_it_is_written(value: object, text: str | None) -> None:
    assert class_text(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.text() | st.booleans())
def test_the_text_of_a_class_is_its_own_text(value: object) -> None:
    text = class_text(value)
    assert text is None or class_text(text) == text


def test_classes_are_sorted_as_numbers_or_else_as_text() -> None:
    assert sort_classes(["10", "9", "9", "2.5"]) == ("2.5", "9", "10")
    assert sort_classes(["10", "9", "b"]) == ("10", "9", "b")
    assert sort_classes([]) == ()


def test_labels_of_a_classification_are_text() -> None:
    rows = tuple((f"n{i}", (1, 2.5, "True")[i % 3]) for i in range(60))
    table = Table(columns=("name", "mpg"), rows=rows)
    holdout = Holdout(fraction=0.5)
    result = split_table(table, target="mpg", holdout=holdout, where="x", task=Task.MULTICLASS)
    assert set(result.labels) == {"1", "2.5", "true"}
    assert {json.loads(line)["actual"] for line in render_labels(result).splitlines()} == {
        "1",
        "2.5",
        "true",
    }


def test_a_text_label_of_a_regression_names_the_task() -> None:
    table = Table(columns=("name", "mpg"), rows=tuple((f"n{i}", "fast") for i in range(20)))
    with pytest.raises(InputError, match="no number") as caught:
        split_table(table, target="mpg", holdout=Holdout(fraction=0.5), where="x")
    assert "task" in caught.value.hint
