"""The gate keeps its promises in worlds whose truth is known; `python -m tests.bench gate` prints more.

A true regression exactly at its bound passes rules with `prove` at most six times in a hundred, no
breach is failed more often than that without it, and from 200 rows on, intervals of 90 % hold the
truth in 87 to 93 cases of a hundred.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest

from tests.gate_simulation import SIZES, Cell, simulate

LIMIT = 0.06
SIMULATIONS = {50: 250, 200: 200, 1000: 100}
REPLICATES = 500


@cache
def run(rows: int) -> tuple[Cell, ...]:
    return tuple(simulate(rows, SIMULATIONS[rows], REPLICATES))


def by_chance(share: float, simulations: int) -> float:
    """Return by how much a share strays in the worst of two dozen cells: three standard errors."""
    return 3 * math.sqrt(share * (1 - share) / simulations)


@pytest.mark.slow
@pytest.mark.parametrize("rows", SIZES)
def test_a_candidate_at_its_bound_is_rarely_misjudged(rows: int) -> None:
    limit = LIMIT + by_chance(LIMIT, SIMULATIONS[rows])
    for cell in run(rows):
        assert cell.passed <= limit, cell
        assert cell.failed <= limit, cell
    assert np.mean([cell.passed for cell in run(rows)]) <= LIMIT
    assert np.mean([cell.failed for cell in run(rows)]) <= LIMIT


@pytest.mark.slow
@pytest.mark.parametrize("rows", [200, 1000])
def test_intervals_cover_what_they_promise(rows: int) -> None:
    stray = by_chance(0.1, SIMULATIONS[rows])
    for cell in run(rows):
        assert 0.87 - stray <= cell.covered <= 0.93 + stray, cell
    assert 0.87 <= np.mean([cell.covered for cell in run(rows)]) <= 0.93


@pytest.mark.slow
def test_every_shape_of_errors_keeps_the_promise_on_the_whole() -> None:
    """Put together, the sizes and rules of one shape leave little room for chance."""
    for shape in ("normal", "heavy", "skewed", "binary"):
        cells = [cell for rows in SIZES for cell in run(rows) if cell.shape == shape]
        assert np.mean([cell.passed for cell in cells]) <= LIMIT
        assert np.mean([cell.failed for cell in cells]) <= LIMIT
