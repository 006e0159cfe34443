"""A team's own function comes in; a metric that the gate can judge with, safe from it, goes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gitops.gate.evidence import CustomMetric, to_number
from gitops.gate.metrics import Metric, Opaque
from gitops.policy import Direction, MetricRule
from gitops.table import sort_classes

if TYPE_CHECKING:
    from gitops.gate.evidence import Array


def make_custom(rule: MetricRule, function: CustomMetric, classes: tuple[str, ...]) -> Metric:
    """Return the metric of a rule that brings its function.

    The function gets labels and predictions of some rows, which it cannot change: numbers, or
    classes as text and their probabilities, one column for each of the sorted classes.
    """
    names = np.array(classes)
    columns = [classes.index(name) for name in sort_classes(classes)]

    def call(actual: Array, predicted: Array) -> float | str:
        if not classes:
            return _call(function, actual, predicted)
        return _call(function, names[actual], predicted[:, columns])

    return Metric(
        name=rule.metric,
        higher_is_better=rule.direction is Direction.HIGHER,
        form=Opaque(call=call),
    )


def _call(function: CustomMetric, actual: Array, predicted: Array) -> float | str:
    try:
        answer: object = function(_lock(actual), _lock(predicted))
    except Exception as error:  # noqa: BLE001 - whatever a team's function raises is the reason
        return f"its function raised {type(error).__name__}: {str(error)[:200]}"
    if isinstance(answer, np.floating | np.integer):
        answer = answer.item()
    number = to_number(answer)
    return f"its function returned {repr(answer)[:40]}" if number is None else number


def _lock(values: Array) -> Array:
    """Return the same values, read-only: a function that sorts in place would spoil the next call."""
    locked = values.view()
    locked.flags.writeable = False
    return locked
