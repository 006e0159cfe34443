"""Classes and probabilities come in; the metrics of classifiers, by task, go out.

Labels are places of classes, shape (rows,), and predictions probabilities, shape (rows, classes).
Of two classes the second is the positive one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gitops.gate.metrics import Means, Metric

if TYPE_CHECKING:
    from collections.abc import Callable

    from gitops.gate.evidence import Array

# The smallest probability that log_loss believes: one row costs at most 34.5.
LEAST_CHANCE = 1e-15
_SHARE = (0.0, 1.0)


def predict_classes(chances: Array) -> Array:
    """Return the place of the predicted class: the most probable, the positive one at 0.5."""
    if chances.shape[1] == 2:
        return np.asarray(chances[:, 1] >= 0.5, dtype=np.intp)
    return np.asarray(chances.argmax(axis=1))


def _correct(actual: Array, chances: Array) -> Array:
    return np.asarray(predict_classes(chances) == actual, dtype=float)[:, None]


def _confusion(actual: Array, chances: Array) -> Array:
    """Return for each row: positive found, positive, predicted positive, negative found, negative."""
    positive, found = actual == 1, predict_classes(chances) == 1
    terms = (positive & found, positive, found, ~positive & ~found, ~positive)
    return np.stack(terms, axis=1).astype(float)


def _ratio(numerator: int, denominator: int) -> Callable[[Array], Array]:
    return lambda means: means[..., numerator] / means[..., denominator]


def _f1(means: Array) -> Array:
    return np.asarray(2 * means[..., 0] / (means[..., 1] + means[..., 2]))


def _mean_recall(means: Array) -> Array:
    return np.asarray((means[..., 0] / means[..., 1] + means[..., 3] / means[..., 4]) / 2)


def _surprise(actual: Array, chances: Array) -> Array:
    true = chances[np.arange(len(actual)), actual]
    return -np.log(np.maximum(true, LEAST_CHANCE))[:, None]


def _brier(actual: Array, chances: Array) -> Array:
    """Return the squared error over all classes, halved for two, as they say the same twice."""
    true = chances[np.arange(len(actual)), actual]
    squares = (chances**2).sum(axis=1) - 2 * true + 1
    return np.asarray(squares / 2 if chances.shape[1] == 2 else squares)[:, None]


def _first(means: Array) -> Array:
    return means[..., 0]


def _roc_terms(actual: Array, chances: Array) -> Array:
    """Return what DeLong's variance is made of: the share of the other class on the right side."""
    positive = (actual == 1).astype(float)
    negative = 1 - positive
    _, place = np.unique(chances[:, 1], return_inverse=True)
    positives, negatives = np.bincount(place, positive), np.bincount(place, negative)
    below = (np.cumsum(negatives) - negatives / 2)[place] / negatives.sum()
    above = 1 - (np.cumsum(positives) - positives / 2)[place] / positives.sum()
    area = np.full(len(actual), (positive * below).sum() / positives.sum())
    return np.stack([positive * below, positive, negative * above, negative, area], axis=1)


def _roc(means: Array) -> Array:
    return np.asarray(means[..., 0] / means[..., 1] + means[..., 2] / means[..., 3] - means[..., 4])


def _pr_terms(actual: Array, chances: Array) -> Array:
    """Return average precision plus its derivative in the weight of each row."""
    positive = (actual == 1).astype(float)
    total = positive.sum()
    _, place = np.unique(chances[:, 1], return_inverse=True)
    positives, rows = np.bincount(place, positive), np.bincount(place)
    found, taken = (np.cumsum(counts[::-1])[::-1] for counts in (positives, rows))
    precision = found / taken
    average = (positives * precision).sum() / total
    gain = precision + np.cumsum(positives / taken) - average
    cost = np.cumsum(positives * precision / taken)
    moves = positive * gain[place] - cost[place]
    return np.asarray(average + len(actual) / total * moves)[:, None]


def _per_class(actual: Array, chances: Array) -> tuple[Array, Array, Array, Array]:
    """Return predicted classes, and for each class the share of rows right, of it, and taken as it."""
    predicted, classes = predict_classes(chances), chances.shape[1]
    right = np.bincount(actual[predicted == actual], minlength=classes) / len(actual)
    labelled = np.bincount(actual, minlength=classes) / len(actual)
    taken = np.bincount(predicted, minlength=classes) / len(actual)
    return predicted, right, labelled, taken


def _recall_terms(actual: Array, chances: Array) -> Array:
    """Return the mean recall of the labelled classes plus what each row moves it by."""
    predicted, right, labelled, _ = _per_class(actual, chances)
    present = labelled > 0
    recall = right / np.where(present, labelled, 1)
    moves = ((predicted == actual) - recall[actual]) / labelled[actual]
    return np.asarray((recall.sum() + moves) / present.sum())[:, None]


def _macro_f1_terms(actual: Array, chances: Array) -> Array:
    """Return the mean F1 of the classes that occur plus what each row moves it by."""
    predicted, right, labelled, taken = _per_class(actual, chances)
    size = labelled + taken
    present = size > 0
    size = np.where(present, size, 1)
    f1 = 2 * right / size
    lost = f1 / size
    moves = 2 * (predicted == actual) / size[actual] - lost[actual] - lost[predicted]
    return np.asarray((f1.sum() + moves) / present.sum())[:, None]


def _needs_two(actual: Array) -> str:
    return "" if np.ptp(actual) > 0 else "every row is of the same class"


def _needs_positive(actual: Array) -> str:
    return "" if bool((actual == 1).any()) else "no row is of the positive class"


def _needs_both(actual: Array) -> str:
    return _needs_positive(actual) or _needs_two(actual)


def _make(name: str, form: Means, undefined: Callable[[Array], str] = lambda _: "") -> Metric:
    return Metric(
        name=name,
        higher_is_better=True,
        form=form,
        undefined=undefined,
        immeasurable="no row is predicted to be of the positive class",
        span=_SHARE,
    )


def _counted(combine: Callable[[Array], Array]) -> Means:
    return Means(columns=_confusion, combine=combine, counts=True)


_SHARED = (
    _make("accuracy", Means(columns=_correct, combine=_first, counts=True)),
    Metric(name="log_loss", higher_is_better=False, form=Means(columns=_surprise, combine=_first)),
    Metric(
        name="brier",
        higher_is_better=False,
        form=Means(columns=_brier, combine=_first),
        span=(0.0, 2.0),
    ),
)
BINARY = (
    *_SHARED,
    _make("balanced_accuracy", _counted(_mean_recall), _needs_two),
    _make("precision", _counted(_ratio(0, 2))),
    _make("recall", _counted(_ratio(0, 1)), _needs_positive),
    _make("f1", _counted(_f1), _needs_positive),
    _make("roc_auc", Means(columns=_roc_terms, combine=_roc), _needs_both),
    _make("pr_auc", Means(columns=_pr_terms, combine=_first), _needs_both),
)
MULTICLASS = (
    *_SHARED,
    _make("balanced_accuracy", Means(columns=_recall_terms, combine=_first), _needs_two),
    _make("f1", Means(columns=_macro_f1_terms, combine=_first)),
)
