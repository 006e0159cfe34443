"""Rows and a seed come in; an estimate with its 90 % interval, from a paired bootstrap, goes out.

One resample serves every model and metric: a row drawn twice counts twice for both models. The
interval is studentised: each replicate is measured in its own standard error. What no resample can
know is what the rows do not hold; `_widen` and `_floor` allow for that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from gitops.gate.evidence import Array
from gitops.gate.metrics import Means, Median, Metric, Opaque, measure
from gitops.gate.student import Z95, student95, student_tail

REPLICATES = 2000
# Fewer rows than this say nothing about their own spread.
MIN_ROWS = 10
# More rows than this are first gathered into as many random groups, which are then resampled: a
# mean over groups has the variance and skewness of the mean over rows, and memory stays bounded.
GROUPS = 4096
Z80 = 0.8416212335729143
_CHUNK = 500
_TAIL = 0.05
# A replicate that drew none of the few rows that matter has next to no spread of its own.
_LEAST_SPREAD = 0.25
_ROUNDING = 1e-12
# What a share of the sum of squares, held by one row alone, adds to the interval on its side:
# settled by simulation, so that bounds on errors with heavy or skewed tails hold from 50 rows on.
_WORST, _WORST_SQUARED = 2.0, 4.0
# What never happened in n rows happens, at most, this often in n, with 95 % confidence.
_NEVER_SEEN = -math.log(0.05)
# A function of unknown cost is called on at most so many rows in all, within these limits.
_OPAQUE_ROWS, _FEWEST, _MOST = 20_000_000, 100, 400
_STEP = 1e-60

Contrast = Callable[..., Any]
_Function = Callable[[Array], Array]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resample:
    """How often each of `groups` is drawn in each replicate, and to which group each row belongs.

    Attributes:
        group: group of each row, shape (rows,).
        counts: draws, shape (replicates, groups).
    """

    group: Array
    counts: Array

    def chunks(self) -> Iterator[Array]:
        """Yield the draws, some replicates at a time."""
        for start in range(0, len(self.counts), _CHUNK):
            yield self.counts[start : start + _CHUNK]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One model on some rows: labels, predictions and the resampled unit that each row is.

    Two models on the same rows share units, and so do two data sets that share rows.
    """

    actual: Array
    predicted: Array
    units: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number and how sure we are of it.

    Attributes:
        point: value on the rows themselves.
        low: lower end of the 90 % interval, 5 % on each side; -inf when unknown.
        high: upper end; +inf when unknown.
        error: standard error; NaN when unknown.
    """

    point: float
    low: float
    high: float
    error: float

    @property
    def detectable(self) -> float:
        """Return the smallest change that is detected with 80 % power at 5 %, one-sided."""
        return (Z95 + Z80) * self.error

    def chance(self, bound: float, units: int) -> float:
        """Return how likely rows like these are if the number, truly, does not exceed the bound.

        It is 0.05 where the bound is the lower end, and falls beyond it as Student's tail does.

        Args:
            bound: in the same units.
            units: how many rows or groups the number was estimated from.
        """
        if not math.isfinite(self.error):
            return 1.0
        reach = self.point - self.low or Z95 * self.error
        if reach == 0:
            return 0.0 if self.point > bound else 1.0
        return student_tail(student95(units - 1) * (self.point - bound) / reach, units - 1)

    def within(self, least: float, greatest: float) -> Estimate:
        """Return it with the known ends of its interval inside what is possible."""
        low = max(self.low, min(least, self.point)) if math.isfinite(self.low) else self.low
        high = min(self.high, max(greatest, self.point)) if math.isfinite(self.high) else self.high
        return replace(self, low=low, high=high)

    def shifted(self, amount: float) -> Estimate:
        """Return it moved by a constant."""
        point, low, high = (end + amount for end in (self.point, self.low, self.high))
        return replace(self, point=point, low=low, high=high)


@lru_cache(maxsize=2)
def make_resample(rows: int, seed: str) -> Resample:
    """Draw `REPLICATES` samples of as many rows, with replacement.

    The last ones are kept: every check of a verdict resamples the same rows.

    Args:
        rows: number of rows, sorted by id so that their order does not matter.
        seed: any text; the same text draws the same rows.
    """
    random = np.random.default_rng(list(seed.encode()))
    groups = min(rows, GROUPS)
    group = np.arange(rows) if rows == groups else random.permutation(rows) % groups
    counts = np.empty((REPLICATES, groups), dtype=float)
    for replicate in counts:
        drawn = random.integers(0, groups, size=groups)
        replicate[:] = np.bincount(drawn, minlength=groups)
    group.flags.writeable = counts.flags.writeable = False
    return Resample(group=group, counts=counts)


def estimate(
    metric: Metric, contrast: Contrast, views: Sequence[View], resample: Resample
) -> Estimate:
    """Return a contrast of the metric over views, with its interval.

    Args:
        metric: what to measure in each view; it must be defined there.
        contrast: a smooth function of the values, one for each view.
        views: at least one.
        resample: draws of the units that the views refer to.
    """
    values = [measure(metric, view.actual, view.predicted) for view in views]
    point = float(contrast(*values))
    if len(resample.group) < MIN_ROWS:
        return Estimate(point=point, low=-math.inf, high=math.inf, error=math.nan)
    with np.errstate(all="ignore"):
        if isinstance(metric.form, Opaque):
            return _percentile(point, contrast, _call_often(metric.form, views, resample))
        if isinstance(metric.form, Median):
            return _percentile(point, contrast, _medians(metric.form, views, resample))
        function = _make_function(metric.form, contrast, len(views))
        totals = np.hstack([_group_totals(metric.form, view, resample) for view in views])
        units, counts = len(resample.group), metric.form.counts
        least = _floor(function, totals, len(views), units) if counts else 0.0
        return _estimate_means(point, max(map(abs, values)), function, totals, least, resample)


def _estimate_means(
    point: float, scale: float, function: _Function, totals: Array, least: float, resample: Resample
) -> Estimate:
    # The function does not change when all totals grow alike, so the influences have mean zero.
    influences = totals @ _gradient(function, totals.mean(axis=0))
    units = len(influences)
    error = math.sqrt(float((influences**2).sum()) / (units * (units - 1)))
    if error <= _ROUNDING * scale:
        return Estimate(point=point, low=point - least, high=point + least, error=0.0)
    replicates = _replicate_t(function, totals, error, resample)
    if not _mostly_finite(replicates):
        return Estimate(point=point, low=-math.inf, high=math.inf, error=error)
    below, above = _widen(influences, replicates)
    return Estimate(
        point=point,
        low=point - max(error * below, least),
        high=point + max(error * above, least),
        error=error,
    )


def _group_totals(form: Means, view: View, resample: Resample) -> Array:
    """Return the totals of the metric's terms and the number of rows, one line for each group."""
    group, groups = resample.group[view.units], resample.counts.shape[1]
    terms = form.columns(view.actual, view.predicted)
    columns = [*terms.T, np.ones(len(terms))]
    totals = [np.bincount(group, weights=column, minlength=groups) for column in columns]
    return np.stack(totals, axis=1)


def _make_function(form: Means, contrast: Contrast, views: int) -> _Function:
    """Return the contrast as a function of mean group totals, (..., views * (terms + 1))."""

    def function(means: Array) -> Array:
        blocks = np.split(means, views, axis=-1)
        values = [form.combine(block[..., :-1] / block[..., -1:]) for block in blocks]
        return np.asarray(contrast(*values))

    return function


def _gradient(function: _Function, means: Array) -> Array:
    """Differentiate with an imaginary step, which is exact: there is no difference to round."""
    slopes = np.empty_like(means)
    for j in range(means.shape[-1]):
        moved = means.astype(complex)
        moved[..., j] += 1j * _STEP
        slopes[..., j] = function(moved).imag / _STEP
    return slopes


def _floor(function: _Function, totals: Array, views: int, units: int) -> float:
    """Return how far the contrast moves if what was never seen happens as often as it may.

    A count of zero, or two counts that are equal (all positives were found), is such a case; so are
    two models that never differ.
    """
    means = totals.mean(axis=0)
    slopes = _gradient(function, means)
    blocks = np.split(totals.sum(axis=0), views)
    seen = all(len({0.0, *block.tolist()}) > len(block) for block in blocks)
    if seen and bool((totals @ slopes).any()):
        return 0.0
    return _NEVER_SEEN * float(means[-1]) / units * float(np.abs(slopes).max())


def _replicate_t(function: _Function, totals: Array, error: float, resample: Resample) -> Array:
    """Return how many of its own standard errors each replicate lies from the estimate."""
    point, (groups, terms) = function(totals.mean(axis=0)), totals.shape
    one, other = np.triu_indices(terms)
    moments = np.hstack([totals, totals[:, one] * totals[:, other]])
    replicates = []
    for counts in resample.chunks():
        drawn = counts @ moments / groups
        means, products = drawn[:, :terms], drawn[:, terms:]
        slopes = _gradient(function, means)
        weights = slopes[:, one] * slopes[:, other] * np.where(one == other, 1.0, 2.0)
        errors = np.sqrt(np.maximum((weights * products).sum(axis=1), 0) / groups)
        errors = np.maximum(errors, _LEAST_SPREAD * error)
        replicates.append((function(means) - point) / errors)
    return np.concatenate(replicates)


def _widen(influences: Array, replicates: Array) -> tuple[float, float]:
    """Return how many standard errors the interval reaches below and above the point.

    Where few rows matter, because the others are all alike, the resample is a coarse grid, and
    Student's interval for those few is kept. Otherwise a row that holds much of the spread alone
    tells that rows as extreme were missed as easily as it was met.
    """
    units = len(influences)
    tails = np.nanquantile(replicates, (1 - _TAIL, _TAIL)) * (1, -1) * student95(units - 1) / Z95
    squares = influences**2
    spread = float(squares.sum())
    scaled = np.round(influences / math.sqrt(spread / units), 9)
    if 2 * len(np.unique(scaled)) <= units:
        counting = min(spread**2 / float((squares**2).sum()), units - 1)
        least = student95(counting)
        return max(float(tails[0]), least), max(float(tails[1]), least)
    extremes = np.array([min(influences.min(), 0.0), max(influences.max(), 0.0)])
    shares = extremes**2 / spread
    below, above = tails * np.sqrt(1 + _WORST * shares + _WORST_SQUARED * shares**2)
    return max(float(below), 0.0), max(float(above), 0.0)


def _percentile(point: float, contrast: Contrast, values: Sequence[Array]) -> Estimate:
    """Return the percentile interval, for want of a standard error to divide by."""
    replicates = np.asarray(contrast(*values))
    if not _mostly_finite(replicates):
        return Estimate(point=point, low=-math.inf, high=math.inf, error=math.nan)
    replicates = replicates[np.isfinite(replicates)]
    low, high = np.quantile(replicates, (_TAIL, 1 - _TAIL))
    error = float(replicates.std(ddof=1))
    return Estimate(
        point=point, low=min(float(low), point), high=max(float(high), point), error=error
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Middle:
    """The rows of a view that can become the median of a replicate, sorted by their term."""

    terms: Array
    group: Array
    below: Array
    sizes: Array

    def medians(self, counts: Array) -> Array:
        """Return the median of each replicate: the mean of the two rows around one half."""
        half = (counts @ self.sizes / 2)[:, None]
        reached = (counts @ self.below)[:, None] + np.cumsum(counts[:, self.group], axis=1)
        last = len(self.terms) - 1
        lower = np.minimum((reached < half).sum(axis=1), last)
        upper = np.minimum((reached <= half).sum(axis=1), last)
        return np.asarray((self.terms[lower] + self.terms[upper]) / 2)


def _find_middle(form: Median, view: View, resample: Resample) -> _Middle:
    terms = form.column(view.actual, view.predicted)
    order = np.argsort(terms, kind="stable")
    group, groups = resample.group[view.units][order], resample.counts.shape[1]
    # The rank of a replicate's median has a standard deviation of half the root of the rows.
    reach = 3 * math.isqrt(len(terms)) + 10
    start, stop = max(0, len(terms) // 2 - reach), len(terms) // 2 + reach
    return _Middle(
        terms=terms[order][start:stop],
        group=group[start:stop],
        below=np.bincount(group[:start], minlength=groups),
        sizes=np.bincount(group, minlength=groups),
    )


def _medians(form: Median, views: Sequence[View], resample: Resample) -> list[Array]:
    middles = [_find_middle(form, view, resample) for view in views]
    chunks = [[middle.medians(counts) for middle in middles] for counts in resample.chunks()]
    return [np.concatenate(replicates) for replicates in zip(*chunks, strict=True)]


def _call_often(form: Opaque, views: Sequence[View], resample: Resample) -> list[Array]:
    """Call a function on resampled rows; where it has no value, the replicate is not a number."""
    rows = max(len(view.units) for view in views)
    replicates = min(max(_OPAQUE_ROWS // rows, _FEWEST), _MOST)
    return [_call_on(form, view, resample, resample.counts[:replicates]) for view in views]


def _call_on(form: Opaque, view: View, resample: Resample, draws: Array) -> Array:
    group, numbers = resample.group[view.units], np.arange(len(view.units))
    values = []
    for counts in draws:
        rows = np.repeat(numbers, counts[group].astype(np.intp))
        value = form.call(view.actual[rows], view.predicted[rows])
        values.append(math.nan if isinstance(value, str) else value)
    return np.array(values)


def _mostly_finite(replicates: Array) -> bool:
    return bool(np.isfinite(replicates).mean() > 1 - _TAIL / 5)
