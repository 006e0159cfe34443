"""Raw columns and classes come in; columns whose gaps were filled with the answer go out, by name.

Filling a missing cell with the mean of the row's own class writes the class into the row: a few
exact values, each repeated often, tell it, while the measured values around them do not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gitops.gate.evidence import Array, Evidence, Rows, to_number
from gitops.gate.verdict import Finding, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitops.policy import Policy

# A target with more values than this has no classes to fill gaps by.
MAX_CLASSES = 20
# A value is repeated when this many rows have it, and this many times what is usual in its column.
MIN_REPEATS, UNUSUAL = 5, 3
# Shares of the class among the rows with a number that tells it, and among the rows around it.
FOLLOWS, USUAL = 0.95, 0.9
# A measured column has other numbers than the telling ones: so many, in so many rows for each row
# that has a telling one. In a column of codes or counts a telling number is no wonder.
MIN_OTHERS, MIN_LEFT = 30, 0.5
# Neighbours on either side whose classes are looked at: at least so many, and half of the repeats.
MIN_NEIGHBOURS = 25
# The chance that repeats follow the class without a cause, for all columns together.
MAX_CHANCE = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Spike:
    """One exact number that many rows of a column share.

    Attributes:
        value: the number.
        rows: rows that have it.
        label: the class that most of them are of.
        agreeing: how many are of that class.
        usual: share of that class among the rows with the next smaller numbers, or with the next
            larger ones if there it is more.
    """

    value: float
    rows: int
    label: str
    agreeing: int
    usual: float

    @property
    def is_telling(self) -> bool:
        """Tell whether nearly all of its rows are of one class, and the rows around it are not."""
        return self.agreeing >= FOLLOWS * self.rows and self.usual <= USUAL


def check_imputation(evidence: Evidence, rows: Rows, policy: Policy) -> tuple[Finding, ...]:
    """Check that no column's gaps were filled by the class of the row.

    Nothing is found, not even a pass, where there are no classes or no columns to look at.
    """
    del policy
    labels = [str(label) for label in evidence.current.actual]
    if rows.fault or not evidence.inputs or len(set(labels)) > MAX_CLASSES:
        return ()
    # Once for all columns: sorting a million words takes a second.
    names, classes = np.unique(labels, return_inverse=True)
    columns = {name: each for name, each in evidence.inputs.items() if name != evidence.target}
    limit = math.log(MAX_CHANCE / max(1, len(columns)))
    filled = {
        name: spikes
        for name, column in columns.items()
        if log_chance(spikes := find_spikes(column, names.tolist(), classes)) < limit
    }
    return (_make_finding(filled, len(columns), evidence.target, len(rows.ids)),)


def find_spikes(
    column: Sequence[object], names: Sequence[str], classes: Array
) -> tuple[Spike, ...]:
    """Return the often repeated numbers of a column whose rows are almost all of one class.

    Empty unless at least two classes have such a number: then they tell the classes apart. The
    smallest and the largest number do not count: limits of a measurement are repeated honestly.

    Args:
        column: raw cells of one column.
        names: the classes.
        classes: place in `names` of each row's class, shape (rows,).
    """
    numbers = np.array([to_number(value) for value in column], dtype=float)
    known = ~np.isnan(numbers)
    if not known.any():
        return ()
    values, classes = numbers[known], classes[known]
    distinct, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    repeated = counts >= max(MIN_REPEATS, UNUSUAL * float(np.median(counts)))
    by_value = _sort_rows(values, classes)
    inner = repeated & (distinct > distinct[0]) & (distinct < distinct[-1])
    cells = np.bincount(place * len(names) + classes, minlength=inner.size * len(names))
    spikes = [
        _make_spike(value, own, names, by_value)
        for value, own in zip(distinct[inner], cells.reshape(-1, len(names))[inner], strict=True)
    ]
    telling = tuple(spike for spike in spikes if spike.is_telling)
    rows = sum(spike.rows for spike in telling)
    others, left = distinct.size - len(telling), values.size - rows
    is_measured = others >= MIN_OTHERS and left >= MIN_LEFT * rows
    return telling if is_measured and len({spike.label for spike in telling}) > 1 else ()


def _sort_rows(values: Array, classes: Array) -> tuple[Array, Array]:
    """Sort by value, then by class: the order of the rows must not matter."""
    order = np.lexsort((classes, values))
    return values[order], classes[order]


def _make_spike(
    value: float, own: Array, names: Sequence[str], by_value: tuple[Array, Array]
) -> Spike:
    values, classes = by_value
    label, rows = int(np.argmax(own)), int(own.sum())
    first = int(np.searchsorted(values, value))
    side = max(MIN_NEIGHBOURS, rows // 2)
    below, above = classes[max(0, first - side) : first], classes[first + rows :][:side]
    return Spike(
        value=float(value),
        rows=rows,
        label=names[label],
        agreeing=int(own[label]),
        usual=max(_share(below == label), _share(above == label)),
    )


def _share(agreeing: Array) -> float:
    """Return a share; one row of either kind is added, so that few rows never make a certainty."""
    return (int(agreeing.sum()) + 1) / (agreeing.size + 2)


def log_chance(spikes: Sequence[Spike]) -> float:
    """Return a logarithmic upper bound on the chance that the spikes agree without a cause.

    Chernoff's bound: if rows had the class as often as their neighbours have, so many of them
    agreeing is at most this likely. 0, which is certain, where there is no spike.
    """
    shares = [(each.rows, each.agreeing / each.rows, each.usual) for each in spikes]
    return -sum(rows * _divergence(share, usual) for rows, share, usual in shares)


def _divergence(share: float, usual: float) -> float:
    if share <= usual:
        return 0.0
    other = 0.0 if share == 1 else (1 - share) * math.log((1 - share) / (1 - usual))
    return share * math.log(share / usual) + other


def _make_finding(
    filled: dict[str, tuple[Spike, ...]], columns: int, target: str, rows: int
) -> Finding:
    if not filled:
        reason = f"no gap in {columns} raw columns was filled with the class of its row"
        return Finding(rule="leak.imputed", outcome=Outcome.PASS, reason=reason, rows=rows)
    first, spikes = next(iter(filled.items()))
    named = ", ".join(f"`{name}`" for name in filled)
    told = "; ".join(
        f"{spike.agreeing} of the {spike.rows} rows with exactly {spike.value:.6g} are "
        f"{spike.label}"
        for spike in spikes[:2]
    )
    reason = (
        f"missing values of {named} were filled by `{target}`, the answer itself (`{first}`: "
        f"{told}): leave them missing, or fill them inside the model without the target"
    )
    return Finding(rule="leak.imputed", outcome=Outcome.FAIL, reason=reason, rows=rows)
