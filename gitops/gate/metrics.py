"""Labels and predictions come in; the table of metrics says what each is, on rows or on means.

A metric that is a function of means over rows needs no second look at the rows: the gate resamples
the means. To add one, add a line to `METRICS`; nothing else knows which metrics there are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gitops.gate.evidence import Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """A metric that is a smooth function of means over rows.

    Attributes:
        columns: from labels and predictions, both (rows,), the row's terms: (rows, terms).
        combine: from means of the terms (..., terms) the metric (...); it is differentiated with
            complex numbers, so it must not take absolute values or compare.
    """

    columns: Callable[[Array, Array], Array]
    combine: Callable[[Array], Array]


@dataclass(frozen=True, slots=True, kw_only=True)
class Median:
    """A metric that is the median of one term per row, (rows,)."""

    column: Callable[[Array, Array], Array]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One way to measure a model.

    Attributes:
        name: as written in gitops.yaml.
        higher_is_better: direction.
        form: how it is computed.
        undefined: says why labels, (rows,), leave the metric without a meaning; empty when fine.
    """

    name: str
    higher_is_better: bool
    form: Means | Median
    undefined: Callable[[Array], str] = lambda _: ""

    @property
    def badness(self) -> float:
        """Return +1 when a growing value is worse, -1 when it is better."""
        return -1.0 if self.higher_is_better else 1.0


def measure(metric: Metric, actual: Array, predicted: Array) -> float:
    """Return the metric; not finite when the numbers are too large or too small to compute it."""
    with np.errstate(all="ignore"):
        if isinstance(metric.form, Median):
            return float(np.median(metric.form.column(actual, predicted)))
        return float(metric.form.combine(metric.form.columns(actual, predicted).mean(axis=0)))


def find_obstacle(metric: Metric, actual: Array, *predictions: Array) -> str:
    """Say why the metric has no finite value here; empty when it has one."""
    if reason := metric.undefined(actual):
        return reason
    values = [measure(metric, actual, predicted) for predicted in predictions]
    if all(map(math.isfinite, values)):
        return ""
    return "the predictions are too far from the labels to compute it"


def _squared(actual: Array, predicted: Array) -> Array:
    errors: Array = predicted - actual
    return errors[:, None] ** 2


def _absolute(actual: Array, predicted: Array) -> Array:
    errors: Array = np.abs(predicted - actual)
    return errors[:, None]


def _relative(actual: Array, predicted: Array) -> Array:
    errors: Array = np.abs((predicted - actual) / actual)
    return errors[:, None]


def _explained(actual: Array, predicted: Array) -> Array:
    # Labels are centred first: far from zero, the variance would drown in rounding.
    centred = actual - actual.mean()
    return np.stack([(predicted - actual) ** 2, centred, centred**2], axis=1)


def _first(means: Array) -> Array:
    return means[..., 0]


def _root(means: Array) -> Array:
    return np.sqrt(means[..., 0])


def _r2(means: Array) -> Array:
    variance = means[..., 2] - means[..., 1] ** 2
    return np.asarray(1 - means[..., 0] / variance)


def _needs_spread(actual: Array) -> str:
    return "" if np.ptp(actual) > 0 else "every label is the same, so there is nothing to explain"


def _needs_nonzero(actual: Array) -> str:
    zeros = int((actual == 0).sum())
    if not zeros:
        return ""
    labels = "1 label is" if zeros == 1 else f"{zeros:,} labels are"
    return f"{labels} 0, and an error relative to 0 has no meaning"


_REGRESSION = (
    Metric(name="rmse", higher_is_better=False, form=Means(columns=_squared, combine=_root)),
    Metric(name="mae", higher_is_better=False, form=Means(columns=_absolute, combine=_first)),
    Metric(
        name="medae",
        higher_is_better=False,
        form=Median(column=lambda actual, predicted: np.abs(predicted - actual)),
    ),
    Metric(
        name="r2",
        higher_is_better=True,
        form=Means(columns=_explained, combine=_r2),
        undefined=_needs_spread,
    ),
    Metric(
        name="mape",
        higher_is_better=False,
        form=Means(columns=_relative, combine=_first),
        undefined=_needs_nonzero,
    ),
)

METRICS: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in _REGRESSION})
