"""Raw delimited text comes in; typed rows go out, split into training and held-out rows.

A row belongs to the holdout by a hash of its key columns: it never changes side when data grows, so
an old model is never scored on rows it was trained on.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from gitops.config import Holdout, Task
from gitops.errors import InputError

Cell = int | float | str | None
_DELIMITERS = ",;\t|"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of typed cells under named columns."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def position(self, column: str, where: str) -> int:
        """Return the index of a column; InputError lists the columns there are."""
        if column not in self.columns:
            known = ", ".join(self.columns[:30])
            raise InputError(
                f"there is no column {column!r}", where=where, hint=f"columns: {known}"
            )
        return self.columns.index(column)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The two sides of a table.

    Attributes:
        train: training rows with every column, the target included.
        held_out: held-out rows without the target.
        ids: one id for each held-out row.
        labels: the target of each held-out row: numbers, or classes as canonical text.
        unlabelled: number of rows without a target, which are on neither side.
    """

    train: Table
    held_out: Table
    ids: tuple[str, ...]
    labels: tuple[float | str, ...]
    unlabelled: int


def parse_table(content: bytes, where: str, *, missing: Sequence[str]) -> Table:
    """Parse delimited UTF-8 text with a header line; the delimiter is read off the header.

    A cell that reads as a finite number is a number, a cell listed in `missing` is None, anything
    else is text. Raises InputError naming file and line.
    """
    text = _decode(content, where)
    header, _, _ = text.partition("\n")
    delimiter = max(_DELIMITERS, key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    blank = frozenset(missing)
    try:
        columns = _parse_header(next(reader, []), where)
        rows = tuple(_parse_rows(reader, len(columns), blank, where))
    except csv.Error as error:
        raise InputError(f"line {reader.line_num}: {error}", where=where) from error
    return Table(columns=columns, rows=rows)


def _decode(content: bytes, where: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"not UTF-8 text (byte {error.start})",
            where=where,
            hint="tabular data is read as CSV or TSV; convert other formats in your data step",
        ) from error


def _parse_header(cells: Sequence[str], where: str) -> tuple[str, ...]:
    columns = tuple(cell.strip() for cell in cells)
    if not columns or "" in columns:
        raise InputError("line 1: the header is missing or has an empty name", where=where)
    repeated = sorted({name for name in columns if columns.count(name) > 1})
    if repeated:
        raise InputError(f"line 1: the column {repeated[0]!r} appears twice", where=where)
    return columns


def _parse_rows(
    reader: Iterator[list[str]], width: int, missing: frozenset[str], where: str
) -> Iterator[tuple[Cell, ...]]:
    for number, cells in enumerate(reader, start=2):
        if not cells:
            continue
        if len(cells) != width:
            raise InputError(
                f"row {number} has {len(cells)} cells, the header has {width}", where=where
            )
        yield tuple([parse_cell(cell, missing) for cell in cells])


def parse_cell(text: str, missing: frozenset[str]) -> Cell:
    """Return a number where the text is a finite one, None where it means missing, else the text."""
    text = text.strip()
    if text in missing:
        return None
    try:
        value = float(text)
    except ValueError:
        return text
    if not math.isfinite(value) or "_" in text:
        return text
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def concatenate(tables: Sequence[Table], where: str) -> Table:
    """Join the tables of a folder; all must have the same columns in the same order."""
    first = tables[0]
    if any(table.columns != first.columns for table in tables):
        raise InputError("the files of this folder have different columns", where=where)
    return Table(columns=first.columns, rows=tuple(row for table in tables for row in table.rows))


def split_table(
    table: Table, *, target: str, holdout: Holdout, where: str, task: Task = Task.REGRESSION
) -> Split:
    """Set the held-out rows aside, and read their labels as the task wants them.

    Raises InputError when a side is empty, or a label of a regression is no number.
    """
    place = table.position(target, where)
    keys = [table.position(name, where) for name in holdout.key] or [
        index for index in range(len(table.columns)) if index != place
    ]
    labelled = [row for row in table.rows if row[place] is not None]
    digests = [_digest(row, keys, holdout.salt) for row in labelled]
    inside = [int.from_bytes(digest[:8]) / 2**64 < holdout.fraction for digest in digests]
    held = [(d, row) for d, row, is_held in zip(digests, labelled, inside, strict=True) if is_held]
    train = tuple(row for row, is_held in zip(labelled, inside, strict=True) if not is_held)
    if not held or not train:
        side = "held-out" if not held else "training"
        raise InputError(f"the split leaves no {side} rows ({len(labelled)} in all)", where=where)
    named = sorted(_name_rows(held), key=lambda pair: pair[0])
    return Split(
        train=Table(columns=table.columns, rows=train),
        held_out=_without(table.columns, [row for _, row in named], place),
        ids=tuple(name for name, _ in named),
        labels=tuple(_label(row[place], task, target, where) for _, row in named),
        unlabelled=len(table.rows) - len(labelled),
    )


def _digest(row: Sequence[Cell], keys: Sequence[int], salt: str) -> bytes:
    text = salt + json.dumps([row[key] for key in keys], separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _name_rows(
    held: Iterable[tuple[bytes, tuple[Cell, ...]]],
) -> Iterator[tuple[str, tuple[Cell, ...]]]:
    """Name each row by its key; rows that share a key are told apart by their content, not order."""
    groups: dict[bytes, list[tuple[Cell, ...]]] = {}
    for digest, row in held:
        groups.setdefault(digest, []).append(row)
    for digest, rows in groups.items():
        for index, row in enumerate(sorted(rows, key=json.dumps)):
            yield f"{digest.hex()[:16]}-{index}", row


def _without(columns: Sequence[str], rows: Sequence[tuple[Cell, ...]], place: int) -> Table:
    return Table(
        columns=tuple(name for index, name in enumerate(columns) if index != place),
        rows=tuple((*row[:place], *row[place + 1 :]) for row in rows),
    )


def _label(cell: Cell, task: Task, target: str, where: str) -> float | str:
    if task is Task.REGRESSION:
        if isinstance(cell, int | float):
            return float(cell)
        what = f"the target {target!r} has a value that is no number: {cell!r}"
        raise InputError(what, where=where, hint="for classes, set the model's task in gitops.yaml")
    label = class_text(cell)
    if label is None:
        raise InputError(f"the target {target!r} has a value that is no class", where=where)
    return label


def class_text(value: object) -> str | None:
    """Return a class as canonical text, None for what cannot be one.

    However a class is written, in a file, by pandas or by a model, it reads the same: `1`, `1.0`
    and `"1"` are `1`; `True` and `"TRUE"` are `true`.
    """
    if not isinstance(value, bool | int | float | str):
        return None
    text = str(value).strip()
    if text.lower() in ("true", "false"):
        return text.lower()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(parse_cell(text, frozenset())) or None


def sort_classes(classes: Iterable[str]) -> tuple[str, ...]:
    """Return the distinct classes in order: by number if all are numbers, as text otherwise."""
    cells = {name: parse_cell(name, frozenset()) for name in classes}
    numbers = {name: cell for name, cell in cells.items() if isinstance(cell, int | float)}
    if len(numbers) == len(cells):
        return tuple(sorted(numbers, key=lambda name: (numbers[name], name)))
    return tuple(sorted(cells))


def render_csv(table: Table) -> str:
    """Return the table as CSV: a header, missing cells empty; what a training step receives."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows(["" if cell is None else cell for cell in row] for row in table.rows)
    return stream.getvalue()


def render_holdout(split: Split) -> str:
    """Return the held-out rows as JSON lines `{"id", "row"}`: what the server is asked."""
    columns = split.held_out.columns
    return _json_lines(
        {"id": name, "row": dict(zip(columns, row, strict=True))}
        for name, row in zip(split.ids, split.held_out.rows, strict=True)
    )


def render_labels(split: Split) -> str:
    """Return the held-out labels as JSON lines `{"id", "actual"}`; training never sees them."""
    return _json_lines(
        {"id": name, "actual": label} for name, label in zip(split.ids, split.labels, strict=True)
    )


def _json_lines(bodies: Iterable[dict[str, object]]) -> str:
    dump: Callable[[object], str] = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
    return "".join(dump(body) + "\n" for body in bodies)
