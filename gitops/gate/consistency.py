"""Joined rows come in; findings on whether they can be judged at all go out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gitops.gate.verdict import Finding, Outcome
from gitops.gate.wording import count_rows
from gitops.run import ProblemKind

if TYPE_CHECKING:
    from gitops.gate.evidence import Evidence, Rows
    from gitops.policy import Policy

# These are told by the leak check, in its own words.
LEAKS = (ProblemKind.NEEDS_TARGET, ProblemKind.NEEDS_UNKNOWN_COLUMN)


def check_consistency(evidence: Evidence, rows: Rows, policy: Policy) -> tuple[Finding, ...]:
    """Check labels and predictions: each row once, every number finite, not all the same."""
    del evidence, policy
    return _check_labels(rows), _check_predictions(rows)


def _check_labels(rows: Rows) -> Finding:
    name, count = "consistency.labels", len(rows.ids)
    if rows.fault:
        reason = f"the held-out rows cannot be judged: {rows.fault}"
        return Finding(rule=name, outcome=Outcome.FAIL, reason=reason, rows=count)
    label = "a class" if rows.classes else "a finite label"
    reason = f"{count_rows(count)} held out, each once and with {label}"
    return Finding(rule=name, outcome=Outcome.PASS, reason=reason, rows=count)


def _check_predictions(rows: Rows) -> Finding:
    outcome, reason = _judge_predictions(rows)
    name = "consistency.predictions"
    return Finding(rule=name, outcome=outcome, reason=reason, rows=len(rows.ids))


def _judge_predictions(rows: Rows) -> tuple[Outcome, str]:
    problem = rows.candidate.problem
    if problem is not None and problem.kind in LEAKS:
        return Outcome.NOT_APPLICABLE, "there are no predictions: see the leak"
    if problem is not None:
        kind = problem.kind.replace("_", " ")
        return Outcome.FAIL, f"the candidate cannot predict ({kind}): {problem.message}"
    if rows.candidate.fault:
        return Outcome.FAIL, f"the candidate's predictions are incomplete: {rows.candidate.fault}"
    if _is_constant(rows):
        return (
            Outcome.FAIL,
            f"the candidate predicts {_describe(rows)} for every row, whatever it is",
        )
    given = "probabilities that add up to 1" if rows.classes else "a finite number"
    return Outcome.PASS, f"{count_rows(len(rows.ids))} predicted, each once and with {given}"


def _is_constant(rows: Rows) -> bool:
    """Tell whether all predictions are equal although the labels are not."""
    varied = not rows.fault and len(rows.ids) > 1 and bool(np.ptp(rows.actual) > 0)
    return varied and not np.ptp(rows.candidate.values, axis=0).any()


def _describe(rows: Rows) -> str:
    return "the same probabilities" if rows.classes else f"{float(rows.candidate.values[0]):g}"
