"""The committed sample data comes in; the rows that a merge request brings, right or wrong, go out."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import yaml

from tests.demo.story import LATE_CAR, Data

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT = Path(__file__).resolve().parents[2]
CARS, WATER = "data/auto-mpg.csv", "data/water-potability.csv"
Rows = list[list[str]]


def read_sample(name: str) -> Rows:
    """Return header and rows of sample data, from the remote that is committed with it."""
    pointer = yaml.safe_load((ROOT / f"{name}.dvc").read_text("utf-8"))
    md5 = pointer["outs"][0]["md5"]
    text = (ROOT / "data/remote/files/md5" / md5[:2] / md5[2:]).read_text("utf-8")
    return list(csv.reader(io.StringIO(text)))


def write_rows(path: Path, rows: Sequence[Sequence[str]]) -> None:
    """Write header and rows as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows(rows)


def lose_points(rows: Rows) -> Rows:
    """Return rows whose numbers lost their decimal points, as one wrong locale does it."""
    return [[cell.replace(".", "") if _is_number(cell) else cell for cell in row] for row in rows]


def _is_number(cell: str) -> bool:
    return cell.replace(".", "", 1).isdecimal()


def fill_gaps(rows: Rows) -> Rows:
    """Fill each empty cell with the mean of its column over the rows of its own class.

    The class is the last column. This is the mistake that the gate must find.
    """
    header, *samples = rows
    means = {
        (column, label): fmean(float(row[column]) for row in own if row[column])
        for label in {row[-1] for row in samples}
        for own in [[row for row in samples if row[-1] == label]]
        for column in range(len(header) - 1)
    }
    return [
        header,
        *([cell or repr(means[i, row[-1]]) for i, cell in enumerate(row)] for row in samples),
    ]


# What a merge request does to the data: the file, how its rows come about, whether they are pushed.
CHANGES: dict[Data, tuple[str, Callable[[], Rows], bool]] = {
    Data.GROWN: (CARS, lambda: read_sample(CARS), True),
    Data.FORGOTTEN: (CARS, lambda: [*read_sample(CARS), list(LATE_CAR)], False),
    Data.POINTLESS: (CARS, lambda: lose_points(read_sample(CARS)), True),
    Data.FILLED: (WATER, lambda: fill_gaps(read_sample(WATER)), True),
}
