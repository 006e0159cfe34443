"""Counts and samples of two data sets come in; the chance of such a difference by accident goes out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gitops.gate.evidence import Array

# Fewer expected rows than this in a cell, and chi-square's distribution is another one.
LEAST_EXPECTED = 5
_NEGLIGIBLE = 1e-12


def compare_samples(one: Sequence[float], other: Sequence[float]) -> tuple[float, float]:
    """Return the Kolmogorov-Smirnov distance of two sorted samples, and its p-value.

    The p-value is the asymptotic one, which few rows and ties make too large, never too small;
    Stephens' correction for few rows would make it too small where the samples differ in size.
    """
    first, second = np.asarray(one), np.asarray(other)
    points = np.unique(np.concatenate([first, second]))
    distance = float(np.abs(_share_up_to(first, points) - _share_up_to(second, points)).max())
    root = math.sqrt(len(first) * len(second) / (len(first) + len(second)))
    scaled = distance * root
    if scaled < 0.3:
        return distance, 1.0
    terms = ((-1) ** (k - 1) * math.exp(-2 * (k * scaled) ** 2) for k in range(1, 101))
    return distance, min(1.0, max(0.0, 2 * sum(terms)))


def _share_up_to(sample: Array, points: Array) -> Array:
    return np.asarray(np.searchsorted(sample, points, side="right") / len(sample))


def compare_counts(
    one: Sequence[int], other: Sequence[int], *, rest: tuple[int, int] = (0, 0)
) -> tuple[float, float]:
    """Return the total variation distance of two rows of counts, and the p-value of chi-square.

    Cells that are too rare to judge are put together with the rest, which has no cells of its own;
    where fewer than two are left, nothing moved.
    """
    table = _pool(np.array([one, other], dtype=float), np.array(rest, dtype=float))
    if table.shape[1] < 2:
        return 0.0, 1.0
    sizes = table.sum(axis=1, keepdims=True)
    distance = float(np.abs(np.diff(table / sizes, axis=0)).sum() / 2)
    expected = sizes * table.sum(axis=0) / table.sum()
    statistic = float(((table - expected) ** 2 / expected).sum())
    return distance, chi_square_tail(statistic, table.shape[1] - 1)


def _pool(table: Array, rest: Array) -> Array:
    """Put rare cells together, and with the rarest other one where even that is too little."""
    sizes = table.sum(axis=1) + rest
    smaller = sizes.min() / max(sizes.sum(), 1)
    frequent = table.sum(axis=0) * smaller >= LEAST_EXPECTED
    rest, kept = rest + table[:, ~frequent].sum(axis=1), table[:, frequent]
    if rest.sum() * smaller >= LEAST_EXPECTED:
        return np.column_stack([kept, rest])
    if kept.shape[1]:
        kept[:, kept.sum(axis=0).argmin()] += rest
    return kept


def chi_square_tail(statistic: float, freedom: int) -> float:
    """Return the chance that chi-square with some degrees of freedom exceeds a number.

    >>> round(chi_square_tail(3.841, 1), 3), round(chi_square_tail(18.307, 10), 3)
    (0.05, 0.05)
    """
    half = statistic / 2
    if half <= 0:
        return 1.0
    odd = freedom % 2
    tail = math.erfc(math.sqrt(half)) if odd else math.exp(-half)
    for step in range(2 - odd, freedom, 2):
        power = step / 2
        tail += math.exp(power * math.log(half) - half - math.lgamma(power + 1))
    return min(1.0, tail)


def compare_shares(hits: int, rows: int, other_hits: int, other_rows: int) -> float:
    """Return the one-sided p-value of Fisher's exact test: is the first share larger than the other?"""
    marked, total = hits + other_hits, rows + other_rows
    tail = 0.0
    for count in range(hits, min(rows, marked) + 1):
        logarithm = _choose(marked, count) + _choose(total - marked, rows - count)
        term = math.exp(logarithm - _choose(total, rows))
        tail += term
        # The terms rise to the mean and fall from there on.
        if count * total > marked * rows and term <= _NEGLIGIBLE * tail:
            break
    return min(1.0, tail)


def _choose(total: int, chosen: int) -> float:
    return math.lgamma(total + 1) - math.lgamma(chosen + 1) - math.lgamma(total - chosen + 1)


def select_discoveries(chances: Mapping[str, float], rate: float) -> tuple[str, ...]:
    """Return the names whose p-values stand after Benjamini and Hochberg: at most `rate` are false."""
    ordered = sorted(chances, key=lambda name: (chances[name], name))
    kept = 0
    for place, name in enumerate(ordered, start=1):
        if chances[name] <= rate * place / len(ordered):
            kept = place
    return tuple(ordered[:kept])
