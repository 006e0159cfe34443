"""Joined rows come in; candidates that are known to be bad, on the same rows, go out."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gitops.config import Task
from gitops.gate.catalogue import find_metric
from gitops.gate.evidence import Comparison, Evidence, Predictions, Rows, join_rows
from gitops.gate.metrics import Metric, measure
from gitops.policy import Policy, Severity, Tolerance
from gitops.run import Scores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gitops.gate.evidence import Array

# By accident a shuffle may keep a loose bound on few rows: it counts when each of these does.
DRAWS = 3
_DOUBLINGS, _HALVINGS = 16, 12
_LEAST_CHANCE = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One way to be bad.

    Attributes:
        name: end of the finding's name.
        words: what it is, in words that begin a sentence.
        draws: the rows with this candidate; more than one where chance has a part.
    """

    name: str
    words: str
    draws: tuple[Rows, ...]


def make_mutants(evidence: Evidence, rows: Rows, policy: Policy) -> Iterator[Mutant]:
    """Yield the known-bad candidates that these rows allow; the same rows yield the same ones.

    Args:
        evidence: what is judged.
        rows: joined rows with usable labels that are not all the same.
        policy: its tolerances set how much noise is too much.
    """
    random = np.random.default_rng(list(rows.digest.encode()))
    champion = None if rows.champion is None or rows.champion.fault else rows.champion.values
    given = None if rows.candidate.fault else rows.candidate.values
    model = champion if champion is not None else given
    constants = tuple(_make_constants(rows, evidence.task))
    if model is not None:
        shuffles = [model[random.permutation(len(model))] for _ in range(DRAWS)]
        draws = tuple(_predict(rows, values) for values in shuffles)
        yield Mutant(name="shuffled", words="predictions shuffled between rows", draws=draws)
    for words, values in constants:
        yield Mutant(name="constant", words=words, draws=(_predict(rows, values),))
    if champion is not None:
        yield from _compare_champion(evidence, rows, policy, champion, random)
    yield from _spoil(evidence, rows, constants[0][1] if model is None else model)


def _predict(rows: Rows, values: Array) -> Rows:
    return replace(rows, candidate=Predictions(values=values))


def _make_constants(rows: Rows, task: Task) -> Iterator[tuple[str, Array]]:
    if task is Task.REGRESSION:
        for name, middle in (("mean", np.mean), ("median", np.median)):
            yield (
                f"the {name} of the labels for every row",
                np.full(len(rows.ids), float(middle(rows.actual))),
            )
        return
    shares = np.bincount(rows.actual, minlength=len(rows.classes)) / len(rows.ids)
    yield "the share of each class for every row", np.tile(shares, (len(rows.ids), 1))
    # The most frequent of many classes is what these shares predict; of two, either may pay.
    for place, name in enumerate(rows.classes if task is Task.BINARY else ()):
        yield f"class `{name[:40]}` for every row", np.eye(2)[np.full(len(rows.ids), place)]


def _compare_champion(
    evidence: Evidence, rows: Rows, policy: Policy, champion: Array, random: np.random.Generator
) -> Iterator[Mutant]:
    noise = random.standard_normal(champion.shape)
    for rule in policy.metrics:
        tolerance = rule.max_regression
        if rule.severity is Severity.BLOCK and tolerance is not None:
            metric = find_metric(rule, evidence, rows)
            if isinstance(metric, Metric):
                noisy = _add_noise(metric, tolerance, rows, champion, noise)
                words = f"the champion with noise that costs twice what {metric.name} tolerates"
                yield Mutant(name="noise", words=words, draws=(_predict(rows, noisy),))
            break
    permuted = (rows.actual[random.permutation(len(rows.actual))] for _ in range(DRAWS))
    itself = _predict(rows, champion)
    draws = tuple(replace(itself, actual=actual) for actual in permuted)
    words = "the champion compared with itself, with labels that belong to other rows,"
    yield Mutant(name="labels", words=words, draws=draws)


def _add_noise(
    metric: Metric, tolerance: Tolerance, rows: Rows, champion: Array, noise: Array
) -> Array:
    """Return the champion's predictions with the least noise that costs twice the tolerance."""
    own = measure(metric, rows.actual, champion)
    allowed = tolerance.amount * (abs(own) if tolerance.relative else 1)
    wanted = max(2 * allowed, 0.01 * abs(own))
    disturb = _disturb_number if champion.ndim == 1 else _disturb_chances
    unit = float(np.std(rows.actual)) if champion.ndim == 1 else 1.0

    def costs_enough(size: float) -> bool:
        noisy = disturb(champion, size * noise)
        return metric.badness * (measure(metric, rows.actual, noisy) - own) >= wanted

    return disturb(champion, _find_size(costs_enough, unit) * noise)


def _find_size(is_enough: Callable[[float], bool], unit: float) -> float:
    """Return the smallest size that is enough, or the largest there is where none is."""
    size = unit * 2.0 ** -(_DOUBLINGS // 2)
    for _ in range(_DOUBLINGS):
        if is_enough(size):
            break
        size *= 2
    low, high = size / 2, size
    for _ in range(_HALVINGS):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high


def _disturb_number(values: Array, noise: Array) -> Array:
    return np.asarray(values + noise)


def _disturb_chances(chances: Array, noise: Array) -> Array:
    logits = np.log(np.maximum(chances, _LEAST_CHANCE)) + noise
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _spoil(evidence: Evidence, rows: Rows, values: Array) -> Iterator[Mutant]:
    """Yield predictions that cannot be used, through the same door as real ones."""
    predictions = values.tolist()
    whole = [tuple(each) if isinstance(each, list) else each for each in predictions]
    nothing = tuple(math.nan for _ in rows.classes) if rows.classes else math.nan
    spoilt = {
        "dropped": ("predictions that leave out a row", rows.ids[1:], whole[1:]),
        "nan": ("predictions with one NaN", rows.ids, [nothing, *whole[1:]]),
    }
    labels = (
        [rows.classes[place] for place in rows.actual] if rows.classes else rows.actual.tolist()
    )
    for name, (words, ids, kept) in spoilt.items():
        scores = Scores(
            bundle="", holdout="", ids=ids, predictions=tuple(kept), classes=rows.classes
        )
        comparison = Comparison(ids=rows.ids, actual=tuple(labels), candidate=scores, champion=None)
        joined = join_rows(comparison, evidence.task, evidence.positive)
        yield Mutant(name=name, words=words, draws=(replace(rows, candidate=joined.candidate),))
