"""Small pieces of evidence for the tests of the gate: numbers in, evidence out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gitops.config import Task
from gitops.gate.evidence import Comparison, Evidence
from gitops.gate.judge import judge
from gitops.policy import MetricRule, Policy, Tolerance
from gitops.run import Problem, Scores

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gitops.gate.verdict import Finding, Verdict

CANDIDATE, CHAMPION = "sha256:" + "c" * 64, "sha256:" + "b" * 64


def make_ids(rows: int) -> tuple[str, ...]:
    return tuple(f"row-{i:04}" for i in range(rows))


def make_scores(
    predictions: Sequence[Any],
    bundle: str = CANDIDATE,
    ids: Sequence[str] | None = None,
    problem: Problem | None = None,
) -> Scores:
    return Scores(
        bundle=bundle,
        holdout="holdout",
        ids=tuple(ids if ids is not None else make_ids(len(predictions))),
        predictions=tuple(predictions),
        problem=problem,
    )


def make_evidence(
    actual: Sequence[Any],
    candidate: Scores | Sequence[Any],
    champion: Scores | Sequence[Any] | None = None,
    inputs: Mapping[str, Sequence[object]] | None = None,
) -> Evidence:
    """Return evidence on rows that are named by their position."""
    scores = candidate if isinstance(candidate, Scores) else make_scores(candidate)
    other = (
        champion
        if champion is None or isinstance(champion, Scores)
        else make_scores(champion, CHAMPION)
    )
    return Evidence(
        model="fuel",
        target="mpg",
        fingerprint="sha256:" + "f" * 64,
        candidate=scores.bundle,
        champion=other.bundle if other else "",
        champion_reason="" if other else "there is no champion yet",
        holdout_changed=False,
        current=Comparison(
            ids=make_ids(len(actual)), actual=tuple(actual), candidate=scores, champion=other
        ),
        earlier=None,
        inputs=inputs or {},
    )


def make_classifier(
    chances: Any, classes: Sequence[str] = ("no", "yes"), bundle: str = CANDIDATE
) -> Scores:
    """Return scores of a classifier; one number a row is the chance of the second of two classes."""
    table = np.asarray(chances, dtype=float)
    if table.ndim == 1:
        table = np.stack([1 - table, table], axis=1)
    return replace(make_scores(list(map(tuple, table.tolist())), bundle), classes=tuple(classes))


def make_class_evidence(
    actual: Sequence[str],
    candidate: Scores,
    champion: Scores | None = None,
    *,
    task: Task = Task.BINARY,
    positive: str = "",
    inputs: Mapping[str, Sequence[object]] | None = None,
) -> Evidence:
    """Return evidence on a classification."""
    return replace(make_evidence(actual, candidate, champion, inputs), task=task, positive=positive)


def make_rule(metric: str = "rmse", **bounds: Any) -> MetricRule:
    """Return a rule; tolerances are written as in gitops.yaml: 0.5 or "2%"."""
    for name in ("max_regression", "min_improvement"):
        if name in bounds:
            bounds[name] = _make_tolerance(bounds[name])
    return MetricRule(metric=metric, **bounds)


def make_policy(*rules: MetricRule) -> Policy:
    return Policy(metrics=rules)


def _make_tolerance(value: float | str) -> Tolerance:
    if isinstance(value, str):
        return Tolerance(amount=float(value.rstrip("%")) / 100, relative=True)
    return Tolerance(amount=value)


def noisy(rows: int = 119, *, noise: float, seed: int = 1) -> tuple[list[float], list[float]]:
    """Return labels and predictions whose errors have the given standard deviation."""
    random = np.random.default_rng(seed)
    actual = np.random.default_rng(rows).normal(23, 7, rows)
    return actual.tolist(), (actual + noise * random.standard_normal(rows)).tolist()


def find(verdict: Verdict, rule: str) -> Finding:
    return next(finding for finding in verdict.findings if finding.rule == rule)


def judge_rule(evidence: Evidence, rule: MetricRule, name: str) -> Finding:
    """Judge with one rule, beside a bound that always holds, and return the rule's finding."""
    return find(judge(evidence, make_policy(rule)), f"{rule.metric}.{name}")


def shuffled(evidence: Evidence, seed: int) -> Evidence:
    """Return the same evidence with rows and predictions in other orders."""
    random = np.random.default_rng(seed)
    order = random.permutation(len(evidence.current.ids))
    current = evidence.current
    return replace(
        evidence,
        current=replace(
            current,
            ids=tuple(current.ids[i] for i in order),
            actual=tuple(current.actual[i] for i in order),
            candidate=_shuffled_scores(current.candidate, random),
            champion=current.champion and _shuffled_scores(current.champion, random),
        ),
        inputs={name: [column[i] for i in order] for name, column in evidence.inputs.items()},
    )


def _shuffled_scores(scores: Scores, random: np.random.Generator) -> Scores:
    order = random.permutation(len(scores.ids))
    return replace(
        scores,
        ids=tuple(scores.ids[i] for i in order),
        predictions=tuple(scores.predictions[i] for i in order),
    )
