"""Class probabilities of held-out rows come in; confusion, ROC and calibration go out as figures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitops.report.points import ClassPoints

Array = NDArray[Any]
MOST_CLASSES = 8
MOST_BINS = 10
SMALLEST_BIN = 10
MOST_CORNERS = 200
OTHER = "other classes"
_Z90 = 1.6449


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """How often each class was taken for each: rows are actual classes, columns predicted ones.

    Attributes:
        classes: the most frequent classes in their order; the last may stand for all others.
        candidate: counts, one tuple for each actual class.
        champion: the same of the champion; empty when there is none.
    """

    classes: tuple[str, ...]
    candidate: tuple[tuple[int, ...], ...]
    champion: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A ROC curve: (false positive rate, true positive rate) from (0, 0) to (1, 1), and its area."""

    corners: tuple[tuple[float, float], ...]
    area: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Rows of similar predicted probability: its mean, the share that came true, its interval."""

    predicted: float
    share: float
    low: float
    high: float
    rows: int


def models_of(points: ClassPoints) -> list[Array]:
    """Return probabilities of the candidate and, if there is one, of the champion."""
    both = (points.candidate, points.champion) if points.champion else (points.candidate,)
    return [np.array(one, dtype=float) for one in both]


def predict_classes(points: ClassPoints, chances: Array) -> Array:
    """Return the number of the predicted class of each row.

    It is the most probable one; for two classes the positive one from a probability of 0.5.
    """
    if not points.positive:
        return np.asarray(chances.argmax(axis=1))
    positive = points.classes.index(points.positive)
    others = [index for index in range(len(points.classes)) if index != positive]
    rest = np.array(others)[chances[:, others].argmax(axis=1)] if others else positive
    return np.where(chances[:, positive] >= 0.5, positive, rest)


def make_confusion(points: ClassPoints) -> Confusion:
    """Count actual against predicted classes; of many classes the rarest are counted together."""
    actual, size = np.array(points.actual), len(points.classes)
    frequency = np.bincount(actual, minlength=size)
    order = sorted(range(size), key=lambda index: (-frequency[index], index))
    kept = sorted(order if size <= MOST_CLASSES else order[: MOST_CLASSES - 1])
    place = np.full(size, len(kept))
    place[kept] = range(len(kept))
    names = tuple(points.classes[index] for index in kept)
    counts = [
        _count(place[actual], place[predict_classes(points, chances)], len(set(place.tolist())))
        for chances in models_of(points)
    ]
    return Confusion(
        classes=names if len(kept) == size else (*names, OTHER),
        candidate=counts[0],
        champion=counts[1] if len(counts) > 1 else (),
    )


def _count(actual: Array, predicted: Array, size: int) -> tuple[tuple[int, ...], ...]:
    flat = np.bincount(actual * size + predicted, minlength=size * size)
    return tuple(tuple(int(n) for n in row) for row in flat.reshape(size, size))


def true_chances(points: ClassPoints) -> list[tuple[float, ...]]:
    """Return, for each model, the probability that it gave to the class that came true."""
    rows = range(len(points.actual))
    return [tuple(one[rows, points.actual].tolist()) for one in models_of(points)]


def make_curves(points: ClassPoints) -> list[Curve]:
    """Return the ROC curve of each model; none when only one class was seen.

    For more than two classes every (row, class) pair is one decision: the micro-average.
    """
    hits = np.eye(len(points.classes), dtype=bool)[list(points.actual)]
    columns = [points.classes.index(points.positive)] if points.positive else slice(None)
    told = hits[:, columns].ravel()
    if told.all() or not told.any():
        return []
    return [_make_curve(told, one[:, columns].ravel()) for one in models_of(points)]


def _make_curve(hits: Array, chances: Array) -> Curve:
    order = np.argsort(-chances, kind="stable")
    # Equal probabilities are decided together: the curve has one corner for all of them.
    last = np.append(np.flatnonzero(np.diff(chances[order])), len(order) - 1)
    true = np.append(0, np.cumsum(hits[order])[last]) / hits.sum()
    false = np.append(0, np.cumsum(~hits[order])[last]) / (~hits).sum()
    area = float(np.sum(np.diff(false) * (true[1:] + true[:-1]) / 2))
    seen = np.unique(np.linspace(0, len(true) - 1, MOST_CORNERS).round().astype(int))
    corners = zip(false[seen].tolist(), true[seen].tolist(), strict=True)
    return Curve(corners=tuple(corners), area=area)


def make_calibrations(points: ClassPoints) -> list[tuple[Bin, ...]]:
    """Return bins of equally many rows for each model, from the least to the most probable.

    For two classes: of the positive one. For more: of the predicted class, whichever it is.
    """
    actual = np.array(points.actual)
    result = []
    for chances in models_of(points):
        if points.positive:
            told = points.classes.index(points.positive)
            result.append(_make_bins(chances[:, told], actual == told))
        else:
            result.append(_make_bins(chances.max(axis=1), actual == chances.argmax(axis=1)))
    return result


def _make_bins(chances: Array, hits: Array) -> tuple[Bin, ...]:
    order = np.argsort(chances, kind="stable")
    count = max(1, min(MOST_BINS, len(order) // SMALLEST_BIN))
    return tuple(_make_bin(chances[part], hits[part]) for part in np.array_split(order, count))


def _make_bin(chances: Array, hits: Array) -> Bin:
    low, high = _interval(int(hits.sum()), len(hits))
    return Bin(
        predicted=float(chances.mean()),
        share=float(hits.mean()),
        low=low,
        high=high,
        rows=len(hits),
    )


def _interval(hits: int, rows: int) -> tuple[float, float]:
    """Return Wilson's 90 % interval of a share: it stays between 0 and 1 however few the rows."""
    share, z = hits / rows, _Z90
    middle = share + z * z / (2 * rows)
    reach = z * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))
    scale = 1 + z * z / rows
    low, high = (middle - reach) / scale, (middle + reach) / scale
    # The share lies between them, and both between 0 and 1, but for rounding.
    return max(0.0, min(low, share)), min(1.0, max(high, share))


def calibration_error(bins: Sequence[Bin]) -> float:
    """Return the mean distance of predicted and true share, weighted by rows."""
    rows = sum(one.rows for one in bins)
    return sum(abs(one.predicted - one.share) * one.rows for one in bins) / rows
