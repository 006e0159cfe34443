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

Array = NDArray[Any]
# (labels, predictions) of the same rows -> the metric; classes as text, probabilities as rows.
CustomMetric = Callable[[Array, Array], float]


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
        actual: labels, shape (rows,); meaningless when `fault` is set.
        candidate: predictions of the candidate.
        champion: predictions of the champion, or None.
        digest: digest of ids and labels: equal digests are the same rows in any order.
        fault: why the rows cannot be judged, empty when they can.
    """

    ids: tuple[str, ...]
    order: Array
    actual: Array
    candidate: Predictions
    champion: Predictions | None
    digest: str
    fault: str = ""


def join_rows(comparison: Comparison) -> Rows:
    """Join labels and predictions by row id."""
    ids, actual = comparison.ids, comparison.actual
    order = sorted(range(len(ids)), key=ids.__getitem__)
    fault = _alignment_fault(ids, actual, "label") or _numbers_fault(ids, actual, "label")
    labels = [actual[i] if i < len(actual) else None for i in order]
    names = tuple(ids[i] for i in order)
    champion = comparison.champion
    return Rows(
        ids=names,
        order=np.array(order, dtype=np.intp),
        actual=_to_array(labels),
        candidate=_join_scores(names, comparison.candidate),
        champion=None if champion is None else _join_scores(names, champion),
        digest=_digest_rows(names, labels),
        fault=fault or ("" if ids else "there are no held-out rows"),
    )


def to_number(value: object) -> float | None:
    """Return a finite number, or None: booleans and text are not numbers, NaN is not a value."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _join_scores(names: tuple[str, ...], scores: Scores) -> Predictions:
    if scores.problem is not None:
        fault = f"there are no predictions: {scores.problem.message}"
        return Predictions(values=_to_array([]), fault=fault, problem=scores.problem)
    ids, values = scores.ids, scores.predictions
    fault = (
        _alignment_fault(ids, values, "prediction")
        or _coverage_fault(names, ids)
        or _numbers_fault(ids, values, "prediction")
    )
    if fault:
        return Predictions(values=_to_array([]), fault=fault)
    by_id = dict(zip(ids, values, strict=True))
    return Predictions(values=_to_array([by_id[name] for name in names]))


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
    first = json.dumps(ordered[0][:40], ensure_ascii=False)
    return f"row {first}" if len(ordered) == 1 else f"{len(ordered):,} rows, {first} the first,"


def _to_array(values: Sequence[object]) -> Array:
    numbers = [to_number(value) for value in values]
    return np.array([math.nan if number is None else number for number in numbers], dtype=float)


def _digest_rows(ids: tuple[str, ...], actual: Sequence[object]) -> str:
    # repr keeps what JSON cannot: the rows of a refused comparison have a key as well.
    text = json.dumps([ids, [repr(value) for value in actual]], separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
