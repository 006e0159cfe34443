"""The split of a model's data: prepared once for the same rows, and never mistaken for another."""

from __future__ import annotations

from dataclasses import replace

from gitops.adapters.documents import parse_config
from gitops.flow.preparing import make_split_key
from gitops.pointer import parse_pointer
from tests.repositories import render_pointer_file
from tests.test_config import MINIMAL

MODEL = parse_config(MINIMAL.encode()).model("fuel")


def key(content: bytes, **changes: object) -> str:
    text = render_pointer_file("cars.csv", content)
    pointer = parse_pointer(text.encode(), "data/cars.csv.dvc")
    return make_split_key(replace(MODEL, **changes), pointer)  # type: ignore[arg-type]  # fields by name


def test_other_rows_have_another_split() -> None:
    """Once they did not: a merge request with new data was judged, and passed, on the old rows."""
    assert key(b"old") != key(b"new")


def test_the_split_follows_how_rows_are_read_and_divided() -> None:
    changes = {
        "target": "price",
        "missing": ("n/a",),
        "holdout": replace(MODEL.holdout, salt="2"),
        "data": "data/other.csv",
    }
    keys = {key(b"rows"), *(key(b"rows", **{name: value}) for name, value in changes.items())}
    assert len(keys) == 1 + len(changes)


def test_the_policy_and_the_code_do_not_change_the_split() -> None:
    assert key(b"rows", sources=("lib",), params="p.yaml") == key(b"rows")
