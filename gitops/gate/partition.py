"""A raw column of the held-out rows comes in; its parts, one for each value, go out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gitops.gate.evidence import Array, Evidence, Rows, to_number
from gitops.gate.units import MISSING, number_values, sort_column
from gitops.gate.wording import figure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitops.gate.profile import ColumnProfile, DataProfile

# Numbers with more distinct values than this are cut into quarters.
MAX_DISTINCT = 20
_LONGEST_VALUE = 200
_ORDINALS = ("first", "second", "third", "last")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The rows of one value of a column.

    Attributes:
        column: raw column.
        value: the value as text, or `quarter 1` to `quarter 4` of many numbers.
        description: the same in words.
        places: places of the sorted rows, ascending.
    """

    column: str
    value: str
    description: str
    places: Array

    @property
    def identity(self) -> str:
        """Return column and value as one text."""
        return f"{self.column}={self.value}"


def make_parts(evidence: Evidence, rows: Rows, column: str) -> list[Part]:
    """Cut the rows by the value of a column; many different numbers are cut into quarters."""
    values = sort_column(evidence, rows, column)
    numbers = [None if isinstance(value, str) else to_number(value) for value in values]
    known = np.array([np.nan if number is None else number for number in numbers])
    if not _are_numbers(values, numbers) or len(np.unique(known[~np.isnan(known)])) <= MAX_DISTINCT:
        return _cut_by_value(column, values)
    return _cut_by_quarter(column, known)


def _are_numbers(values: Sequence[object], numbers: Sequence[float | None]) -> bool:
    return all(
        value is None or number is not None for value, number in zip(values, numbers, strict=True)
    )


def _cut_by_value(column: str, values: Sequence[object]) -> list[Part]:
    names, places = number_values(values)
    return [
        Part(column=column, value=name, description=_describe(column, name), places=own)
        for name, own in zip(names, _split(places, len(names)), strict=True)
    ]


def _describe(column: str, value: str) -> str:
    return f"`{column}` is missing" if value == MISSING else f"`{column}` is `{value[:80]}`"


def _split(places: Array, count: int) -> list[Array]:
    order = np.argsort(places, kind="stable")
    ends = np.cumsum(np.bincount(places, minlength=count))[:-1]
    return np.split(order, ends)


def _cut_by_quarter(column: str, numbers: Array) -> list[Part]:
    missing = np.isnan(numbers)
    edges = np.quantile(numbers[~missing], (0.25, 0.5, 0.75), method="inverted_cdf")
    places = np.where(missing, len(_ORDINALS), np.searchsorted(edges, numbers))
    names = [*(f"quarter {i + 1}" for i in range(4)), MISSING]
    words = [*_describe_quarters(column, edges), _describe(column, MISSING)]
    parts = zip(names, words, _split(places, len(names)), strict=True)
    return [
        Part(column=column, value=name, description=text, places=own)
        for name, text, own in parts
        if len(own)
    ]


def _describe_quarters(column: str, edges: Array) -> list[str]:
    low, middle, high = map(figure, edges.tolist())
    spans = (f"at most {low}", f"{low} to {middle}", f"{middle} to {high}", f"above {high}")
    return [
        f"`{column}` is {span} (the {ordinal} quarter of its numbers)"
        for span, ordinal in zip(spans, _ORDINALS, strict=True)
    ]


def find_vanished(
    evidence: Evidence, column: str, parts: Sequence[Part], min_rows: int
) -> list[tuple[str, int]]:
    """Return values that enough rows of the champion's data have and none of the candidate's.

    Columns of many numbers have quarters, which cannot vanish. Nothing is known without profiles.
    """
    old = _find_column(evidence.champion_profile, column)
    if old is None or (old.kind == "number" and old.distinct > MAX_DISTINCT):
        return []
    new = _find_column(evidence.profile, column)
    present = {part.value[:_LONGEST_VALUE] for part in parts}
    present.update(value for value, _ in (new.values if new else ()))
    if any(part.value == "quarter 1" for part in parts):
        return []
    return [(v, count) for v, count in old.values if count >= min_rows and v not in present]


def _find_column(profile: DataProfile | None, column: str) -> ColumnProfile | None:
    columns = profile.columns if profile else ()
    return next((each for each in columns if each.name == column), None)
