"""Rows and the policy's group column come in; which rows are drawn together goes out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gitops.gate.evidence import Array, Evidence, Rows, to_number
from gitops.gate.profile import name_value

MISSING = "(missing)"


def find_units(evidence: Evidence, rows: Rows, group: str | None) -> Array | str:
    """Return the unit of each sorted row, from 0 on, shape (rows,); or why it is unknown.

    Without a group each row is its own unit. Rows whose group is missing belong together, as
    nobody can tell them apart.
    """
    if group is None:
        return np.arange(len(rows.ids))
    if group not in evidence.inputs:
        return f"there is no raw column `{group}` to group the rows by"
    _, numbers = number_values(sort_column(evidence, rows, group))
    return numbers


def sort_column(evidence: Evidence, rows: Rows, column: str) -> list[object]:
    """Return a raw column in the order of the sorted rows."""
    values = evidence.inputs[column]
    return [values[i] for i in rows.order.tolist()]


def number_values(values: Sequence[object]) -> tuple[tuple[str, ...], Array]:
    """Return the distinct values as sorted text, and the place in it of each row's value."""
    texts = [name_cell(value) for value in values]
    names = tuple(sorted(set(texts)))
    places = {name: place for place, name in enumerate(names)}
    return names, np.array([places[text] for text in texts], dtype=np.intp)


def name_cell(value: object) -> str:
    """Write the value of a raw column as text, as data profiles do.

    >>> name_cell(1.0), name_cell("audi"), name_cell(True), name_cell(None)
    ('1', 'audi', 'true', '(missing)')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    number = to_number(value)
    if number is not None:
        return name_value(number)
    return value if isinstance(value, str) else MISSING
