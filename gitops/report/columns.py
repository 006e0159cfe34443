"""Profiles of two states of the data come in; the columns that moved, the most first, go out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitops.gate.profile import ColumnProfile, DataProfile

MOST_DRAWN = 6
MOST_VALUES = 6
OTHER = "other values"
# Mean of Kolmogorov's distribution: the distance of two samples, in units of their spread.
_KOLMOGOROV = 0.8687
Shares = tuple[str, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnShift:
    """One column before and after its data changed.

    Attributes:
        name: as in the header.
        distance: largest difference of the two distributions, a share from 0 to 1.
        chance: the difference that two samples of the same distribution would show on average.
        missing: share of missing cells before and after.
        before: sorted numbers, a sample; empty for text.
        after: the same of the new data.
        values: (value, share before, share after), most frequent first; empty for numbers.
    """

    name: str
    distance: float
    chance: float
    missing: tuple[float, float]
    before: tuple[float, ...] = ()
    after: tuple[float, ...] = ()
    values: tuple[Shares, ...] = ()

    @property
    def size(self) -> float:
        """Return how much moved beyond chance, cells that went missing included."""
        return max(self.distance - self.chance, abs(self.missing[1] - self.missing[0]))


@dataclass(frozen=True, slots=True, kw_only=True)
class DataShift:
    """Two states of the data side by side.

    Attributes:
        rows: number of rows before and after.
        columns: columns of both states, the one that moved most first.
        vanished: columns that only the old state has.
        appeared: columns that only the new state has.
    """

    rows: tuple[int, int]
    columns: tuple[ColumnShift, ...]
    vanished: tuple[str, ...] = ()
    appeared: tuple[str, ...] = ()

    @property
    def drawn(self) -> tuple[ColumnShift, ...]:
        """Return the columns that moved most, at most `MOST_DRAWN`."""
        return tuple(one for one in self.columns if one.size > 0)[:MOST_DRAWN]

    @property
    def named(self) -> tuple[ColumnShift, ...]:
        """Return the columns that are left."""
        return self.columns[len(self.drawn) :]


def make_shift(before: DataProfile | None, after: DataProfile | None) -> DataShift | None:
    """Compare the champion's data with the candidate's; None when they are the same or one is unknown."""
    if before is None or after is None or before.data == after.data:
        return None
    old, new = ({column.name: column for column in one.columns} for one in (before, after))
    both = [
        _compare(old[name], new[name], (before.rows, after.rows)) for name in old if name in new
    ]
    return DataShift(
        rows=(before.rows, after.rows),
        columns=tuple(sorted(both, key=lambda one: (-one.size, one.name))),
        vanished=tuple(name for name in old if name not in new),
        appeared=tuple(name for name in new if name not in old),
    )


def _compare(old: ColumnProfile, new: ColumnProfile, rows: tuple[int, int]) -> ColumnShift:
    missing = old.missing / max(1, rows[0]), new.missing / max(1, rows[1])
    if old.sample and new.sample:
        return ColumnShift(
            name=old.name,
            distance=_distance(old.sample, new.sample),
            chance=_KOLMOGOROV * _spread(len(old.sample), len(new.sample)),
            missing=missing,
            before=old.sample,
            after=new.sample,
        )
    known = rows[0] - old.missing, rows[1] - new.missing
    values = _shares(dict(old.values), dict(new.values), known)
    return ColumnShift(
        name=old.name,
        distance=sum(abs(one - other) for _, one, other in values) / 2,
        chance=_find_chance(values, known),
        missing=missing,
        values=_cut(values),
    )


def _spread(before: int, after: int) -> float:
    return math.sqrt(1 / max(1, before) + 1 / max(1, after))


def _find_chance(values: Sequence[Shares], known: tuple[int, int]) -> float:
    """Return the mean distance of two samples with the same shares: names seem to move by chance."""
    means = [(before + after) / 2 for _, before, after in values]
    errors = sum(math.sqrt(max(0.0, share * (1 - share))) for share in means)
    return errors * _spread(*known) / math.sqrt(2 * math.pi)


def _distance(before: Sequence[float], after: Sequence[float]) -> float:
    """Return the largest distance of the two cumulative distributions (Kolmogorov, Smirnov)."""
    old, new = np.array(before), np.array(after)
    at = np.concatenate((old, new))
    shares = [np.searchsorted(one, at, side="right") / len(one) for one in (old, new)]
    return float(np.abs(shares[0] - shares[1]).max())


def _shares(old: dict[str, int], new: dict[str, int], known: tuple[int, int]) -> list[Shares]:
    """Return shares of each listed value; what a profile does not list is among the others."""
    names = sorted({*old, *new}, key=lambda name: (-max(old.get(name, 0), new.get(name, 0)), name))
    before, after = max(1, known[0]), max(1, known[1])
    return _add_rest(
        [(name, old.get(name, 0) / before, new.get(name, 0) / after) for name in names]
    )


def _cut(values: list[Shares]) -> tuple[Shares, ...]:
    if len(values) <= MOST_VALUES:
        return tuple(values)
    return tuple(_add_rest([one for one in values if one[0] != OTHER][: MOST_VALUES - 1]))


def _add_rest(values: list[Shares]) -> list[Shares]:
    before = max(0.0, 1 - sum(one[1] for one in values))
    after = max(0.0, 1 - sum(one[2] for one in values))
    return [*values, (OTHER, before, after)] if max(before, after) > 1e-9 else values
