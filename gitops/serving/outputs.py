"""What a model's library returns comes in; one prediction a row, a number or probabilities, goes out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gitops.errors import GitopsError
from gitops.run import Prediction
from gitops.serving.rows import EncodedRow
from gitops.table import sort_classes

if TYPE_CHECKING:
    from numpy.typing import NDArray

Predict = Callable[[Sequence[EncodedRow]], list[Prediction]]
# (raw outputs, number of rows) -> predictions
Reader = Callable[["NDArray[Any]", int], list[Prediction]]

# Probabilities in float32 add up to one within this; what is further off is no distribution.
_ROUNDING = 1e-4


class ModelError(GitopsError):
    """The model itself failed on rows that fit its signature."""


def make_reader(classes: Sequence[str]) -> Reader:
    """Return what turns a library's outputs into predictions.

    Args:
        classes: names of the outputs in the model's own order, empty for a regression. The
            probabilities come out in the order of `sort_classes`.
    """
    if not classes:
        return _read_numbers
    order = [list(classes).index(name) for name in sort_classes(classes)]
    return lambda found, rows: _read_probabilities(found, rows, order)


def is_usable(prediction: Prediction) -> bool:
    """Tell whether a prediction holds finite numbers only."""
    if isinstance(prediction, tuple):
        return all(map(math.isfinite, prediction))
    return math.isfinite(prediction)


def first_line(error: BaseException) -> str:
    """Return what a library says went wrong, short enough for a message."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0].strip()[:300] if lines else type(error).__name__


def _read_numbers(found: NDArray[Any], rows: int) -> list[Prediction]:
    if found.size != rows:
        raise ModelError(f"the model gave {found.size} predictions for {rows} rows")
    values: list[Prediction] = found.reshape(-1).astype(float).tolist()
    return values


def _read_probabilities(found: NDArray[Any], rows: int, order: list[int]) -> list[Prediction]:
    """Return a distribution a row; NaN throughout where the outputs are none."""
    values = np.asarray(found, dtype=np.float64)
    if values.size == rows and len(order) == 2:
        second = values.reshape(-1)
        values = np.column_stack([1.0 - second, second])
    if values.shape != (rows, len(order)):
        raise ModelError(
            f"the model gave outputs of shape {found.shape} for {rows} rows, {len(order)} classes"
        )
    total = values.sum(axis=1, keepdims=True)
    with np.errstate(all="ignore"):
        # Rounding of the library's float32 is taken out, so that every row adds up to one.
        scaled = values[:, order] / total
    fits = ((values >= 0) & (values <= 1)).all(axis=1) & (np.abs(total[:, 0] - 1) <= _ROUNDING)
    scaled[~fits] = np.nan
    return [tuple(row) for row in scaled.tolist()]
