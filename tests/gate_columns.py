"""Profiles written by hand for the tests of the gate: figures in, profiles out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gitops.gate.profile import ColumnProfile, DataProfile, name_value

if TYPE_CHECKING:
    from collections.abc import Sequence


def numbers(name: str, sample: Sequence[float], **changed: Any) -> ColumnProfile:
    """Return a column of these numbers, each of them once."""
    ordered = tuple(sorted(map(float, sample)))
    column = ColumnProfile(
        name=name,
        kind="number",
        missing=0,
        low=ordered[0],
        high=ordered[-1],
        distinct=len(set(ordered)),
        values=tuple((name_value(value), 1) for value in ordered),
        sample=ordered,
    )
    return replace(column, **changed)


def words(name: str, /, counts: dict[str, int], **changed: Any) -> ColumnProfile:
    """Return a column of text with these counts."""
    column = ColumnProfile(
        name=name,
        kind="text",
        missing=0,
        low=None,
        high=None,
        distinct=len(counts),
        values=tuple(counts.items()),
        sample=(),
    )
    return replace(column, **changed)


def empty(name: str) -> ColumnProfile:
    """Return a column without any value."""
    return words(name, {}, kind="empty")


def data(
    *columns: ColumnProfile, rows: int = 1000, name: str = "new", **changed: Any
) -> DataProfile:
    """Return a data set of these columns."""
    profile = DataProfile(
        data=name,
        rows=rows,
        columns=columns,
        duplicates=0,
        straddling=0,
        unlabelled=0,
        labels=(),
    )
    return replace(profile, **changed)
