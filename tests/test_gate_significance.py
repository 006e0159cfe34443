"""P-values agree with SciPy's, which the gate itself does without."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gitops.gate.significance import (
    chi_square_tail,
    compare_counts,
    compare_samples,
    compare_shares,
    select_discoveries,
)


@given(st.floats(0.01, 500), st.integers(1, 200))
def test_the_tail_of_chi_square_is_exact(statistic: float, freedom: int) -> None:
    expected = float(stats.chi2.sf(statistic, freedom))
    assert chi_square_tail(statistic, freedom) == pytest.approx(expected, rel=1e-6, abs=1e-12)


@given(st.integers(0, 40), st.integers(1, 40), st.integers(0, 40), st.integers(1, 40))
def test_shares_are_compared_by_fishers_exact_test(a: int, n: int, b: int, m: int) -> None:
    a, b = min(a, n), min(b, m)
    exact = stats.fisher_exact([[a, n - a], [b, m - b]], alternative="greater").pvalue
    assert compare_shares(a, n, b, m) == pytest.approx(float(exact), abs=1e-9)


def test_shares_of_a_million_rows_are_compared_at_once() -> None:
    assert compare_shares(50_000, 1_000_000, 50_000, 1_000_000) == pytest.approx(0.5, abs=0.01)
    assert compare_shares(60_000, 1_000_000, 50_000, 1_000_000) < 1e-100


def test_samples_are_compared_like_scipy_does() -> None:
    random = np.random.default_rng(1)
    one, other = np.sort(random.normal(0, 1, 400)), np.sort(random.normal(0.2, 1, 300))
    distance, chance = compare_samples(one.tolist(), other.tolist())
    expected = stats.ks_2samp(one, other)
    assert distance == pytest.approx(float(expected.statistic))
    assert 1 <= chance / float(expected.pvalue) < 1.2


def test_counts_are_compared_like_scipy_does() -> None:
    one, other = [30, 50, 20], [60, 70, 40]
    distance, chance = compare_counts(one, other)
    assert chance == pytest.approx(float(stats.chi2_contingency([one, other])[1]))
    assert distance == pytest.approx(abs(0.5 - 70 / 170))


def test_rare_values_are_put_together_and_never_lost() -> None:
    assert compare_counts([1] * 40, [1] * 40) == (0.0, 1.0)
    distance, chance = compare_counts([500, 500, 0], [0, 0, 30])
    assert distance > 0.4
    assert chance < 1e-5


def test_no_rows_at_all_are_no_difference() -> None:
    assert compare_counts([], []) == (0.0, 1.0)


def test_discoveries_stop_at_the_largest_p_value_that_its_rank_allows() -> None:
    chances = {"a": 0.001, "b": 0.02, "c": 0.03, "d": 0.9}
    assert select_discoveries(chances, 0.05) == ("a", "b", "c")
    assert select_discoveries({"a": 0.04, "b": 0.9}, 0.05) == ()
    assert select_discoveries({}, 0.05) == ()


@pytest.mark.parametrize("shift", [0.5, 2.5, 4.5, 9.5, 15.5])
def test_the_chance_of_a_distance_is_kolmogorovs_limit(shift: float) -> None:
    one, other = [float(i // 2) for i in range(80)], [i // 2 + shift for i in range(60)]
    distance, chance = compare_samples(one, other)
    assert distance == pytest.approx(float(stats.ks_2samp(one, other).statistic))
    limit = float(stats.kstwobign.sf(distance * (80 * 60 / 140) ** 0.5))
    assert chance == pytest.approx(limit, rel=1e-9)


def test_equal_samples_are_no_distance_apart() -> None:
    assert compare_samples([1.0, 2.0], [1.0, 2.0]) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("one", "other", "rest", "pooled"),
    [
        ([90, 4, 6], [90, 6, 4], (0, 0), [[90, 4, 6], [90, 6, 4]]),
        ([93, 4, 3], [97, 2, 1], (0, 0), [[93, 7], [97, 3]]),
        ([34, 60, 6], [38, 60, 2], (0, 0), [[40, 60], [40, 60]]),
        ([283, 15, 2], [95, 5, 0], (0, 0), [[283, 17], [95, 5]]),
        ([285, 15], [95, 5], (0, 0), [[285, 15], [95, 5]]),
        ([286, 14], [95, 5], (0, 0), None),
        ([50, 50], [25, 25], (0, 50), [[50, 50, 0], [25, 25, 50]]),
        ([50, 46, 2], [50, 40, 3], (2, 7), [[50, 46, 4], [50, 40, 10]]),
        ([97], [93], (3, 7), [[97, 3], [93, 7]]),
        ([97], [94], (3, 6), None),
    ],
    ids=str,
)
def test_a_cell_is_judged_by_itself_from_five_expected_rows_on_the_smaller_side(
    one: list[int], other: list[int], rest: tuple[int, int], pooled: list[list[int]] | None
) -> None:
    distance, chance = compare_counts(one, other, rest=rest)
    if pooled is None:
        assert (distance, chance) == (0.0, 1.0)
        return
    shares = [np.array(row) / sum(row) for row in pooled]
    assert distance == pytest.approx(np.abs(shares[0] - shares[1]).sum() / 2)
    expected = float(stats.chi2_contingency(pooled, correction=False)[1])
    assert chance == pytest.approx(expected)


def test_no_statistic_is_no_surprise_at_any_number_of_cells() -> None:
    assert [chi_square_tail(0.0, freedom) for freedom in (1, 2, 3, 8)] == [1.0] * 4


def test_a_discovery_may_lie_exactly_on_its_line_and_equals_are_taken_by_name() -> None:
    assert select_discoveries({"a": 0.05}, 0.05) == ("a",)
    assert select_discoveries({"b": 0.01, "a": 0.01, "c": 0.9}, 0.05) == ("a", "b")
