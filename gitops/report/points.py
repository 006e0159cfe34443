"""Held-out rows with the predictions of both models come in; the rows that can be drawn go out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gitops.config import Task
from gitops.gate.evidence import SUM_ERROR, to_number
from gitops.table import sort_classes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gitops.gate.evidence import Comparison, Evidence
    from gitops.run import Prediction, Scores

_Chances = tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """Held-out rows of a regression, in units of the target; every number is finite.

    Attributes:
        actual: what was measured.
        candidate: what the candidate predicts, aligned with `actual`.
        champion: what the champion predicts, aligned with `actual`; empty when there is none.
    """

    actual: tuple[float, ...]
    candidate: tuple[float, ...]
    champion: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassPoints:
    """Held-out rows of a classification.

    Attributes:
        classes: the classes of both models and of the labels, in their order.
        positive: the class that binary pictures are about, empty for several classes.
        actual: number of each row's class in `classes`.
        candidate: the candidate's probability of each class, aligned with `actual`.
        champion: the same of the champion; empty when there is none.
    """

    classes: tuple[str, ...]
    positive: str
    actual: tuple[int, ...]
    candidate: tuple[_Chances, ...]
    champion: tuple[_Chances, ...] = ()


def read_points(evidence: Evidence) -> Points | ClassPoints | None:
    """Return what there is to draw of the current held-out rows; None when no row is left."""
    rows = evidence.current
    if evidence.task is Task.REGRESSION:
        columns = [_align(rows.ids, one) for one in (rows.candidate, rows.champion) if one]
        numbers = ([to_number(value) for value in column] for column in columns)
        return make_points([to_number(value) for value in rows.actual], *numbers)
    return make_class_points(rows, binary=evidence.task is Task.BINARY, positive=evidence.positive)


def make_points(
    actual: Sequence[float | None],
    candidate: Sequence[float | None],
    champion: Sequence[float | None] = (),
) -> Points | None:
    """Keep the rows for which every model has a finite prediction; None when no row is left.

    Args:
        actual: one value for each held-out row, in units of the target.
        candidate: predictions, aligned with `actual`.
        champion: predictions, aligned with `actual`, or empty when there is no champion.
    """
    columns = (actual, candidate, champion) if champion else (actual, candidate)
    rows = [row for row in map(finite_row, zip(*columns, strict=True)) if row]
    if not rows:
        return None
    first, second, *third = zip(*rows, strict=True)
    return Points(actual=first, candidate=second, champion=third[0] if third else ())


def make_class_points(rows: Comparison, *, binary: bool, positive: str) -> ClassPoints | None:
    """Keep the rows for which every model gives probabilities; None when no row is left.

    Args:
        rows: labels as text, and the scores of both models with their classes.
        binary: there are two classes.
        positive: the class that binary pictures are about; empty means the greater of the two.
    """
    models = [scores for scores in (rows.candidate, rows.champion) if scores]
    if len(rows.ids) != len(rows.actual) or not all(scores.classes for scores in models):
        return None
    classes = sort_classes({str(name) for scores in models for name in scores.classes})
    number = {name: index for index, name in enumerate(classes)}
    columns = [_read_chances(rows.ids, scores, number) for scores in models]
    labels = [number.get(value) if isinstance(value, str) else None for value in rows.actual]
    kept = [row for row in zip(labels, *columns, strict=True) if None not in row]
    if not kept:
        return None
    actual, candidate, *champion = zip(*kept, strict=True)
    return ClassPoints(
        classes=classes,
        positive=(positive if positive in number else classes[-1]) if binary else "",
        actual=actual,
        candidate=candidate,
        champion=champion[0] if champion else (),
    )


def _read_chances(
    ids: Sequence[str], scores: Scores, number: Mapping[str, int]
) -> list[_Chances | None]:
    order = [number[name] for name in scores.classes]
    return [_spread(value, order, len(number)) for value in _align(ids, scores)]


def _spread(value: Prediction | None, order: Sequence[int], count: int) -> _Chances | None:
    """Put probabilities into the order of all classes; a class that the model lacks gets none."""
    if not isinstance(value, tuple) or len(value) != len(order):
        return None
    if not all(0 <= chance <= 1 for chance in value) or abs(sum(value) - 1) > SUM_ERROR:
        return None
    spread = [0.0] * count
    for index, chance in zip(order, value, strict=True):
        spread[index] = chance
    return tuple(spread)


def _align(ids: Sequence[str], scores: Scores) -> list[Prediction | None]:
    by_id = dict(zip(scores.ids, scores.predictions, strict=False))
    return [by_id.get(name) for name in ids]


def finite_row(row: tuple[float | None, ...]) -> tuple[float, ...] | None:
    """Return a row whose numbers are all there and finite, else None."""
    kept = tuple(value for value in row if value is not None and math.isfinite(value))
    return kept if len(kept) == len(row) else None
