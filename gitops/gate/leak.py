"""Joined rows and raw columns come in; findings on models that know the answer go out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gitops.gate.evidence import Array, Evidence, Rows, to_number
from gitops.gate.verdict import Finding, Outcome
from gitops.gate.wording import figure
from gitops.policy import Policy, Severity
from gitops.run import ProblemKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# With fewer rows than this, some column follows the target by chance.
MIN_ROWS = 20
ALMOST_ALONE = 0.99


def check_leak(evidence: Evidence, rows: Rows, policy: Policy) -> tuple[Finding, ...]:
    """Check that the model does not need the answer, and that no single raw column gives it away.

    A column that gives the answer away is shown and does not block: yesterday's temperature is an
    honest way to predict today's, and only a person can tell it from the answer in other units.
    """
    del policy
    return _check_model(evidence, rows), *_check_columns(evidence, rows)


def _check_model(evidence: Evidence, rows: Rows) -> Finding:
    problem = rows.candidate.problem
    columns = _name_columns(problem.columns if problem else ())
    name, outcome = "leak.target", Outcome.FAIL
    if evidence.target in evidence.inputs:
        reason = f"the rows to predict carry the target column `{evidence.target}` themselves"
    elif problem is not None and problem.kind is ProblemKind.NEEDS_TARGET:
        reason = (
            f"the model needs the target column `{evidence.target}` as an input: it was trained on "
            "the answer, which no request will ever contain"
        )
    elif problem is not None and problem.kind is ProblemKind.NEEDS_UNKNOWN_COLUMN:
        name = "leak.column"
        reason = (
            f"the model needs {columns}, computed before training, which raw requests do not "
            "have; compute it inside the model"
        )
    elif problem is not None:
        outcome, reason = Outcome.NOT_APPLICABLE, "there are no predictions to look at"
    else:
        outcome = Outcome.PASS
        reason = f"every prediction comes from a raw row without the target `{evidence.target}`"
    return Finding(rule=name, outcome=outcome, reason=reason, rows=len(rows.ids))


def _check_columns(evidence: Evidence, rows: Rows) -> tuple[Finding, ...]:
    """Look for one raw column that predicts the target almost alone."""
    if rows.fault or not evidence.inputs or len(rows.ids) < MIN_ROWS:
        return ()
    actual = np.empty(len(rows.ids))
    actual[rows.order] = rows.actual
    measure = measure_purity if rows.classes else measure_strength
    strengths = {
        name: measure(column, actual)
        for name, column in evidence.inputs.items()
        if name != evidence.target
    }
    telling = {name: value for name, value in strengths.items() if value >= ALMOST_ALONE}
    if not telling:
        reason = f"none of {len(strengths)} raw columns predicts the target almost alone"
        return (_make_feature(Outcome.PASS, reason, rows),)
    reason = (
        f"{_name_columns(telling)} alone predicts `{evidence.target}` (strength "
        f"{figure(min(telling.values()))} of 1 or more): is it known before the answer is, or is it "
        "the answer in other words?"
    )
    return (_make_feature(Outcome.INCONCLUSIVE, reason, rows),)


def measure_strength(column: Sequence[object], actual: Array) -> float:
    """Return how well one raw column alone predicts the target: a correlation from 0 to 1.

    Numbers are compared by rank, so that any rising or falling relation counts; other values are
    groups, whose explained variance is corrected for their number. 0 when too few rows can tell.
    """
    known = [i for i, value in enumerate(column) if not _is_missing(value)]
    values, labels = [column[i] for i in known], actual[known]
    if len(values) < max(MIN_ROWS, len(column) / 2):
        return 0.0
    numbers = [to_number(value) for value in values]
    if None not in numbers:
        return _rank_correlation(np.array(numbers, dtype=float), labels)
    return _group_correlation([repr(value) for value in values], labels)


def measure_purity(column: Sequence[object], places: Array) -> float:
    """Return how well one raw column alone tells the class: 0 is no better than guessing, 1 always.

    Equal values are groups, and each row is guessed from the other rows of its group; numbers that
    split two classes by size tell them too.

    Args:
        column: values, None or NaN where missing.
        places: class of each row, as whole numbers.
    """
    known = [i for i, value in enumerate(column) if not _is_missing(value)]
    if len(known) < max(MIN_ROWS, len(column) / 2):
        return 0.0
    classes = places[known].astype(np.intp)
    counts = np.bincount(classes)
    if counts.max() == len(known):
        return 0.0
    numbers = [to_number(column[i]) for i in known]
    split = 0.0
    if None not in numbers and len(counts) == 2:
        split = _measure_split(np.array(numbers, dtype=float), classes)
    return max(split, _measure_guesses([repr(column[i]) for i in known], classes))


def _measure_split(values: Array, classes: Array) -> float:
    """Return by how much the area under the ROC curve beats one half, twice."""
    positives = int(classes.sum())
    pairs = positives * (len(classes) - positives)
    area = (_rank(values)[classes == 1].sum() - positives * (positives + 1) / 2) / pairs
    return abs(2 * float(area) - 1)


def _measure_guesses(values: Sequence[str], classes: Array) -> float:
    _, group = np.unique(values, return_inverse=True)
    table = np.zeros((int(group.max()) + 1, int(classes.max()) + 1))
    np.add.at(table, (group, classes), 1)
    own = table[group, classes] - 1
    others = table[group]
    others[np.arange(len(classes)), classes] = 0
    # A row that is alone in its group, such as a name, tells nothing about any other.
    right = float(((own > 0) & (own >= others.max(axis=1))).mean())
    usual = float(np.bincount(classes).max()) / len(classes)
    return max(0.0, (right - usual) / (1 - usual))


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _rank_correlation(values: Array, labels: Array) -> float:
    if np.ptp(values) == 0 or np.ptp(labels) == 0:
        return 0.0
    return abs(float(np.corrcoef(_rank(values), _rank(labels))[0, 1]))


def _rank(values: Array) -> Array:
    """Return ranks; equal values share the mean of theirs."""
    _, position, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[position])


def _group_correlation(values: Sequence[str], labels: Array) -> float:
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    rows, groups = len(labels), len(counts)
    total = float(((labels - labels.mean()) ** 2).sum())
    # Nearly as many groups as rows, such as names, would explain anything.
    if rows - groups < MIN_ROWS or total == 0:
        return 0.0
    means = np.bincount(group, weights=labels) / counts
    within = float(((labels - means[group]) ** 2).sum())
    return float(np.sqrt(max(0.0, 1 - within / total * (rows - 1) / (rows - groups))))


def _make_feature(outcome: Outcome, reason: str, rows: Rows) -> Finding:
    return Finding(
        rule="leak.feature",
        outcome=outcome,
        reason=reason,
        severity=Severity.WARN,
        rows=len(rows.ids),
    )


def _name_columns(names: Iterable[str]) -> str:
    listed = ", ".join(f"`{name}`" for name in names)
    return listed or "a column"
