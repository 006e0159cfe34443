"""Two models on the same rows: which rows are drawn together, and by how much a metric changed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gitops.gate.evidence import join_rows
from gitops.gate.interval import make_resample
from gitops.gate.metrics import METRICS
from gitops.gate.pair import Pair, find_missing_scale, measure_change
from gitops.gate.units import find_units, name_cell, number_values
from gitops.policy import Tolerance
from tests.gate_evidence import make_evidence, noisy

ACTUAL, GOOD = noisy(noise=2.9)
_, BAD = noisy(noise=4.8, seed=2)
ALONE = make_evidence(ACTUAL, GOOD)


def test_cells_are_named_as_profiles_name_them_and_rows_are_numbered_by_name() -> None:
    cells = [2, "b", 2.0, None, True, float("nan"), 0.5, False]
    names, places = number_values(cells)
    assert names == ("(missing)", "0.5", "2", "b", "false", "true")
    assert places.tolist() == [2, 3, 2, 0, 5, 0, 1, 4]
    assert places.dtype == np.intp
    assert [name_cell(cell) for cell in cells[:2]] == ["2", "b"]


def test_rows_are_drawn_alone_or_with_their_group() -> None:
    evidence = replace(ALONE, inputs={"who": ["b", "a"] * 59 + ["b"]})
    rows = join_rows(evidence.current)
    alone, grouped = find_units(evidence, rows, None), find_units(evidence, rows, "who")
    assert not isinstance(alone, str)
    assert not isinstance(grouped, str)
    assert alone.tolist() == list(range(119))
    assert grouped.tolist() == [1, 0] * 59 + [1]


def make_pair(candidate: list[float], champion: list[float]) -> Pair:
    arrays = (np.array(values) for values in (ACTUAL, candidate, champion))
    actual, new, old = arrays
    return Pair(actual=actual, candidate=new, champion=old, units=np.arange(119))


@pytest.mark.parametrize("improvement", [False, True])
@pytest.mark.parametrize("metric", ["rmse", "r2"])
def test_a_change_is_the_difference_in_the_direction_that_is_asked_for(
    metric: str, improvement: bool
) -> None:
    resample = make_resample(119, "x")
    pair = make_pair(BAD, GOOD)
    relative, absolute = (
        measure_change(METRICS[metric], pair, tolerance, resample, improvement=improvement)
        for tolerance in (Tolerance(amount=0.1, relative=True), Tolerance(amount=0.1))
    )
    worse = abs(absolute.candidate - absolute.champion) * (-1 if improvement else 1)
    assert absolute.found.point == relative.found.point == pytest.approx(worse)
    assert absolute.bound == 0.1
    assert relative.bound == pytest.approx(0.1 * absolute.champion)
    assert relative.found.error != absolute.found.error
    turned = relative.reversed
    assert (turned.point, turned.low, turned.high, turned.error) == (
        -relative.found.point,
        -relative.found.high,
        -relative.found.low,
        relative.found.error,
    )


def test_a_share_has_a_meaning_when_the_champion_is_away_from_zero() -> None:
    resample = make_resample(119, "x")
    share, pair = Tolerance(amount=0.1, relative=True), make_pair(BAD, GOOD)
    assert find_missing_scale(METRICS["r2"], pair, share, resample) == ""
    perfect = make_pair(GOOD, ACTUAL)
    assert find_missing_scale(METRICS["rmse"], perfect, Tolerance(amount=1), resample) == ""
    assert find_missing_scale(METRICS["rmse"], perfect, share, resample) == (
        "the champion's rmse 0 cannot be told from zero, so 10% of it has no meaning; give the "
        "tolerance in units of rmse"
    )
    few = make_resample(9, "x")
    nine = Pair(
        actual=pair.actual[:9],
        candidate=pair.candidate[:9],
        champion=pair.champion[:9],
        units=np.arange(9),
    )
    assert find_missing_scale(METRICS["rmse"], nine, share, few) == ""
