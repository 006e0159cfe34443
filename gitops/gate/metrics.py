"""Labels and predictions come in; what each metric of a regression is, on rows or on means, goes out.

A metric that is a function of means over rows needs no second look at the rows: the gate resamples
the means. To add one, add a line to `METRICS`; `catalogue` puts the metrics of all tasks together.
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

    A metric of ranks, or of many classes, is expanded around the rows at hand: its value, and by
    how much each row moves it, are terms whose mean is the metric.

    Attributes:
        columns: from labels, (rows,), and predictions the row's terms: (rows, terms).
        combine: from means of the terms (..., terms) the metric (...); it is differentiated with
            complex numbers, so it must not take absolute values or compare.
        counts: the terms say yes or no, so that rows which all agree are no proof: what was never
            seen in n rows may still happen in 3 of n.
    """

    columns: Callable[[Array, Array], Array]
    combine: Callable[[Array], Array]
    counts: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Median:
    """A metric that is the median of one term per row, (rows,)."""

    column: Callable[[Array, Array], Array]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opaque:
    """A metric that only its own function can compute, from labels and predictions of some rows.

    Attributes:
        call: the metric, or why it has none.
    """

    call: Callable[[Array, Array], float | str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One way to measure a model.

    Attributes:
        name: as written in gitops.yaml.
        higher_is_better: direction.
        form: how it is computed.
        undefined: says why labels, (rows,), leave the metric without a meaning; empty when fine.
        immeasurable: why predictions leave it without a finite value.
        span: the least and the greatest value that it can have.
    """

    name: str
    higher_is_better: bool
    form: Means | Median | Opaque
    undefined: Callable[[Array], str] = lambda _: ""
    immeasurable: str = "the predictions are too far from the labels to compute it"
    span: tuple[float, float] = (-math.inf, math.inf)

    @property
    def badness(self) -> float:
        """Return +1 when a growing value is worse, -1 when it is better."""
        return -1.0 if self.higher_is_better else 1.0


def measure(metric: Metric, actual: Array, predicted: Array) -> float:
    """Return the metric; not finite when the numbers leave it without a value."""
    if isinstance(metric.form, Opaque):
        value = metric.form.call(actual, predicted)
        return math.nan if isinstance(value, str) else value
    with np.errstate(all="ignore"):
        if isinstance(metric.form, Median):
            return float(np.median(metric.form.column(actual, predicted)))
        return float(metric.form.combine(metric.form.columns(actual, predicted).mean(axis=0)))


def find_obstacle(metric: Metric, actual: Array, *predictions: Array) -> str:
    """Say why the metric has no finite value here; empty when it has one."""
    if reason := metric.undefined(actual):
        return reason
    if isinstance(metric.form, Opaque):
        reasons = [_distrust(metric.form, actual, predicted) for predicted in predictions]
        return next(filter(None, reasons), "")
    values = [measure(metric, actual, predicted) for predicted in predictions]
    return "" if all(map(math.isfinite, values)) else metric.immeasurable


def _distrust(form: Opaque, actual: Array, predicted: Array) -> str:
    answers = {form.call(actual, predicted) for _ in range(2)}
    reason = next((answer for answer in answers if isinstance(answer, str)), "")
    return reason or ("its function answers differently each time" if len(answers) > 1 else "")


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
