"""Rows and a seed come in; an estimate with its 90 % interval, from a paired bootstrap, goes out.

One resample serves every model and metric: a row drawn twice counts twice for both models. The
interval is studentised (each replicate is measured in its own standard error), which stays honest
for skewed and heavy-tailed errors on small samples, and never narrower than Student's interval.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gitops.gate.evidence import Array
from gitops.gate.metrics import Means, Median, Metric, measure

REPLICATES = 2000
# Fewer rows than this say nothing about their own spread.
MIN_ROWS = 10
# More rows than this are first gathered into as many random groups, which are then resampled: a
# mean over groups has the variance and skewness of the mean over rows, and memory stays bounded.
GROUPS = 4096
Z95, Z80 = 1.6448536269514722, 0.8416212335729143
_CHUNK = 500
_TAIL = 0.05
# A replicate that drew none of the few rows that matter has next to no spread of its own.
_LEAST_SPREAD = 0.25
_ROUNDING = 1e-12
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

    def shifted(self, amount: float) -> Estimate:
        """Return it moved by a constant."""
        return Estimate(
            point=self.point + amount,
            low=self.low + amount,
            high=self.high + amount,
            error=self.error,
        )


def make_resample(rows: int, seed: str) -> Resample:
    """Draw `REPLICATES` samples of as many rows, with replacement.

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
        if isinstance(metric.form, Median):
            return _percentile(point, contrast, _medians(metric.form, views, resample))
        totals = np.hstack([_group_totals(metric.form, view, resample) for view in views])
        function = _make_function(metric.form, contrast, len(views))
        error = _standard_error(function, totals)
        if error <= _ROUNDING * max(map(abs, values)):
            return Estimate(point=point, low=point, high=point, error=0.0)
        return _studentised(
            point, error, _replicate_t(function, totals, error, resample), len(totals)
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


def _standard_error(function: _Function, totals: Array) -> float:
    # The function does not change when all totals grow alike, so the influences have mean zero.
    influences = totals @ _gradient(function, totals.mean(axis=0))
    return math.sqrt(float((influences**2).sum()) / (len(totals) * (len(totals) - 1)))


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


def _studentised(point: float, error: float, replicates: Array, units: int) -> Estimate:
    if not _mostly_finite(replicates):
        return Estimate(point=point, low=-math.inf, high=math.inf, error=error)
    student = _student95(units - 1)
    tails = np.nanquantile(replicates, (_TAIL, 1 - _TAIL)) * student / Z95
    return Estimate(
        point=point,
        low=point - error * max(float(tails[1]), student),
        high=point + error * max(float(-tails[0]), student),
        error=error,
    )


def _percentile(point: float, contrast: Contrast, medians: Sequence[Array]) -> Estimate:
    """Return the percentile interval: a median has no standard error to divide by."""
    replicates = np.asarray(contrast(*medians))
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


def _mostly_finite(replicates: Array) -> bool:
    return bool(np.isfinite(replicates).mean() > 1 - _TAIL / 5)


def _student95(freedom: int) -> float:
    """Return the 95 % quantile of Student's t (Cornish and Fisher's series; good from 5 on)."""
    z = Z95
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )
