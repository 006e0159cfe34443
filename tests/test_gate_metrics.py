"""Each metric agrees with a second implementation and says where it has no meaning."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn import metrics as reference

from gitops.gate.metrics import METRICS, Means, find_obstacle, measure

if TYPE_CHECKING:
    from collections.abc import Callable

ORACLES: dict[str, Callable[..., float]] = {
    "rmse": reference.root_mean_squared_error,
    "mae": reference.mean_absolute_error,
    "medae": reference.median_absolute_error,
    "r2": reference.r2_score,
    "mape": reference.mean_absolute_percentage_error,
}


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("rows", [1_001, 40])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_a_metric_agrees_with_scikit_learn(name: str, rows: int, offset: float) -> None:
    random = np.random.default_rng(rows)
    actual = offset + random.normal(20, 5, rows)
    predicted = actual + random.normal(1, 3, rows)
    ours = measure(METRICS[name], actual, predicted)
    assert ours == pytest.approx(ORACLES[name](actual, predicted), rel=1e-9)


@pytest.mark.parametrize("name", [n for n, m in METRICS.items() if isinstance(m.form, Means)])
def test_a_metric_of_means_can_be_differentiated_with_an_imaginary_step(name: str) -> None:
    form = METRICS[name].form
    assert isinstance(form, Means)
    means = np.array([2.0, 0.3, 5.0])
    for j in range(3):
        step = np.eye(3)[j]
        exact = form.combine(means + 1e-60j * step).imag / 1e-60
        rough = (form.combine(means + 1e-6 * step) - form.combine(means - 1e-6 * step)) / 2e-6
        assert exact == pytest.approx(rough, rel=1e-6, abs=1e-9)


def test_a_metric_without_meaning_says_why() -> None:
    ones, numbers = np.ones(5), np.arange(5.0)
    assert "every label is the same" in find_obstacle(METRICS["r2"], ones, numbers)
    assert "1 label is 0" in find_obstacle(METRICS["mape"], numbers, ones)
    assert "too far" in find_obstacle(METRICS["rmse"], numbers, numbers * 1e300)
    assert find_obstacle(METRICS["rmse"], numbers, ones) == ""


def test_worse_is_up_for_errors_and_down_for_explained_variance() -> None:
    assert {name: metric.badness for name, metric in METRICS.items()} == {
        "rmse": 1,
        "mae": 1,
        "medae": 1,
        "r2": -1,
        "mape": 1,
    }
