"""Two models on the same rows come in; by how much one metric changed, with its interval, goes out."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from gitops.gate.evidence import Array
from gitops.gate.interval import Estimate, Resample, View, estimate
from gitops.gate.metrics import Metric, measure
from gitops.gate.student import Z95
from gitops.gate.wording import figure
from gitops.policy import Tolerance


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two models on the same rows, where the metric of both is known.

    Attributes:
        actual: labels, (rows,).
        candidate: predictions of the candidate.
        champion: predictions of the champion.
        units: resampled unit of each row, (rows,).
    """

    actual: Array
    candidate: Array
    champion: Array
    units: Array

    def view(self, predicted: Array) -> View:
        """Return one of the models on the rows."""
        return View(actual=self.actual, predicted=predicted, units=self.units)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """How a metric changed from champion to candidate.

    Attributes:
        found: the regression (positive is worse) or the improvement (positive is better). The
            sampling error of a bound that is relative to the champion is counted in.
        bound: the tolerance in units of the metric.
        candidate: value of the metric for the candidate.
        champion: value of the metric for the champion.
    """

    found: Estimate
    bound: float
    candidate: float
    champion: float

    @property
    def reversed(self) -> Estimate:
        """Return the improvement of a regression, and the other way round."""
        found = self.found
        return Estimate(point=-found.point, low=-found.high, high=-found.low, error=found.error)


def find_missing_scale(metric: Metric, pair: Pair, tolerance: Tolerance, resample: Resample) -> str:
    """Say why a share of the champion's value has no meaning; empty when it has one."""
    if not tolerance.relative:
        return ""
    own = estimate(metric, lambda value: value, [pair.view(pair.champion)], resample)
    error = own.error if math.isfinite(own.error) else 0.0
    if abs(own.point) > Z95 * error:
        return ""
    return (
        f"the champion's {metric.name} {figure(own.point)} cannot be told from zero, so "
        f"{tolerance} of it has no meaning; give the tolerance in units of {metric.name}"
    )


def measure_change(
    metric: Metric,
    pair: Pair,
    tolerance: Tolerance,
    resample: Resample,
    *,
    improvement: bool = False,
) -> Change:
    """Estimate the regression, or the improvement, of the candidate against the champion."""
    candidate = measure(metric, pair.actual, pair.candidate)
    champion = measure(metric, pair.actual, pair.champion)
    sign = -metric.badness if improvement else metric.badness
    # A share of the champion's value varies with the sample as the champion does.
    share = math.copysign(tolerance.amount, champion) if tolerance.relative else 0.0
    bound = share * champion if tolerance.relative else tolerance.amount

    def excess(candidate: Array, champion: Array) -> Array:
        return sign * (candidate - champion) - share * champion

    if np.array_equal(pair.candidate, pair.champion):
        found = Estimate(point=0.0, low=0.0, high=0.0, error=0.0)
    else:
        views = [pair.view(pair.candidate), pair.view(pair.champion)]
        found = estimate(metric, excess, views, resample).shifted(share * champion)
        found = replace(found, point=sign * (candidate - champion))
    return Change(found=found, bound=bound, candidate=candidate, champion=champion)
