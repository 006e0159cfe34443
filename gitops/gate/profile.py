"""The rows of a data set come in; what a reviewer would ask about them, in figures, goes out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnProfile:
    """One raw column, over training and held-out rows together.

    Attributes:
        name: as in the header.
        kind: `number` when every cell that is there is one, `text` otherwise, `empty` when none is.
        missing: number of missing cells.
        low: smallest number, None for text.
        high: largest number, None for text.
        distinct: number of different values.
        values: the most frequent values as text, with their counts, most frequent first.
        sample: sorted numbers of at most 10,000 rows, chosen by row, for comparing distributions.
    """

    name: str
    kind: str
    missing: int
    low: float | None
    high: float | None
    distinct: int
    values: tuple[tuple[str, int], ...]
    sample: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataProfile:
    """One state of a model's data.

    Attributes:
        data: DVC's hash of the data.
        rows: number of rows, training and held-out together.
        columns: every raw column, the target included.
        duplicates: rows that repeat an earlier row in every column.
        straddling: held-out rows whose inputs, all columns but the target, a training row has too.
        unlabelled: rows without a target, which are on neither side.
        labels: class counts over all rows for a classification, empty for a regression.
    """

    data: str
    rows: int
    columns: tuple[ColumnProfile, ...]
    duplicates: int
    straddling: int
    unlabelled: int
    labels: tuple[tuple[str, int], ...]
