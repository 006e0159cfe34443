"""The intervals cover what they promise, by simulation with fixed seeds."""

from __future__ import annotations

import math
import tracemalloc
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import stats

from gitops.gate.interval import (
    MIN_ROWS,
    REPLICATES,
    Estimate,
    Resample,
    View,
    estimate,
    make_resample,
)
from gitops.gate.metrics import METRICS

if TYPE_CHECKING:
    from gitops.gate.evidence import Array

SHAPES = ("normal", "heavy", "skewed")


def draw(shape: str, size: int, random: np.random.Generator) -> Array:
    if shape == "normal":
        return random.standard_normal(size)
    return random.standard_t(5, size) if shape == "heavy" else random.exponential(size=size) - 1


def draw_errors(shape: str, size: int, random: np.random.Generator) -> tuple[Array, Array]:
    """Return errors of candidate and champion: what no model explains, and a little of their own."""
    shared = draw(shape, size, random)
    own = random.standard_normal((2, size))
    return shared + 0.3 + 0.5 * own[0], shared + 0.4 * own[1]


@cache
def true_ratio(metric: str, shape: str) -> float:
    candidate, champion = draw_errors(shape, 2_000_000, np.random.default_rng(7))
    power = 2 if metric == "rmse" else 1
    ratio = (np.abs(candidate) ** power).mean() / (np.abs(champion) ** power).mean()
    return float(ratio ** (1 / power))


def make_views(*errors: Array) -> list[View]:
    rows = np.arange(len(errors[0]))
    return [View(actual=np.zeros(len(rows)), predicted=error, units=rows) for error in errors]


def difference(metric: str, candidate: Array, champion: Array, resample: Resample) -> Estimate:
    views = make_views(candidate, champion)
    return estimate(METRICS[metric], lambda new, old: new - old, views, resample)


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "simulations"), [(50, 500), (200, 300), (1000, 150)])
def test_a_regression_at_the_bound_is_missed_by_one_side_in_at_most_six_of_a_hundred(
    rows: int, simulations: int
) -> None:
    """At the bound `candidate = (1 + tolerance) champion`, so the excess over it is truly 0."""
    resample = make_resample(rows, "simulation")
    random = np.random.default_rng(rows)
    passed: Counter[tuple[str, str]] = Counter()
    failed: Counter[tuple[str, str]] = Counter()
    for metric in ("rmse", "mae"):
        for shape in SHAPES:
            ratio = true_ratio(metric, shape)
            for _ in range(simulations):
                views = make_views(*draw_errors(shape, rows, random))
                found = estimate(
                    METRICS[metric], lambda new, old, r=ratio: new - r * old, views, resample
                )
                passed[metric, shape] += found.high < 0
                failed[metric, shape] += found.low > 0
    cells = 2 * len(SHAPES)
    # By how much a share of 6 % may stray in one cell by chance: two standard errors.
    chance = 2 * math.sqrt(0.06 * 0.94 / simulations)
    for wrong in (passed, failed):
        assert max(wrong.values()) / simulations <= 0.06 + chance
        assert wrong.total() / simulations / cells <= 0.06
    covered = 1 - (passed + failed).total() / simulations / cells
    assert 0.87 <= covered <= 0.93


def test_the_same_seed_gives_the_same_interval_to_the_bit() -> None:
    errors = draw_errors("skewed", 119, np.random.default_rng(1))
    first, again, other = (
        difference("rmse", *errors, make_resample(119, seed)) for seed in ("a", "a", "b")
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize("metric", METRICS)
def test_a_model_against_itself_differs_by_exactly_nothing(metric: str) -> None:
    random = np.random.default_rng(3)
    actual = random.normal(20, 3, 60)
    same = View(actual=actual, predicted=actual + random.normal(size=60), units=np.arange(60))
    found = estimate(
        METRICS[metric], lambda new, old: new - old, [same, same], make_resample(60, "x")
    )
    assert (found.point, found.low, found.high, found.error) == (0, 0, 0, 0)


def test_fewer_rows_than_ten_have_no_interval() -> None:
    errors = draw_errors("normal", MIN_ROWS - 1, np.random.default_rng(1))
    found = difference("rmse", *errors, make_resample(MIN_ROWS - 1, "x"))
    assert (found.low, found.high) == (-math.inf, math.inf)
    assert math.isnan(found.error)


def test_one_row_that_differs_proves_nothing() -> None:
    """A third of all resamples do not draw that row: their spread of zero must not count as proof."""
    champion = np.random.default_rng(1).normal(size=200)
    candidate = champion.copy()
    candidate[0] += 20
    found = difference("rmse", candidate, champion, make_resample(200, "x"))
    assert found.low < 0 < found.point < found.high < math.inf


def test_pairing_sees_what_two_samples_would_not() -> None:
    shared = 5 * np.random.default_rng(2).normal(size=300)
    own = np.random.default_rng(4).normal(size=(2, 300))
    candidate, champion = shared + own[0], shared + 0.1 * own[1]
    resample = make_resample(300, "x")
    paired = difference("mae", candidate, champion, resample).error
    alone = [
        estimate(METRICS["mae"], lambda value: value, make_views(errors), resample).error
        for errors in (candidate, champion)
    ]
    assert paired < math.hypot(*alone) / 3


def test_the_interval_agrees_with_another_bootstrap() -> None:
    candidate, champion = draw_errors("normal", 500, np.random.default_rng(8))
    ours = difference("mae", candidate, champion, make_resample(500, "x"))
    theirs = stats.bootstrap(
        (np.abs(candidate) - np.abs(champion),),
        np.mean,
        confidence_level=0.9,
        n_resamples=4000,
        rng=np.random.default_rng(1),
    )
    assert ours.error == pytest.approx(theirs.standard_error, rel=0.05)
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.1 * ours.error)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.1 * ours.error)


@pytest.mark.parametrize("metric", ["rmse", "mae", "medae"])
def test_many_rows_are_gathered_without_changing_the_interval(metric: str) -> None:
    """20,000 rows fall into 4,096 groups; the interval is that of the normal limit."""
    candidate, champion = draw_errors("normal", 20_000, np.random.default_rng(8))
    resample = make_resample(20_000, "x")
    assert resample.counts.shape == (REPLICATES, 4096)
    found = difference(metric, candidate, champion, resample)
    assert found.high - found.low == pytest.approx(2 * 1.645 * found.error, rel=0.05)
    if metric == "mae":
        exact = (np.abs(candidate) - np.abs(champion)).std() / math.sqrt(20_000)
        assert found.error == pytest.approx(exact, rel=0.05)


def test_a_million_rows_stay_far_below_a_gibibyte() -> None:
    candidate, champion = np.random.default_rng(1).standard_normal((2, 1_000_000))
    tracemalloc.start()
    resample = make_resample(1_000_000, "x")
    found = difference("rmse", candidate, champion, resample)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 300e6
    assert found.low < found.point < found.high


def test_the_detectable_change_is_detected_with_eighty_per_cent_power() -> None:
    """Two and a half standard errors: 1.645 to be significant, 0.842 to be so four times in five."""
    found = Estimate(point=0, low=-1, high=1, error=2.0)
    power = stats.norm.sf(stats.norm.ppf(0.95) - found.detectable / found.error)
    assert power == pytest.approx(0.8)
