"""The rows of a data set come in; what a reviewer would ask about them, in figures, goes out."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gitops.config import Task
from gitops.errors import InputError
from gitops.table import Cell, Split, Table, class_text

NUMBER, TEXT, EMPTY = "number", "text", "empty"
SAMPLE_ROWS = 10_000
VALUES = 200
# A sample is written as text: many columns share what one document can reasonably hold.
_SAMPLE_CELLS = 500_000
_LEAST_SAMPLE = 500
_LONGEST_VALUE = 200
_Hashes = NDArray[np.uint64]
# Numbers with NaN for what is missing, or, where there is text, the cells as they are.
_Cells = NDArray[np.float64] | Sequence[Cell]


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
        values: the at most 200 most frequent values as text, with their counts, most frequent
            first, equals by value; values beyond 200 characters are cut.
        sample: sorted numbers of at most 10,000 rows, chosen by row, for comparing distributions;
            of fewer rows when there are more than 50 columns.
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
        labels: class counts over all rows for a classification, sorted; empty for a regression.
    """

    data: str
    rows: int
    columns: tuple[ColumnProfile, ...]
    duplicates: int
    straddling: int
    unlabelled: int
    labels: tuple[tuple[str, int], ...]


def make_profile(table: Table, split: Split, *, target: str, task: Task, data: str) -> DataProfile:
    """Describe a data set; the order of its rows and columns' positions do not matter.

    Args:
        table: all rows.
        split: the same rows on their two sides.
        target: column to predict.
        task: what the model predicts.
        data: DVC's hash of the data.
    """
    columns = _read_columns(table)
    rows = _hash_rows(len(table.rows), columns)
    size = max(_LEAST_SAMPLE, min(SAMPLE_ROWS, _SAMPLE_CELLS // len(columns)))
    sampled = np.argsort(rows, kind="stable")[:size]
    train = {name: cells for name, cells in _read_columns(split.train).items() if name != target}
    held = _hash_rows(len(split.held_out.rows), _read_columns(split.held_out))
    return DataProfile(
        data=data,
        rows=len(table.rows),
        columns=tuple(_make_column(name, cells, sampled) for name, cells in columns.items()),
        duplicates=len(rows) - len(np.unique(rows)),
        straddling=int(np.isin(held, _hash_rows(len(split.train.rows), train)).sum()),
        unlabelled=split.unlabelled,
        labels=() if task is Task.REGRESSION else _count_labels(columns[target]),
    )


def name_value(cell: float | str) -> str:
    """Write a cell as text: the same number is the same text, however the file writes it.

    >>> name_value(1.0), name_value(2.5), name_value("audi")
    ('1', '2.5', 'audi')
    """
    if isinstance(cell, str):
        return cell
    return str(int(cell)) if float(cell).is_integer() else repr(float(cell))


def _read_columns(table: Table) -> dict[str, _Cells]:
    columns = zip(*table.rows, strict=True) if table.rows else [()] * len(table.columns)
    return dict(zip(table.columns, map(_read_cells, columns), strict=True))


def _read_cells(column: Sequence[Cell]) -> _Cells:
    if not set(map(type, column)) <= {int, float, type(None)}:
        return column
    # None becomes NaN, and adding zero makes -0.0 and 0 the same bits.
    return np.array(column, dtype=np.float64) + 0.0


def _make_column(name: str, cells: _Cells, sampled: NDArray[np.intp]) -> ColumnProfile:
    if not isinstance(cells, np.ndarray):
        return _make_text(name, cells)
    numbers, counts = np.unique(cells[~np.isnan(cells)], return_counts=True)
    frequent = np.lexsort((numbers, -counts))[:VALUES]
    sample = cells[sampled]
    return ColumnProfile(
        name=name,
        kind=NUMBER if len(numbers) else EMPTY,
        missing=int(np.isnan(cells).sum()),
        low=float(numbers[0]) if len(numbers) else None,
        high=float(numbers[-1]) if len(numbers) else None,
        distinct=len(numbers),
        values=tuple((name_value(float(numbers[i])), int(counts[i])) for i in frequent),
        sample=tuple(np.sort(sample[~np.isnan(sample)]).tolist()),
    )


def _make_text(name: str, cells: Sequence[Cell]) -> ColumnProfile:
    counts = _count_values(cells)
    shown = Counter[str]()
    for value, count in counts.items():
        shown[value[:_LONGEST_VALUE]] += count
    values = sorted(shown.items(), key=lambda pair: (-pair[1], pair[0]))[:VALUES]
    return ColumnProfile(
        name=name,
        kind=TEXT,
        missing=len(cells) - counts.total(),
        low=None,
        high=None,
        distinct=len(counts),
        values=tuple(values),
        sample=(),
    )


def _count_labels(cells: _Cells) -> tuple[tuple[str, int], ...]:
    known = cells[~np.isnan(cells)].tolist() if isinstance(cells, np.ndarray) else cells
    counts = Counter(class_text(cell) for cell in known if cell is not None)
    return tuple(sorted((name, count) for name, count in counts.items() if name is not None))


def _count_values(cells: Iterable[Cell]) -> Counter[str]:
    counts = Counter[str]()
    for cell, count in Counter(cells).items():
        if cell is not None:
            counts[name_value(cell)] += count
    return counts


def _hash_rows(rows: int, columns: Mapping[str, _Cells]) -> _Hashes:
    """Return 64 bits for each row: equal rows are equal, whatever the order of the columns."""
    total = np.zeros(rows, dtype=np.uint64)
    for name, cells in columns.items():
        total += _mix(_hash_cells(cells) ^ np.uint64(_hash_text(name)))
    return total


def _hash_cells(cells: _Cells) -> _Hashes:
    if isinstance(cells, np.ndarray):
        return cells.view(np.uint64)
    known = {cell: _hash_cell(cell) for cell in set(cells)}
    return np.array([known[cell] for cell in cells], dtype=np.uint64)


def _hash_cell(cell: Cell) -> int:
    if isinstance(cell, str):
        return _hash_text(cell)
    return int(_hash_cells(_read_cells((cell,)))[0])


def _hash_text(text: str) -> int:
    content = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest())


def _mix(values: _Hashes) -> _Hashes:
    """Spread the bits (the finaliser of SplitMix64), so that sums of columns do not collide."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def profile_to_json(profile: DataProfile) -> dict[str, Any]:
    """Return the JSON document of a profile."""
    return asdict(profile)


def profile_from_json(body: Mapping[str, Any]) -> DataProfile:
    """Read a profile back; raise InputError for anything that `profile_to_json` does not write."""
    try:
        return _parse_profile(body)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"this is no profile of data: {error}",
            where="profile",
            hint="run `gitops run experimental` again",
        ) from error


def _parse_profile(body: Mapping[str, Any]) -> DataProfile:
    _expect_keys(body, DataProfile)
    counts = {name: _count(body[name]) for name in ("rows", "duplicates", "straddling")}
    return DataProfile(
        data=_text(body["data"]),
        columns=tuple(_parse_column(column) for column in _list(body["columns"])),
        unlabelled=_count(body["unlabelled"]),
        labels=_parse_counts(body["labels"]),
        **counts,
    )


def _parse_column(body: Mapping[str, Any]) -> ColumnProfile:
    _expect_keys(body, ColumnProfile)
    kind, sample = _text(body["kind"]), tuple(_number(value) for value in _list(body["sample"]))
    if kind not in (NUMBER, TEXT, EMPTY):
        raise ValueError(f"a column of kind {kind!r}")
    if list(sample) != sorted(sample):
        raise ValueError("a sample that is not sorted")
    ends = {name: _end(body[name], kind) for name in ("low", "high")}
    return ColumnProfile(
        name=_text(body["name"]),
        kind=kind,
        missing=_count(body["missing"]),
        distinct=_count(body["distinct"]),
        values=_parse_counts(body["values"]),
        sample=sample,
        **ends,
    )


def _parse_counts(body: object) -> tuple[tuple[str, int], ...]:
    return tuple((_text(value), _count(count)) for value, count in map(_list, _list(body)))


def _expect_keys(body: object, form: type[DataProfile | ColumnProfile]) -> None:
    if not isinstance(body, Mapping) or set(body) != set(form.__dataclass_fields__):
        raise ValueError(f"the fields are not those of {form.__name__}")


def _list(value: object) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise TypeError("a list is missing")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a text is missing")
    return value


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{str(value)[:40]} is not a count")
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{str(value)[:40]} is not a finite number")
    return float(value)


def _end(value: object, kind: str) -> float | None:
    if (value is None) != (kind != NUMBER):
        raise ValueError("only a column of numbers has a smallest and a largest")
    return None if value is None else _number(value)
