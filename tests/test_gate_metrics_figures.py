"""Metrics and intervals in figures that a second computation or a closed form gives as well."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import stats

from gitops.config import Task
from gitops.gate.catalogue import CATALOGUE
from gitops.gate.custom import make_custom
from gitops.gate.interval import (
    Estimate,
    View,
    estimate,
    make_resample,
)
from gitops.gate.metrics import METRICS, Means, Median, Metric, Opaque, find_obstacle, measure
from gitops.gate.student import student95, student_tail
from gitops.policy import Direction
from tests.gate_evidence import make_rule

if TYPE_CHECKING:
    from gitops.gate.evidence import Array

BINARY, MULTICLASS = CATALOGUE[Task.BINARY], CATALOGUE[Task.MULTICLASS]
RANDOM = np.random.default_rng(7)
ACTUAL = RANDOM.normal(20, 5, 120)
NEW, OLD = (ACTUAL + RANDOM.normal(0.5, 2, 120) for _ in range(2))
COUNTED = ("accuracy", "balanced_accuracy", "precision", "recall", "f1")


def view(predicted: Array, actual: Array = ACTUAL) -> View:
    return View(actual=actual, predicted=predicted, units=np.arange(len(actual)))


def value_of(metric: Metric, predicted: Array = NEW, actual: Array = ACTUAL) -> Estimate:
    resample = make_resample(len(actual), "x")
    return estimate(metric, lambda value: value, [view(predicted, actual)], resample)


@pytest.mark.parametrize("name", ["rmse", "mae", "r2", "mape"])
def test_a_difference_has_the_error_and_the_interval_of_another_bootstrap(name: str) -> None:
    metric = METRICS[name]
    resample = make_resample(120, "x")
    found = estimate(metric, lambda new, old: new - old, [view(NEW), view(OLD)], resample)
    theirs = []
    for _ in range(2000):
        rows = RANDOM.integers(0, 120, 120)
        values = [measure(metric, ACTUAL[rows], each[rows]) for each in (NEW, OLD)]
        theirs.append(values[0] - values[1])
    assert found.error == pytest.approx(float(np.std(theirs)), rel=0.08)
    low, high = np.quantile(theirs, (0.05, 0.95))
    assert found.low == pytest.approx(float(low), abs=0.6 * found.error)
    assert found.high == pytest.approx(float(high), abs=0.6 * found.error)


def test_the_interval_of_a_median_is_the_percentile_of_its_replicates() -> None:
    medae, resample = METRICS["medae"], make_resample(120, "x")
    errors = np.abs(NEW - ACTUAL)
    draws = resample.counts.astype(int)
    terms = [float(np.median(np.repeat(errors, counts))) for counts in draws]
    found = value_of(medae)
    assert found.error == pytest.approx(float(np.std(terms, ddof=1)))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(terms, (0.05, 0.95))))


def test_a_median_of_grouped_rows_weighs_whole_groups() -> None:
    medae, resample = METRICS["medae"], make_resample(12, "x")
    units = np.arange(120) // 10
    grouped = View(actual=ACTUAL, predicted=NEW, units=units)
    found = estimate(medae, lambda value: value, [grouped], resample)
    errors = np.abs(NEW - ACTUAL)
    draws = resample.counts[:, units].astype(int)
    terms = [float(np.median(np.repeat(errors, counts))) for counts in draws]
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(terms, (0.05, 0.95))))


def test_a_median_of_many_rows_looks_at_the_middle_ones_only() -> None:
    actual, predicted = np.zeros(5000), np.random.default_rng(3).normal(size=5000)
    found = value_of(METRICS["medae"], predicted, actual)
    density = 2 * stats.norm.pdf(stats.norm.ppf(0.75))
    assert found.error == pytest.approx(0.5 / math.sqrt(5000) / density, rel=0.1)
    assert found.high - found.low == pytest.approx(2 * 1.645 * found.error, rel=0.1)


def test_a_function_of_its_own_is_called_on_resampled_rows() -> None:
    seen: list[int] = []

    def mean(actual: Array, predicted: Array) -> float:
        seen.append(len(actual))
        return float(np.abs(predicted - actual).mean())

    opaque = Metric(name="own", higher_is_better=False, form=Opaque(call=mean))
    found, known = value_of(opaque), value_of(METRICS["mae"])
    assert found.point == pytest.approx(known.point)
    assert found.error == pytest.approx(known.error, rel=0.1)
    assert found.low == pytest.approx(known.low, abs=0.25 * known.error)
    assert len(seen) == 1 + 400
    assert set(seen) == {120}
    seen.clear()
    value_of(opaque, np.ones(100_000), np.zeros(100_000))
    assert len(seen) == 1 + 200
    seen.clear()
    value_of(opaque, np.ones(300_000), np.zeros(300_000))
    assert len(seen) == 1 + 100


@pytest.mark.parametrize(("unknown", "known"), [(3, True), (5, False)])
def test_up_to_one_replicate_in_a_hundred_may_have_no_value(unknown: int, known: bool) -> None:
    calls = iter(range(1000))

    def sometimes(actual: Array, predicted: Array) -> float | str:
        call = next(calls)
        return "no" if 1 <= call <= unknown else float(predicted.mean())

    opaque = Metric(name="own", higher_is_better=False, form=Opaque(call=sometimes))
    found = value_of(opaque)
    assert math.isfinite(found.low) is math.isfinite(found.error) is known


def test_a_resample_draws_as_many_rows_as_there_are_and_is_the_seeds_own() -> None:
    resample = make_resample(50, "x")
    assert resample.counts.shape == (2000, 50)
    assert set(resample.counts.sum(axis=1)) == {50.0}
    assert resample.group.tolist() == list(range(50))
    assert make_resample(50, "x") is resample
    assert not np.array_equal(make_resample(50, "y").counts, resample.counts)
    assert not resample.counts.flags.writeable
    assert not resample.group.flags.writeable
    assert sum(len(chunk) for chunk in resample.chunks()) == 2000
    large = make_resample(5000, "x")
    sizes = np.bincount(large.group)
    assert (len(sizes), sizes.min(), sizes.max()) == (4096, 1, 2)
    assert not np.array_equal(np.sort(large.group), large.group)


def test_students_quantile_and_tail_are_good_from_five_on() -> None:
    for freedom in (5, 7, 12, 60):
        exact = float(stats.t.ppf(0.95, freedom))
        assert student95(freedom) == pytest.approx(exact, rel=0.02 / freedom**2 + 1e-9)
    for freedom, precise in ((5, 1e-8), (9, 1e-7), (40, 1e-6), (1000, 2e-5)):
        for t in (-3.0, 0.0, 0.5, 2.0, 8.0):
            exact = float(stats.t.sf(t, freedom))
            assert student_tail(t, freedom) == pytest.approx(exact, rel=precise)
    assert student_tail(2.0, 1001) == student_tail(2.0, 10**6) == student_tail(2.0, 1000)
    assert student_tail(2.0, 999) != student_tail(2.0, 1000)


def test_the_chance_of_a_bound_is_students_tail_at_its_distance() -> None:
    """Scaled so that the lower end of the interval has a chance of exactly five per cent."""
    found = Estimate(point=3.0, low=1.0, high=4.0, error=0.9)
    for bound in (1.0, 0.0, 2.5, 3.5):
        scaled = student95(19) * (3.0 - bound) / 2.0
        assert found.chance(bound, 20) == pytest.approx(float(stats.t.sf(scaled, 19)), rel=1e-5)
    flat = replace(found, low=3.0)
    scaled = student95(19) * 1.0 / (1.6448536269514722 * 0.9)
    assert flat.chance(2.0, 20) == pytest.approx(float(stats.t.sf(scaled, 19)), rel=1e-5)
    sure = Estimate(point=3.0, low=3.0, high=3.0, error=0.0)
    assert [sure.chance(bound, 20) for bound in (2.9, 3.0, 3.1)] == [0.0, 1.0, 1.0]


def test_estimates_are_moved_and_kept_inside_what_is_possible() -> None:
    found = Estimate(point=0.5, low=-0.2, high=1.2, error=0.3)
    assert found.shifted(1.0) == Estimate(point=1.5, low=0.8, high=2.2, error=0.3)
    inside = found.within(0, 1)
    assert (inside.point, inside.low, inside.high) == (0.5, 0, 1)
    beyond = Estimate(point=1.5, low=1.2, high=1.9, error=0.3).within(0, 1)
    assert (beyond.low, beyond.high) == (1.2, 1.5)
    below = Estimate(point=-0.5, low=-0.9, high=-0.2, error=0.3).within(0, 1)
    assert (below.low, below.high) == (-0.5, -0.2)
    unknown = Estimate(point=0.5, low=-math.inf, high=math.inf, error=math.nan).within(0, 1)
    assert (unknown.low, unknown.high) == (-math.inf, math.inf)
    assert found.detectable == pytest.approx((stats.norm.ppf(0.95) + stats.norm.ppf(0.8)) * 0.3)


def test_few_rows_that_matter_are_given_students_interval_for_as_many() -> None:
    """Eight wrong of two hundred count as eight, less one that the other rows know of."""
    wrong = np.zeros(200)
    wrong[:8] = 1.0
    found = value_of(METRICS["mae"], wrong, np.zeros(200))
    influences = wrong - wrong.mean()
    counting = (influences**2).sum() ** 2 / (influences**4).sum()
    arm = (found.point - found.low) / found.error
    assert arm == pytest.approx(student95(counting), rel=1e-6)
    assert found.error == pytest.approx(float(wrong.std(ddof=1)) / math.sqrt(200))


@pytest.mark.parametrize("rows", [50, 100])
def test_what_was_never_seen_may_happen_three_times_in_as_many_rows(rows: int) -> None:
    actual = np.arange(rows) % 2
    chances = np.stack([0.9 - 0.8 * actual, 0.1 + 0.8 * actual], axis=1)
    for name in ("accuracy", "precision", "recall"):
        found = value_of(BINARY[name], chances, actual)
        share = 1.0 if name == "accuracy" else 0.5
        reach = -math.log(0.05) / rows / share
        assert (found.point, found.error) == (1.0, 0.0)
        assert (found.low, found.high) == pytest.approx((1 - reach, 1 + reach))


def test_classifiers_metrics_know_what_they_count_where_they_lie_and_what_they_need() -> None:
    for metrics in (BINARY, MULTICLASS):
        for name, metric in metrics.items():
            assert metric.name == name
            assert isinstance(metric.form, Means)
            counted = name in COUNTED[:1] or (metrics is BINARY and name in COUNTED)
            assert metric.form.counts is counted
            assert metric.higher_is_better is (name not in ("log_loss", "brier"))
            span = {"log_loss": (-math.inf, math.inf), "brier": (0.0, 2.0)}.get(name, (0.0, 1.0))
            assert metric.span == span
    ones, zeros, mixed = np.ones(4, int), np.zeros(4, int), np.array([0, 1, 1, 0])
    same, none = "every row is of the same class", "no row is of the positive class"
    needs = {
        name: (metric.undefined(ones), metric.undefined(zeros)) for name, metric in BINARY.items()
    }
    assert needs == {
        "accuracy": ("", ""),
        "log_loss": ("", ""),
        "brier": ("", ""),
        "precision": ("", ""),
        "balanced_accuracy": (same, same),
        "recall": ("", none),
        "f1": ("", none),
        "roc_auc": (same, none),
        "pr_auc": (same, none),
    }
    assert {metric.undefined(mixed) for metric in BINARY.values()} == {""}
    assert MULTICLASS["balanced_accuracy"].undefined(zeros) == same
    nothing = np.array([[0.9, 0.1]] * 4)
    told = "no row is predicted to be of the positive class"
    assert find_obstacle(BINARY["precision"], mixed, nothing) == told


def test_regressions_metrics_say_what_they_need() -> None:
    ones, zeros, some = np.ones(3), np.zeros(1200), np.array([0.0, 1.0, 2.0])
    explain = "every label is the same, so there is nothing to explain"
    assert (METRICS["r2"].undefined(ones), METRICS["r2"].undefined(some)) == (explain, "")
    mape = METRICS["mape"]
    assert mape.undefined(ones) == ""
    assert mape.undefined(some) == "1 label is 0, and an error relative to 0 has no meaning"
    ends = "labels are 0, and an error relative to 0 has no meaning"
    assert mape.undefined(zeros) == f"1,200 {ends}"
    for name, metric in METRICS.items():
        assert metric.name == name
        assert metric.span == (-math.inf, math.inf)
        assert isinstance(metric.form, Median if name == "medae" else Means)
    far = find_obstacle(METRICS["rmse"], ones, ones, ones * 1e300)
    assert far == "the predictions are too far from the labels to compute it"


def custom(answer: Any, classes: tuple[str, ...] = ()) -> Metric:
    rule = replace(make_rule("own"), direction=Direction.LOWER)
    return make_custom(rule, lambda actual, predicted: answer, classes)


def test_a_custom_metric_takes_numbers_of_any_make_and_cuts_what_it_quotes() -> None:
    ones = np.ones(3)
    metric = custom(np.float32(0.5))
    assert (metric.name, metric.higher_is_better) == ("own", False)
    assert [measure(custom(each), ones, ones) for each in (np.int64(3), 2, 0.25)] == [
        3.0,
        2.0,
        0.25,
    ]
    assert measure(metric, ones, ones) == 0.5
    assert find_obstacle(custom("x" * 60), ones, ones) == f"its function returned '{'x' * 39}"
    assert math.isnan(measure(custom(None), ones, ones))

    def fail(actual: Array, predicted: Array) -> float:
        raise KeyError("x" * 300)

    rule = replace(make_rule("own"), direction=Direction.HIGHER)
    broken = make_custom(rule, fail, ())
    assert broken.higher_is_better
    assert find_obstacle(broken, ones, ones) == f"its function raised KeyError: '{'x' * 199}"


def test_a_function_that_changes_its_mind_is_found_in_any_of_the_models() -> None:
    answers = iter([1.0, 1.0, 2.0, 3.0])
    metric = custom(0.0)
    metric = replace(metric, form=Opaque(call=lambda actual, predicted: next(answers)))
    told = "its function answers differently each time"
    assert find_obstacle(metric, np.ones(2), np.ones(2), np.ones(2)) == told
