"""Intervals agree with other ways to find them, and know what the rows cannot know."""

from __future__ import annotations

import math
import tracemalloc
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
from gitops.gate.student import student95, student_tail
from tests.gate_simulation import draw_shape

if TYPE_CHECKING:
    from gitops.gate.evidence import Array


def draw_errors(shape: str, size: int, random: np.random.Generator) -> tuple[Array, Array]:
    """Return errors of candidate and champion: what no model explains, and a little of their own."""
    shared = draw_shape(shape, size, random)
    own = random.standard_normal((2, size))
    return shared + 0.3 + 0.5 * own[0], shared + 0.4 * own[1]


def make_views(*errors: Array) -> list[View]:
    rows = np.arange(len(errors[0]))
    return [View(actual=np.zeros(len(rows)), predicted=error, units=rows) for error in errors]


def difference(metric: str, candidate: Array, champion: Array, resample: Resample) -> Estimate:
    views = make_views(candidate, champion)
    return estimate(METRICS[metric], lambda new, old: new - old, views, resample)


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


def test_students_quantile_and_tail_agree_with_scipy() -> None:
    for freedom in (9, 30, 199, 1000):
        assert student95(freedom) == pytest.approx(stats.t.ppf(0.95, freedom), rel=1e-4)
        for t in (-2.0, 0.0, 1.7, 6.0):
            assert student_tail(t, freedom) == pytest.approx(stats.t.sf(t, freedom), rel=1e-4)


def test_the_chance_of_a_bound_is_five_per_cent_where_the_interval_ends() -> None:
    candidate, champion = draw_errors("normal", 200, np.random.default_rng(2))
    found = difference("rmse", candidate, champion, make_resample(200, "x"))
    assert found.chance(found.low, 200) == pytest.approx(0.05, rel=1e-3)
    assert found.chance(found.point, 200) == pytest.approx(0.5)
    assert found.chance(found.low - found.error, 200) < 0.01
    assert found.chance(found.high, 200) > 0.9


def test_what_is_exactly_known_or_not_known_at_all_has_a_chance_of_nothing_or_one() -> None:
    exact = Estimate(point=1.0, low=1.0, high=1.0, error=0.0)
    assert (exact.chance(0.5, 50), exact.chance(1.0, 50)) == (0.0, 1.0)
    unknown = Estimate(point=1.0, low=-math.inf, high=math.inf, error=math.nan)
    assert unknown.chance(-99, 50) == 1.0


def test_three_rows_that_all_get_worse_prove_nothing_and_eight_do() -> None:
    """Of three coins all show heads once in eight times; of eight, once in 256."""
    for rows, harm in ((3, False), (8, True)):
        wrong = np.zeros(200)
        wrong[:rows] = 1
        found = difference("mae", wrong, np.zeros(200), make_resample(200, "x"))
        assert (found.low > 0) is harm


def test_a_row_that_holds_much_of_the_spread_widens_the_interval_on_its_side_only() -> None:
    even = np.random.default_rng(3).normal(size=100)
    spiked = even.copy()
    spiked[7] = 9.0
    resample = make_resample(100, "x")
    arms = []
    for errors in (even, spiked):
        found = estimate(METRICS["mae"], lambda value: value, make_views(errors), resample)
        low, high = (
            (found.point - found.low) / found.error,
            (found.high - found.point) / found.error,
        )
        arms.append((low, high))
    assert arms[1][1] > 1.5 * arms[0][1]
    assert arms[1][0] < 1.1 * arms[0][0]


def test_rows_of_a_group_are_drawn_together() -> None:
    """Each row told ten times is no more than each row told once."""
    errors = np.random.default_rng(5).normal(size=60)
    once = estimate(METRICS["mae"], lambda value: value, make_views(errors), make_resample(60, "x"))
    view = View(
        actual=np.zeros(600), predicted=np.repeat(errors, 10), units=np.repeat(np.arange(60), 10)
    )
    again = estimate(METRICS["mae"], lambda value: value, [view], make_resample(60, "x"))
    assert again.error == pytest.approx(once.error)
    assert (again.low, again.high) == pytest.approx((once.low, once.high))


def test_the_ends_of_an_interval_stay_inside_what_is_possible() -> None:
    found = Estimate(point=0.98, low=0.9, high=1.06, error=0.04).within(0, 1)
    assert (found.low, found.point, found.high) == (0.9, 0.98, 1.0)
