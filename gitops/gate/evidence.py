"""Scores and labels of held-out rows come in; rows joined by id, with every fault named, go out."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gitops.config import Task
from gitops.gate.profile import DataProfile
from gitops.run import Inspection, Problem, Scores
from gitops.table import sort_classes

Array = NDArray[Any]
# (labels, predictions) of the same rows -> the metric; classes as text, probabilities as rows.
CustomMetric = Callable[[Array, Array], float]
# By how much the probabilities of one row may miss 1.
SUM_ERROR = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What the models predict for the same held-out rows.

    Attributes:
        ids: row ids; the order carries no meaning.
        actual: labels aligned with `ids`: numbers in units of the target, or classes as text.
        candidate: predictions of the candidate, joined by row id.
        champion: predictions of the champion, or None when there is no champion.
    """

    ids: tuple[str, ...]
    actual: tuple[float | str | None, ...]
    candidate: Scores
    champion: Scores | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that the gate judges, and nothing else.

    Attributes:
        model: name of the model in gitops.yaml.
        target: name of the column to predict.
        fingerprint: digest of everything the candidate depends on.
        candidate: digest of the candidate's bundle.
        champion: digest of the champion's bundle, empty when there is none.
        champion_reason: why there is no champion, in words that end a sentence.
        holdout_changed: the champion was trained under another split, so that it may have learnt
            from these rows.
        current: the held-out rows of the candidate's data.
        earlier: the held-out rows of the champion's data, when the data changed.
        inputs: raw held-out columns without the target, aligned with `current.ids`.
        task: what the model predicts.
        positive: class that binary metrics look for; empty means the greater of the two.
        inspection: what it takes to serve the candidate, None when it was not measured.
        champion_inspection: the same of the champion.
        profile: the candidate's data.
        champion_profile: the champion's data, when it is another state of it.
        custom: functions of the policy's custom metrics, by metric name.
    """

    model: str
    target: str
    fingerprint: str
    candidate: str
    champion: str
    champion_reason: str
    holdout_changed: bool
    current: Comparison
    earlier: Comparison | None
    inputs: Mapping[str, Sequence[object]]
    task: Task = Task.REGRESSION
    positive: str = ""
    inspection: Inspection | None = None
    champion_inspection: Inspection | None = None
    profile: DataProfile | None = None
    champion_profile: DataProfile | None = None
    custom: Mapping[str, CustomMetric] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """Predictions sorted by row id; `fault` says why they cannot be used, empty when they can."""

    values: Array
    fault: str = ""
    problem: Problem | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """A comparison joined and sorted by row id.

    Attributes:
        ids: sorted row ids.
        order: position in the comparison of each sorted row.
        actual: labels, shape (rows,): numbers, or places in `classes`; meaningless when `fault` is
            set.
        candidate: predictions of the candidate: numbers, shape (rows,), or the probability of each
            of `classes`, shape (rows, classes).
        champion: predictions of the champion, or None.
        digest: digest of ids and labels: equal digests are the same rows in any order.
        fault: why the rows cannot be judged, empty when they can.
        classes: every class of the labels and of both models, sorted; of two, the positive one is
            last. Empty for a regression.
    """

    ids: tuple[str, ...]
    order: Array
    actual: Array
    candidate: Predictions
    champion: Predictions | None
    digest: str
    fault: str = ""
    classes: tuple[str, ...] = ()


def join_rows(comparison: Comparison, task: Task = Task.REGRESSION, positive: str = "") -> Rows:
    """Join labels and predictions by row id.

    Args:
        comparison: what to join.
        task: what the models predict.
        positive: of two classes, the one that metrics look for; empty means the greater.
    """
    ids, actual = comparison.ids, comparison.actual
    order = sorted(range(len(ids)), key=ids.__getitem__)
    labels = [actual[i] if i < len(actual) else None for i in order]
    names = tuple(ids[i] for i in order)
    classes = () if task is Task.REGRESSION else _list_classes(comparison, positive)
    fault = _alignment_fault(ids, actual, "label") or _labels_fault(ids, actual, task)
    known = set() if fault else set(map(str, actual))
    champion = comparison.champion
    return Rows(
        ids=names,
        order=np.array(order, dtype=np.intp),
        actual=_to_places(labels, classes) if classes else _to_array(labels),
        candidate=_join_scores(names, comparison.candidate, task, classes, known),
        champion=champion
        if champion is None
        else _join_scores(names, champion, task, classes, set()),
        digest=_digest_rows(names, labels, positive),
        fault=fault
        or ("" if ids else "there are no held-out rows")
        or _classes_fault(comparison, task, classes, positive),
        classes=classes,
    )


def _list_classes(comparison: Comparison, positive: str) -> tuple[str, ...]:
    models = [scores.classes for scores in (comparison.candidate, comparison.champion) if scores]
    labels = {label for label in comparison.actual if isinstance(label, str)}
    classes = sort_classes(labels.union(*models))
    return classes[::-1] if len(classes) == 2 and classes[0] == positive else classes


def _classes_fault(
    comparison: Comparison, task: Task, classes: tuple[str, ...], positive: str
) -> str:
    """Say what is wrong with the classes of all rows and models; empty when nothing is."""
    if task is Task.REGRESSION:
        return ""
    if task is Task.BINARY and len(classes) > 2:
        return f"a binary model has two classes, and there are {_name_classes(classes)}"
    if task is Task.BINARY and positive and positive not in classes:
        return f"no row and no model knows the positive class {_quote(positive)}"
    models = [scores.classes for scores in (comparison.candidate, comparison.champion) if scores]
    unknown = set(map(str, comparison.actual)).difference(*models)
    if any(models) and unknown:
        return f"labels are of {_name_classes(sort_classes(unknown))}, which no model knows"
    return ""


def to_number(value: object) -> float | None:
    """Return a finite number, or None: booleans and text are not numbers, NaN is not a value."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _join_scores(
    names: tuple[str, ...],
    scores: Scores,
    task: Task,
    classes: tuple[str, ...],
    labels: set[str],
) -> Predictions:
    if scores.problem is not None:
        fault = f"there are no predictions: {scores.problem.message}"
        return Predictions(values=_to_array([]), fault=fault, problem=scores.problem)
    ids, values = scores.ids, scores.predictions
    fault = _alignment_fault(ids, values, "prediction") or _coverage_fault(names, ids)
    if not fault and task is Task.REGRESSION:
        fault = _numbers_fault(ids, values, "prediction")
    elif not fault:
        fault = _chances_fault(scores, labels)
    if fault:
        return Predictions(values=_to_array([]), fault=fault)
    by_id = dict(zip(ids, values, strict=True))
    ordered = [by_id[name] for name in names]
    if task is Task.REGRESSION:
        return Predictions(values=_to_array(ordered))
    return Predictions(values=_to_chances(ordered, scores.classes, classes))


def _chances_fault(scores: Scores, labels: set[str]) -> str:
    """Say what is wrong with a classifier's probabilities; empty when nothing is."""
    classes = scores.classes
    if not classes or len(set(classes)) < len(classes):
        return "the model does not name its classes, each once"
    bad = [
        name
        for name, chances in zip(scores.ids, scores.predictions, strict=True)
        if not _are_chances(chances, len(classes))
    ]
    if bad:
        wanted = f"{len(classes)} probabilities from 0 to 1 that add up to 1"
        return f"{_name_rows(bad)} whose prediction is not {wanted}"
    if unknown := labels.difference(classes):
        return f"the model cannot predict {_name_classes(sort_classes(unknown))}, which rows are"
    return ""


def _are_chances(chances: object, count: int) -> bool:
    if not isinstance(chances, tuple) or len(chances) != count:
        return False
    numbers = [number for each in chances if (number := to_number(each)) is not None]
    inside = len(numbers) == count and min(numbers) >= 0 and max(numbers) <= 1
    return inside and abs(sum(numbers) - 1) <= SUM_ERROR


def _name_classes(classes: Sequence[str]) -> str:
    named = ", ".join(map(_quote, classes[:5]))
    noun = "class" if len(classes) == 1 else "classes"
    return f"the {noun} {named}" + (f" and {len(classes) - 5} more" if len(classes) > 5 else "")


def _quote(text: str) -> str:
    return json.dumps(text[:40], ensure_ascii=False)


def _alignment_fault(ids: Sequence[str], values: Sequence[object], noun: str) -> str:
    if len(ids) != len(values):
        return f"{len(ids)} row ids come with {len(values)} {noun}s"
    twice = [name for name, count in Counter(ids).items() if count > 1]
    return f"{_name_rows(twice)} with more than one {noun}" if twice else ""


def _coverage_fault(names: Iterable[str], ids: Iterable[str]) -> str:
    wanted, given = set(names), set(ids)
    if missing := wanted - given:
        return f"{_name_rows(missing)} without a prediction"
    if extra := given - wanted:
        return f"{_name_rows(extra)} predicted that the holdout does not have"
    return ""


def _labels_fault(ids: Sequence[str], actual: Sequence[object], task: Task) -> str:
    if task is Task.REGRESSION:
        return _numbers_fault(ids, actual, "label")
    bad = [
        name
        for name, label in zip(ids, actual, strict=True)
        if not (label and isinstance(label, str))
    ]
    return f"{_name_rows(bad)} whose label is not a class" if bad else ""


def _numbers_fault(ids: Sequence[str], values: Sequence[object], noun: str) -> str:
    bad = [
        (name, value) for name, value in zip(ids, values, strict=True) if to_number(value) is None
    ]
    if not bad:
        return ""
    example = "missing" if bad[0][1] is None else repr(bad[0][1])[:40]
    return (
        f"{_name_rows([name for name, _ in bad])} whose {noun} is not a finite number ({example})"
    )


def _name_rows(names: Iterable[str]) -> str:
    """Name the first of some rows, e.g. `3 rows, "a1" the first,`."""
    ordered = sorted(names)
    first = _quote(ordered[0])
    return f"row {first}" if len(ordered) == 1 else f"{len(ordered):,} rows, {first} the first,"


def _to_array(values: Sequence[object]) -> Array:
    numbers = [to_number(value) for value in values]
    return np.array([math.nan if number is None else number for number in numbers], dtype=float)


def _to_places(labels: Sequence[object], classes: tuple[str, ...]) -> Array:
    """Return the place of each label in the classes, -1 for what is not one."""
    places: dict[object, int] = {name: place for place, name in enumerate(classes)}
    return np.array([places.get(label, -1) for label in labels], dtype=np.intp)


def _to_chances(values: Sequence[object], own: tuple[str, ...], classes: tuple[str, ...]) -> Array:
    """Return probabilities by the order of all classes; what a model does not know it never says."""
    chances = np.zeros((len(values), len(classes)))
    chances[:, [classes.index(name) for name in own]] = np.array(values, dtype=float)
    return chances


def _digest_rows(ids: tuple[str, ...], actual: Sequence[object], positive: str) -> str:
    # repr keeps what JSON cannot: the rows of a refused comparison have a key as well.
    body = [ids, [repr(value) for value in actual], *([positive] if positive else [])]
    text = json.dumps(body, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
